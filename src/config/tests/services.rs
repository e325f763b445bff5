//! Accepted and rejected values of the other settings.

use super::*;

#[test]
fn redis_addresses_are_normalised_and_shown_without_credentials() -> Tested {
    for (text, url, shown) in [
        ("redis://H", "redis://h:6379", "redis://h:6379"),
        ("rediss://:p%40w@h:6380/0", "rediss://:p%40w@h:6380", "rediss://h:6380"),
        ("rediss://user:pw@[::1]/2", "rediss://user:pw@[::1]:6379/2", "rediss://[::1]:6379/2"),
    ] {
        let redis = load(&[("REDIS_URL", text)])?.redis;
        assert_eq!((&redis, redis.to_string().as_str()), (&Redis::Server(secret(url)), shown));
    }
    assert_eq!(Redis::Memory.to_string(), "memory:");
    assert_eq!(
        load(&[("REDIS_HOST", "h"), ("REDIS_PORT", "1")])?.redis,
        Redis::Server(secret("redis://h:1"))
    );
    for bad in [
        "redis://pw@h",
        "redis://h/x",
        "rediss://h#insecure",
        "redis://h?protocol=3",
        "http://h",
        "h",
        "redis:h",
    ] {
        assert_eq!(names(&errors(&[("REDIS_URL", bad)])), ["REDIS_URL"], "{bad}");
    }
    assert_eq!(
        names(&errors(&[("AWS_INTRO_SAMPLE_REDIS_ADDRESS", "h:0")])),
        ["AWS_INTRO_SAMPLE_REDIS_ADDRESS"]
    );
    Ok(())
}

#[test]
fn mail_servers_begin_tls_as_their_port_and_scheme_say() -> Tested {
    let smtp = |tls, port, username: Option<&str>, password: Option<&str>| {
        let (username, password) = (username.map(str::to_owned), password.map(secret));
        Mail::Smtp(Smtp { tls, host: "h".into(), port, username, password })
    };
    let (user, password) = (Some("a@b"), Some("p/w"));
    for (url, expected) in [
        ("smtps://a%40b:p%2Fw@h", smtp(SmtpTls::Implicit, 465, user, password)),
        ("smtps://a%40b:p%2Fw@h:2465", smtp(SmtpTls::Implicit, 2465, user, password)),
        ("smtp://h", smtp(SmtpTls::StartTls, 587, None, None)),
        ("smtp://h:1025/", smtp(SmtpTls::StartTls, 1025, None, None)),
    ] {
        assert_eq!(load(&[("SMTP_URL", url)])?.mail, expected, "{url}");
    }
    for bad in [
        "smtp://h:465",
        "smtps://h:587",
        "smtps://u@h",
        "smtps://:p@h",
        "smtps://h/x",
        "smtps://h?tls=no",
        "h",
    ] {
        assert_eq!(names(&errors(&[("SMTP_URL", bad)])), ["SMTP_URL"], "{bad}");
    }
    let book = |address| {
        let rest = [("AWS_INTRO_SAMPLE_SMTP_USERNAME", "a@b"), ("AWS_INTRO_SAMPLE_SMTP_PASSWORD", "p/w")];
        load(&[&[("AWS_INTRO_SAMPLE_SMTP_ADDRESS", address)][..], &rest].concat())
    };
    for (address, tls, port) in [
        ("h", SmtpTls::Implicit, 465),
        ("h:2465", SmtpTls::Implicit, 2465),
        ("h:587", SmtpTls::StartTls, 587),
        ("h:2587", SmtpTls::StartTls, 2587),
    ] {
        assert_eq!(book(address)?.mail, smtp(tls, port, user, password), "{address}");
    }
    let odd = book("h:25").map_or_else(|errors| errors.0, |_| Vec::new());
    assert_eq!(names(&odd), ["AWS_INTRO_SAMPLE_SMTP_ADDRESS"]);
    Ok(())
}

