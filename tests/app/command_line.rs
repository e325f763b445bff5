//! The commands, run with the real program.

use std::collections::BTreeSet;

use sample_app::config::SETTINGS;
use sample_app::models::picture::Format;
use sample_app::services::images::new_key;

use crate::support::outbox::{FAILED, WHY, push};
use crate::support::{Program, TestApp, database};

#[actix_web::test]
async fn help_names_every_command_and_every_setting() {
    let program = Program::development().await;
    let help = program.succeed(&["--help"]);
    for command in ["serve", "migrate", "seed", "doctor", "secret", "smtp-password", "admin"] {
        let explained = help.lines().any(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            line.starts_with("  ") && words.first() == Some(&command) && words.len() > 3
        });
        assert!(explained, "{command} in\n{help}");
    }
    for setting in SETTINGS {
        assert!(help.contains(&format!("\n  {}", setting.name)), "{}", setting.name);
    }
    assert!(program.succeed(&["admin", "--help"]).contains("revoke"));
    assert!(program.succeed(&["seed", "--help"]).contains("--force"));
    assert_eq!(program.run(&["sow"]).code, Some(2));
    assert_eq!(program.succeed(&["--version"]).trim(), concat!("sample-app ", env!("CARGO_PKG_VERSION")));
}

#[actix_web::test]
async fn a_secret_is_128_digits_and_never_the_same() {
    // Incompletely configured, as it is for everybody who needs a secret.
    let program = Program::development().await.set("APP_ENV", "production").set("APP_URL", "");
    let secrets: BTreeSet<_> = (0..5).map(|_| program.succeed(&["secret"])).collect();
    assert_eq!(secrets.len(), 5);
    for secret in secrets {
        assert_eq!(secret.len(), 129);
        assert!(secret.trim_end().bytes().all(|b| b.is_ascii_hexdigit()), "{secret}");
    }
}

/// The passwords are published test vectors, see src/config/tests/ses_password.rs.
#[actix_web::test]
async fn the_smtp_password_is_printed_alone_and_what_it_lacks_is_named() {
    let program = Program::development().await.set("APP_ENV", "production").set("APP_URL", "");
    let said = program.fail(&["smtp-password"]);
    for name in ["SES_SECRET_ACCESS_KEY", "AWS_REGION"] {
        assert!(said.contains(&format!("\n  {name}: is missing")), "{name} in\n{said}");
    }
    let program = program.set("SES_SECRET_ACCESS_KEY", "some+secret+key").set("AWS_REGION", "Frankfurt");
    let said = program.fail(&["smtp-password"]);
    assert!(said.contains("\n  AWS_REGION: is not a region") && !said.contains("some+secret+key"), "{said}");

    let program = program.set("AWS_REGION", "us-west-1");
    assert_eq!(program.succeed(&["smtp-password"]), "BH+jbMzper5WwlwUar9E1ySBqHa9whi0GPo+sJ0mVYJj\n");
    assert_eq!(program.run(&["smtp-password", "some+secret+key"]).code, Some(2), "`ps` shows arguments");
    // A host name that contains a region takes precedence.
    let eu_central_1 = "BMXhUYlu5Z3gSXVQORxlVa7XPaz91aGWdfHxvkOZdWZ2\n";
    let host = "email-smtp.eu-central-1.amazonaws.com";
    let program = program.set("AWS_INTRO_SAMPLE_SMTP_ADDRESS", host);
    assert_eq!(program.succeed(&["smtp-password"]), eu_central_1);
    let program = program.set("AWS_INTRO_SAMPLE_SMTP_ADDRESS", "");
    let program = program.set("SMTP_URL", &format!("smtps://AKIA@{host}"));
    assert_eq!(program.succeed(&["smtp-password"]), eu_central_1);
}

#[actix_web::test]
async fn what_production_lacks_is_said_at_once() {
    let program = Program::development().await;
    let program = ["APP_URL", "DATABASE_URL"].iter().fold(program, |program, name| program.set(name, ""));
    let program = program
        .set("APP_ENV", "production")
        .set("REDIS_URL", "redis//oops")
        .set("AWS_INTRO_SAMPLE_53_BUCKET", "b");
    for command in [
        &["serve"][..],
        &["migrate"],
        &["seed", "--force"],
        &["admin", "grant", "a@example.com"],
        &["doctor"],
        &[],
    ] {
        let said = program.fail(command);
        for name in ["APP_URL", "SECRET_KEY_BASE", "DATABASE_URL", "REDIS_URL", "IMAGES_URL", "SMTP_URL"] {
            assert!(said.contains(&format!("\n  {name}: ")), "{name} in\n{said}");
        }
        assert!(said.contains("AWS_INTRO_SAMPLE_S3_BUCKET"), "the nearest known name:\n{said}");
        assert!(!said.contains("oops"), "values are not repeated");
    }
}

