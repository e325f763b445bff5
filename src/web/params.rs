//! Parameters of forms, queries and paths. Those that the application uses are parsed strictly: an invalid one is an
//! error. All others are ignored, because links come with `?utm_source=..` or `?tag[]=..`.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use percent_encoding::percent_decode;

use crate::error::{Error, Result};
use crate::models::values::page::{Key, NUMBERED_PAGES, Page, PageStart};

/// Maximum number of parameters to keep that the application does not use.
const MAX_OTHERS: usize = 64;

/// Decoded names and values, in the order sent. Names that the application uses are unique.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Parses `application/x-www-form-urlencoded`. Bytes that are not UTF-8 become U+FFFD, which every field refuses
    /// (models/values/validation.rs), so the form is shown again with what was typed. `used` lists the parameters that
    /// the application uses; of `user[name]`, the part before the bracket.
    ///
    /// # Errors
    /// [`Error::BadRequest`] if one of these occurs twice, is a list, or is nested deeper than `user[name]`.
    pub fn parse(encoded: &[u8], used: &[&str]) -> Result<Params> {
        let mut params = Params::default();
        for pair in encoded.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let split = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = split.map_or((pair, &[][..]), |at| (&pair[..at], &pair[at + 1..]));
            let name = decode(name);
            let is_used = name.split('[').next().is_some_and(|root| used.contains(&root));
            if is_used {
                params.check(&name)?;
            }
            if is_used || params.0.len() < MAX_OTHERS {
                params.0.push((name, decode(value)));
            }
        }
        Ok(params)
    }

    fn check(&self, name: &str) -> Result<()> {
        if name.matches('[').count() > 1 || name.ends_with("[]") {
            return Err(Error::BadRequest("A field of the form holds a list or is nested too deep.".into()));
        }
        if self.0.iter().any(|(other, _)| other == name) {
            return Err(Error::BadRequest("A field of the form was sent more than once.".into()));
        }
        Ok(())
    }

    /// The value of a parameter, or "" if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value.as_str())
    }
}

fn decode(part: &[u8]) -> String {
    let spaced: Vec<u8> = part.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

/// The query string of a link in a mail.
pub struct Query(pub Params);

impl FromRequest for Query {
    type Error = Error;
    type Future = Ready<Result<Query>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Params::parse(req.query_string().as_bytes(), &["email"]).map(Query))
    }
}

/// `{id}` in the path: a number above 0. Anything else gives [`Error::NotFound`].
#[derive(Debug, Clone, Copy)]
pub struct Id(pub i64);

impl FromRequest for Id {
    type Error = Error;
    type Future = Ready<Result<Id>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = req.match_info().get("id").and_then(parse_id);
        ready(id.map(Id).ok_or(Error::NotFound))
    }
}

/// Parses an id in a path or form: ASCII digits, from 1 to `i64::MAX`.
pub fn parse_id(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok().filter(|id| *id > 0) } else { None }
}

impl FromRequest for PageStart {
    type Error = Error;
    type Future = Ready<Result<PageStart>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(page_start(req.query_string()))
    }
}

/// The page that a query string requests, by default the first. Links between pages use the key of the first row
/// (`from`). Page numbers (`page`) only work for the first [`NUMBERED_PAGES`] pages.
///
/// # Errors
/// [`Error::BadRequest`] for an invalid value, [`Error::NotFound`] for a number that is too high.
pub fn page_start(query: &str) -> Result<PageStart> {
    let params = Params::parse(query.as_bytes(), &["page", "from"])?;
    let typed = |name: &str| {
        let is_nested = params.0.iter().any(|(other, _)| other.starts_with(&format!("{name}[")));
        if is_nested { "[]" } else { params.get(name) }
    };
    let (from, page) = (typed("from"), typed("page"));
    if !from.is_empty() {
        let key = Key::parse(from).map(PageStart::At);
        return key.ok_or_else(|| Error::BadRequest("The link to this page is not complete.".into()));
    }
    if page.is_empty() {
        return Ok(PageStart::FIRST);
    }
    let digits = page.bytes().all(|b| b.is_ascii_digit());
    match page.parse::<u32>() {
        Ok(number @ 1..=NUMBERED_PAGES) if digits => Ok(PageStart::After(number - 1)),
        Ok(1..) if digits => Err(Error::NotFound),
        _ => Err(Error::BadRequest("The page has to be a number, 1 or more.".into())),
    }
}

impl<T> Page<T> {
    /// [`Error::NotFound`] if the page is past the end of the list.
    pub fn or_not_found(self) -> Result<Page<T>> {
        if self.is_past_the_end() { Err(Error::NotFound) } else { Ok(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_form() {
        let form = b"user[name]=a+b%26c&user%5Bemail%5D=x%40y&empty=&alone&&";
        let params = Params::parse(form, &["user", "empty"]).unwrap();
        assert_eq!(params.get("user[name]"), "a b&c");
        assert_eq!(params.get("user[email]"), "x@y");
        assert_eq!((params.get("empty"), params.get("alone"), params.get("missing")), ("", "", ""));
    }

    #[test]
    fn marks_what_is_not_utf8() {
        let get = |encoded: &[u8]| Params::parse(encoded, &["a"]).unwrap().get("a").to_owned();
        assert_eq!(get(b"a=x%FFy"), "x\u{FFFD}y");
        assert_eq!(get(b"a=x%ED%A0%80").chars().nth(1), Some('\u{FFFD}'));
        assert_eq!(get(b"a=%zz%"), "%zz%");
    }

    #[test]
    fn refuses_lists_nesting_and_repetition_of_what_is_used_and_of_nothing_else() {
        for bad in ["a=1&a=2", "a[]=1", "a[b][c]=1", "a%5B%5D=1", "a[b]=1&a[b]=1"] {
            assert!(Params::parse(bad.as_bytes(), &["a"]).is_err(), "{bad}");
            assert!(Params::parse(bad.as_bytes(), &["b"]).is_ok(), "{bad}");
        }
        let mut flood: String = (0..10_000).map(|n| format!("p{n}=1&")).collect();
        flood.push_str("a=1");
        let params = Params::parse(flood.as_bytes(), &["a"]).unwrap();
        assert_eq!((params.get("a"), params.0.len()), ("1", MAX_OTHERS + 1));
    }

    #[test]
    fn reads_page_numbers_and_ids() {
        assert_eq!(page_start("").unwrap(), PageStart::FIRST);
        assert_eq!(page_start("page=3").unwrap(), PageStart::After(2));
        assert_eq!(page_start("page=3&from=7").unwrap(), PageStart::At(Key::from_id(7)));
        for far in ["page=4", "page=4294967295"] {
            assert!(matches!(page_start(far), Err(Error::NotFound)), "{far}");
        }
        for bad in [
            "page=0",
            "page=-1",
            "page=abc",
            "page=9e99",
            "page=+1",
            "page=99999999999999999999",
            "page[]=1",
            "page[x]=1",
            "from=x",
            "from=-1",
            "from=1&from=2",
            "from[x]=1",
        ] {
            assert!(matches!(page_start(bad), Err(Error::BadRequest(_))), "{bad}");
        }
        assert_eq!(parse_id("42"), Some(42));
        for bad in ["", "0", "-1", "+1", "abc", "1.5", "9223372036854775808", "1e3", "\u{661}"] {
            assert_eq!(parse_id(bad), None, "{bad}");
        }
    }
}
