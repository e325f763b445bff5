//! Answers with what never changes: to who has it already, to who wants a part of it, and to everybody else (RFC 9110,
//! sections 13 and 14).

use actix_web::http::header::{
    ACCEPT_RANGES, ByteRangeSpec, CACHE_CONTROL, ContentRange, ContentRangeSpec, ContentType, ETag,
    EntityTag, Header, HeaderValue, IfNoneMatch, IfRange, Range,
};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};

/// For an address that names one content for ever.
pub const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Answers with these bytes. The tag stands for them and for nothing else; letters and digits.
pub fn answer(req: &HttpRequest, tag: &str, content_type: &'static str, bytes: Vec<u8>) -> HttpResponse {
    let tag = EntityTag::new_strong(tag.to_owned());
    let mut answer = HttpResponse::Ok();
    answer.insert_header((CACHE_CONTROL, IMMUTABLE)).insert_header((ACCEPT_RANGES, "bytes"));
    if is_known(req, &tag) {
        return answer.status(StatusCode::NOT_MODIFIED).insert_header(ETag(tag)).finish();
    }
    let length = bytes.len() as u64;
    let content_range =
        |range| ContentRange(ContentRangeSpec::Bytes { range, instance_length: Some(length) });
    let Some(wanted) = wanted_range(req, &tag) else {
        return answer.insert_header(ETag(tag)).content_type(content_type).body(bytes);
    };
    let part = wanted.to_satisfiable_range(length);
    match part.and_then(|(from, to)| bytes.get(usize::try_from(from).ok()?..=usize::try_from(to).ok()?)) {
        Some(bytes) => answer
            .status(StatusCode::PARTIAL_CONTENT)
            .insert_header(content_range(part))
            .insert_header(ETag(tag))
            .content_type(content_type)
            .body(bytes.to_vec()),
        None => HttpResponse::RangeNotSatisfiable()
            .insert_header(content_range(None))
            .content_type(ContentType::plaintext())
            .body(format!("There are {length} bytes.\n")),
    }
}

/// Whether the visitor has these bytes already (If-None-Match).
fn is_known(req: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(req) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(known)) => known.iter().any(|known| known.weak_eq(tag)),
        Err(_) => false,
    }
}

/// The part that is asked for. Several at once, or a range that is none, mean the whole (section 14.2 allows both); so does
/// a part of other bytes than these (If-Range).
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
        let answer = answer(&request.to_http_request(), "tag", "image/png", b"0123456789".to_vec());
        let range = answer.headers().get("content-range");
        let range = range.map_or(String::new(), |value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), range, answer.into_body().try_into_bytes().unwrap().to_vec())
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
