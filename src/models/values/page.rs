//! Keyset pagination. A page starts at a key, which the link on the previous page names. The query seeks that key in an
//! index, so every page costs as much as the first one, and rows added or removed before it shift nothing.

use std::fmt;

use chrono::{DateTime, Utc};

/// Rows per page.
pub const PER_PAGE: usize = 30;
/// Pages that can be requested by number (`?page=2`); they skip the rows before them with `OFFSET`.
pub const NUMBERED_PAGES: u32 = 3;

/// The sort key of a list: time and id in lists of posts, the id alone (at the Unix epoch) in all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    pub at: DateTime<Utc>,
    pub id: i64,
}

/// Where a page starts. `WHERE id <= ? ORDER BY id DESC LIMIT ? OFFSET ?` with [`id_or`](Self::id_or), `limit` and
/// `offset` selects that page; lists of posts compare with [`newest`](Self::newest). `<=` includes the start row and
/// still works after that row is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageStart {
    /// At the first row after this many pages.
    After(u32),
    /// At this key, inclusive.
    At(Key),
}

/// One page of a list.
pub struct Page<T> {
    pub rows: Vec<T>,
    pub is_first: bool,
    /// Where the next page starts.
    pub next: Option<Key>,
}

impl Key {
    /// Later than all posts. MariaDB 10.11 accepts no parameter after this second (2038-01-19T03:14:07Z).
    pub const LATEST: Key = Key { at: latest(), id: i64::MAX };

    /// For a list that is ordered by id alone.
    pub const fn from_id(id: i64) -> Key {
        Key { at: DateTime::UNIX_EPOCH, id }
    }

    /// Parses the output of `Display`.
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

/// `(at, id) <= (?, ?)` for `WHERE` in newest-first lists, written so that MySQL and MariaDB seek in the index. Binds
/// the time of [`PageStart::newest`] twice, then its id.
macro_rules! from_newest {
    ($at:literal, $id:literal) => {
        concat!($at, " <= ? AND (", $at, " < ? OR ", $id, " <= ?)")
    };
}
pub(crate) use from_newest;

impl PageStart {
    pub const FIRST: PageStart = PageStart::After(0);

    /// For `WHERE`: the id at which the page starts; on numbered pages `first`, which must sort before all ids.
    pub fn id_or(self, first: i64) -> i64 {
        match self {
            PageStart::After(_) => first,
            PageStart::At(key) => key.id,
        }
    }

    /// For `WHERE` in newest-first lists: the key at which the page starts.
    pub fn newest(self) -> Key {
        match self {
            PageStart::After(_) => Key::LATEST,
            PageStart::At(key) => key,
        }
    }

    /// For `LIMIT`: one row more than the page, to learn where the next one starts.
    pub fn limit(self) -> i64 {
        PER_PAGE as i64 + 1
    }

    pub fn offset(self) -> i64 {
        match self {
            PageStart::After(pages) => i64::from(pages) * PER_PAGE as i64,
            PageStart::At(_) => 0,
        }
    }

    /// Builds the page from the rows of the query.
    pub fn of<T>(self, mut rows: Vec<T>, key: impl Fn(&T) -> Key) -> Page<T> {
        let next = rows.get(PER_PAGE).map(key);
        rows.truncate(PER_PAGE);
        Page { rows, is_first: self == PageStart::FIRST, next }
    }
}

impl<T> Page<T> {
    /// Whether the list has more pages than this one.
    pub fn has_others(&self) -> bool {
        self.next.is_some() || !self.is_first
    }

    /// Whether the list is shorter than the requested page.
    pub fn is_past_the_end(&self) -> bool {
        self.rows.is_empty() && !self.is_first
    }

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
