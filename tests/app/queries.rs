//! Runs every query on the database under test: sqlx does not check this SQL at compile time, and the databases have
//! different dialects.
//!
//! One test calls every function that contains SQL and checks its result; another reads the sources and finds functions
//! that the first does not call. It checks functions, not branches: if a function has two statements, a reviewer must
//! see that both are covered.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use sample_app::jobs::job::{Job, JobKind};
use sample_app::jobs::picture_deletion::{self, PictureDeletion};
use sample_app::jobs::{cleanup, job, timeline_repair, user_deletion};
use sample_app::mail::messages::Mail;
use sample_app::mail::outbox::{self, LeasedMail};
use sample_app::mail::request::MailRequest;
use sample_app::mail::suppression;
use sample_app::models::email_restore::{self, Restored};
use sample_app::models::idempotency_key::{self, IdempotencyKey};
use sample_app::models::mail_token::{MailToken, Purpose};
use sample_app::models::micropost::{Content, Micropost, StoredPicture};
use sample_app::models::person::Person;
use sample_app::models::relationship;
use sample_app::models::remembered_device::{Recognition, RememberedDevice};
use sample_app::models::timeline;
use sample_app::models::user::{SignedUp, User};
use sample_app::models::values::email::Email;
use sample_app::models::values::name::Name;
use sample_app::models::values::page::{Key, PageStart};
use sample_app::seeds;

use crate::support::TestApp;

const FIRST: PageStart = PageStart::FIRST;

fn stored(key: &str) -> StoredPicture<'_> {
    StoredPicture { key, width: 4, height: 3 }
}

fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

#[actix_web::test]
async fn people() {
    let app = TestApp::start().await;
    let now = app.app.clock.now();
    let pool = &app.app.db;
    assert!(!seeds::has_people(pool).await.unwrap());
    let mut conn = pool.conn().await.unwrap();
    let db = &mut conn;
    let anna = email("anna@example.com");
    let SignedUp::Waiting(id) = User::sign_up(db, &name("Anna"), &anna, "digest", now).await.unwrap() else {
        panic!()
    };
    assert!(seeds::has_people(pool).await.unwrap());
    let again = User::sign_up(db, &name("Anna B"), &anna, "other", now).await.unwrap();
    assert!(matches!(again, SignedUp::Waiting(same) if same == id), "not activated yet: taken over");
    assert!(User::find_activated(db, id).await.is_err());
    assert!(Person::page(db, FIRST).await.unwrap().rows.is_empty());
    User::activate(db, id, now).await.unwrap();
    assert!(matches!(User::sign_up(db, &name("C"), &anna, "x", now).await.unwrap(), SignedUp::Taken));
    let found = User::find_activated(db, id).await.unwrap();
    assert_eq!((found.name.as_str(), found.password_digest.as_str()), ("Anna B", "other"));
    assert_eq!(found.activated_at, Some(now), "to the microsecond");
    assert_eq!(Person::page(db, FIRST).await.unwrap().rows.len(), 1);
    assert_eq!(User::find_by_email(db, &anna).await.unwrap().unwrap().id, id);
    assert!(User::find_by_email(db, &email("other@example.com")).await.unwrap().is_none());

    User::rename(db, id, &name("Änne"), now).await.unwrap();
    User::renew_digest(db, id, "not this one", "newer").await.unwrap();
    assert_eq!(User::find(db, id).await.unwrap().unwrap().password_digest, "other");
    User::renew_digest(db, id, "other", "newer").await.unwrap();
    User::change_password(db, id, "newest", now).await.unwrap();
    User::log_out_everywhere(db, id).await.unwrap();
    let found = User::find(db, id).await.unwrap().unwrap();
    assert_eq!(
        (found.name.as_str(), found.password_digest.as_str(), found.sign_in_epoch),
        ("Änne", "newest", now.timestamp_micros() + 2)
    );

    let berta = app.db_person("Berta").await.id;
    assert!(!User::change_email(db, berta, "anna@example.com", now).await.unwrap(), "taken");
    assert!(User::change_email(db, berta, "b@example.com", now).await.unwrap());
    assert!(User::set_admin(db, id, true).await.unwrap());
    assert!(!User::set_admin(db, id, false).await.unwrap(), "the last one");
    assert!(!User::delete(db, id, now).await.unwrap(), "the last one");
    assert!(User::set_admin(db, berta, true).await.unwrap());
    assert!(User::set_admin(db, id, false).await.unwrap());
    drop(conn);
    relationship::follow(pool, id, berta, now).await.unwrap();
    relationship::follow(pool, berta, id, now).await.unwrap();
    let leaders = User::most_followed(&mut pool.conn().await.unwrap(), 1).await.unwrap();
    assert_eq!(leaders, [(id.max(berta), 1)], "the latest of two with as many");
    let post = Content::parse("with a picture").unwrap();
    pool.transaction(async |db| Micropost::create(db, id, &post, Some(stored("key.png")), now).await)
        .await
        .unwrap();
    assert!(pool.transaction(async |db| User::delete(db, id, now).await).await.unwrap());
    assert!(pool.transaction(async |db| User::delete(db, id, now).await).await.is_err(), "not there");
    while user_deletion::step(pool, id, now).await.unwrap() {}
    let left = User::find(&mut pool.conn().await.unwrap(), berta).await.unwrap().unwrap();
    assert_eq!((left.followers_count, left.following_count), (0, 0));
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 1);
}

