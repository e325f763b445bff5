//! F16: the program is killed at any moment, as by a power failure, and started again. Every sign-up that reached the
//! database has its mail in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::{Duration, Instant};

use sample_app::models::secret::random_hex;

use crate::support::people::PASSWORD;
use crate::support::{Browser, MailServer, Program};

const KILLS: usize = 200;

/// A random part of this time.
fn moment(window: Duration) -> Duration {
    let number = u32::from_str_radix(&random_hex::<4>().unwrap(), 16).unwrap();
    window.mul_f64(f64::from(number) / f64::from(u32::MAX))
}

#[actix_web::test]
async fn f16_every_committed_sign_up_has_its_mail_though_the_program_is_killed_200_times() {
    let server = MailServer::start();
    let mut program = Program::development().await;
    for (name, value) in server.settings() {
        program = program.set(name, &value);
    }
    program.succeed(&["migrate"]);
    let start = Instant::now();
    let mut answered = BTreeSet::new();
    let mut asked = 0;
    // Longer while nothing gets done before the kill, shorter while it does: however fast the machine is, it comes in between.
    let mut window = Duration::from_millis(100);
    for _ in 0..KILLS {
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
                    // It may well be killed before it answers.
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
        window = window.mul_f64(if answered.len() > before { 0.93 } else { 1.1 });
    }
    let emails = "SELECT COALESCE(GROUP_CONCAT(email), '') FROM users";
    let committed = program.database.db_text(emails).await;
    let committed: BTreeSet<&str> = committed.split(',').filter(|email| !email.is_empty()).collect();
    let waiting = program.database.db_number("SELECT COUNT(*) FROM outbox").await;
    let delivered_before = server.mails().len();

    // The leases of those that were killed end after two minutes; so long nobody waits here.
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
    // Past the test harness, which keeps what passing tests print to itself.
    writeln!(
        std::io::stderr(),
        "{KILLS} kills in {} s: {asked} sign-ups sent, {} answered, {} committed; {delivered_before} mails before the \
         last start, {waiting} in the outbox then, {} delivered in the end, {twice} of them a second time",
        start.elapsed().as_secs(),
        answered.len(),
        committed.len(),
        delivered.len(),
    )
    .unwrap();
    assert!(committed.len() > KILLS / 4, "the kills came before anything happened");
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
