//! Responses with content that never changes: conditional requests, ranges and full bodies (RFC 9110, 13 and 14).

use actix_web::body::SizedStream;
use actix_web::http::header::{
    ACCEPT_RANGES, ByteRangeSpec, CACHE_CONTROL, ContentRange, ContentRangeSpec, ContentType, ETag,
    EntityTag, Header, HeaderValue, IfNoneMatch, IfRange, Range,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};

/// Cache-Control for a URL whose content never changes; 31536000 s is one year.
pub const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// A request for content that never changes.
pub struct Immutable<'a> {
    pub req: &'a HttpRequest,
    /// The entity tag: letters and digits that identify these bytes and no others.
    pub tag: &'a str,
    pub content_type: &'static str,
}

impl Immutable<'_> {
    /// 304 if the client has the content already; needs neither the bytes nor their length.
    pub fn known(&self) -> Option<HttpResponse> {
        is_known(self.req, &self.tag()).then(|| self.begin(StatusCode::NOT_MODIFIED).finish())
    }

    /// Whether [`by_length`](Self::by_length) may give a response without the bytes.
    pub fn depends_on_length(&self) -> bool {
        self.req.method() == Method::HEAD || self.wanted().is_some()
    }

    /// The responses that need only the length: to HEAD, and 416 to a range outside the content.
    pub fn by_length(&self, length: u64) -> Option<HttpResponse> {
        match self.wanted() {
            Some(wanted) if wanted.to_satisfiable_range(length).is_none() => Some(
                HttpResponse::RangeNotSatisfiable()
                    .insert_header((CACHE_CONTROL, IMMUTABLE))
                    .insert_header((ACCEPT_RANGES, "bytes"))
                    .insert_header(content_range(None, length))
                    .content_type(ContentType::plaintext())
                    .body(format!("There are {length} bytes.\n")),
            ),
            None if self.req.method() == Method::HEAD => {
                let nothing = futures_util::stream::empty::<Result<Bytes, std::io::Error>>();
                let mut answer = self.begin(StatusCode::OK);
                Some(answer.content_type(self.content_type).body(SizedStream::new(length, nothing)))
            }
            _ => None,
        }
    }

    /// The full response: the bytes, a part of them, or one of the responses without them.
    pub fn answer(&self, bytes: Bytes) -> HttpResponse {
        let length = bytes.len() as u64;
        if let Some(answer) = self.known().or_else(|| self.by_length(length)) {
            return answer;
        }
        let part = self.wanted().and_then(|wanted| wanted.to_satisfiable_range(length));
        match part {
            Some((from, to)) => self
                .begin(StatusCode::PARTIAL_CONTENT)
                .insert_header(content_range(part, length))
                .content_type(self.content_type)
                .body(bytes.slice(from as usize..=to as usize)),
            None => self.begin(StatusCode::OK).content_type(self.content_type).body(bytes),
        }
    }

    fn wanted(&self) -> Option<ByteRangeSpec> {
        wanted_range(self.req, &self.tag())
    }

    fn tag(&self) -> EntityTag {
        EntityTag::new_strong(self.tag.to_owned())
    }

    fn begin(&self, status: StatusCode) -> HttpResponseBuilder {
        let mut answer = HttpResponse::build(status);
        answer.insert_header((CACHE_CONTROL, IMMUTABLE)).insert_header((ACCEPT_RANGES, "bytes"));
        answer.insert_header(ETag(self.tag()));
        answer
    }
}

fn content_range(range: Option<(u64, u64)>, length: u64) -> ContentRange {
    ContentRange(ContentRangeSpec::Bytes { range, instance_length: Some(length) })
}

/// Whether the client has these bytes already (If-None-Match).
fn is_known(req: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(req) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(known)) => known.iter().any(|known| known.weak_eq(tag)),
        Err(_) => false,
    }
}

/// The requested range. Several ranges and malformed ones give the whole content, which section 14.2 allows; so does an
/// If-Range that names other content.
fn wanted_range(req: &HttpRequest, tag: &EntityTag) -> Option<ByteRangeSpec> {
    let same = match IfRange::parse(req) {
        Ok(IfRange::EntityTag(known)) => known.strong_eq(tag),
        Ok(IfRange::Date(_)) => false,
        Err(_) => !req.headers().contains_key(IfRange::name()),
    };
    match Range::parse(req) {
        Ok(Range::Bytes(ranges)) if same && req.method() == Method::GET => match ranges.as_slice() {
            [one] => Some(one.clone()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::MessageBody;
    use actix_web::test::TestRequest;

    fn ask(method: Method, headers: &[(&str, &str)]) -> (u16, String, Vec<u8>) {
        let mut request = TestRequest::with_uri("/").method(method);
        for header in headers {
            request = request.append_header(*header);
        }
        let request = request.to_http_request();
        let resource = Immutable { req: &request, tag: "tag", content_type: "image/png" };
        let answer = resource.answer(Bytes::from_static(b"0123456789"));
        let range = answer.headers().get("content-range");
        let range = range.map_or(String::new(), |value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), range, answer.into_body().try_into_bytes().unwrap_or_default().to_vec())
    }

    #[test]
    fn who_has_it_gets_nothing() {
        for known in ["\"tag\"", "W/\"tag\"", "\"other\", \"tag\"", "*"] {
            assert_eq!(ask(Method::GET, &[("if-none-match", known)]).0, 304, "{known}");
        }
        for other in ["\"other\"", "tag", "", "\"ta\""] {
            assert_eq!(ask(Method::GET, &[("if-none-match", other)]).0, 200, "{other}");
        }
        let both = [("if-none-match", "\"tag\""), ("range", "bytes=0-0")];
        assert_eq!(ask(Method::GET, &both).0, 304, "If-None-Match comes first");
    }

    #[test]
    fn a_part_is_what_was_asked_for() {
        for (range, told, bytes) in [
            ("bytes=0-3", "bytes 0-3/10", &b"0123"[..]),
            ("bytes=8-", "bytes 8-9/10", b"89"),
            ("bytes=-3", "bytes 7-9/10", b"789"),
            ("bytes=-99", "bytes 0-9/10", b"0123456789"),
            ("bytes=9-99999999999", "bytes 9-9/10", b"9"),
        ] {
            let answer = ask(Method::GET, &[("range", range)]);
            assert_eq!(answer, (206, told.to_owned(), bytes.to_vec()), "{range}");
        }
        for range in ["bytes=10-", "bytes=-0", "bytes=10-20"] {
            let answer = ask(Method::GET, &[("range", range)]);
            assert_eq!((answer.0, answer.1.as_str()), (416, "bytes */10"), "{range}");
        }
        for range in ["bytes=3-1", "bytes=a-b", "bytes", "pages=1-2", "bytes=0-0,2-2", ""] {
            assert_eq!(ask(Method::GET, &[("range", range)]).0, 200, "{range}");
        }
        assert_eq!(ask(Method::HEAD, &[("range", "bytes=0-3")]).0, 200, "only GET has parts");
    }

    #[test]
    fn a_part_of_something_else_is_not_given() {
        let part = |of| ask(Method::GET, &[("range", "bytes=0-3"), ("if-range", of)]).0;
        assert_eq!(part("\"tag\""), 206);
        for other in ["\"other\"", "W/\"tag\"", "Sat, 29 Oct 1994 19:43:31 GMT", "nonsense"] {
            assert_eq!(part(other), 200, "{other}");
        }
    }
}