#[actix_web::test]
async fn posts_and_follows() {
    let app = TestApp::start().await;
    let (pool, now) = (&app.app.db, app.app.clock.now());
    let (anna, berta) = (app.db_person("anna").await.id, app.db_person("berta").await.id);
    relationship::follow(pool, anna, berta, now).await.unwrap();
    relationship::follow(pool, anna, berta, now).await.unwrap();
    pool.transaction(async |db| relationship::insert(db, anna, berta, now).await).await.unwrap();
    for (n, author) in [anna, berta, berta].into_iter().enumerate() {
        let (content, at) =
            (Content::parse(&format!("post {n}")).unwrap(), now + TimeDelta::microseconds(n as i64));
        pool.transaction(async |db| Micropost::create(db, author, &content, None, at).await).await.unwrap();
    }
    let mut conn = pool.conn().await.unwrap();
    let db = &mut conn;
    let (a, b) =
        (User::find(db, anna).await.unwrap().unwrap(), User::find(db, berta).await.unwrap().unwrap());
    assert_eq!((a.following_count, a.microposts_count, b.followers_count), (1, 1, 1));
    let feed = Micropost::feed(db, &a, FIRST).await.unwrap();
    let texts: Vec<_> = feed.rows.iter().map(|post| post.content.as_str()).collect();
    assert_eq!(texts, ["post 2", "post 1", "post 0"], "newest first, by the microsecond");
    assert_eq!(feed.rows[0].created_at, now + TimeDelta::microseconds(2));
    let posts = Micropost::by(db, &b, FIRST).await.unwrap();
    assert_eq!(posts.rows.len(), 2);
    let older = &posts.rows[1];
    let from = PageStart::At(Key { at: older.created_at, id: older.id });
    assert_eq!(Micropost::by(db, &b, from).await.unwrap().rows[0].id, older.id);
    let everything = User { follows_read_through: true, ..a.clone() };
    for reader in [&a, &everything] {
        let ids: Vec<_> =
            Micropost::feed(db, reader, from).await.unwrap().rows.iter().map(|p| p.id).collect();
        assert_eq!(ids, [feed.rows[1].id, feed.rows[2].id], "from there on");
    }
    assert_eq!(relationship::following(db, &a, FIRST).await.unwrap().rows[0].id, berta);
    assert_eq!(relationship::followers(db, &b, FIRST).await.unwrap().rows[0].id, anna);
    let follow = relationship::find(db, anna, berta).await.unwrap().unwrap();
    assert!(Micropost::feed(db, &a, PageStart::After(2)).await.unwrap().rows.is_empty());
    assert!(timeline::clear_some(db, anna).await.unwrap());
    assert!(!timeline::clear_some(db, anna).await.unwrap());
    assert!(Micropost::feed(db, &a, FIRST).await.unwrap().rows.is_empty());
    for _ in 0..2 {
        timeline::follow(db, anna, berta, now).await.unwrap();
        timeline::bring(db, anna, berta).await.unwrap();
        timeline::add(db, feed.rows[2].id).await.unwrap();
    }
    let read_through = User { follows_read_through: true, ..a.clone() };
    for reader in [&a, &read_through] {
        let again = Micropost::feed(db, reader, FIRST).await.unwrap();
        assert!(again.rows.iter().map(|post| post.id).eq(feed.rows.iter().map(|post| post.id)));
    }
    let claim = IdempotencyKey::random().unwrap().bind(anna, "post 0", None);
    assert!(idempotency_key::claim(db, claim, now).await.unwrap());
    assert!(!idempotency_key::claim(db, claim, now).await.unwrap(), "once");
    assert_eq!(Micropost::find_by(db, feed.rows[2].id, &a).await.unwrap().content, "post 0");
    assert!(Micropost::find_by(db, feed.rows[2].id, &b).await.is_err(), "not hers");
    timeline::unfollow(db, anna, berta).await.unwrap();
    assert_eq!(Micropost::feed(db, &a, FIRST).await.unwrap().rows.len(), 1, "her own");
    drop(conn);
    assert_eq!(timeline_repair::step(pool, 0).await.unwrap(), Some(anna));
    let repaired = Micropost::feed(&mut pool.conn().await.unwrap(), &a, FIRST).await.unwrap();
    assert_eq!(repaired.rows.len(), 1, "Berta wrote after the follow, and her posts are in her own timeline");
    assert_eq!(timeline::fan_out_on_read(pool, berta, 0).await.unwrap(), Some(follow));
    assert_eq!(timeline::fan_out_on_read(pool, berta, follow).await.unwrap(), None);
    assert!(User::find(&mut pool.conn().await.unwrap(), anna).await.unwrap().unwrap().follows_read_through);
    let mine = feed.rows[2].id;
    assert!(
        pool.transaction(async |db| Micropost::delete(db, mine, berta, now).await).await.is_err(),
        "not hers"
    );
    pool.transaction(async |db| Micropost::delete(db, mine, anna, now).await).await.unwrap();
    assert!(relationship::unfollow(pool, follow, berta).await.is_err(), "not hers");
    assert_eq!(relationship::unfollow(pool, follow, anna).await.unwrap(), berta);
    assert_eq!(relationship::find(&mut pool.conn().await.unwrap(), anna, berta).await.unwrap(), None);
}

