//! Validation errors of a form, field by field, worded as in the Rails sample application.

use icu_properties::CodePointSetData;
use icu_properties::props::DefaultIgnorableCodePoint;

/// Errors of a form, in the order of its fields.
#[derive(Debug, Default, Clone)]
pub struct FieldErrors(Vec<(&'static str, String)>);

impl FieldErrors {
    pub fn one(field: &'static str, message: impl Into<String>) -> FieldErrors {
        let mut errors = FieldErrors::default();
        errors.add(field, message);
        errors
    }

    /// Adds an error: either the rest of a sentence (`("password", "is too short")`) or a whole one, which begins with
    /// a capital (`("current_password", "That is not your current password")`).
    pub fn add(&mut self, field: &'static str, message: impl Into<String>) {
        self.0.push((field, message.into()));
    }

    /// Returns the value of a successful check, or records its error.
    pub fn check<T>(&mut self, field: &'static str, checked: Result<T, impl Into<String>>) -> Option<T> {
        checked.map_err(|message| self.add(field, message)).ok()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether this field has an error.
    pub fn on(&self, field: &str) -> bool {
        self.0.iter().any(|(name, _)| *name == field)
    }

    /// Whole sentences: "Password is too short (minimum is 8 characters)".
    pub fn sentences(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(field, message)| sentence(field, message))
    }

    pub fn sentences_on(&self, field: &str) -> impl Iterator<Item = String> {
        let of_field = self.0.iter().filter(move |(name, _)| *name == field);
        of_field.map(|(name, message)| sentence(name, message))
    }
}

/// Used instead of a field name for errors that concern the whole form.
pub const BASE: &str = "base";

fn sentence(field: &str, message: &str) -> String {
    if message.starts_with(char::is_uppercase) {
        return message.to_owned();
    }
    format!("{} {message}", humanize(field))
}

/// `password_confirmation` -> "Password confirmation".
fn humanize(field: &str) -> String {
    let words = field.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Whether a text is invisible: white space, code points that Unicode ignores in display (Default_Ignorable_Code_Point:
/// zero-width spaces, soft hyphens, Hangul fillers, tags; joiners and variation selectors when they are alone), and the
/// few other characters that have no visible glyph.
pub fn is_blank(text: &str) -> bool {
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    text.chars().all(|c| {
        c.is_whitespace()
            || ignorable.contains(c)
            // Braille blank, interlinear annotation, null notehead, Khitan filler, Egyptian hieroglyph blanks.
            || matches!(c, '\u{2800}' | '\u{FFF9}'..='\u{FFFB}' | '\u{1D159}' | '\u{16FE4}' | '\u{13441}' | '\u{13442}')
    })
}

/// Whether a text contains characters that nobody types: control characters, U+2028, U+2029 and the replacement
/// character, to which invalid UTF-8 was decoded. Unless `multiline`, also line breaks, tabs and characters that change
/// the text direction (Unicode TR 9, UTS 39).
pub fn has_unusable_characters(text: &str, multiline: bool) -> bool {
    text.chars().any(|c| match c {
        '\n' | '\t' => !multiline,
        '\u{FFFD}' | '\u{2028}' | '\u{2029}' => true,
        '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {
            !multiline
        }
        other => other.is_control(),
    })
}

pub const UNUSABLE: &str = "contains characters that cannot be used";
pub const BLANK: &str = "can't be blank";

pub fn too_long(maximum: usize) -> String {
    format!("is too long (maximum is {maximum} characters)")
}