#[test]
fn mail_comes_from_the_stated_address_or_the_domain_or_the_public_host() -> Tested {
    let url = ("APP_URL", "https://app.example");
    assert_eq!(load(&[url])?.mail_from, "no-reply@app.example");
    // These hosts give no sender address that servers accept.
    for url in ["http://127.0.0.1:3000", "http://[::1]", "http://-app.example"] {
        let config = load(&[("APP_URL", url)])?;
        assert_eq!(config.mail_from, "no-reply@localhost", "{url}");
        assert_eq!(names(&config.warnings), ["MAIL_FROM"], "{url}");
    }
    assert!(load(&[])?.warnings.is_empty());
    assert_eq!(names(&load(&[("SMTP_URL", "smtps://u:p@h")])?.warnings), ["MAIL_FROM"]);
    let domain = ("AWS_INTRO_SAMPLE_SMTP_DOMAIN", "mail.example");
    assert_eq!(load(&[url, domain, ("SMTP_URL", "file:mail")])?.mail_from, "no-reply@mail.example");
    assert_eq!(load(&[url, ("MAIL_FROM", "hello@Example.com")])?.mail_from, "hello@example.com");
    for bad in
        ["hello", "@example.com", "a@", "a b@example.com", "A <a@example.com>", "a@b@example.com", "a@b,c"]
    {
        assert_eq!(names(&errors(&[("MAIL_FROM", bad)])), ["MAIL_FROM"], "{bad}");
    }
    for bad in ["a@127.0.0.1", "a@[127.0.0.1]", "a@[::1]", "a..b@example.com", "a@-example.com"] {
        assert_eq!(names(&errors(&[("MAIL_FROM", bad)])), ["MAIL_FROM"], "{bad}");
    }
    let domain = ("AWS_INTRO_SAMPLE_SMTP_DOMAIN", "127.0.0.1");
    assert_eq!(names(&errors(&[domain, ("SMTP_URL", "file:mail")])), ["AWS_INTRO_SAMPLE_SMTP_DOMAIN"]);
    Ok(())
}

#[test]
fn listen_takes_hosts_ports_sockets_and_what_systemd_hands_over() -> Tested {
    let tcp = |host: &str, port| Listen::Tcp { host: host.to_owned(), port };
    assert_eq!(tcp("::1", 3000).to_string(), "[::1]:3000");
    for (text, expected) in [
        ("0.0.0.0:80", tcp("0.0.0.0", 80)),
        ("localhost:0", tcp("localhost", 0)),
        ("[::1]:3000", tcp("::1", 3000)),
        ("unix:/run/app.sock", Listen::Unix("/run/app.sock".into())),
    ] {
        assert_eq!(load(&[("LISTEN", text)])?.listen, expected, "{text}");
    }
    let long = format!("unix:/{}", "x".repeat(107));
    for bad in [
        "3000",
        ":3000",
        "localhost",
        "::1:3000",
        "::1:12345",
        "*:3000",
        "h:+1",
        "h:65536",
        "h:",
        "unix:",
        long.as_str(),
    ] {
        assert_eq!(names(&errors(&[("LISTEN", bad)])), ["LISTEN"], "{bad}");
    }
    assert_eq!(names(&errors(&[("PORT", "http")])), ["PORT"]);

    let pid = std::process::id().to_string();
    let handed = load(&[("LISTEN_FDS", "1"), ("LISTEN_PID", &pid), ("LISTEN", "[::1]:1"), ("PORT", "2")])?;
    assert_eq!(handed.listen, Listen::Inherited);
    assert_eq!(load(&[("LISTEN_FDS", "2")])?.listen, Listen::Inherited);
    for not_ours in [[("LISTEN_FDS", "1"), ("LISTEN_PID", "1")], [("LISTEN_FDS", "0"), ("LISTEN_PID", &pid)]]
    {
        assert_eq!(load(&not_ours)?.listen, tcp("127.0.0.1", 3000));
    }
    Ok(())
}