#[actix_web::test]
async fn tokens_devices_and_mails() {
    let app = TestApp::start().await;
    let (pool, now) = (&app.app.db, app.app.clock.now());
    let anna = app.db_person("anna").await;
    let mut conn = pool.conn().await.unwrap();
    let db = &mut conn;
    let purpose = Purpose::PasswordReset;
    let first = MailToken::issue(db, anna.id, purpose, &anna.email, now).await.unwrap();
    let second = MailToken::issue(db, anna.id, purpose, &anna.email, now).await.unwrap();
    assert!(
        MailToken::find(db, purpose, first.expose(), &anna.email).await.unwrap().is_none(),
        "newest only"
    );
    assert!(MailToken::find(db, Purpose::Activation, second.expose(), &anna.email).await.unwrap().is_none());
    let token = MailToken::find(db, purpose, second.expose(), &anna.email).await.unwrap().unwrap();
    assert!(!token.is_expired(now) && token.is_expired(now + purpose.lifetime()));
    assert!(token.consume(db).await.unwrap());
    assert!(!token.consume(db).await.unwrap(), "once");
    let third = MailToken::issue(db, anna.id, purpose, &anna.email, now).await.unwrap();
    MailToken::revoke(db, anna.id, purpose).await.unwrap();
    assert!(MailToken::find(db, purpose, third.expose(), &anna.email).await.unwrap().is_none());
    let fourth = MailToken::issue(db, anna.id, purpose, &anna.email, now).await.unwrap();
    MailToken::revoke_all(db, anna.id).await.unwrap();
    assert!(MailToken::find(db, purpose, fourth.expose(), &anna.email).await.unwrap().is_none());
    let change = MailToken::issue(db, anna.id, Purpose::EmailChange, "new@example.com", now).await;
    assert_eq!(
        MailToken::pending_email(db, anna.id, now).await.unwrap().as_deref(),
        change.map(|_| "new@example.com").ok()
    );
    let activation = MailToken::issue(db, anna.id, Purpose::Activation, &anna.email, now).await.unwrap();
    let token = MailToken::find(db, Purpose::Activation, activation.expose(), &anna.email).await.unwrap();
    assert!(token.as_ref().unwrap().use_activation(db).await.unwrap());
    assert!(!token.unwrap().use_activation(db).await.unwrap(), "once");

    let asked = email("anna@example.com");
    MailRequest::push(db, Purpose::PasswordReset, &asked, now).await.unwrap();
    if let Some(request) = MailRequest::take(db).await.unwrap() {
        assert_eq!(request.parts(), Some((Purpose::PasswordReset, asked)));
    }

    let restore = email_restore::issue(db, anna.id, &anna.email, now).await.unwrap();
    let link = email_restore::find(db, restore.expose(), &anna.email).await.unwrap().unwrap();
    assert!(!email_restore::is_taken(db, &link).await.unwrap());
    assert!(matches!(email_restore::apply(db, &link, "digest", now).await.unwrap(), Restored::Done));
    assert!(matches!(email_restore::apply(db, &link, "digest", now).await.unwrap(), Restored::Used));

    let user = User::find(db, anna.id).await.unwrap().unwrap();
    User::lock_current(db, &user).await.unwrap();
    let cookie = RememberedDevice::remember(db, &user, now).await.unwrap();
    let known = RememberedDevice::recognize(db, &cookie, now).await.unwrap();
    let Recognition::Known(device) = known else { panic!() };
    assert_eq!((device.user_id, device.epoch), (anna.id, user.sign_in_epoch));
    let key = &app.app.config.secret_key_base;
    let second = device.rotate(db, &cookie, key, now).await.unwrap().unwrap();
    assert!(device.rotate(db, &cookie, key, now).await.unwrap().as_ref() == Some(&second), "again the same");
    let third = device.rotate(db, &second, key, now).await.unwrap().unwrap();
    assert!(device.rotate(db, &cookie, key, now).await.unwrap().is_none(), "the second was seen");
    let replayed = RememberedDevice::recognize(db, &cookie, now).await.unwrap();
    assert!(matches!(replayed, Recognition::Replayed { .. }));
    assert!(matches!(RememberedDevice::recognize(db, &third, now).await.unwrap(), Recognition::Unknown));
    let cookie = RememberedDevice::remember(db, &user, now).await.unwrap();
    RememberedDevice::forget(db, &cookie).await.unwrap();
    assert!(matches!(RememberedDevice::recognize(db, &cookie, now).await.unwrap(), Recognition::Unknown));

    let tomorrow = now + TimeDelta::days(1);
    let text = || "x".to_owned();
    let mail = Mail { to: anna.email.clone(), subject: text(), text: text(), html: text(), domain: text() };
    outbox::push(db, &mail, tomorrow).await.unwrap();
    assert!(LeasedMail::take(db, now).await.unwrap().is_none());
    let mail = LeasedMail::take(db, tomorrow).await.unwrap().unwrap();
    mail.postpone(db, "no", tomorrow).await.unwrap();
    let mail = LeasedMail::take(db, tomorrow + TimeDelta::hours(2)).await.unwrap().unwrap();
    mail.delivered(db).await.unwrap();
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM outbox").await, 0);
}

