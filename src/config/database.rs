//! The database settings: one URL, or the groups of variables that the tutorials and Elastic Beanstalk export.

mod iam;
mod read_replica;
mod tls;

use std::fmt;
use std::path::{Path, PathBuf};

pub(super) use self::read_replica::reader;
pub use self::tls::SslMode;
use self::tls::{ssl_mode, with_tls};
use super::reader::{Given, Reader};
use super::values::{Fault, ServiceUrl, authority, path_of, yes_or_no};
use super::{ConfigErrors, Secret, Variables};

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
    /// Region for which IAM tokens are signed; `None` if a password is used.
    pub iam_region: Option<String>,
    /// Variables that refer to the secret with the account; `None` if the account comes from no secret.
    pub secret: Option<Variables>,
}

impl MySql {
    /// User and password in `vars`, which are the variables of `secret` with their values.
    ///
    /// # Errors
    /// When the variables are invalid or contain no account.
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

const FORM: Fault = "is not of the form mysql://USER:PASSWORD@HOST[:PORT]/DATABASE or sqlite:PATH; write it so, with \
    / ? # @ : and % of user and password percent-encoded (%2F %3F %23 %40 %3A %25) and without parameters \
    (for TLS there is DATABASE_SSL_MODE)";
const ADVICE: &str = "set mysql://USER:PASSWORD@HOST/DATABASE, or one family of its other names (`sample-app --help`), \
    or sqlite:PATH";

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
struct VariableGroup {
    host: &'static str,
    port: Option<&'static str>,
    user: &'static str,
    password: &'static str,
    database: &'static str,
    /// Defaults for everything but port and password.
    defaults: Option<GroupDefaults>,
}

struct GroupDefaults {
    host: &'static str,
    user: &'static str,
    database: &'static str,
}

const VARIABLE_GROUPS: [VariableGroup; 3] = [
    VariableGroup {
        host: "MYSQL_DATABASE_HOST",
        port: None,
        user: "MYSQL_DATABASE_USER",
        password: "MYSQL_DATABASE_PASSWORD",
        database: "MYSQL_DATABASE_DB",
        defaults: None,
    },
    VariableGroup {
        host: "RDS_HOSTNAME",
        port: Some("RDS_PORT"),
        user: "RDS_USERNAME",
        password: "RDS_PASSWORD",
        database: "RDS_DB_NAME",
        defaults: None,
    },
    VariableGroup {
        host: "AWS_INTRO_SAMPLE_DATABASE_HOST",
        port: None,
        user: "AWS_INTRO_SAMPLE_DATABASE_USERNAME",
        password: "AWS_INTRO_SAMPLE_DATABASE_PASSWORD",
        database: "AWS_INTRO_SAMPLE_DATABASE_NAME",
        // From the Rails sample: its private DNS zone and its config/database.yml.
        defaults: Some(GroupDefaults { host: "db.home", user: "sample_app", database: "sample_app" }),
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
    let groups: Vec<Account> = VARIABLE_GROUPS.iter().filter_map(|group| group.account(r, by_iam)).collect();

    let url = match url {
        Some(Source::File(path)) => {
            for account in groups {
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
    let mut accounts = url.into_iter().chain(groups);
    let Some(account) = accounts.next() else {
        if by_proxy {
            r.error("DATABASE_PROXY", PROXY_OF_FILE);
        }
        if by_iam {
            iam::refuse_for_a_file(r);
        }
        return r.absent("DATABASE_URL", Database::Sqlite(data_dir.join("sample_app.db")), ADVICE);
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

impl VariableGroup {
    /// The account, if any variable of the group is set. Reports each required one that is then missing.
    fn account(&self, r: &mut Reader<'_>, by_iam: bool) -> Option<Account> {
        let names = [Some(self.password), Some(self.host), Some(self.user), Some(self.database), self.port];
        let first = names.into_iter().flatten().find(|name| r.is_set(name))?;
        let defaults = self.defaults.as_ref();

        let address = match defaults {
            Some(defaults) if !r.is_set(self.host) => {
                Some((Given { by: first, value: defaults.host.to_owned() }, Given { by: first, value: 3306 }))
            }
            _ => {
                r.required(self.host, first);
                r.host_and_port(self.host, self.port, 3306)
            }
        };
        let mut part = |name, default: Option<&str>| match default {
            Some(default) if !r.is_set(name) => Some(Given { by: first, value: default.to_owned() }),
            _ => r.required(name, first),
        };
        let user = part(self.user, defaults.map(|defaults| defaults.user));
        let password = part(self.password, by_iam.then_some(""));
        let database = part(self.database, defaults.map(|defaults| defaults.database));

        // Return early only here, after all missing variables have been reported.
        let (host, port) = address?;
        let password = password?;
        let password = Given { by: password.by, value: Secret::from(password.value) };
        Some(Account { host, port, user: user?, password, database: database? })
    }
}

/// Whether this is an RDS host name. Regions in China have their own domain.
fn is_rds(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    host.ends_with(".rds.amazonaws.com") || host.ends_with(".rds.amazonaws.com.cn")
}

fn is_here(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "::1")
}
