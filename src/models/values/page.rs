//! A page of a long list. It begins at a key, which the page before it names in its link: the query seeks that key in an
//! index, so every page costs what the first one does, and rows that come or go in front of it move nothing.

use std::fmt;

use chrono::{DateTime, Utc};

/// Rows a page.
pub const PER_PAGE: usize = 30;
/// Pages that can be asked for by their number, as in `?page=2`: the rows before them are counted (`OFFSET`).
pub const NUMBERED_PAGES: u32 = 3;

/// What a list is ordered by: an id, in lists of posts after the time. Others leave the time alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// When it was written.
    pub at: DateTime<Utc>,
    /// What makes it unique.
    pub id: i64,
}

/// Where a page begins. `WHERE id <= ? ORDER BY id DESC LIMIT ? OFFSET ?` with [`id_or`](Self::id_or), `limit` and
/// `offset` is that page; lists of posts compare with [`newest`](Self::newest). The comparison includes the first row,
/// and does without it once it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageStart {
    /// At the first row, after so many pages.
    After(u32),
    /// At this key.
    At(Key),
}

/// One page of a list and what is around it.
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Whether the list begins here.
    pub is_first: bool,
    /// Where the page after it begins, if there is one.
    pub next: Option<Key>,
}

impl Key {
    /// Behind the times of all posts. MariaDB 10.11 takes no parameter from after this second.
    pub const LATEST: Key = Key { at: latest(), id: i64::MAX };

    /// For a list that is ordered by ids alone.
    pub const fn from_id(id: i64) -> Key {
        Key { at: DateTime::UNIX_EPOCH, id }
    }

    /// Reads what `Display` wrote.
    pub fn parse(text: &str) -> Option<Key> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            if digits { text.parse::<i64>().ok() } else { None }
        };
        let (at, id) = text.split_once('-').unwrap_or(("0", text));
        let at = DateTime::from_timestamp_micros(number(at)?)?;
        Some(Key { at, id: number(id)? }).filter(|key| key.at <= Key::LATEST.at)
    }
}

const fn latest() -> DateTime<Utc> {
    match DateTime::from_timestamp(i32::MAX as i64, 0) {
        Some(at) => at,
        None => DateTime::UNIX_EPOCH,
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at.timestamp_micros() {
            0 => write!(f, "{}", self.id),
            micros => write!(f, "{micros}-{}", self.id),
        }
    }
}

/// For `WHERE` in lists that begin with what is newest: `(at, id) <= (?, ?)`, in words by which MySQL and MariaDB seek.
/// Binds the time of [`PageStart::newest`] twice and its id.
macro_rules! from_newest {
    ($at:literal, $id:literal) => {
        concat!($at, " <= ? AND (", $at, " < ? OR ", $id, " <= ?)")
    };
}
pub(crate) use from_newest;

impl PageStart {
    /// The first page.
    pub const FIRST: PageStart = PageStart::After(0);

    /// For `WHERE`: the id that the page begins at; on numbered pages `first`, which is before all ids.
    pub fn id_or(self, first: i64) -> i64 {
        match self {
            PageStart::After(_) => first,
            PageStart::At(key) => key.id,
        }
    }

    /// For `WHERE` in lists that begin with what is newest.
    pub fn newest(self) -> Key {
        match self {
            PageStart::After(_) => Key::LATEST,
            PageStart::At(key) => key,
        }
    }

    /// For `LIMIT`: the row after the page tells where the next one begins.
    pub fn limit(self) -> i64 {
        PER_PAGE as i64 + 1
    }

    /// For `OFFSET`.
    pub fn offset(self) -> i64 {
        match self {
            PageStart::After(pages) => i64::from(pages) * PER_PAGE as i64,
            PageStart::At(_) => 0,
        }
    }

    /// Makes the page from the rows that the query gave.
    pub fn of<T>(self, mut rows: Vec<T>, key: impl Fn(&T) -> Key) -> Page<T> {
        let next = rows.get(PER_PAGE).map(key);
        rows.truncate(PER_PAGE);
        Page { rows, is_first: self == PageStart::FIRST, next }
    }
}

impl<T> Page<T> {
    /// Whether the list has other pages than this one.
    pub fn has_others(&self) -> bool {
        self.next.is_some() || !self.is_first
    }

    /// Whether a page was asked for that the list does not have.
    pub fn is_past_the_end(&self) -> bool {
        self.rows.is_empty() && !self.is_first
    }

    /// The same page with other rows.
    pub fn map<R>(self, change: impl FnMut(T) -> R) -> Page<R> {
        Page { rows: self.rows.into_iter().map(change).collect(), is_first: self.is_first, next: self.next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_keys_that_it_writes() {
        let at = DateTime::from_timestamp_micros(1_764_292_311_000_001).unwrap_or_default();
        for key in [Key::from_id(7), Key { at, id: 7 }, Key::LATEST] {
            assert_eq!(Key::parse(&key.to_string()), Some(key), "{key}");
        }
        for bad in
            ["", "-", "-1", "1-", "x", "1-x", "+1", "1-2-3", "9223372036854775808", "4102444800000000-1"]
        {
            assert_eq!(Key::parse(bad), None, "{bad}");
        }
    }
}
