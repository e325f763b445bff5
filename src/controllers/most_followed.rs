//! "Most followed", beside the list of people: the leaderboard's ids, their names from the database, the whole kept for a
//! few seconds, so that a page costs one look into the cache.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::error::Result;
use crate::models::user::User;
use crate::services::leaderboard::MEMBERS;
use crate::views::Layout;

/// How many are shown.
const SHOWN: usize = 10;
const CACHE_KEY: &str = "most_followed";
/// Other instances' follows are seen after so long at most.
const TTL: Duration = Duration::from_secs(10);

/// One line of the list.
#[derive(Serialize, Deserialize)]
pub struct Leader {
    /// Number in the URLs.
    pub id: i64,
    /// As they want to be called.
    pub name: String,
    /// Address of their picture.
    pub avatar: String,
    /// How many people follow them.
    pub followers: i64,
}

/// Those with the most followers.
///
/// # Errors
/// When the database does not answer and the list is not known.
pub async fn list(app: &App, layout: &Layout) -> Result<Vec<Leader>> {
    let load = async || {
        let ranking = async || User::most_followed(&mut app.db.conn().await?, MEMBERS).await;
        let mut leaders = Vec::new();
        for (id, followers) in app.most_followed.first(SHOWN, ranking).await? {
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

/// Somebody was followed or is no longer; call it after the transaction.
pub async fn note(app: &App, followed_id: i64) -> Result<()> {
    // A statement of its own: the connection goes back before Redis is asked.
    let followed = User::find(&mut app.db.conn().await?, followed_id).await?;
    if let Some(user) = followed {
        app.most_followed.note(user.id, user.followers_count).await;
    }
    app.cache.forget(CACHE_KEY).await;
    Ok(())
}

/// Somebody changed their name.
pub async fn renamed(app: &App) {
    app.cache.forget(CACHE_KEY).await;
}

/// Somebody is gone. Whom they followed has a follower less, which is seen when the list is rebuilt.
pub async fn deleted(app: &App, id: i64) {
    app.most_followed.remove(id).await;
    app.cache.forget(CACHE_KEY).await;
}
