//! The program is killed at random times, as by a power failure, and restarted. Every committed sign-up gets its mail
//! in the end, and nothing is left of a deleted user. `scripts/soak` kills it 200 times.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::{Duration, Instant};

use sample_app::models::values::token::random_hex;

use crate::support::people::PASSWORD;
use crate::support::{Browser, MailServer, Program, env_number};

/// A random duration up to this one.
fn moment(window: Duration) -> Duration {
    let number = u32::from_str_radix(&random_hex::<4>().unwrap(), 16).unwrap();
    window.mul_f64(f64::from(number) / f64::from(u32::MAX))
}

#[actix_web::test]
async fn every_committed_sign_up_has_its_mail_though_the_program_is_killed_all_the_time() {
    let kills = env_number("TEST_KILLS").unwrap_or(40);
    let server = MailServer::start();
    let mut program = Program::development().await;
    for (name, value) in server.settings() {
        program = program.set(name, &value);
    }
    program.succeed(&["migrate"]);
    let start = Instant::now();
    let mut answered = BTreeSet::new();
    let mut asked = 0;
    // The window grows while the kill comes before any work, and shrinks otherwise, so that kills hit work in progress
    // on machines of any speed.
    let mut window = Duration::from_millis(100);
    for _ in 0..kills {
        let mut serving = program.serve();
        let address = serving.address();
        let sign_ups: Vec<_> = (0..2)
            .map(|_| {
                let email = format!("person{asked}@example.com");
                asked += 1;
                actix_web::rt::spawn(async move {
                    let form = [
                        ("user[name]", "Somebody"),
                        ("user[email]", &email),
                        ("user[password]", PASSWORD),
                        ("user[password_confirmation]", PASSWORD),
                    ];
                    let request = Browser::new(address).request(reqwest::Method::POST, "/users").form(&form);
                    // It may be killed before it answers.
                    let answer = request.send().await.ok()?;
                    (answer.status() == 303).then_some(email)
                })
            })
            .collect();
        tokio::time::sleep(moment(window)).await;
        serving.child.kill().unwrap();
        serving.child.wait().unwrap();
        let before = answered.len();
        for sign_up in sign_ups {
            answered.extend(sign_up.await.unwrap());
        }
        window = window.mul_f64(match answered.len() {
            0 => 1.3,
            now if now > before => 0.93,
            _ => 1.1,
        });
    }
    let emails = "SELECT COALESCE(GROUP_CONCAT(email), '') FROM users";
    let committed = program.database.db_text(emails).await;
    let committed: BTreeSet<&str> = committed.split(',').filter(|email| !email.is_empty()).collect();
    let waiting = program.database.db_number("SELECT COUNT(*) FROM outbox").await;
    let delivered_before = server.mails().len();

    // The leases of killed workers expire after 2 minutes; the test does not wait for that.
    program.database.db_execute("UPDATE outbox SET next_attempt_at = created_at").await;
    let _serving = program.serve();
    while program.database.db_number("SELECT COUNT(*) FROM outbox").await > 0 {
        assert!(start.elapsed() < Duration::from_secs(300), "the outbox does not empty");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut mails: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let delivered = server.mails();
    for mail in &delivered {
        mails.entry(mail.to.clone()).or_default().insert(mail.message_id.clone());
    }
    let twice = delivered.len() - mails.values().map(BTreeSet::len).sum::<usize>();
    // Written directly, because the test harness captures the output of passing tests.
    writeln!(
        std::io::stderr(),
        "{kills} kills in {} s: {asked} sign-ups sent, {} answered, {} committed; {delivered_before} mails before the \
         last start, {waiting} in the outbox then, {} delivered in the end, {twice} of them a second time",
        start.elapsed().as_secs(),
        answered.len(),
        committed.len(),
        delivered.len(),
    )
    .unwrap();
    assert!(committed.len() > kills / 4, "the kills came before anything happened");
    assert!(committed.len() < asked, "the kills came after everything had happened");
    for email in &answered {
        assert!(committed.contains(email.as_str()), "{email} was told yes");
    }
    for email in &committed {
        let ids = mails.get(*email).unwrap_or_else(|| panic!("{email} has no mail"));
        assert_eq!(ids.len(), 1, "{email}: what came twice is one mail");
    }
    assert_eq!(mails.len(), committed.len(), "and nobody has one who did not sign up");
}

/// The worker is killed repeatedly during a large deletion.
#[actix_web::test]
async fn nothing_is_left_of_a_deleted_person_though_the_program_is_killed_all_the_time() {
    let kills = env_number("TEST_KILLS").unwrap_or(10);
    let program = Program::development().await;
    program.succeed(&["seed"]);
    let database = &program.database;
    // Enough follows in each direction that every kill can hit some.
    let follows = (200 * kills).min(10_000);
    database.db_crowd(follows).await;
    let star = "(SELECT id FROM users WHERE email = 'example-1@railstutorial.org')";
    for sql in [
        format!(
            "INSERT INTO relationships (follower_id, followed_id, created_at) \
             SELECT id, {star}, created_at FROM users WHERE name = 'Crowd'"
        ),
        format!(
            "INSERT INTO relationships (follower_id, followed_id, created_at) \
             SELECT {star}, id, created_at FROM users WHERE name = 'Crowd'"
        ),
        "UPDATE users SET followers_count = 1, following_count = 1 WHERE name = 'Crowd'".to_owned(),
        format!(
            "INSERT INTO microposts (user_id, content, created_at) \
             SELECT {star}, 'of many', created_at FROM users WHERE name = 'Crowd' ORDER BY id LIMIT {kills}"
        ),
        "INSERT INTO timeline_entries (user_id, created_at, micropost_id, author_id) \
         SELECT users.id, microposts.created_at, microposts.id, microposts.user_id FROM microposts, users \
         WHERE microposts.content = 'of many' AND users.email LIKE '00%'"
            .to_owned(),
    ] {
        database.db_execute(&sql).await;
    }
    let of_others = [
        format!("SELECT COUNT(*) FROM users WHERE id <> {star}"),
        format!("SELECT COUNT(*) FROM microposts WHERE user_id <> {star}"),
        format!("SELECT COUNT(*) FROM relationships WHERE follower_id <> {star} AND followed_id <> {star}"),
        format!("SELECT COUNT(*) FROM timeline_entries WHERE user_id <> {star} AND author_id <> {star}"),
    ];
    let mut before = Vec::new();
    for sql in &of_others {
        before.push(database.db_number(sql).await);
    }
    let id = database.db_number(&format!("SELECT {star}")).await;
    let mut serving = program.serve();
    let mut admin = serving.browser();
    admin.log_in("example@railstutorial.org", "foobar").await;
    admin.delete(&format!("/users/{id}")).await.assert_redirect("/users");
    serving.child.kill().unwrap();
    serving.child.wait().unwrap();

    let left = format!(
        "SELECT (SELECT COUNT(*) FROM relationships WHERE follower_id = {id} OR followed_id = {id}) \
         + (SELECT COUNT(*) FROM microposts WHERE user_id = {id}) + (SELECT COUNT(*) FROM users WHERE id = {id})"
    );
    let again = "UPDATE jobs SET next_attempt_at = created_at WHERE kind = 'user_deletion'";
    let (start, mut window) = (Instant::now(), Duration::from_millis(30));
    let (mut remaining, mut done, mut in_between) = (database.db_number(&left).await, 0, 0);
    while in_between < kills && done < 20 * kills && remaining > 0 {
        // The lease of a killed worker expires after 1 minute; the test does not wait for that.
        database.db_execute(again).await;
        let mut serving = program.serve();
        tokio::time::sleep(moment(window)).await;
        serving.child.kill().unwrap();
        serving.child.wait().unwrap();
        let now = database.db_number(&left).await;
        in_between += usize::from(now > 0 && now < remaining);
        window = window.mul_f64(if now < remaining { 0.6 } else { 1.5 });
        (remaining, done) = (now, done + 1);
    }
    writeln!(
        std::io::stderr(),
        "{done} kills in {} s, {in_between} of them after a part of the deletion; {remaining} rows were left",
        start.elapsed().as_secs()
    )
    .unwrap();
    assert!(in_between > kills / 4, "the kills came before or after everything");
    database.db_execute(again).await;
    let _serving = program.serve();
    while database.db_number(&format!("SELECT COUNT(*) FROM users WHERE id = {id}")).await > 0 {
        assert!(start.elapsed() < Duration::from_secs(900), "it does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for (table, columns) in [
        ("relationships", "follower_id = ? OR followed_id = ?"),
        ("microposts", "user_id = ?"),
        ("timeline_entries", "user_id = ? OR author_id = ?"),
        ("remembered_devices", "user_id = ?"),
        ("mail_tokens", "user_id = ?"),
        ("jobs", "subject_id = ?"),
    ] {
        let rows = format!("SELECT COUNT(*) FROM {table} WHERE {}", columns.replace('?', &id.to_string()));
        assert_eq!(database.db_number(&rows).await, 0, "{table}");
    }
    for (sql, before) in of_others.iter().zip(before) {
        assert_eq!(database.db_number(&sql.replace(star, &id.to_string())).await, before, "{sql}");
    }
    for (column, rows) in [
        ("microposts_count", "microposts WHERE user_id"),
        ("following_count", "relationships WHERE follower_id"),
        ("followers_count", "relationships WHERE followed_id"),
    ] {
        let wrong =
            format!("SELECT COUNT(*) FROM users WHERE {column} <> (SELECT COUNT(*) FROM {rows} = users.id)");
        assert_eq!(database.db_number(&wrong).await, 0, "{column}");
    }
}
