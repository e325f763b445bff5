//! DATABASE_URL, TLS to the database, and RDS attached to a Beanstalk environment.

use super::*;

/// The connection that a DATABASE_URL describes, without TLS settings.
fn account(url: &str) -> Option<(String, u16, String, Secret, String)> {
    let mysql = mysql(load(&[("DATABASE_URL", url)]).ok()?)?;
    Some((mysql.host, mysql.port, mysql.user, mysql.password, mysql.database))
}

#[test]
fn a_database_url_is_taken_apart_and_decoded() {
    let all = |host: &str, port, user: &str, password, database: &str| {
        Some((host.to_owned(), port, user.to_owned(), secret(password), database.to_owned()))
    };
    assert_eq!(account("mysql://u:p@db.home/d"), all("db.home", 3306, "u", "p", "d"));
    assert_eq!(
        account("mysql://u%40x:p%2F%23%3A%25@DB.home:3307/d"),
        all("db.home", 3307, "u@x", "p/#:%", "d")
    );
    assert_eq!(account("mysql://root@[::1]/d"), all("::1", 3306, "root", "", "d"));
    for bad in [
        "mysql://u:p@h",
        "mysql://u:p@h/",
        "mysql://u:p@h/d/e",
        "mysql://:p@h/d",
        "mysql://h/d",
        "mysql:///d",
        "mysql:d",
        "mysql://u:p@h/d?ssl-mode=disabled",
        "mysql://u:p#x@h/d",
        "mysql://u:p/x@h/d",
        "mysql://u:p@h:0/d",
        "mysql://u:p%0a@h/d",
        "mysql://u:p%ff@h/d",
        "postgres://u:p@h/d",
        "sqlite:",
        "sqlite::memory:",
        "sqlite:app.db?mode=rwc",
        "app.db",
    ] {
        assert_eq!(names(&errors(&[("DATABASE_URL", bad)])), ["DATABASE_URL"], "{bad}");
    }
}

#[test]
fn a_reader_has_an_account_of_its_own_or_that_of_the_writer() -> Tested {
    let writer = ("DATABASE_URL", "mysql://u:p@writer:3307/d");
    let reader = |set: &[(&str, &str)]| load(&[&[writer], set].concat()).map(|config| config.database_reader);
    let own = reader(&[("DATABASE_READER_URL", "mysql://r:q@reader/d")])?.ok_or("none")?;
    assert_eq!(
        (own.host.as_str(), own.port, own.user.as_str(), own.password),
        ("reader", 3306, "r", secret("q"))
    );
    for name in ["MYSQL_DATABASE_READER_HOST", "RDS_READER_HOSTNAME"] {
        let with_port = reader(&[(name, "reader:3308")])?.ok_or("none")?;
        assert_eq!(with_port.port, 3308);
        let same = reader(&[(name, "reader")])?.ok_or("none")?;
        assert_eq!((same.host.as_str(), same.port, same.user.as_str()), ("reader", 3307, "u"));
        assert_eq!(
            (same.password, same.database.as_str(), same.ssl_mode),
            (secret("p"), "d", SslMode::Preferred)
        );
    }
    let rds = reader(&[("RDS_READER_HOSTNAME", "r.abc.eu-central-1.rds.amazonaws.com")])?.ok_or("none")?;
    assert_eq!(rds.ssl_mode, SslMode::VerifyIdentity);
    let agreeing = [("MYSQL_DATABASE_READER_HOST", "reader"), ("RDS_READER_HOSTNAME", "reader")];
    assert!(reader(&agreeing)?.is_some());
    assert_eq!(load(&[writer])?.database_reader, None);
    Ok(())
}

#[test]
fn a_reader_that_cannot_be_one_is_refused_by_name() {
    let writer = ("DATABASE_URL", "mysql://u:p@h/d");
    let hosts = [("MYSQL_DATABASE_READER_HOST", "one"), ("RDS_READER_HOSTNAME", "two")];
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
    let cases: [Case<'_>; 7] = [
        (&[("DATABASE_READER_URL", "mysql://u:p@r/d")], "DATABASE_READER_URL", "is a file"),
        (&[writer, ("DATABASE_READER_URL", "sqlite:a.db")], "DATABASE_READER_URL", "is not of the form"),
        (&[writer, ("DATABASE_READER_URL", "r")], "DATABASE_READER_URL", "is not of the form"),
        (
            &[writer, ("DATABASE_READER_URL", "mysql://r:q@h:3306/d")],
            "DATABASE_READER_URL",
            "address of the writer",
        ),
        (&[writer, ("DATABASE_READER_URL", "mysql://r:q@r/e")], "DATABASE_READER_URL", "another database"),
        (&[writer, ("RDS_READER_HOSTNAME", "mysql://r")], "RDS_READER_HOSTNAME", "is not HOST"),
        (&[writer, hosts[0], hosts[1]], "RDS_READER_HOSTNAME", "gives another reader"),
    ];
    for (set, name, fault) in cases {
        let errors = errors(set);
        assert_eq!(names(&errors), [name], "{set:?}");
        assert!(errors.iter().all(|error| error.contains(fault)), "{errors:?}");
    }
}

