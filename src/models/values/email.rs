//! E-mail addresses in a canonical form.

use idna::AsciiDenyList;
use unicode_normalization::UnicodeNormalization;

use super::validation::{BLANK, too_long};

/// Longest address, in characters.
pub const MAX: usize = 255;

/// An address in canonical form: NFC, lower case, the domain in ASCII (IDNA 2008 as browsers do it, UTS 46).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Validates user input. An error reads as the rest of a sentence that begins with "Email".
    pub fn parse(typed: &str) -> Result<Email, String> {
        let typed = typed.trim();
        if typed.is_empty() {
            return Err(BLANK.into());
        }
        // No spelling of a valid address is longer. Bounds the work below.
        if typed.chars().count() > MAX {
            return Err(too_long(MAX));
        }
        let email = normalize(typed).ok_or("is invalid")?;
        if email.len() > MAX {
            return Err(too_long(MAX));
        }
        Ok(Email(email))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An address masked for pages and logs: `a***@example.com`.
pub fn masked(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => {
            format!("{}***@{domain}", local.chars().next().map(String::from).unwrap_or_default())
        }
        None => "***".into(),
    }
}

/// Masks every address in a text from outside: mail servers quote addresses in their replies.
pub fn without_addresses(text: &str) -> String {
    let is_end = |c: char| c.is_whitespace() || "<>()[],;:\"'`".contains(c);
    let mask = |word: &str| {
        let (word, end) = word.split_at(word.trim_end_matches(is_end).len());
        if word.contains('@') { masked(word) + end } else { format!("{word}{end}") }
    };
    text.split_inclusive(is_end).map(mask).collect()
}

fn normalize(typed: &str) -> Option<String> {
    let typed: String = typed.nfc().collect();
    let (local, domain) = typed.rsplit_once('@')?;
    let domain = idna::domain_to_ascii_cow(domain.as_bytes(), AsciiDenyList::STD3).ok()?;
    (is_local(local) && is_domain(&domain)).then(|| format!("{}@{domain}", local.to_ascii_lowercase()))
}

/// The dot-string of RFC 5321, section 4.1.2, at most 64 octets. ASCII only: SES accepts no other.
fn is_local(local: &str) -> bool {
    let is_atom = |atom: &str| {
        !atom.is_empty()
            && atom.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
    };
    local.len() <= 64 && local.split('.').all(is_atom)
}

/// A host name with a top-level domain of letters only, or an internationalised one (`xn--`).
fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let Some((_, top)) = domain.rsplit_once('.') else { return false };
    domain.len() <= 253
        && domain.split('.').all(is_label)
        && (top.starts_with("xn--") || top.bytes().all(|b| b.is_ascii_alphabetic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_the_original_accepts() {
        for email in [
            "user@example.com",
            "USER@foo.COM",
            "A_US-ER@foo.bar.org",
            "first.last@foo.jp",
            "alice+bob@baz.cn",
        ] {
            assert_eq!(Email::parse(email).unwrap().as_str(), email.to_lowercase());
        }
    }

    #[test]
    fn refuses_what_the_original_refuses_and_more() {
        for email in [
            "user@example,com",
            "user_at_foo.org",
            "user.name@example.",
            "foo@bar_baz.com",
            "foo@bar+baz.com",
            "foo@bar..com",
            "",
            "@example.com",
            "a b@example.com",
            "a\r\nBcc: x@example.com",
            "a@example.com\0",
            "\"a b\"@example.com",
            "a@localhost",
            "a@127.0.0.1",
            "a@-x.com",
            ".a@example.com",
            "a<b@example.com",
            "é@example.com",
            "a\u{FFFD}@example.com",
        ] {
            assert!(Email::parse(email).is_err(), "{email:?}");
        }
    }

    #[test]
    fn spells_an_international_domain_one_way() {
        let ascii = Email::parse("me@xn--bcher-kva.example").unwrap();
        assert_eq!(Email::parse("Me@BÜCHER.example").unwrap(), ascii);
        assert_eq!(Email::parse("me@bu\u{308}cher.example").unwrap(), ascii);
        assert_eq!(Email::parse("me@ｂücher。example").unwrap(), ascii);
    }

    #[test]
    fn masks_addresses_wherever_they_stand() {
        assert_eq!(masked("anna.b@example.com"), "a***@example.com");
        assert_eq!(masked("@example.com"), "***@example.com");
        assert_eq!(masked("nobody"), "***");
        for (said, told) in [
            (
                "554 not verified: anna@example.com, bob@b.example.",
                "554 not verified: a***@example.com, b***@b.example.",
            ),
            (
                "550 <anna@example.com>: unknown\n550 'o'neil@example.com'",
                "550 <a***@example.com>: unknown\n550 'o'n***@example.com'",
            ),
            ("name=anna@example.com;x", "n***@example.com;x"),
            ("454 Throttling failure", "454 Throttling failure"),
            ("", ""),
        ] {
            assert_eq!(without_addresses(said), told);
        }
    }

    #[test]
    fn is_at_most_255_characters() {
        let fits = format!("{}@{}.com", "a".repeat(64), vec!["b".repeat(61); 3].join("."));
        assert!(fits.len() <= MAX && Email::parse(&fits).is_ok());
        assert!(Email::parse(&format!("{}@example.com", "a".repeat(244))).is_err());
    }
}
