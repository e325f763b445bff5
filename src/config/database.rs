//! The database settings: one URL, or the groups of variables that the tutorials and Elastic Beanstalk export.

mod iam;

use std::fmt;
use std::path::{Path, PathBuf};

use super::reader::{Given, Reader};
use super::values::{Fault, ServiceUrl, authority, path_of, yes_or_no};
use super::{AppEnv, ConfigErrors, Secret, Variables};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    Sqlite(PathBuf),
    /// A server: RDS, Aurora, MariaDB.
    MySql(MySql),
}

/// Address and account of a MySQL database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MySql {
    /// Host name or IP address; IPv6 without brackets.
    pub host: String,
    /// Default: 3306.
    pub port: u16,
    pub user: String,
    /// Empty if DATABASE_URL contains none.
    pub password: Secret,
    /// Database name.
    pub database: String,
    pub ssl_mode: SslMode,
    /// PEM file of the authorities that sign the server's certificate. Default: the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether a proxy such as RDS Proxy shares server connections between clients.
    pub by_proxy: bool,
    /// Where tokens of IAM take the place of the password: the region they are signed for.
    pub iam_region: Option<String>,
    /// Where the account comes from a secret: the variables that lead to it.
    pub secret: Option<Variables>,
}

impl MySql {
    /// User and password that these variables give, which are those of `secret` with their values.
    ///
    /// # Errors
    /// Why they give none.
    pub fn account(vars: &Variables) -> Result<(String, Secret), ConfigErrors> {
        let mut r = Reader::new(vars);
        let account = if let Some(Source::Server(account)) = r.value("DATABASE_READER_URL", source) {
            Some((account.user.value, account.password.value))
        } else if let Some(Database::MySql(mysql)) = database(&mut r, Path::new("")) {
            Some((mysql.user, mysql.password))
        } else {
            None
        };
        let (errors, _) = r.finish();
        account.filter(|_| errors.is_empty()).ok_or(ConfigErrors(errors))
    }
}

impl fmt::Display for MySql {
    /// The URL without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mysql://{}/{}", authority(&self.host, self.port), self.database)
    }
}

/// The TLS mode, by MySQL's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disabled,
    /// TLS if the server offers it, else plain text.
    Preferred,
    /// TLS with any certificate.
    Required,
    /// TLS with a certificate that a trusted authority signed.
    VerifyCa,
    /// As `VerifyCa`, and the certificate must name the host.
    VerifyIdentity,
}

const FORM: Fault = "is not of the form mysql://USER:PASSWORD@HOST[:PORT]/DATABASE or sqlite:PATH; write it so, with \
    / ? # @ : and % of user and password percent-encoded (%2F %3F %23 %40 %3A %25) and without parameters \
    (for TLS there is DATABASE_SSL_MODE)";
const FIX: &str = "set mysql://USER:PASSWORD@HOST/DATABASE, or one family of its other names (`sample-app --help`), or \
    sqlite:PATH";

const READER_FORM: Fault = "is not of the form mysql://USER:PASSWORD@HOST[:PORT]/DATABASE; write it so, or set the host alone \
    in MYSQL_DATABASE_READER_HOST";
/// Hosts of a reader to which everything else of the writer's settings applies.
const READER_HOSTS: [&str; 2] = ["MYSQL_DATABASE_READER_HOST", "RDS_READER_HOSTNAME"];

const PROXY_OF_FILE: Fault =
    "is true, and the database is a SQLite file; set DATABASE_URL to the proxy, or remove it";

/// Address and account from one source; each part remembers the variable that set it.
struct Account {
    host: Given<String>,
    port: Given<u16>,
    user: Given<String>,
    password: Given<Secret>,
    database: Given<String>,
}

/// A group of variables that together describe a connection.
struct Family {
    host: &'static str,
    port: Option<&'static str>,
    user: &'static str,
    password: &'static str,
    database: &'static str,
    /// Defaults for everything but port and password.
    usual: Option<Usual>,
}

struct Usual {
    host: &'static str,
    user: &'static str,
    database: &'static str,
}

const FAMILIES: [Family; 3] = [
    Family {
        host: "MYSQL_DATABASE_HOST",
        port: None,
        user: "MYSQL_DATABASE_USER",
        password: "MYSQL_DATABASE_PASSWORD",
        database: "MYSQL_DATABASE_DB",
        usual: None,
    },
    Family {
        host: "RDS_HOSTNAME",
        port: Some("RDS_PORT"),
        user: "RDS_USERNAME",
        password: "RDS_PASSWORD",
        database: "RDS_DB_NAME",
        usual: None,
    },
    Family {
        host: "AWS_INTRO_SAMPLE_DATABASE_HOST",
        port: None,
        user: "AWS_INTRO_SAMPLE_DATABASE_USERNAME",
        password: "AWS_INTRO_SAMPLE_DATABASE_PASSWORD",
        database: "AWS_INTRO_SAMPLE_DATABASE_NAME",
        // From the Rails sample: its private DNS zone and its config/database.yml.
        usual: Some(Usual { host: "db.home", user: "sample_app", database: "sample_app" }),
    },
];

