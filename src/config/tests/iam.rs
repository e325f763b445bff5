//! DATABASE_IAM_AUTH: the region of its tokens, and settings that contradict it.

use super::*;

const IAM: (&str, &str) = ("DATABASE_IAM_AUTH", "true");
const RDS_HOST: &str = "mysql://app@db.abc.eu-central-1.rds.amazonaws.com/app";

fn region(set: &[(&str, &str)]) -> Result<Option<String>, ConfigErrors> {
    load(&[&[IAM][..], set].concat()).map(|config| mysql(config).and_then(|mysql| mysql.iam_region))
}

#[test]
fn the_region_of_tokens_is_that_of_the_end_point() -> Tested {
    assert_eq!(region(&[("DATABASE_URL", RDS_HOST)])?.as_deref(), Some("eu-central-1"));
    let other = ("AWS_REGION", "us-east-1");
    assert_eq!(region(&[("DATABASE_URL", RDS_HOST), other])?.as_deref(), Some("eu-central-1"));
    let china = "mysql://app@db.abc.cn-north-1.rds.amazonaws.com.cn/app";
    assert_eq!(region(&[("DATABASE_URL", china)])?.as_deref(), Some("cn-north-1"));
    let proxy = "mysql://app@p.proxy-abc.eu-west-1.rds.amazonaws.com./app";
    assert_eq!(region(&[("DATABASE_URL", proxy)])?.as_deref(), Some("eu-west-1"));
    let stand_in =
        [("DATABASE_URL", "mysql://app@localhost/app"), ("DATABASE_SSL_MODE", "verify_identity"), other];
    assert_eq!(region(&stand_in)?.as_deref(), Some("us-east-1"));

    // The five variables of an attached database, without the password.
    let attached: Vec<_> = RDS.iter().copied().filter(|(name, _)| *name != "RDS_PASSWORD").collect();
    let config = load(&[&[IAM][..], &attached].concat())?;
    let mysql = mysql(config).ok_or("not MySQL")?;
    assert_eq!((mysql.user.as_str(), mysql.password.expose()), ("eb", ""));
    assert_eq!(mysql.iam_region.as_deref(), Some("eu-central-1"));

    let off = load(&[("DATABASE_IAM_AUTH", "false"), ("DATABASE_URL", "mysql://u:p@h/d")])?;
    assert_eq!(super::mysql(off).and_then(|mysql| mysql.iam_region), None);
    Ok(())
}

#[test]
fn what_contradicts_tokens_is_reported_by_name_at_once() {
    let verified = ("DATABASE_SSL_MODE", "verify_identity");
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: [Case<'_>; 11] = [
        (&[], &["DATABASE_IAM_AUTH"]),
        (&[("DATABASE_URL", "sqlite:a.db")], &["DATABASE_IAM_AUTH"]),
        (&[("DATABASE_URL", RDS_HOST), ("DATABASE_SSL_MODE", "verify_ca")], &["DATABASE_SSL_MODE"]),
        (&[("DATABASE_URL", RDS_HOST), ("DATABASE_SSL_MODE", "disabled")], &["DATABASE_SSL_MODE"]),
        (
            &[("DATABASE_URL", "mysql://app:hunter2@db.abc.eu-central-1.rds.amazonaws.com/app")],
            &["DATABASE_URL"],
        ),
        (RDS, &["RDS_PASSWORD"]),
        (&[("DATABASE_URL", "mysql://app@db.home/app"), verified], &["DATABASE_URL"]),
        (&[("AWS_INTRO_SAMPLE_DATABASE_USERNAME", "app"), verified], &["AWS_INTRO_SAMPLE_DATABASE_USERNAME"]),
        (&[("DATABASE_URL", "mysql://app@localhost/app"), verified], &["AWS_REGION"]),
        (
            &[("DATABASE_URL", "mysql://app@localhost/app"), verified, ("AWS_REGION", "Frankfurt")],
            &["AWS_REGION"],
        ),
        (
            &[("DATABASE_URL", "mysql://app:hunter2@db.home/app"), ("SMTP_RATE", "0")],
            &["DATABASE_URL", "DATABASE_SSL_MODE", "DATABASE_URL", "SMTP_RATE"],
        ),
    ];
    for (set, told) in cases {
        let errors = errors(&[&[IAM][..], set].concat());
        assert_eq!(names(&errors), told, "{set:?}: {errors:?}");
        assert!(!errors.concat().contains("hunter2"), "{errors:?}");
    }
    assert_eq!(names(&errors(&[("DATABASE_IAM_AUTH", "yes")])), ["DATABASE_IAM_AUTH"]);
}
