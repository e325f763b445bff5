//! "Most followed", beside the list of users: ids from the leaderboard, names from the database. The result is cached
//! for a few seconds, so a page costs one cache lookup.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::error::Result;
use crate::models::user::User;
use crate::services::leaderboard::MEMBERS;
use crate::views::Layout;

/// Length of the list.
const MAX_SHOWN: usize = 10;
const CACHE_KEY: &str = "most_followed";
/// Upper bound on the delay until follows on other instances are shown.
const TTL: Duration = Duration::from_secs(10);

/// One entry of the list.
#[derive(Serialize, Deserialize)]
pub struct Leader {
    pub id: i64,
    pub name: String,
    /// URL of the avatar.
    pub avatar: String,
    pub followers: i64,
}

/// The users with the most followers.
pub async fn list(app: &App, layout: &Layout) -> Result<Vec<Leader>> {
    let load = async || {
        let ranking = async || User::most_followed(&mut app.db.conn().await?, MEMBERS).await;
        let mut leaders = Vec::new();
        for (id, followers) in app.most_followed.first(MAX_SHOWN, ranking).await? {
            let Some(user) = User::find(&mut app.db.conn().await?, id).await? else { continue };
            if followers > 0 {
                let avatar = layout.avatar(&id, &user.email);
                leaders.push(Leader { id, name: user.name, avatar, followers });
            }
        }
        Ok(leaders)
    };
    app.cache.get_or_load(CACHE_KEY, TTL, load).await
}

/// Records that a user gained or lost a follower. Call it after the transaction.
pub async fn note(app: &App, followed_id: i64) -> Result<()> {
    // A separate statement, so that the connection returns to the pool before the call to Redis.
    let followed = User::find(&mut app.db.conn().await?, followed_id).await?;
    if let Some(user) = followed {
        app.most_followed.note(user.id, user.followers_count).await;
    }
    app.cache.forget(CACHE_KEY).await;
    Ok(())
}

/// Refreshes the list after a user changed their name.
pub async fn renamed(app: &App) {
    app.cache.forget(CACHE_KEY).await;
}

/// Removes a deleted user. Those whom they followed lose a follower, which shows when the list is rebuilt.
pub async fn deleted(app: &App, id: i64) {
    app.most_followed.remove(id).await;
    app.cache.forget(CACHE_KEY).await;
}