#[actix_web::test]
async fn what_cannot_be_read_is_said_by_name() {
    let program = Program::development().await.set("LISTEN", "everywhere").set("TRUSTED_PROXIES", "many");
    let said = program.fail(&["serve"]);
    assert!(said.contains("LISTEN: ") && said.contains("TRUSTED_PROXIES: "), "{said}");
    let program = Program::development().await.set("LISTEN", "127.0.0.1:4000").set("PORT", "5000");
    let program = program.set("SMTP_URL", "file:mail").set("SES_SECRET_ACCESS_KEY", "some+secret+key");
    let said = program.fail(&["serve"]);
    assert!(said.contains("\n  PORT: ") && said.contains("\n  SES_SECRET_ACCESS_KEY: "), "{said}");
    assert!(!said.contains("some+secret+key"), "{said}");
}

#[actix_web::test]
async fn a_file_that_cannot_be_used_is_named_with_its_setting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x".repeat(4096)).unwrap();
    let (file, inside) = (file.display().to_string(), format!("{}/in", file.display()));
    for (name, value, path, besides) in [
        ("DATA_DIR", inside.clone(), &inside, None),
        ("DATABASE_URL", format!("sqlite:{inside}/x.db"), &inside, None),
        ("DATABASE_URL", format!("sqlite:{file}"), &file, None),
        (
            "DATABASE_URL",
            format!("sqlite:{}", folder.path().display()),
            &folder.path().display().to_string(),
            None,
        ),
        ("DATABASE_CA_FILE", file.clone(), &file, Some(("DATABASE_URL", "mysql://u:p@127.0.0.1/x"))),
        ("REDIS_CA_FILE", file.clone(), &file, Some(("REDIS_URL", "rediss://127.0.0.1"))),
        ("SMTP_CA_FILE", file.clone(), &file, Some(("SMTP_URL", "smtps://u:p@127.0.0.1"))),
        ("LOGSTASH_CA_FILE", file.clone(), &file, Some(("LOGSTASH_URL", "tls://127.0.0.1"))),
        ("LISTEN", format!("unix:{inside}/socket"), &inside, None),
    ] {
        let mut program = Program::development().await;
        if let Some((name, value)) = besides {
            program = program.set(name, value);
        }
        let said = program.set(name, &value).fail(&["serve"]);
        assert!(said.contains(name) && said.contains(path.as_str()), "{name}={value}: {said}");
    }
}

/// Pictures and mails are checked while the program runs.
#[actix_web::test]
async fn a_folder_that_cannot_be_used_is_named_with_its_setting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let value = format!("file:{}/in", file.display());
    let app = TestApp::start_with(&[("IMAGES_URL", &value), ("SMTP_URL", &value)]).await;
    let picture = app.app.images.put(&new_key(Format::Png).unwrap(), vec![1]).await.unwrap_err().to_string();
    push(&app, 1).await;
    app.database.db_until(FAILED, 1).await;
    for (name, said) in [("IMAGES_URL", picture), ("SMTP_URL", app.database.db_text(WHY).await)] {
        assert!(said.contains(&value["file:".len()..]) && said.contains(name), "{name}: {said}");
    }
}

#[actix_web::test]
async fn production_starts_only_on_a_schema_that_is_up_to_date() {
    let program = Program::production().await;
    for command in [&["serve"][..], &["seed", "--force"], &["admin", "grant", "a@example.com"]] {
        let said = program.fail(command);
        let lacks = format!("lacks {} migrations; run `sample-app migrate`", database::migrations());
        assert!(said.contains(&lacks), "{command:?}: {said}");
    }
    assert_eq!(
        program.succeed(&["migrate"]).trim(),
        format!("The database is up to date; {} migrations applied.", database::migrations())
    );
    assert_eq!(program.succeed(&["migrate"]).trim(), "The database is up to date.");
    program.serve().stop();
    assert_eq!(
        program.database.db_number("SELECT COUNT(*) FROM users").await,
        0,
        "nobody is in a new database"
    );
}

#[actix_web::test]
async fn seeds_come_into_production_only_by_force_and_only_once() {
    let program = Program::production().await;
    program.succeed(&["migrate"]);
    let said = program.fail(&["seed"]);
    assert!(said.contains("public passwords") && said.contains("--force"), "{said}");
    assert_eq!(program.database.db_number("SELECT COUNT(*) FROM users").await, 0);
    assert!(program.succeed(&["seed", "--force"]).contains("100 people are here"));
    let before = program.database.db_dump().await;
    assert!(program.succeed(&["seed", "--force"]).contains("nothing was changed"));
    assert_eq!(program.database.db_dump().await, before);
}