#[actix_web::test]
async fn failed_mails_and_suppressed_addresses() {
    let app = TestApp::start().await;
    let mut conn = app.app.db.conn().await.unwrap();
    // Due tomorrow, so that no worker takes them.
    let (db, now) = (&mut conn, app.app.clock.now() + TimeDelta::days(1));
    for to in ["anna@example.com", "berta@example.com"] {
        let text = || "x".to_owned();
        let mail = Mail { to: to.into(), subject: to.into(), text: text(), html: text(), domain: text() };
        outbox::push(db, &mail, now).await.unwrap();
    }
    let waiting = outbox::waiting(db).await.unwrap();
    assert_eq!((waiting.count, waiting.since, waiting.last_error), (2, Some(now), None));
    assert!(suppression::add(db, &email("anna@example.com"), "bounce", now).await.unwrap());
    assert!(!suppression::add(db, &email("anna@example.com"), "complaint", now).await.unwrap(), "is one");
    assert_eq!(suppression::count(db).await.unwrap(), 1);
    let anna = LeasedMail::take(db, now).await.unwrap().unwrap();
    assert_eq!((anna.suppressed.as_deref(), anna.created_at), (Some("bounce"), now));
    assert_eq!(LeasedMail::take(db, now).await.unwrap().unwrap().suppressed, None);

    // A worker whose lease has expired can no longer change the mail.
    let again = LeasedMail::take(db, now + TimeDelta::minutes(2)).await.unwrap().unwrap();
    anna.fail(db, "too late", now).await.unwrap();
    assert_eq!(outbox::failed_count(db).await.unwrap(), 0);
    assert_eq!(outbox::depth(db).await.unwrap(), (2, 0));
    let old = now + TimeDelta::hours(48);
    assert!(!again.postpone(db, "451", old).await.unwrap(), "given up");
    assert_eq!(outbox::failed_count(db).await.unwrap(), 1);
    assert_eq!(outbox::depth(db).await.unwrap(), (1, 1));
    let failed = outbox::failed(db, FIRST).await.unwrap().rows.remove(0);
    assert_eq!((failed.recipient().as_str(), failed.parked_at), ("a***@example.com", old));
    assert!(failed.reason().ends_with("451"), "{}", failed.reason());
    assert!(outbox::requeue(db, failed.id, old).await.unwrap());
    assert!(!outbox::requeue(db, failed.id, old).await.unwrap(), "on its way already");
    app.database.db_execute("UPDATE outbox SET parked_at = created_at").await;
    assert_eq!(outbox::requeue_all(db, old).await.unwrap(), 2);
    assert_eq!(outbox::requeue_all(db, old).await.unwrap(), 0);
    assert_eq!(outbox::waiting(db).await.unwrap().count, 2);

    let suppressed = suppression::page(db, FIRST).await.unwrap().rows.remove(0);
    assert_eq!((suppressed.email().as_str(), suppressed.reason.as_str()), ("a***@example.com", "bounce"));
    assert!(suppression::lift(db, suppressed.id, old).await.unwrap());
    assert!(!suppression::lift(db, suppressed.id, old).await.unwrap(), "lifted already");
    assert!(!suppression::add(db, &email("anna@example.com"), "told before", now).await.unwrap());
    assert_eq!(suppression::count(db).await.unwrap(), 0);
    let later = old + TimeDelta::microseconds(1);
    assert!(suppression::add(db, &email("anna@example.com"), "told after", later).await.unwrap());
    assert_eq!(suppression::page(db, FIRST).await.unwrap().rows[0].reason, "told after");
}

