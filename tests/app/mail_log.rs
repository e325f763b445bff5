//! Whatever goes wrong with mail, no password, link or address appears in the log at any level; and failed mails are
//! logged.

use chrono::Utc;
use reqwest::Method;
use serde_json::Value;

use crate::support::outbox::{FAILED, PARKED};
use crate::support::people::PASSWORD;
use crate::support::smtp::PASSWORD_CANARY;
use crate::support::sns::{Sns, TOPIC, bounce};
use crate::support::{MailServer, Program};

#[actix_web::test]
async fn no_secret_and_no_address_gets_into_the_log_and_failed_mails_are_noted() {
    let (mut server, sns) = (MailServer::start(), Sns::start());
    let mut program = Program::production().await.set("LOG", "trace");
    for (name, value) in server.settings() {
        program = program.set(name, &value);
    }
    let program = program.set("SES_TOPIC_ARN", TOPIC).set("AWS_ENDPOINT_URL_SNS", &sns.origin());
    program.succeed(&["migrate"]);
    let faults = [
        ("data 554 Message rejected: Email address is not verified: canary0@example.com", PARKED),
        ("rcpt 550 5.1.1 <canary1@example.com>: unknown", PARKED),
        ("data 454 Throttling failure for canary2@example.com", FAILED),
        ("auth 535 Authentication Credentials Invalid", FAILED),
        ("auth 454 Temporary authentication failure", FAILED),
        ("lost", FAILED),
        ("killed", FAILED),
        ("", ""),
    ];
    let mut lines = Vec::new();
    for (n, (fault, seen)) in faults.into_iter().enumerate() {
        // A fresh start each time, because the worker pauses after a rejected mail.
        let mut serving = program.serve();
        if !fault.is_empty() {
            server.set_fault(fault);
        }
        if fault == "killed" {
            server.server.kill();
        }
        let email = format!("canary{n}@example.com");
        let mut browser = serving.browser();
        browser.sign_up("Canary", &email, PASSWORD).await.assert_at(200, "/");
        let told = sns.message("Notification", &bounce("Permanent", "canary9@example.com"), Utc::now(), "1");
        let request = browser.request(Method::POST, "/webhooks/ses").body(told.to_string());
        assert_eq!(browser.send(request, "/webhooks/ses").await.status, 200);
        if fault.is_empty() {
            server.wait_for_mails(2).await;
        } else {
            let mail =
                format!("SELECT COUNT(*) {} AND recipient = '{email}'", &seen["SELECT COUNT(*) ".len()..]);
            program.database.db_until(&mail, 1).await;
            server.mend();
        }
        if fault == "killed" {
            server.server.start_again();
        }
        serving.signal("TERM");
        let (all, complaints) = serving.finish();
        lines.extend(all);
        lines.extend(complaints.lines().map(str::to_owned));
    }
    let tokens: Vec<String> =
        server.mails().iter().map(|mail| mail.link().split('/').nth(2).unwrap().to_owned()).collect();
    assert_eq!(tokens.len(), 2, "one was taken though its reply was lost");
    let words = ["canary0", "canary1", "canary2", "canary3", "canary9", "canary", PASSWORD_CANARY, PASSWORD];
    for line in &lines {
        for word in words.iter().copied().chain(tokens.iter().map(String::as_str)) {
            assert!(!line.contains(word), "{word} is in the log: {line}");
        }
    }
    assert!(
        !program.database.db_text("SELECT GROUP_CONCAT(last_error) FROM outbox").await.contains("canary")
    );

    let objects: Vec<Value> = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let failed: Vec<_> = objects.iter().filter(|line| line["event"] == "mail_failed").collect();
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert!(failed[0]["reason"].as_str().unwrap().contains("not verified: c***@example.com"));
    assert!(failed[0]["message_id"].as_str().unwrap().ends_with("@sample.test"));
    let loud = |line: &&Value| line["level"] == "ERROR" && line["error"].as_str().unwrap().contains("535");
    assert!(objects.iter().filter(|line| line["error"].is_string()).find(loud).is_some());
    let suppressed = objects.iter().find(|line| line["event"] == "address_suppressed").unwrap();
    assert_eq!(suppressed["reason"], "permanent bounce (General)");
}
