//! Runs the queries of the models, the seeds and regular mail on the database under test: sqlx does not check this SQL
//! at compile time, and the databases have different dialects. sql_rules.rs finds functions with SQL that no test
//! calls.

use chrono::TimeDelta;
use sample_app::jobs::{timeline_repair, user_deletion};
use sample_app::mail::messages::Mail;
use sample_app::mail::outbox::{self, LeasedMail};
use sample_app::mail::request::MailRequest;
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

pub const FIRST: PageStart = PageStart::FIRST;

pub fn stored(key: &str) -> StoredPicture<'_> {
    StoredPicture { key, width: 4, height: 3 }
}

pub fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

#[actix_web::test]
async fn people() {
    TestApp::with_and_without_proxy(people_on).await;
}

async fn people_on(app: TestApp) {
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
    assert!(User::set_admin(db, id, true, now).await.unwrap());
    assert!(!User::set_admin(db, id, false, now).await.unwrap(), "the last one");
    assert!(!User::delete(db, id, now).await.unwrap(), "the last one");
    assert!(User::set_admin(db, berta, true, now).await.unwrap());
    assert!(User::set_admin(db, id, false, now).await.unwrap());
    drop(conn);
    relationship::follow(pool, id, berta, now).await.unwrap();
    relationship::follow(pool, berta, id, now).await.unwrap();
    let leaders = User::most_followed(&mut pool.conn().await.unwrap(), 1).await.unwrap();
    assert_eq!(leaders, [(id.max(berta), 1)], "the latest of two with as many");
    let ids = [berta, id, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(Person::find_many(&mut pool.conn().await.unwrap(), ids).await.unwrap().len(), 2);
    let post = Content::parse("with a picture").unwrap();
    pool.transaction(async |db| Micropost::create(db, id, &post, Some(stored("key.png")), now).await)
        .await
        .unwrap();
    assert!(pool.transaction(async |db| User::delete(db, id, now).await).await.unwrap());
    assert!(pool.transaction(async |db| User::delete(db, id, now).await).await.is_err(), "not there");
    let found = Person::find_many(&mut pool.conn().await.unwrap(), ids).await.unwrap();
    assert!(found.iter().map(|person| person.id).eq([berta]), "not the deleted one");
    while user_deletion::step(pool, id, now).await.unwrap() {}
    let left = User::find(&mut pool.conn().await.unwrap(), berta).await.unwrap().unwrap();
    assert_eq!((left.followers_count, left.following_count), (0, 0));
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 1);
}

#[actix_web::test]
async fn posts_and_follows() {
    TestApp::with_and_without_proxy(posts_and_follows_on).await;
}

async fn posts_and_follows_on(app: TestApp) {
    let (pool, now) = (&app.app.db, app.app.clock.now());
    let (anna, berta) = (app.db_person("anna").await.id, app.db_person("berta").await.id);
    assert_eq!(relationship::follow(pool, anna, berta, now).await.unwrap(), Some(1));
    assert_eq!(relationship::follow(pool, anna, berta, now).await.unwrap(), None, "exists already");
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
    let posts = Micropost::written_by(db, berta, FIRST).await.unwrap().map(|post| post.by(&b));
    assert_eq!(posts.rows.len(), 2);
    let older = &posts.rows[1];
    let from = PageStart::At(Key { at: older.created_at, id: older.id });
    let from_older = Micropost::written_by(db, berta, from).await.unwrap().map(|post| post.by(&b));
    assert_eq!(from_older.rows[0].id, older.id);
    let everything = User { follows_read_through: true, ..a.clone() };
    for reader in [&a, &everything] {
        let ids: Vec<_> =
            Micropost::feed(db, reader, from).await.unwrap().rows.iter().map(|p| p.id).collect();
        assert_eq!(ids, [feed.rows[1].id, feed.rows[2].id], "from there on");
    }
    assert_eq!(relationship::following(db, anna, FIRST).await.unwrap().rows[0].id, berta);
    assert_eq!(relationship::followers(db, berta, FIRST).await.unwrap().rows[0].id, anna);
    let follow = relationship::find(db, anna, berta).await.unwrap().unwrap();
    assert!(Micropost::feed(db, &a, PageStart::After(2)).await.unwrap().rows.is_empty());
    assert!(timeline::clear_some(db, anna).await.unwrap());
    assert!(!timeline::clear_some(db, anna).await.unwrap());
    assert!(Micropost::feed(db, &a, FIRST).await.unwrap().rows.is_empty());
    for _ in 0..2 {
        timeline::follow(db, anna, berta, 1, false, now).await.unwrap();
        timeline::backfill(db, anna, berta).await.unwrap();
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
    TestApp::with_and_without_proxy(tokens_devices_and_mails_on).await;
}

async fn tokens_devices_and_mails_on(app: TestApp) {
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
    let retired = MailToken::issue(db, anna.id, Purpose::Activation, &anna.email, now).await.unwrap();
    MailToken::retire_activation(db, anna.id).await.unwrap();
    let used = Purpose::UsedActivation;
    assert!(MailToken::find(db, used, retired.expose(), &anna.email).await.unwrap().is_some());
    MailToken::revoke(db, anna.id, used).await.unwrap();
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
async fn seeding() {
    TestApp::with_and_without_proxy(seeding_on).await;
}

async fn seeding_on(app: TestApp) {
    assert!(seeds::create(&app.app.db, &app.app.clock).await.unwrap());
    assert!(!seeds::create(&app.app.db, &app.app.clock).await.unwrap());
}