#[test]
fn embedded_paths_are_taken_with_and_without_slashes() -> Tested {
    for (url, path) in
        [("sqlite:a b.db", "a b.db"), ("sqlite:///srv/a.db", "/srv/a.db"), ("sqlite://a.db", "a.db")]
    {
        assert_eq!(load(&[("DATABASE_URL", url)])?.database, Database::Sqlite(path.into()), "{url}");
    }
    Ok(())
}

#[test]
fn ssl_modes_have_mysqls_names() -> Tested {
    let all = [
        ("DISABLED", SslMode::Disabled),
        ("preferred", SslMode::Preferred),
        ("Required", SslMode::Required),
        ("verify-ca", SslMode::VerifyCa),
        ("VERIFY_IDENTITY", SslMode::VerifyIdentity),
    ];
    for (name, mode) in all {
        let config = load(&[("DATABASE_URL", "mysql://u:p@h/d"), ("DATABASE_SSL_MODE", name)])?;
        assert_eq!(mysql(config).map(|mysql| mysql.ssl_mode), Some(mode), "{name}");
    }
    assert_eq!(names(&errors(&[("DATABASE_SSL_MODE", "on")])), ["DATABASE_SSL_MODE"]);
    Ok(())
}

#[test]
fn an_attached_rds_database_is_verified() -> Tested {
    let dot = load(&[("DATABASE_URL", "mysql://u:p@db.abc.eu-central-1.rds.amazonaws.com./d")])?;
    assert_eq!(
        mysql(dot).map(|mysql| mysql.ssl_mode),
        Some(SslMode::VerifyIdentity),
        "the name of the same host"
    );
    let china = load(&[("DATABASE_URL", "mysql://u:p@db.abc.cn-north-1.rds.amazonaws.com.cn/d")])?;
    assert_eq!(mysql(china).map(|mysql| mysql.ssl_mode), Some(SslMode::VerifyIdentity));
    let config = load(RDS)?;
    assert_eq!(names(&config.warnings), ["DATABASE_CA_FILE"]);
    assert!(config.warnings.iter().any(|warning| warning.contains("global-bundle.pem")));
    let mysql = mysql(config).ok_or("not MySQL")?;
    assert_eq!((mysql.host.as_str(), mysql.port), ("db.abc.eu-central-1.rds.amazonaws.com", 3307));
    assert_eq!((mysql.user.as_str(), mysql.database.as_str()), ("eb", "ebdb"));
    assert_eq!((mysql.password, mysql.ssl_mode), (secret("hunter2-rds"), SslMode::VerifyIdentity));

    let with_ca = Config::load(&vars(&[&[("SECRET_KEY_BASE", KEY), ("DATABASE_CA_FILE", "/ca.pem")], RDS]))?;
    assert_eq!(with_ca.warnings, Vec::<String>::new());
    let host = ("DATABASE_URL", "mysql://u:p@p.proxy-abc.eu-central-1.rds.amazonaws.com/d");
    let proxy = load(&[host, ("DATABASE_PROXY", "true")])?;
    assert_eq!(proxy.warnings, Vec::<String>::new(), "RDS Proxy has public certificates");
    let unused = load(&[("DATABASE_URL", "mysql://u:p@db.home/d"), ("DATABASE_CA_FILE", "/ca.pem")])?;
    assert_eq!(names(&unused.warnings), ["DATABASE_CA_FILE"], "a CA that is not looked at");
    Ok(())
}

#[test]
fn a_database_proxy_shares_connections_to_a_server_only() -> Tested {
    let server = ("DATABASE_URL", "mysql://u:p@a.proxy-x.eu-central-1.rds.amazonaws.com/d");
    let config = load(&[server])?;
    assert_eq!(names(&config.warnings), ["DATABASE_PROXY"], "without the setting, every session is pinned");
    assert_eq!(mysql(config).map(|mysql| mysql.by_proxy), Some(false));
    let config = load(&[server, ("DATABASE_PROXY", "true")])?;
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!(mysql(config).map(|mysql| mysql.by_proxy), Some(true));
    for file in
        [&[("DATABASE_PROXY", "true")][..], &[("DATABASE_URL", "sqlite:a.db"), ("DATABASE_PROXY", "true")]]
    {
        assert_eq!(names(&errors(file)), ["DATABASE_PROXY"], "{file:?}");
    }
    assert_eq!(names(&errors(&[("DATABASE_PROXY", "maybe")])), ["DATABASE_PROXY"]);
    Ok(())
}
