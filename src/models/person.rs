//! People as lists show them: the same table `users`, and no more of it than a line of a list says. The digest alone would
//! double what the database sends for such a page.

use super::values::page::{Key, Page, PageStart};
use crate::db::{Conn, fetch_all, row};
use crate::error::Result;

/// A line of a list of people.
pub struct Person {
    /// Number in the URLs.
    pub id: i64,
    /// As they want to be called.
    pub name: String,
    /// Their address, for those who have their avatar at Gravatar.
    pub email: String,
}

row!(Person { id, name, email });

impl Person {
    /// Everybody activated, a page at a time.
    pub async fn page(db: &mut Conn, from: PageStart) -> Result<Page<Person>> {
        let rows = fetch_all!(
            db,
            "SELECT id, name, email FROM users WHERE id >= ? AND activated_at IS NOT NULL ORDER BY id LIMIT ? OFFSET ?",
            from.id_or(0),
            from.limit(),
            from.offset(),
        )?;
        Ok(from.of(rows, |person: &Person| Key::from_id(person.id)))
    }
}