#[actix_web::test]
async fn seeding() {
    let app = TestApp::start().await;
    assert!(seeds::plant(&app.app.db, &app.app.clock).await.unwrap());
    assert!(!seeds::plant(&app.app.db, &app.app.clock).await.unwrap());
}

#[actix_web::test]
async fn pictures_without_a_post() {
    let app = TestApp::start().await;
    let anna = app.db_person("anna").await.id;
    // Later than the worker's clock, so that it takes nothing.
    let (pool, now) = (&app.app.db, app.app.clock.now() + TimeDelta::days(10));
    let mut conn = pool.conn().await.unwrap();
    let db = &mut conn;
    let post = Content::parse("Look").unwrap();
    Micropost::create(db, anna, &post, Some(stored("a.png")), now).await.unwrap();
    Micropost::create(db, anna, &post, None, now).await.unwrap();
    picture_deletion::push(db, "a.png", now).await.unwrap();
    picture_deletion::push(db, "b.png", now + TimeDelta::microseconds(1)).await.unwrap();
    let (kept, wanted) = (
        picture_deletion::schedule(db, "c.png", now).await.unwrap(),
        picture_deletion::schedule(db, "d.png", now).await.unwrap(),
    );
    assert!(PictureDeletion::take(db, now - TimeDelta::microseconds(1)).await.unwrap().is_none(), "not yet");
    let first = PictureDeletion::take(db, now).await.unwrap().unwrap();
    assert_eq!(first.picture, "a.png");
    assert!(PictureDeletion::take(db, now).await.unwrap().is_none(), "it is taken");
    first.done(db).await.unwrap();
    kept.cancel(db).await.unwrap();
    assert!(kept.cancel(db).await.is_err(), "once");
    kept.run_now(db, now).await.unwrap();
    wanted.run_now(db, now + TimeDelta::microseconds(2)).await.unwrap();
    let now = now + TimeDelta::seconds(1);
    let second = PictureDeletion::take(db, now).await.unwrap().unwrap();
    let third = PictureDeletion::take(db, now).await.unwrap().unwrap();
    assert_eq!((second.picture.as_str(), third.picture.as_str()), ("b.png", "d.png"), "c.png stays");
    assert!(wanted.cancel(db).await.is_err(), "too late: somebody is deleting it");
    second.postpone(db, now).await.unwrap();
    assert!(PictureDeletion::take(db, now + TimeDelta::seconds(9)).await.unwrap().is_none());
    let again = PictureDeletion::take(db, now + TimeDelta::seconds(13)).await.unwrap().unwrap();
    assert_eq!(again.picture, "b.png", "after its wait");
    let again = PictureDeletion::take(db, now + TimeDelta::minutes(1)).await.unwrap().unwrap();
    assert_eq!(again.picture, "d.png", "whoever took it is gone");
}

