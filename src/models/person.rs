//! Users as lists show them: the table `users`, but only the columns that a line of a list needs. The digest alone
//! would double what the database sends for such a page.

use super::values::page::{Key, Page, PageStart};
use crate::db::{Conn, fetch_all, row};
use crate::error::Result;

/// An entry in a list of users.
pub struct Person {
    pub id: i64,
    pub name: String,
    /// For avatars from Gravatar.
    pub email: String,
}

row!(Person { id, name, email });

impl Person {
    /// A page of all activated users, by id.
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

    /// The users with these ids who are not deleted, in any order. The SQL text is fixed, so fewer ids are padded with
    /// 0, which is no user's id.
    pub async fn find_many(db: &mut Conn, ids: [i64; 10]) -> Result<Vec<Person>> {
        fetch_all!(
            db,
            "SELECT id, name, email FROM users WHERE id IN (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) AND deleted_at IS NULL",
            ids[0],
            ids[1],
            ids[2],
            ids[3],
            ids[4],
            ids[5],
            ids[6],
            ids[7],
            ids[8],
            ids[9],
        )
    }
}