enum Source {
    File(PathBuf),
    Server(Account),
}

/// The database, or `None` if an error was reported.
pub(super) fn database(r: &mut Reader<'_>, data_dir: &Path) -> Option<Database> {
    let url = r.value("DATABASE_URL", source);
    let ssl_mode = r.value("DATABASE_SSL_MODE", ssl_mode);
    let ca_file = r.text("DATABASE_CA_FILE").map(PathBuf::from);
    let by_proxy = r.value("DATABASE_PROXY", yes_or_no).unwrap_or(false);
    let by_iam = iam::is_on(r);
    let families: Vec<Account> = FAMILIES.iter().filter_map(|family| family.account(r, by_iam)).collect();

    let url = match url {
        Some(Source::File(path)) => {
            for account in families {
                r.contradiction("database", account.host.by, "DATABASE_URL");
            }
            if by_proxy {
                r.error("DATABASE_PROXY", PROXY_OF_FILE);
            }
            if by_iam {
                iam::refuse_for_a_file(r);
            }
            return Some(Database::Sqlite(path));
        }
        Some(Source::Server(account)) => Some(account),
        None => None,
    };
    let mut accounts = url.into_iter().chain(families);
    let Some(account) = accounts.next() else {
        if by_proxy {
            r.error("DATABASE_PROXY", PROXY_OF_FILE);
        }
        if by_iam {
            iam::refuse_for_a_file(r);
        }
        return r.absent("DATABASE_URL", Database::Sqlite(data_dir.join("sample_app.db")), FIX);
    };
    for other in accounts {
        r.same("host", &account.host, &other.host);
        r.same("port", &account.port, &other.port);
        r.same("user", &account.user, &other.user);
        r.same("password", &account.password, &other.password);
        r.same("database", &account.database, &other.database);
    }
    let mysql = MySql { by_proxy, ..with_tls(r, account, ssl_mode, ca_file, by_iam) };
    if !by_proxy && is_rds(&mysql.host) && mysql.host.contains(".proxy-") {
        r.warn(
            "DATABASE_PROXY",
            "is not true and the host is an RDS Proxy, which would reserve a server connection for each of ours; set it \
             to true, or connect to the database itself",
        );
    }
    Some(Database::MySql(mysql))
}

/// The reader, or `None` if there is none or an error was reported.
pub(super) fn reader(r: &mut Reader<'_>, database: Option<&Database>) -> Option<MySql> {
    let url = r.given("DATABASE_READER_URL", |text| match source(text) {
        Ok(Source::Server(account)) => Ok(account),
        _ => Err(READER_FORM),
    });
    let writer = match database {
        Some(Database::MySql(writer)) => Some(writer),
        _ => None,
    };
    let port = writer.map_or(3306, |writer| writer.port);
    let address = |given: &Given<Account>| {
        let (host, port) = (given.value.host.value.clone(), given.value.port.value);
        Given { by: given.by, value: (host, port) }
    };
    let by_url = url.as_ref().map(address);
    let hosts = READER_HOSTS.map(|name| {
        let (host, port) = r.host_and_port(name, None, port)?;
        Some(Given { by: name, value: (host.value, port.value) })
    });
    let Given { by, value: (host, port) } = r.one_of("reader", [by_url].into_iter().chain(hosts))?;
    let Some(writer) = writer else {
        if matches!(database, Some(Database::Sqlite(_))) {
            r.error(
                by,
                "is set, and the database is a file, which has no readers; remove it, or set DATABASE_URL to mysql://..",
            );
        }
        return None;
    };
    if (&host, port) == (&writer.host, writer.port) {
        r.error(by, "is the address of the writer; set that of the reader, or remove it");
    }
    let account = url.map(|url| url.value);
    if account.as_ref().is_some_and(|account| account.database.value != writer.database) {
        r.error(by, "gives another database than the writer has; set the same, of which it is a replica");
    }
    let (user, password, secret) = match account {
        Some(account) => (account.user.value, account.password.value, r.to_read_again("DATABASE_READER_URL")),
        None => (writer.user.clone(), writer.password.clone(), writer.secret.clone()),
    };
    let ssl_mode = match is_rds(&host) && !r.is_set("DATABASE_SSL_MODE") {
        true => SslMode::VerifyIdentity,
        false => writer.ssl_mode,
    };
    let iam_region = writer.iam_region.as_ref().and_then(|_| {
        let host = Given { by, value: host.as_str() };
        iam::region(r, &host, &Given { by, value: password.clone() }, ssl_mode)
    });
    Some(MySql { host, port, user, password, ssl_mode, iam_region, secret, ..writer.clone() })
}