/// From the Rails sample, "Seed data"; its numbers start at 1.
#[actix_web::test]
async fn seeds_are_the_people_of_the_original() {
    let program = Program::development().await;
    program.succeed(&["seed"]);
    let count = async |sql: &str| program.database.db_number(sql).await;
    assert_eq!(count("SELECT COUNT(*) FROM users WHERE activated_at IS NOT NULL").await, 100);
    assert_eq!(count("SELECT COUNT(*) FROM users WHERE admin = TRUE").await, 1);
    let first =
        count("SELECT id FROM users WHERE email = 'example@railstutorial.org' AND name = 'Example User'")
            .await;
    assert_eq!(count("SELECT id FROM users WHERE admin = TRUE").await, first);
    for n in [1, 2, 50, 99] {
        let id = format!("SELECT id FROM users WHERE email = 'example-{n}@railstutorial.org'");
        assert_eq!(count(&id).await, first + n, "in this order");
    }
    assert!(count("SELECT COUNT(DISTINCT name) FROM users").await > 50, "made-up names");

    assert_eq!(count("SELECT COUNT(*) FROM microposts").await, 300);
    let writers = "SELECT COUNT(*) FROM users WHERE microposts_count = 50 AND id < ";
    assert_eq!(count(&format!("{writers} {}", first + 6)).await, 6);
    let posts =
        "SELECT COUNT(*) FROM (SELECT user_id FROM microposts GROUP BY user_id HAVING COUNT(*) = 50) AS w";
    assert_eq!(count(posts).await, 6);

    let follows = "SELECT COUNT(*) FROM relationships WHERE";
    assert_eq!(count(&format!("{follows} follower_id = {first}")).await, 49);
    let (third, last) = (first + 2, first + 50);
    assert_eq!(
        count(&format!("{follows} follower_id = {first} AND followed_id BETWEEN {third} AND {last}")).await,
        49
    );
    assert_eq!(count(&format!("{follows} followed_id = {first}")).await, 38);
    let (fourth, last) = (first + 3, first + 40);
    assert_eq!(
        count(&format!("{follows} followed_id = {first} AND follower_id BETWEEN {fourth} AND {last}")).await,
        38
    );
    assert_eq!(count("SELECT COUNT(*) FROM relationships").await, 87);
    assert_eq!(count(&format!("SELECT following_count FROM users WHERE id = {first}")).await, 49);
    assert_eq!(count(&format!("SELECT followers_count FROM users WHERE id = {first}")).await, 38);

    let mut serving = program.serve();
    for (email, password) in [
        ("example@railstutorial.org", "foobar"),
        ("example-1@railstutorial.org", "password"),
        ("example-99@railstutorial.org", "password"),
    ] {
        let mut browser = serving.browser();
        browser.log_in(email, password).await;
        assert!(browser.is_logged_in().await, "{email}");
    }
    serving.stop();
}

/// Seeding is all or nothing: someone may have signed up with one of its addresses.
#[actix_web::test]
async fn seeds_that_do_not_fit_leave_nothing() {
    let app = TestApp::start().await;
    let squatter = app.db_person("squatter").await;
    let theirs =
        format!("UPDATE users SET email = 'example-40@railstutorial.org' WHERE id = {}", squatter.id);
    app.database.db_execute(&theirs).await;
    let before = app.database.db_dump().await;
    let refused = sample_app::seeds::create(&app.app.db, &app.app.clock).await.unwrap_err();
    assert!(refused.to_string().contains("example-40@railstutorial.org has an account already"), "{refused}");
    assert_eq!(app.database.db_dump().await, before);
}

#[actix_web::test]
async fn admins_are_made_and_unmade_and_one_always_stays() {
    let program = Program::development().await;
    program.succeed(&["seed"]);
    let admins = async || program.database.db_number("SELECT COUNT(*) FROM users WHERE admin = TRUE").await;
    let said = program.fail(&["admin", "grant", "nobody@example.com"]);
    assert!(said.contains("no activated account with the address nobody@example.com"), "{said}");
    let said = program.fail(&["admin", "grant", "no address"]);
    assert!(said.contains("no address is invalid"), "{said}");
    let said = program.fail(&["admin", "revoke", "example@railstutorial.org"]);
    assert!(said.contains("is the last admin"), "{said}");
    assert_eq!(admins().await, 1);

    assert!(program.succeed(&["admin", "grant", "Example-1@RailsTutorial.org"]).contains("is an admin now"));
    assert_eq!(admins().await, 2);
    assert!(
        program.succeed(&["admin", "revoke", "example@railstutorial.org"]).contains("is no longer an admin")
    );
    assert_eq!(admins().await, 1);
    program.fail(&["admin", "revoke", "example-1@railstutorial.org"]);
    assert_eq!(admins().await, 1);

    let unactivated = "UPDATE users SET activated_at = NULL WHERE email = 'example-2@railstutorial.org'";
    program.database.db_execute(unactivated).await;
    program.fail(&["admin", "grant", "example-2@railstutorial.org"]);
    assert_eq!(admins().await, 1);
}
