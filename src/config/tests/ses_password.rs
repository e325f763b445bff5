//! The SMTP password of SES: published vectors, the region it is derived for, and contradictions.

use super::*;
use crate::config::ses_password::derive;

const SES_KEY: (&str, &str) = ("SES_SECRET_ACCESS_KEY", "hunter2+secret+key");
const ADDRESS: &str = "AWS_INTRO_SAMPLE_SMTP_ADDRESS";
const USERNAME: (&str, &str) = ("AWS_INTRO_SAMPLE_SMTP_USERNAME", "AKIA");
const PASSWORD: (&str, &str) = ("AWS_INTRO_SAMPLE_SMTP_PASSWORD", "hunter2");

/// From access_key_test.go of terraform-provider-aws, which derives SES passwords too.
#[test]
fn passwords_are_those_of_the_published_vectors() {
    for (region, key, password) in [
        ("eu-central-1", "some+secret+key", "BMXhUYlu5Z3gSXVQORxlVa7XPaz91aGWdfHxvkOZdWZ2"),
        ("eu-central-1", "another+secret+key", "BBbphbrQmrKMx42d1N6+C7VINYEBGI5v9VsZeTxwskfh"),
        ("us-west-1", "some+secret+key", "BH+jbMzper5WwlwUar9E1ySBqHa9whi0GPo+sJ0mVYJj"),
        ("us-west-1", "another+secret+key", "BKVmjjMDFk/qqw8EROW99bjCS65PF8WKvK5bSr4Y6EqF"),
    ] {
        assert_eq!(derive(&secret(key), region).expose(), password);
    }
}

#[test]
fn the_password_is_that_of_the_region_in_the_host_name_or_of_aws_region() -> Tested {
    for (host, aws_region, region) in [
        ("email-smtp.eu-central-1.amazonaws.com", "", "eu-central-1"),
        ("Email-SMTP.eu-central-1.amazonaws.com:2465", "us-west-1", "eu-central-1"),
        ("email-smtp-fips.us-west-1.amazonaws.com", "eu-central-1", "us-west-1"),
        ("vpce-1.email-smtp.us-west-1.vpce.amazonaws.com", "us-west-1", "us-west-1"),
        ("email-smtp.us-west-1.example.com", "eu-central-1", "eu-central-1"),
        ("localhost", "eu-central-1", "eu-central-1"),
    ] {
        let url = format!("smtps://AKIA@{host}");
        let (url, book) = ([("SMTP_URL", url.as_str())], [(ADDRESS, host), USERNAME]);
        for account in [&url[..], &book[..], &[url[0], book[0], book[1]][..]] {
            let config = load(&[&[SES_KEY, ("AWS_REGION", aws_region)][..], account].concat())?;
            let shown = format!("{config:?}");
            let Mail::Smtp(smtp) = config.mail else { return Err("a folder".into()) };
            let expected = derive(&secret(SES_KEY.1), region);
            assert!(!shown.contains("hunter2") && !shown.contains(expected.expose()), "{shown}");
            assert_eq!((smtp.username.as_deref(), smtp.password), (Some("AKIA"), Some(expected)), "{host}");
        }
    }
    Ok(())
}

#[test]
fn what_the_key_contradicts_or_lacks_is_reported_by_name_at_once() {
    let host = "email-smtp.eu-central-1.amazonaws.com";
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: [Case<'_>; 11] = [
        (&[], &[SES_KEY.0]),
        (&[("SMTP_URL", "file:mail"), ("SMTP_RATE", "0")], &[SES_KEY.0, "SMTP_RATE"]),
        (&[("SMTP_URL", "smtps://AKIA:hunter2@email-smtp.eu-central-1.amazonaws.com")], &[SES_KEY.0]),
        (&[("SMTP_URL", "smtps://email-smtp.eu-central-1.amazonaws.com")], &[SES_KEY.0]),
        (&[("SMTP_URL", "smtps://localhost")], &[SES_KEY.0, "AWS_REGION"]),
        (&[("SMTP_URL", "smtps://AKIA@localhost")], &["AWS_REGION"]),
        (&[("SMTP_URL", "smtps://AKIA@localhost"), ("AWS_REGION", "Frankfurt")], &["AWS_REGION"]),
        (&[("SMTP_URL", "smtps://:hunter2@localhost")], &["SMTP_URL"]),
        (&[(ADDRESS, host), USERNAME, PASSWORD], &[SES_KEY.0]),
        (&[(ADDRESS, host)], &[USERNAME.0]),
        (&[USERNAME], &[ADDRESS]),
    ];
    for (set, told) in cases {
        let errors = errors(&[&[SES_KEY][..], set].concat());
        assert_eq!(names(&errors), told, "{set:?}: {errors:?}");
        assert!(!errors.concat().contains("hunter2"), "{errors:?}");
    }
    let damaged = errors(&[(SES_KEY.0, "hunter2\n"), ("SMTP_URL", "smtps://AKIA@localhost")]);
    assert_eq!(names(&damaged), [SES_KEY.0], "what is wrong, not what follows from it");
    let without_key = errors(&[(ADDRESS, host), USERNAME]);
    assert_eq!(names(&without_key), [PASSWORD.0]);
}
