//! A page of a long list.

/// Rows a page.
pub const PER_PAGE: usize = 30;

/// Which page of a list is asked for; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageNumber(u32);

/// One page of a list and what is around it.
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Which page this is.
    pub number: u32,
    /// Whether there is a page after it.
    pub has_next: bool,
}

impl PageNumber {
    /// The first page.
    pub const FIRST: PageNumber = PageNumber(1);

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
        Page { rows, number: self.0, has_next }
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
