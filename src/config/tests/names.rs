//! Several variables for one setting: complete groups, contradictions, typos.

use super::*;

#[test]
fn a_family_of_names_that_is_begun_has_to_be_whole() {
    assert_eq!(names(&errors(&RDS[..4])), ["RDS_PASSWORD"]);
    assert_eq!(names(&errors(&[("RDS_HOSTNAME", "h")])), ["RDS_USERNAME", "RDS_PASSWORD", "RDS_DB_NAME"]);
    let password = [("MYSQL_DATABASE_PASSWORD", "p")];
    assert_eq!(
        names(&errors(&password)),
        ["MYSQL_DATABASE_HOST", "MYSQL_DATABASE_USER", "MYSQL_DATABASE_DB"]
    );
    let book = [("AWS_INTRO_SAMPLE_DATABASE_HOST", "h")];
    assert_eq!(names(&errors(&book)), ["AWS_INTRO_SAMPLE_DATABASE_PASSWORD"]);
    assert_eq!(names(&errors(&[("REDIS_PORT", "6380")])), ["REDIS_HOST"]);
    assert_eq!(
        names(&errors(&[("AWS_INTRO_SAMPLE_S3_REGION", "eu-central-1")])),
        ["AWS_INTRO_SAMPLE_S3_BUCKET"]
    );
    let bad_url = [("IMAGES_URL", "s3:"), ("AWS_INTRO_SAMPLE_S3_REGION", "eu-central-1")];
    assert_eq!(names(&errors(&bad_url)), ["IMAGES_URL"], "what is wrong, not what would do instead");
    let smtp = ["ADDRESS", "USERNAME", "PASSWORD"].map(|name| format!("AWS_INTRO_SAMPLE_SMTP_{name}"));
    assert_eq!(names(&errors(&[("AWS_INTRO_SAMPLE_SMTP_DOMAIN", "example.com")])), smtp);
    let production = errors_alone(&[("APP_ENV", "production"), ("RDS_HOSTNAME", "h")]);
    assert!(
        !names(&production).contains(&"DATABASE_URL"),
        "only what is missing of the family: {production:?}"
    );
}

#[test]
fn names_that_agree_are_fine_and_names_that_do_not_are_an_error() -> Tested {
    let same = ("DATABASE_URL", "mysql://eb:hunter2-rds@DB.abc.eu-central-1.rds.amazonaws.com:3307/ebdb");
    assert_eq!(mysql(Config::load(&vars(&[&[("SECRET_KEY_BASE", KEY), same], RDS]))?), mysql(load(RDS)?));
    let both = [
        ("REDIS_URL", "redis://h"),
        ("REDIS_HOST", "h"),
        ("AWS_INTRO_SAMPLE_REDIS_ADDRESS", "redis://h:6379"),
    ];
    assert_eq!(load(&both)?.redis, Redis::Server(secret("redis://h:6379")));
    let bucket = [
        ("IMAGES_URL", "s3://bucket"),
        ("AWS_INTRO_SAMPLE_S3_BUCKET", "bucket"),
        ("AWS_INTRO_SAMPLE_S3_REGION", "eu-west-1"),
    ];
    assert_eq!(
        load(&bucket)?.images,
        Images::S3 { bucket: "bucket".into(), region: Some("eu-west-1".into()) }
    );
    assert_eq!(load(&[("LISTEN", "0.0.0.0:5000"), ("PORT", "5000")])?.listen.port(), Some(5000));

    let contradictions: [&[(&str, &str)]; 13] = [
        &[("LISTEN", "127.0.0.1:3000"), ("PORT", "5000")],
        &[("LISTEN", "unix:/run/app.sock"), ("PORT", "5000")],
        &[("APP_URL", "https://a.example"), ("AWS_INTRO_SAMPLE_HOST", "b.example")],
        &[("APP_URL", "http://a.example"), ("AWS_INTRO_SAMPLE_HOST", "a.example")],
        &[("DATABASE_URL", "mysql://sample_app:p@h/sample_app"), ("AWS_INTRO_SAMPLE_DATABASE_PASSWORD", "p")],
        &[
            ("DATABASE_URL", "mysql://sample_app:q@db.home/sample_app"),
            ("AWS_INTRO_SAMPLE_DATABASE_PASSWORD", "p"),
        ],
        &[("DATABASE_URL", "sqlite:a.db"), ("AWS_INTRO_SAMPLE_DATABASE_PASSWORD", "p")],
        &[("REDIS_URL", "redis://:secret@h"), ("REDIS_HOST", "h")],
        &[("REDIS_URL", "memory:"), ("AWS_INTRO_SAMPLE_REDIS_ADDRESS", "h")],
        &[("REDIS_PORT", "6380"), ("REDIS_HOST", "h:6379")],
        &[("IMAGES_URL", "s3://one"), ("AWS_INTRO_SAMPLE_S3_BUCKET", "two")],
        &[("IMAGES_URL", "file:images"), ("AWS_INTRO_SAMPLE_S3_REGION", "eu-west-1")],
        &[("LOGSTASH_URL", "tls://h"), ("LOGSTASH_HOST", "h")],
    ];
    for set in contradictions {
        let errors = errors(set);
        let told = errors.iter().filter(|line| line.contains(" gives another "));
        let told: Vec<_> = told.filter(|line| set.iter().all(|(name, _)| line.contains(name))).collect();
        assert_eq!((told.len(), errors.len()), (1, 1), "{set:?}: {errors:?}");
    }
    let smtp = errors_alone(
        &[BOOK, &[("SMTP_URL", "smtps://AKIA:other@email-smtp.eu-central-1.amazonaws.com")]].concat(),
    );
    assert_eq!(names(&smtp), ["AWS_INTRO_SAMPLE_SMTP_ADDRESS"]);
    let families = Config::load(&vars(&[BEANSTALK, RDS])).map_or_else(|errors| errors.0, |_| Vec::new());
    assert_eq!(names(&families), ["RDS_HOSTNAME", "RDS_PORT", "RDS_USERNAME", "RDS_PASSWORD", "RDS_DB_NAME"]);
    Ok(())
}

