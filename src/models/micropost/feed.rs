//! The feed: the posts of a user and of everyone they follow. models/timeline.rs fills the table that it reads.

use super::Micropost;
use crate::db::{Conn, fetch_all};
use crate::error::Result;
use crate::models::user::User;
use crate::models::values::page::{Key, Page, PageStart, from_newest};

impl Micropost {
    /// The posts of a user and of everyone they follow, newest first. Nearly all of them are in the user's timeline;
    /// those of authors with fan-out on read are not (timeline.rs), so followers of such authors get a union of both.
    /// All other users get the plain query, because the union costs the database at least a third more.
    pub async fn feed(db: &mut Conn, user: &User, from: PageStart) -> Result<Page<Micropost>> {
        let Key { at, id } = from.newest();
        let rows = if user.follows_read_through {
            // Each half yields enough rows to fill this page alone. UNION and not UNION ALL: posts from before their
            // author used fan-out on read are found twice.
            let most = from.offset() + from.limit();
            fetch_all!(
                db,
                select_micropost!(
                    "FROM (SELECT id FROM ( \
                     SELECT id, created_at FROM (SELECT /*! STRAIGHT_JOIN */ t.micropost_id AS id, t.created_at FROM timeline_entries t /*! FORCE INDEX (PRIMARY) */ \
                       JOIN users ON users.id = t.author_id AND users.deleted_at IS NULL \
                       WHERE t.user_id = ? AND ",
                    from_newest!("t.created_at", "t.micropost_id"),
                    " ORDER BY t.created_at DESC, t.micropost_id DESC LIMIT ?) written \
                     UNION \
                     SELECT id, created_at FROM (SELECT microposts.id, microposts.created_at FROM users \
                       JOIN relationships ON relationships.followed_id = users.id \
                       JOIN microposts ON microposts.user_id = users.id \
                       WHERE users.read_through = TRUE AND users.deleted_at IS NULL AND relationships.follower_id = ? AND ",
                    from_newest!("microposts.created_at", "microposts.id"),
                    " ORDER BY microposts.created_at DESC, microposts.id DESC LIMIT ?) read_through \
                     ) feed ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?) newest \
                     JOIN microposts m ON m.id = newest.id JOIN users ON users.id = m.user_id \
                     ORDER BY m.created_at DESC, m.id DESC"
                ),
                user.id,
                at,
                at,
                id,
                most,
                user.id,
                at,
                at,
                id,
                most,
                from.limit(),
                from.offset(),
            )?
        } else {
            fetch_all!(
                db,
                select_micropost!(
                    "FROM timeline_entries t /*! FORCE INDEX (PRIMARY) */ JOIN microposts m ON m.id = t.micropost_id \
                     JOIN users ON users.id = t.author_id AND users.deleted_at IS NULL WHERE t.user_id = ? AND ",
                    from_newest!("t.created_at", "t.micropost_id"),
                    " ORDER BY t.created_at DESC, t.micropost_id DESC LIMIT ? OFFSET ?"
                ),
                user.id,
                at,
                at,
                id,
                from.limit(),
                from.offset(),
            )?
        };
        Ok(from.of(rows, |post: &Micropost| Key { at: post.created_at, id: post.id }))
    }
}