fn source(text: &str) -> Result<Source, Fault> {
    if text.starts_with("sqlite:") {
        return path_of(text, "sqlite").map(Source::File).ok_or(FORM);
    }
    let url = ServiceUrl::parse(text).filter(|url| url.scheme == "mysql").ok_or(FORM)?;
    let user = url.user.ok_or(FORM)?;
    if url.path.is_empty() || url.path.contains('/') {
        return Err(FORM);
    }
    Ok(Source::Server(Account {
        host: by_url(url.host),
        port: by_url(url.port.unwrap_or(3306)),
        user: by_url(user),
        password: by_url(url.password.unwrap_or_else(|| Secret::from(String::new()))),
        database: by_url(url.path),
    }))
}

fn by_url<T>(value: T) -> Given<T> {
    Given { by: "DATABASE_URL", value }
}

impl Family {
    /// The account, if any variable of the group is set. Reports each required one that is then missing.
    fn account(&self, r: &mut Reader<'_>, by_iam: bool) -> Option<Account> {
        let names = [Some(self.password), Some(self.host), Some(self.user), Some(self.database), self.port];
        let first = names.into_iter().flatten().find(|name| r.is_set(name))?;
        let usual = self.usual.as_ref();

        let address = match usual {
            Some(usual) if !r.is_set(self.host) => {
                Some((Given { by: first, value: usual.host.to_owned() }, Given { by: first, value: 3306 }))
            }
            _ => {
                r.required(self.host, first);
                r.host_and_port(self.host, self.port, 3306)
            }
        };
        let mut part = |name, usual: Option<&str>| match usual {
            Some(usual) if !r.is_set(name) => Some(Given { by: first, value: usual.to_owned() }),
            _ => r.required(name, first),
        };
        let user = part(self.user, usual.map(|usual| usual.user));
        let password = part(self.password, by_iam.then_some(""));
        let database = part(self.database, usual.map(|usual| usual.database));

        // Return early only here, after all missing variables have been reported.
        let (host, port) = address?;
        let password = password?;
        let password = Given { by: password.by, value: Secret::from(password.value) };
        Some(Account { host, port, user: user?, password, database: database? })
    }
}

fn ssl_mode(text: &str) -> Result<SslMode, Fault> {
    match text.to_ascii_lowercase().replace('-', "_").as_str() {
        "disabled" => Ok(SslMode::Disabled),
        "preferred" => Ok(SslMode::Preferred),
        "required" => Ok(SslMode::Required),
        "verify_ca" => Ok(SslMode::VerifyCa),
        "verify_identity" => Ok(SslMode::VerifyIdentity),
        _ => Err("is none of disabled, preferred, required, verify_ca and verify_identity; set one of them"),
    }
}

/// Regions in China have their own domain.
fn is_rds(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    host.ends_with(".rds.amazonaws.com") || host.ends_with(".rds.amazonaws.com.cn")
}

fn is_here(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "::1")
}

/// Adds the TLS settings. Default mode: `VerifyIdentity` for RDS host names, elsewhere `Preferred`, as in MySQL.
fn with_tls(
    r: &mut Reader<'_>,
    account: Account,
    stated: Option<SslMode>,
    ca_file: Option<PathBuf>,
    by_iam: bool,
) -> MySql {
    let host = account.host.value.clone();
    let on_rds = is_rds(&host);
    let ssl_mode = stated.unwrap_or(if on_rds { SslMode::VerifyIdentity } else { SslMode::Preferred });
    let verifies = matches!(ssl_mode, SslMode::VerifyCa | SslMode::VerifyIdentity);
    // Of RDS, only RDS Proxy has certificates from Amazon's public authorities.
    if on_rds && verifies && ca_file.is_none() && !host.contains(".proxy-") {
        r.warn(
            "DATABASE_CA_FILE",
            "is missing and RDS certificates are signed by authorities that no system knows, so the connection will \
             probably be refused; download https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem and set \
             its path",
        );
    }
    if r.env == AppEnv::Production && !verifies && !is_here(&host) {
        r.warn(
            "DATABASE_SSL_MODE",
            "verifies no certificate, so somebody in between could read everything; set verify_identity, or verify_ca \
             for an alias such as db.home, and DATABASE_CA_FILE",
        );
    }
    if ca_file.is_some() && !verifies {
        r.warn(
            "DATABASE_CA_FILE",
            "is not looked at, because DATABASE_SSL_MODE verifies nothing; set it to verify_ca or verify_identity",
        );
    }
    let iam_region = if by_iam {
        let address = Given { by: account.host.by, value: host.as_str() };
        iam::region(r, &address, &account.password, ssl_mode)
    } else {
        None
    };
    MySql {
        host,
        port: account.port.value,
        user: account.user.value,
        password: account.password.value,
        database: account.database.value,
        ssl_mode,
        ca_file,
        by_proxy: false,
        iam_region,
        secret: r.to_read_again("DATABASE_URL"),
    }
}