#[test]
fn the_public_address_follows_the_port_in_development() -> Tested {
    for (name, value, origin) in [
        ("PORT", "5000", "http://localhost:5000"),
        ("LISTEN", "0.0.0.0:80", "http://localhost"),
        ("LISTEN", "unix:/run/app.sock", "http://localhost"),
        ("LISTEN_FDS", "1", "http://localhost"),
        ("APP_URL", "https://Example.com:8443", "https://example.com:8443"),
        ("APP_URL", "https://[::1]/", "https://[::1]"),
        ("AWS_INTRO_SAMPLE_HOST", "example.com", "https://example.com"),
        ("AWS_INTRO_SAMPLE_HOST", "http://example.com", "http://example.com"),
    ] {
        assert_eq!(load(&[(name, value)])?.app_url.origin(), origin, "{value}");
    }
    let url = load(&[("APP_URL", "https://example.com:8443")])?.app_url;
    assert_eq!((url.is_https(), url.host()), (true, "example.com"));
    assert_eq!(url.link("/users/1?page=2"), "https://example.com:8443/users/1?page=2");
    assert_eq!(url.link("users"), "https://example.com:8443/users");
    for bad in [
        "example.com",
        "ftp://h",
        "https://h/path",
        "https://h?q",
        "https://h#f",
        "https://u@h",
        "https://:p@h",
    ] {
        assert_eq!(names(&errors(&[("APP_URL", bad)])), ["APP_URL"], "{bad}");
    }
    assert_eq!(names(&errors(&[("AWS_INTRO_SAMPLE_HOST", "example.com/path")])), ["AWS_INTRO_SAMPLE_HOST"]);
    Ok(())
}

#[test]
fn the_small_settings_take_what_they_name() -> Tested {
    assert_eq!(load(&[("TRUSTED_PROXIES", "10")])?.trusted_proxies, 10);
    assert_eq!(load(&[("AVATARS", "gravatar")])?.avatars, Avatars::Gravatar);
    let site = load(&[("WALKTHROUGH_URL", "https://example.com/notes/")])?.walkthrough_url;
    assert_eq!(site.as_deref(), Some("https://example.com/notes"));
    assert_eq!(load(&[("LOG", "info,sample_app=debug")])?.log, "info,sample_app=debug");
    let tls = Logstash { tls: true, host: "h".into(), port: 6000 };
    assert_eq!(load(&[("LOGSTASH_URL", "tls://h:6000")])?.logstash, Some(tls));
    for (name, bad) in [
        ("TRUSTED_PROXIES", "11"),
        ("TRUSTED_PROXIES", "-1"),
        ("AVATARS", "none"),
        ("WALKTHROUGH_URL", "javascript:alert(1)"),
        ("WALKTHROUGH_URL", "https://example.com/?page=1"),
        ("APP_ENV", "test"),
        ("LOGSTASH_URL", "udp://h"),
        ("LOGSTASH_URL", "tcp://u:p@h"),
        ("LOGSTASH_HOST", "tcp://h"),
        ("IMAGES_URL", "s3://bucket/folder"),
        ("IMAGES_URL", "s3://Bucket"),
        ("AWS_INTRO_SAMPLE_S3_BUCKET", "s3://bucket"),
        ("AWS_INTRO_SAMPLE_S3_BUCKET", "ab"),
        ("REDIS_HOST", "h:0"),
        ("SECRET_KEY_BASE", &KEY[1..]),
        ("REDIS_HOST", "\"quoted\""),
    ] {
        assert!(names(&errors_alone(&[(name, bad)])).contains(&name), "{name}={bad}");
    }
    Ok(())
}

#[test]
fn an_authority_without_tls_is_an_error() {
    for (set, name) in [
        ([("REDIS_URL", "redis://h"), ("REDIS_CA_FILE", "ca.pem")], "REDIS_CA_FILE"),
        ([("LOGSTASH_URL", "tcp://h"), ("LOGSTASH_CA_FILE", "ca.pem")], "LOGSTASH_CA_FILE"),
    ] {
        assert_eq!(names(&errors(&set)), [name]);
    }
    assert_eq!(errors(&[("REDIS_URL", "rediss://h"), ("REDIS_CA_FILE", "ca.pem")]), Vec::<String>::new());
}

