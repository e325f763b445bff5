//! The users of the tutorial: 100, the first of them an admin; some post, some follow each other. The data is
//! always the same.

use chrono::TimeDelta;

use crate::clock::Clock;
use crate::db::{Db, fetch_optional};
use crate::error::{Error, Result};
use crate::models::micropost::{Content, Micropost};
use crate::models::relationship;
use crate::models::user::{SignedUp, User};
use crate::models::values::email::Email;
use crate::models::values::name::Name;
use crate::models::values::password::Passwords;

pub const ADMIN_EMAIL: &str = "example@railstutorial.org";
/// As in the tutorial.
pub const ADMIN_PASSWORD: &str = "foobar";
/// The password of everybody else.
const PASSWORD: &str = "password";
const PEOPLE: usize = 100;
const WRITERS: usize = 6;
const POSTS_EACH: i64 = 50;

const FIRST_NAMES: [&str; 11] =
    ["Ada", "Minjun", "Grace", "Seoyeon", "Linus", "Jiwoo", "Barbara", "Doyun", "Edsger", "Haeun", "Radia"];
const LAST_NAMES: [&str; 9] =
    ["Park", "Rivera", "Kim", "Lindqvist", "Lee", "Okafor", "Choi", "Novak", "Jung"];

const SENTENCES: [&str; 10] = [
    "Deployed on a Friday. The weekend was quiet.",
    "Read the logs first; they knew all along.",
    "The load balancer and I agree on what healthy means.",
    "Cached it, measured it, threw the cache out again.",
    "Every security group is open until somebody looks.",
    "오늘도 배포 성공! 커피 한 잔 하러 갑니다.",
    "The database is in the private subnet, where it belongs.",
    "Renamed a variable. Feels like a release.",
    "First borrow checker fight of the day: lost, learned.",
    "A small change is a change that I can undo.",
];

/// Whether there is any account.
pub async fn has_people(db: &Db) -> Result<bool> {
    let anybody: Option<(i64,)> = fetch_optional!(&mut db.conn().await?, "SELECT id FROM users LIMIT 1")?;
    Ok(anybody.is_some())
}

/// Creates all users or none. `false` if they exist already; an error if somebody else signed up with one of the
/// addresses.
pub async fn create(db: &Db, clock: &Clock) -> Result<bool> {
    let admin = parsed(Email::parse(ADMIN_EMAIL))?;
    if User::find_by_email(&mut db.conn().await?, &admin).await?.is_some() {
        return Ok(false);
    }
    let passwords = Passwords::new()?;
    // One digest for all users with the same password: hashing it a hundred times would delay the first start by
    // seconds.
    let (admin_digest, digest) =
        (passwords.hash_unchecked(ADMIN_PASSWORD).await?, passwords.hash_unchecked(PASSWORD).await?);
    db.transaction(async |db| {
        let now = clock.now();
        let mut ids = Vec::with_capacity(PEOPLE);
        for n in 0..PEOPLE {
            let digest = if n == 0 { &admin_digest } else { &digest };
            let (name, email) = (parsed(Name::parse(&name(n)))?, parsed(Email::parse(&email(n)))?);
            let SignedUp::Waiting(id) = User::sign_up(db, &name, &email, digest, now).await? else {
                return Err(Error::internal(format!("{} has an account already", email.as_str())));
            };
            User::activate(db, id, now).await?;
            ids.push(id);
        }
        User::set_admin(db, ids[0], true, now).await?;
        // The Rails sample posts round by round, so feeds are mixed; the last round is the newest.
        for round in 0..POSTS_EACH {
            for (n, id) in ids.iter().take(WRITERS).enumerate() {
                let sentence = SENTENCES[(round as usize * 7 + n * 3) % SENTENCES.len()];
                let content = parsed(Content::parse(sentence))?;
                let ago = TimeDelta::minutes((POSTS_EACH - round) * 97 - n as i64 * 13);
                Micropost::create(db, *id, &content, None, now - ago).await?;
            }
        }
        for followed in &ids[2..=50] {
            relationship::insert(db, ids[0], *followed, now).await?;
        }
        for follower in &ids[3..=40] {
            relationship::insert(db, *follower, ids[0], now).await?;
        }
        Ok(true)
    })
    .await
}

/// Seed texts are constants, so an invalid one is a bug.
fn parsed<T>(text: std::result::Result<T, String>) -> Result<T> {
    text.map_err(Error::internal)
}

fn name(n: usize) -> String {
    match n {
        0 => "Example User".to_owned(),
        n => format!("{} {}", FIRST_NAMES[n % FIRST_NAMES.len()], LAST_NAMES[n % LAST_NAMES.len()]),
    }
}

fn email(n: usize) -> String {
    match n {
        0 => ADMIN_EMAIL.to_owned(),
        n => format!("example-{n}@railstutorial.org"),
    }
}
