//! User names.

use unicode_normalization::UnicodeNormalization;

use super::validation::{BLANK, UNUSABLE, has_unusable_characters, is_blank, too_long};

/// Longest name, in characters.
pub const MAX: usize = 50;

/// A name that is safe to show: trimmed, NFC, 1 to [`MAX`] characters, none of them a control or direction character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Validates user input. An error reads as the rest of a sentence that begins with "Name".
    pub fn parse(typed: &str) -> Result<Name, String> {
        let name: String = typed.trim().nfc().collect();
        if is_blank(&name) {
            return Err(BLANK.into());
        }
        if has_unusable_characters(&name, false) {
            return Err(UNUSABLE.into());
        }
        if name.chars().count() > MAX {
            return Err(too_long(MAX));
        }
        Ok(Name(name))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_characters_and_keeps_emoji() {
        assert_eq!(Name::parse("  김철수 🦀 ").unwrap().as_str(), "김철수 🦀");
        assert!(Name::parse(&"é".repeat(MAX)).is_ok());
        assert!(Name::parse(&"é".repeat(MAX + 1)).is_err());
    }

    #[test]
    fn composes_what_was_typed_decomposed() {
        assert_eq!(Name::parse("Jose\u{301}").unwrap(), Name::parse("José").unwrap());
    }

    #[test]
    fn refuses_blank_control_and_direction_characters() {
        for name in
            ["", "  ", "\u{3000}", "a\0b", "a\nb", "a\u{202E}b", "a\u{2066}b", "a\u{FFFD}b", "a\u{1b}[2J"]
        {
            assert!(Name::parse(name).is_err(), "{name:?}");
        }
    }
}