#[actix_web::test]
async fn jobs() {
    let app = TestApp::start().await;
    let anna = app.db_person("anna").await.id;
    // Later than the worker's clock, but before the jobs that migrations create.
    let (pool, now) = (&app.app.db, app.app.clock.now() + TimeDelta::minutes(30));
    let mut conn = pool.conn().await.unwrap();
    let db = &mut conn;
    for _ in 0..2 {
        job::push(db, JobKind::FanoutOnRead, anna, now).await.unwrap();
    }
    assert!(Job::take(db, now - TimeDelta::microseconds(1)).await.unwrap().is_none(), "not yet");
    let mut job = Job::take(db, now).await.unwrap().unwrap();
    assert_eq!((job.kind, job.subject_id, job.position), (Some(JobKind::FanoutOnRead), anna, 0));
    assert!(Job::take(db, now).await.unwrap().is_none(), "it is there once, and taken");
    assert!(job.advance(db, Some(7)).await.unwrap());
    job.continue_at(db, now).await.unwrap();
    let job = Job::take(db, now).await.unwrap().unwrap();
    assert_eq!(job.position, 7);
    job.postpone(db, now).await.unwrap();
    assert!(job::QUEUE.take(db, now).await.unwrap().is_none(), "after its wait");
    let later = now + TimeDelta::seconds(2);
    let lease = job::QUEUE.take(db, later).await.unwrap().unwrap();
    assert!(lease.is_valid(now) && !lease.is_valid(later + TimeDelta::minutes(1)));
    job.continue_at(db, later).await.unwrap();
    assert!(Job::take(db, later).await.unwrap().is_none(), "whoever's lease is over has no say any more");
    lease.done(db).await.unwrap();
    job::push(db, JobKind::FanoutOnRead, anna, now).await.unwrap();
    job::remove(db, JobKind::FanoutOnRead, anna).await.unwrap();
    assert!(Job::take(db, now).await.unwrap().is_none());
    drop(conn);
    assert!(!cleanup::step(pool, now).await.unwrap());
}

