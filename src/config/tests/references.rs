//! ARNs of secrets in place of values: their syntax, and how the settings use their values. tests/app/secrets.rs tests
//! reading them.

use super::*;

const SECRET: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-0a1b-AbCdEf";

fn reference(text: &str) -> Option<Reference> {
    Reference::parse(text)?.ok()
}

#[test]
fn an_arn_is_taken_apart_as_in_ecs() -> Tested {
    let parts = |text: &str| {
        reference(text).map(|Reference { entry, json_key, .. }| {
            (entry.id, [json_key, entry.stage, entry.version].map(Option::unwrap_or_default))
        })
    };
    for (rest, expected) in [
        ("", ["", "", ""]),
        (":password", ["password", "", ""]),
        (":password::", ["password", "", ""]),
        ("::AWSPREVIOUS:", ["", "AWSPREVIOUS", ""]),
        (":::0a1b", ["", "", "0a1b"]),
        (":a:b:c", ["a", "b", "c"]),
    ] {
        let expected = expected.map(str::to_owned);
        assert_eq!(parts(&format!("{SECRET}{rest}")), Some((SECRET.to_owned(), expected)), "{rest}");
    }
    let parameter = "arn:aws-cn:ssm:cn-north-1:123456789012:parameter/app/key";
    let found = reference(parameter).ok_or("no reference")?;
    assert_eq!((found.entry.store, found.entry.id.as_str()), (Store::ParameterStore, parameter));
    assert_eq!((found.entry.region.as_str(), found.entry.domain), ("cn-north-1", "amazonaws.com.cn"));
    assert_eq!(found.to_string(), parameter);
    Ok(())
}

#[test]
fn a_malformed_arn_is_reported_and_other_texts_are_values() -> Tested {
    for bad in [
        "arn:aws:secretsmanager:eu-central-1:123456789012:secret:",
        "arn:aws:secretsmanager:eu-central-1:123456789012:app",
        "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app:a:b:c:d",
        "arn:aws:secretsmanager:eu-central-1:123456789012:secret:a b",
        "arn:aws:secretsmanager:Frankfurt:123456789012:secret:app",
        "arn:aws:secretsmanager::123456789012:secret:app",
        "arn:aws:secretsmanager:eu-central-1:1234:secret:app",
        "arn:evil:secretsmanager:eu-central-1:123456789012:secret:app",
        "arn:aws:ssm:eu-central-1:123456789012:parameter",
        "arn:aws:ssm:eu-central-1:123456789012:parameter/",
        "arn:aws:ssm:eu-central-1:123456789012:document/app",
        "arn:aws:ssm:eu-central-1:123456789012:parameter/app:password::",
    ] {
        assert_eq!(names(&errors(&[("SMTP_URL", bad)])), ["SMTP_URL"], "{bad}");
        // Also for a password, for which any text is valid.
        let rds: Vec<_> = RDS.iter().copied().filter(|(name, _)| *name != "RDS_PASSWORD").collect();
        assert_eq!(names(&errors(&[&rds[..], &[("RDS_PASSWORD", bad)]].concat())), ["RDS_PASSWORD"], "{bad}");
    }
    for other in ["arn", "arn:aws:sns:eu-central-1:123456789012:t", "a:b", ""] {
        assert_eq!(Reference::parse(other), None, "{other}");
    }
    Ok(())
}

#[test]
fn values_take_the_place_of_arns_and_faults_are_errors_of_their_settings() -> Tested {
    let password = format!("{SECRET}:password::");
    let set =
        [&RDS[..4], &[("RDS_PASSWORD", &password), ("SECRET_KEY_BASE", KEY), ("SES_TOPIC_ARN", SECRET)]]
            .concat();
    let vars = Variables::from(vars(&[&set]));
    assert_eq!(vars.references().len(), 2);
    let unread = Config::read(&vars).map_or_else(|errors| errors.0, |_| Vec::new());
    assert_eq!(names(&unread), ["RDS_PASSWORD", "SES_TOPIC_ARN"], "never taken for the value");

    let faults = vars.clone().with_values([
        ("RDS_PASSWORD", Err("is not there; look".to_owned())),
        ("SES_TOPIC_ARN", Ok(secret("hunter2"))),
    ]);
    let faults = Config::read(&faults).map_or_else(|errors| errors.0, |_| Vec::new());
    assert_eq!(faults[0], "RDS_PASSWORD: is not there; look");
    assert_eq!(names(&faults), ["RDS_PASSWORD", "SES_TOPIC_ARN"]);
    assert!(!faults.concat().contains("hunter2"));

    let topic = "arn:aws:sns:eu-central-1:123456789012:mail";
    let read = vars
        .clone()
        .with_values([("RDS_PASSWORD", Ok(secret("hunter2"))), ("SES_TOPIC_ARN", Ok(secret(topic)))]);
    let config = Config::read(&read)?;
    assert!(!format!("{config:?} {read:?}").contains("hunter2"));
    assert_eq!(
        config.references.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["RDS_PASSWORD", "SES_TOPIC_ARN"]
    );
    let mysql = mysql(config).ok_or("not MySQL")?;
    assert_eq!(mysql.password, secret("hunter2"));
    let again = mysql.secret.ok_or("cannot be read again")?;
    assert_eq!(again.references().len(), 1, "only what concerns the database");
    assert!(MySql::account(&again).is_err(), "the old value is not kept");
    let renewed = again.with_values([("RDS_PASSWORD", Ok(secret("hunter3")))]);
    assert_eq!(MySql::account(&renewed)?, ("eb".to_owned(), secret("hunter3")));
    assert_eq!(super::mysql(load(RDS)?).and_then(|mysql| mysql.secret), None);
    Ok(())
}

#[test]
fn every_setting_may_be_an_arn() {
    for name in known_names() {
        let told = errors_alone(&[(name, SECRET), ("APP_ENV", "production"), (name, SECRET)]);
        assert!(names(&told).contains(&name), "{name}: {told:?}");
    }
}

/// The SMTP password for other programs can be derived from a key that is stored in a secret.
#[test]
fn smtp_password_takes_an_arn() -> Tested {
    let host = ("SMTP_URL", "smtps://AKIA@email-smtp.eu-central-1.amazonaws.com");
    let vars = Variables::from(vars(&[&[("SES_SECRET_ACCESS_KEY", SECRET), host]]));
    let value = |text| vars.clone().with_values([("SES_SECRET_ACCESS_KEY", Ok(secret(text)))]);
    assert_eq!(
        smtp_password(&value("some+secret+key"))?.expose(),
        "BMXhUYlu5Z3gSXVQORxlVa7XPaz91aGWdfHxvkOZdWZ2"
    );
    assert!(smtp_password(&vars).is_err());
    Ok(())
}
