//! Parameters: of a form, of the query, of the path. Read strictly: what cannot be understood is refused by name.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use percent_encoding::percent_decode;

use super::visitor::once_identified;
use crate::error::{Error, Result};
use crate::models::page::{Page, PageNumber};

/// More than any form of ours has by far.
const MOST: usize = 64;

/// Names and values as they were sent; a name counts once.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads `application/x-www-form-urlencoded`. Bytes that are not UTF-8 become U+FFFD, which every field refuses
    /// (models/validation.rs), so that the form comes back with what was typed.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when a name comes twice, or nested deeper than `user[name]`, or there are too many.
    pub fn parse(encoded: &[u8]) -> Result<Params> {
        let mut params = Params::default();
        for pair in encoded.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let split = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = split.map_or((pair, &[][..]), |at| (&pair[..at], &pair[at + 1..]));
            params.add(decode(name), decode(value))?;
        }
        Ok(params)
    }

    /// Adds a parameter.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn add(&mut self, name: String, value: String) -> Result<()> {
        if name.matches('[').count() > 1 || name.ends_with("[]") {
            return Err(Error::BadRequest("A field of the form holds a list or is nested too deep.".into()));
        }
        if self.0.iter().any(|(other, _)| *other == name) {
            return Err(Error::BadRequest("A field of the form was sent more than once.".into()));
        }
        if self.0.len() == MOST {
            return Err(Error::BadRequest("There are too many fields in the form.".into()));
        }
        self.0.push((name, value));
        Ok(())
    }

    /// A value; what is missing is empty.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value.as_str())
    }
}

fn decode(part: &[u8]) -> String {
    let spaced: Vec<u8> = part.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

/// Parameters of the query string.
pub struct Query(pub Params);

impl FromRequest for Query {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Query>>>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        once_identified(req, Params::parse(req.query_string().as_bytes()).map(Query))
    }
}

/// `{id}` in the path: a number above 0; anything else is not found.
#[derive(Debug, Clone, Copy)]
pub struct Id(pub i64);

impl FromRequest for Id {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Id>>>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = req.match_info().get("id").and_then(parse_id);
        once_identified(req, id.map(Id).ok_or(Error::NotFound))
    }
}

/// An id as it is written in paths and forms: digits, up to 64 bits.
pub fn parse_id(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok().filter(|id| *id > 0) } else { None }
}

impl FromRequest for PageNumber {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<PageNumber>>>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        once_identified(req, page_number(req.query_string()))
    }
}

/// The page that a query string asks for; the first, if it asks for none.
///
/// # Errors
/// [`Error::BadRequest`] when that is no page.
pub fn page_number(query: &str) -> Result<PageNumber> {
    let params = Params::parse(query.as_bytes())?;
    let is_nested = params.0.iter().any(|(name, _)| name.starts_with("page["));
    let typed = if is_nested { "[]" } else { params.get("page") };
    if typed.is_empty() {
        return Ok(PageNumber::FIRST);
    }
    let digits = typed.bytes().all(|b| b.is_ascii_digit());
    let number = if digits { typed.parse().ok().and_then(PageNumber::new) } else { None };
    number.ok_or_else(|| Error::BadRequest("The page has to be a number, 1 or more.".into()))
}

impl<T> Page<T> {
    /// Refuses a page that the list does not have.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn or_not_found(self) -> Result<Page<T>> {
        if self.is_past_the_end() { Err(Error::NotFound) } else { Ok(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_form() {
        let params = Params::parse(b"user[name]=a+b%26c&user%5Bemail%5D=x%40y&empty=&alone&&").unwrap();
        assert_eq!(params.get("user[name]"), "a b&c");
        assert_eq!(params.get("user[email]"), "x@y");
        assert_eq!((params.get("empty"), params.get("alone"), params.get("missing")), ("", "", ""));
    }

    #[test]
    fn marks_what_is_not_utf8() {
        assert_eq!(Params::parse(b"a=x%FFy").unwrap().get("a"), "x\u{FFFD}y");
        assert_eq!(Params::parse(b"a=x%ED%A0%80").unwrap().get("a").chars().nth(1), Some('\u{FFFD}'));
        assert_eq!(Params::parse(b"a=%zz%").unwrap().get("a"), "%zz%");
    }

    #[test]
    fn refuses_lists_nesting_repetition_and_floods() {
        for bad in ["a=1&a=2", "a[]=1", "a[b][c]=1", "a%5B%5D=1"] {
            assert!(Params::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let flood: String = (0..MOST + 1).map(|n| format!("p{n}=1&")).collect();
        assert!(Params::parse(flood.as_bytes()).is_err());
    }

    #[test]
    fn reads_page_numbers_and_ids() {
        assert_eq!(page_number("").unwrap(), PageNumber::FIRST);
        assert_eq!(page_number("page=3").unwrap(), PageNumber::new(3).unwrap());
        for bad in [
            "page=0",
            "page=-1",
            "page=abc",
            "page=9e99",
            "page=+1",
            "page=99999999999999999999",
            "page[]=1",
            "page[x]=1",
        ] {
            assert!(page_number(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_id("42"), Some(42));
        for bad in ["", "0", "-1", "+1", "abc", "1.5", "9223372036854775808", "1e3", "\u{661}"] {
            assert_eq!(parse_id(bad), None, "{bad}");
        }
    }
}