/// The macros that run SQL (src/db/conn.rs).
const MACROS: [&str; 5] = ["execute!(", "fetch_all!(", "fetch_one!(", "fetch_optional!(", "with_backend!("];

/// Whether the text contains this word, and not as the end of another (`with_backend!(` in `json!(`).
fn names(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

fn source(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let deeper = folders.iter().flat_map(|path| source(path.to_str().unwrap()));
    files.into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs")).chain(deeper).collect()
}

/// `Type::function` or `module::function` of every public function that contains SQL or is followed by a private helper
/// that does: in this project helpers come after their callers.
fn functions_with_sql(path: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
    let (mut owner, mut function, mut found) = (module.clone(), None, BTreeSet::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("impl ") {
            owner = rest.trim_end_matches(" {").to_owned();
        } else if line == "}" {
            owner = module.clone();
        } else if let Some((_, rest)) = line.split_once("pub async fn ") {
            function = Some(rest.split(['(', '<']).next().unwrap().to_owned());
        }
        if MACROS.iter().any(|name| names(line, name)) {
            let function =
                function.clone().unwrap_or_else(|| panic!("SQL before any function: {}", path.display()));
            found.insert(format!("{owner}::{function}"));
        }
    }
    found
}

#[test]
fn every_function_with_sql_is_walked_through() {
    let walk = include_str!("queries.rs").split("const MACROS").next().unwrap();
    let (models, jobs, mail) = (source("src/models"), source("src/jobs"), source("src/mail"));
    let functions: BTreeSet<_> = models
        .iter()
        .chain(&jobs)
        .chain(&mail)
        .chain([&PathBuf::from("src/seeds.rs")])
        .flat_map(|path| functions_with_sql(path))
        .collect();
    assert!(functions.len() > 25, "the sources were not understood: {functions:?}");
    // A method is called on a value: `token.consume(`.
    let is_walked = |name: &String| {
        let method = format!(".{}(", name.split("::").nth(1).unwrap());
        walk.contains(&format!("{name}(")) || walk.contains(&method)
    };
    let forgotten: Vec<_> = functions.iter().filter(|name| !is_walked(name)).collect();
    assert!(forgotten.is_empty(), "no test here runs the SQL of {forgotten:?}");
}

/// MySQL and MariaDB may run such a statement as a scan that locks the whole table.
#[test]
fn no_statement_finds_its_rows_by_a_subquery() {
    for path in source("src") {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("IN (SELECT"), "{}", path.display());
    }
}

#[test]
fn sql_is_only_where_it_belongs() {
    let belongs = |path: &Path| {
        let path = path.to_str().unwrap();
        path.contains("/src/models/")
            || path.contains("/src/jobs/")
            || ["outbox", "request", "suppression"]
                .iter()
                .any(|of| path.ends_with(&format!("/src/mail/{of}.rs")))
            || path.contains("/src/db")
            || path.ends_with("/src/seeds.rs")
    };
    for path in source("src").into_iter().filter(|path| !belongs(path)) {
        let text = std::fs::read_to_string(&path).unwrap();
        let strange = MACROS.iter().chain(&["sqlx::query", "SELECT ", "INSERT INTO", "DELETE FROM"]);
        let found: Vec<_> = strange.filter(|word| names(&text, word)).collect();
        assert!(found.is_empty(), "{}: {found:?}", path.display());
    }
}
