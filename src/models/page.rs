//! A page of a long list. The last page costs what the first one does where it is known where it begins: the query then
//! seeks that row in the index instead of counting all those before it (`OFFSET`). services/bookmarks.rs remembers.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Rows a page.
pub const PER_PAGE: usize = 30;

/// Which page of a list is asked for; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageNumber(u32);

/// What a list is ordered by: an id, in lists of posts after the time. Others leave the time alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// When it was written.
    pub at: DateTime<Utc>,
    /// What makes it unique.
    pub id: i64,
}

/// From where a query reads: `WHERE id <= ? ORDER BY id DESC LIMIT ? OFFSET ?` with [`id_or`](Self::id_or), `limit` and
/// `offset` is the page that was asked for, whether or not it is known where that begins. The comparison includes the
/// row itself, and does without it once it is deleted.
#[derive(Debug, Clone, Copy)]
pub struct Position {
    number: PageNumber,
    key: Option<Key>,
}

/// One page of a list and what is around it.
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Which page this is.
    pub number: u32,
    /// Whether there is a page after it.
    pub has_next: bool,
    /// Where this page and the next one begin, in lists that are read from a [`Position`].
    pub begins: [Option<Key>; 2],
}

impl PageNumber {
    /// The first page.
    pub const FIRST: PageNumber = PageNumber(1);

    /// Its number.
    pub fn get(self) -> u32 {
        self.0
    }

    /// A page by its number; there is no page 0.
    pub fn new(number: u32) -> Option<PageNumber> {
        (number > 0).then_some(PageNumber(number))
    }

    /// For `LIMIT`: one row more than is shown tells whether there is a next page.
    pub fn limit(self) -> i64 {
        PER_PAGE as i64 + 1
    }

    /// For `OFFSET`.
    pub fn offset(self) -> i64 {
        (i64::from(self.0) - 1) * PER_PAGE as i64
    }

    /// Makes the page from the rows that [`limit`](Self::limit) and [`offset`](Self::offset) gave.
    pub fn of<T>(self, mut rows: Vec<T>) -> Page<T> {
        let has_next = rows.len() > PER_PAGE;
        rows.truncate(PER_PAGE);
        Page { rows, number: self.0, has_next, begins: [None; 2] }
    }
}

impl Key {
    /// For a list that is ordered by ids alone.
    pub const fn from_id(id: i64) -> Key {
        Key { at: DateTime::UNIX_EPOCH, id }
    }
}

impl Position {
    /// A page, and the key that it begins at, if it is known.
    pub fn new(number: PageNumber, key: Option<Key>) -> Position {
        Position { number, key }
    }

    /// What the page begins at, if it is known.
    pub fn key(self) -> Option<Key> {
        self.key
    }

    /// For `WHERE`: the id that the page begins at; `first`, which is before all ids, when it is not known.
    pub fn id_or(self, first: i64) -> i64 {
        self.key.map_or(first, |key| key.id)
    }

    /// For `LIMIT`: the row after the page tells where the next one begins.
    pub fn limit(self) -> i64 {
        self.number.limit()
    }

    /// For `OFFSET`.
    pub fn offset(self) -> i64 {
        if self.key.is_some() { 0 } else { self.number.offset() }
    }

    /// Makes the page from the rows that the query gave; `split` takes the key off a row.
    pub fn of<R, T>(self, rows: Vec<R>, split: impl Fn(R) -> (Key, T)) -> Page<T> {
        let (keys, rows): (Vec<Key>, Vec<T>) = rows.into_iter().map(split).unzip();
        let begins = [0, PER_PAGE].map(|row| keys.get(row).copied());
        Page { begins, ..self.number.of(rows) }
    }
}

impl From<PageNumber> for Position {
    fn from(number: PageNumber) -> Position {
        Position::new(number, None)
    }
}

impl<T> Page<T> {
    /// Whether the list has other pages than this one.
    pub fn has_others(&self) -> bool {
        self.has_next || self.number > 1
    }

    /// Whether a page was asked for that the list does not have.
    pub fn is_past_the_end(&self) -> bool {
        self.rows.is_empty() && self.number > 1
    }
}