#[test]
fn an_unknown_name_is_pointed_out_with_the_nearest_known() -> Tested {
    let nearest = [
        ("AWS_INTRO_SAMPLE_53_BUCKET", "did you mean AWS_INTRO_SAMPLE_S3_BUCKET?"),
        ("ANS_INTRO_SAMPLE_DATABASE_HOST", "did you mean AWS_INTRO_SAMPLE_DATABASE_HOST?"),
        ("DATABASE_URI", "did you mean DATABASE_URL?"),
        ("AWS_INTRO_SAMPLE_DATABASE_USER", "did you mean AWS_INTRO_SAMPLE_DATABASE_USERNAME?"),
        ("MYSQL_DATABASE_PASSWROD", "did you mean MYSQL_DATABASE_PASSWORD?"),
        ("RDS_HOST", "did you mean RDS_HOSTNAME?"),
        ("LOGSTASH_URI", "did you mean LOGSTASH_URL?"),
        ("REDIS_HOSTS", "did you mean REDIS_HOST?"),
        ("SMTP_RATES", "did you mean SMTP_RATE?"),
        ("REDIS_SENTINEL", "see `sample-app --help`"),
        ("IMAGES_BUCKET", "see `sample-app --help`"),
    ];
    for (name, advice) in nearest {
        let warnings = load(&[(name, "x")])?.warnings;
        assert_eq!(names(&warnings), [name]);
        assert!(warnings.iter().all(|warning| warning.contains(advice)), "{warnings:?}");
    }
    assert_eq!(
        load(&[("PATH", "/bin"), ("AWS_REGION", "eu-west-1"), ("RDS_HOST", ""), ("APP_NAME", "x")])?.warnings,
        Vec::<String>::new()
    );

    let slip: Vec<_> =
        BOOK.iter().map(|(name, value)| (name.replace("_S3_BUCKET", "_53_BUCKET"), *value)).collect();
    let slip: Vec<_> = slip.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let told = errors_alone(&slip);
    assert_eq!(names(&told), ["AWS_INTRO_SAMPLE_S3_BUCKET"]);
    assert!(told.iter().all(|line| line.contains("AWS_INTRO_SAMPLE_53_BUCKET is set")), "{told:?}");
    let alone = errors_alone(&[("APP_ENV", "production"), ("AWS_INTRO_SAMPLE_53_BUCKET", "uploads")]);
    let told: Vec<_> = alone.iter().filter(|line| line.contains("AWS_INTRO_SAMPLE_53_BUCKET")).collect();
    assert_eq!(told.len(), 1);
    assert!(told.iter().all(|line| line.starts_with("IMAGES_URL: is missing")), "{told:?}");
    Ok(())
}
