//! "Most followed", beside the list of users: ids from the leaderboard, names from the database. The result is cached
//! for a few seconds, so a page costs one cache lookup. All data comes from the writer: a value that is cached for
//! everybody must not come from a reader that lags.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::error::Result;
use crate::models::person::Person;
use crate::models::user::User;
use crate::services::leaderboard::MEMBERS;
use crate::views::Layout;

/// Length of the list, and of the array that [`Person::find_many`] takes.
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
        let rebuild = async || User::most_followed(&mut app.db.conn().await?, MEMBERS).await;
        let ranking = app.most_followed.first(MAX_SHOWN, rebuild).await?;
        let mut ids = [0; MAX_SHOWN];
        for (place, (id, _)) in ids.iter_mut().zip(&ranking) {
            *place = *id;
        }
        let people = Person::find_many(&mut app.db.conn().await?, ids).await?;
        let mut leaders = Vec::new();
        for (id, followers) in ranking {
            let Some(person) = people.iter().find(|person| person.id == id) else { continue };
            if followers > 0 {
                let avatar = layout.avatar(&id, &person.email);
                leaders.push(Leader { id, name: person.name.clone(), avatar, followers });
            }
        }
        Ok(leaders)
    };
    app.cache.get_or_load(CACHE_KEY, TTL, load).await
}

/// Records that a user gained a follower and now has this many. Call it after the transaction.
pub async fn followed(app: &App, id: i64, followers: i64) {
    // Concurrently and not in one pipeline: in a Redis cluster, the keys may be on different nodes. If the cache is
    // filled in between, it shows the former number for TTL.
    tokio::join!(app.most_followed.record(id, followers), app.cache.forget(CACHE_KEY));
}

/// Records that a user lost a follower. Call it after the transaction.
pub async fn unfollowed(app: &App, id: i64) {
    tokio::join!(app.most_followed.decrement(id), app.cache.forget(CACHE_KEY));
}

/// Refreshes the list after a user changed their name.
pub async fn renamed(app: &App) {
    app.cache.forget(CACHE_KEY).await;
}

/// Removes a deleted user. The users whom they followed lose a follower; the list shows that when it is rebuilt.
pub async fn deleted(app: &App, id: i64) {
    tokio::join!(app.most_followed.remove(id), app.cache.forget(CACHE_KEY));
}
