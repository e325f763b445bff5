//! Bookmarks: where the pages of long lists begin, kept in the cache for a short while. Whoever reads a page writes down
//! where it began and where the next one begins, so that walking on by "Next" meets every row once, whatever is written
//! in front of it meanwhile. A page that nobody read lately is found by counting (`OFFSET`). A bookmark can be as old as
//! the walk that left it and shifts a page by what changed since; it never shows what the list does not have.

use std::time::Duration;

use futures_util::future::join;

use super::cache::Cache;
use crate::error::Result;
use crate::models::page::{Key, Page, PageNumber, Position};

/// The first page with a bookmark. Those before it are counted: to pass 30 entries of an index takes MySQL about 10 us, and
/// nobody need wait for Redis.
pub const FIRST_WITH_BOOKMARK: u32 = 5;

/// Time to read a page and ask for the next one.
const TTL: Duration = Duration::from_secs(60);

/// Reads a page of the list that goes by this name. It costs one round trip to the cache more than its query, and a second
/// one where a bookmark is missing or has moved.
///
/// # Errors
/// What `load` says. A cache that is away is no error.
pub async fn page<T>(
    cache: &Cache,
    list: &str,
    number: PageNumber,
    mut load: impl AsyncFnMut(Position) -> Result<Page<T>>,
) -> Result<Page<T>> {
    if number.get() < FIRST_WITH_BOOKMARK {
        return load(number.into()).await;
    }
    // On the heap: it is rarely run, and would make every page's future larger.
    Box::pin(async {
        let [this, next] = [0, 1].map(|after| format!("page:{{{list}}}:{}", u64::from(number.get()) + after));
        let [mut begins, next_begins] = cache.get_all([&this, &next]).await;
        let mut page = load(Position::new(number, begins)).await?;
        if begins.is_some() && page.rows.is_empty() {
            // What stood there is deleted; the list may have the page all the same.
            begins = None;
            page = load(number.into()).await?;
        }
        let [first, after] = page.begins;
        // One that is known stays where it is, even if its row is deleted: the rows after it are the same.
        let this = keep(cache, &this, first.filter(|_| begins.is_none()));
        let next = keep(cache, &next, after.filter(|_| after != next_begins));
        let (this, next) = join(this, next).await;
        this.and(next).map(|()| page)
    })
    .await
}

async fn keep(cache: &Cache, name: &str, key: Option<Key>) -> Result<()> {
    match key {
        Some(key) => cache.put(name, TTL, &key).await,
        None => Ok(()),
    }
}