#[test]
fn limits_are_on_in_production() -> Tested {
    assert!(load(&[])?.rate_limits_enabled && load(&[("LIMITS", "on")])?.rate_limits_enabled);
    assert!(!load(&[("LIMITS", "off")])?.rate_limits_enabled);
    assert_eq!(names(&errors(&[("LIMITS", "0")])), ["LIMITS"]);
    let production = Config::load(&vars(&[BEANSTALK, &[("LIMITS", "off")]]))
        .map_or_else(|errors| errors.0, |_| Vec::new());
    assert_eq!(names(&production), ["LIMITS"]);
    Ok(())
}

#[test]
fn each_limit_has_a_number_of_its_own() -> Tested {
    let numbers = load(&[("LIMIT_SIGN_UPS", "500")])?.rate_limits;
    assert_eq!(numbers, RateLimits { sign_ups: 500, ..load(&[])?.rate_limits });
    for name in ["LIMIT_LOG_INS", "LIMIT_SIGN_UPS", "LIMIT_MAILS_TO", "LIMIT_MAILS_BY", "LIMIT_POSTS"] {
        for wrong in ["0", "-1", "many", "65536"] {
            assert_eq!(names(&errors(&[(name, wrong)])), [name], "{wrong}");
        }
    }
    Ok(())
}

#[test]
fn the_topic_of_ses_tells_where_sns_answers() -> Tested {
    let origin = |settings: &[(&str, &str)]| -> Result<_, Box<dyn std::error::Error>> {
        Ok(load(settings)?.ses_topic.map(|topic| topic.origin.origin()))
    };
    let topic = "arn:aws:sns:eu-central-1:123456789012:sample-app_mail";
    for (arn, expected) in [
        (topic, "https://sns.eu-central-1.amazonaws.com"),
        ("arn:aws-cn:sns:cn-north-1:123456789012:t", "https://sns.cn-north-1.amazonaws.com.cn"),
        ("arn:aws-us-gov:sns:us-gov-west-1:123456789012:t", "https://sns.us-gov-west-1.amazonaws.com"),
    ] {
        assert_eq!(origin(&[("SES_TOPIC_ARN", arn)])?.as_deref(), Some(expected));
        assert_eq!(load(&[("SES_TOPIC_ARN", arn)])?.ses_topic.map(|topic| topic.arn).as_deref(), Some(arn));
    }
    for endpoint in
        ["https://sns.example:8443", "http://127.0.0.1:4566", "http://localhost:4566", "http://[::1]:1"]
    {
        let told = origin(&[("SES_TOPIC_ARN", topic), ("AWS_ENDPOINT_URL_SNS", endpoint)])?;
        assert_eq!(told.as_deref(), Some(endpoint));
    }
    assert_eq!(origin(&[("AWS_ENDPOINT_URL_SNS", "https://sns.example")])?, None, "the topic switches it on");
    for bad in [
        "sample-app-mail",
        "arn:aws:sqs:eu-central-1:123456789012:t",
        "arn:aws:sns:eu-central-1:123456789012:t:3bf8c0a0-subscription",
        "arn:aws:sns:eu-central-1:1234:t",
        "arn:aws:sns::123456789012:t",
        "arn:aws:sns:evil.example/-:123456789012:t",
        "arn:evil:sns:eu-central-1:123456789012:t",
        "arn:aws:sns:eu-central-1:123456789012:",
    ] {
        assert_eq!(names(&errors(&[("SES_TOPIC_ARN", bad)])), ["SES_TOPIC_ARN"], "{bad}");
    }
    for bad in ["http://sns.example", "sns.example", "https://sns.example/path"] {
        assert_eq!(names(&errors(&[("AWS_ENDPOINT_URL_SNS", bad)])), ["AWS_ENDPOINT_URL_SNS"], "{bad}");
    }
    Ok(())
}
