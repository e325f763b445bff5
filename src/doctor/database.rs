//! The database check. It tests TLS by hand first, because sqlx does not show the certificate, and then uses the
//! application's own pool.

use std::time::Instant;

use rustls::{CertificateError, RootCertStore};
use sqlx::mysql::MySqlDatabaseError;
use tokio::net::TcpStream;

use super::mysql_handshake::{self, Greeting};
use super::network::Server;
use super::{Check, Failed, Problem, STEP_TIMEOUT, StepResult, bad_file, certificate, milliseconds};
use crate::clock::Clock;
use crate::config::{AppEnv, Config, Database, MySql, SslMode};
use crate::db::{Conn, Db, NeedsTls};
use crate::error::{Error, Result};
use crate::jobs::picture_deletion;
use crate::models::picture::Format;
use crate::services::images;
use crate::tls;

const HOST: &str = "DATABASE_URL (or RDS_HOSTNAME, MYSQL_DATABASE_HOST, AWS_INTRO_SAMPLE_DATABASE_HOST)";
const NOT_MYSQL: &str = "look whether the port in DATABASE_URL (or behind the host in the other names) is that of MySQL, usually \
    3306, and how the server is doing";
const PASSWORD: &str = "the password in DATABASE_URL (for the reader DATABASE_READER_URL; or in RDS_PASSWORD, MYSQL_DATABASE_PASSWORD, \
    AWS_INTRO_SAMPLE_DATABASE_PASSWORD: whichever is set)";

pub(super) async fn run(config: &Config) -> Check {
    match &config.database {
        Database::Sqlite(path) => {
            let address = format!("SQLite, {}", path.display());
            let mut check = Check::begin("database", &address, &["file", "migrations", "round trip"]);
            let done = check_sqlite(&mut check, config).await;
            check.end(done)
        }
        Database::MySql(mysql) => {
            let server = server(mysql, HOST);
            let address = format!("mysql://{}/{}", server.authority(), mysql.database);
            let steps = ["name", "port", "greeting", "TLS", "sign-in", "migrations", "round trip"];
            let mut check = Check::begin("database", &address, &steps);
            let done = async {
                let db = sign_in(&mut check, mysql, &server).await?;
                check_tables(&mut check, config, &db).await
            };
            let done = done.await;
            check.end(done)
        }
    }
}

pub(super) fn server<'a>(mysql: &'a MySql, setting: &'static str) -> Server<'a> {
    Server {
        host: &mysql.host,
        port: mysql.port,
        what: "the RDS instance",
        unreachable_advice: None,
        setting,
        ca_advice: "name who signs its certificate: for RDS download \
            https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem and set its path in DATABASE_CA_FILE; no \
            system has the authorities of RDS by itself",
        no_tls_advice: "look whether the server has a certificate (RDS always has one), and whether something between \
            it and this machine ends connections",
    }
}

async fn check_sqlite(check: &mut Check, config: &Config) -> Result<(), Failed> {
    let open = async {
        let db = open(&config.database).await.map_err(|error| {
            let advice = "let the user who runs the program write the file and its folder, or set another one in \
                DATABASE_URL";
            Problem::of(&error, advice)
        })?;
        Ok((db, "opens".to_owned()))
    };
    let db = check.step("file", open).await?;
    check_tables(check, config, &db).await
}

/// The steps from `name` to `sign-in`.
pub(super) async fn sign_in(check: &mut Check, mysql: &MySql, server: &Server<'_>) -> Result<Db, Failed> {
    let mut stream = server.reach(check).await?;
    let offers_tls = check.step_within(STEP_TIMEOUT, "greeting", NOT_MYSQL, greet(&mut stream)).await?;
    let tls = look_at_tls(stream, offers_tls, mysql, server);
    check.step_within(STEP_TIMEOUT, "TLS", server.no_tls_advice, tls).await?;
    let sign_in = async {
        let start = Instant::now();
        let db = match open(&Database::MySql(mysql.clone())).await {
            Ok(db) => db,
            Err(error) if wants_tls(&error, mysql, offers_tls).await => {
                let advice =
                    "with TLS the same user and password are taken: remove DATABASE_SSL_MODE=disabled";
                return Err(Problem::new(error.text(), advice));
            }
            Err(error) => return Err(refused(&error, mysql)),
        };
        let mut text = format!("{} is in, and there is a database {}", mysql.user, mysql.database);
        match db.cluster().await.map_err(|error| refused(&error, mysql))? {
            None => {}
            Some(cluster) if cluster.reads_are_current => text += ", in a cluster",
            Some(_) => return Err(stale_reads()),
        }
        Ok((db, format!("{text} ({})", milliseconds(start))))
    };
    check.step("sign-in", sign_in).await
}

async fn open(database: &Database) -> Result<Db> {
    Db::open(database)?.with_connection().await
}

/// Whether sign-in fails only for lack of TLS. Without TLS, accounts with REQUIRE SSL and MariaDB with
/// require_secure_transport answer with error 1045, the same as for a wrong password.
async fn wants_tls(error: &Error, mysql: &MySql, offers_tls: bool) -> bool {
    let is_refused = mysql_error(error).is_some_and(|(number, _)| number == 1045);
    is_refused && offers_tls && mysql.ssl_mode == SslMode::Disabled && {
        let by_tls = MySql { ssl_mode: SslMode::Preferred, ..mysql.clone() };
        open(&Database::MySql(by_tls)).await.is_ok()
    }
}

async fn greet(stream: &mut TcpStream) -> StepResult<bool> {
    match mysql_handshake::read(stream).await {
        Ok(Greeting::Hello { version, offers_tls }) => {
            let tls = if offers_tls { "offers TLS" } else { "offers no TLS" };
            Ok((offers_tls, format!("version {version}, {tls}")))
        }
        Ok(Greeting::Error(said)) => Err(Problem::new(
            said,
            "the server turns this machine away before anybody signs in: raise max_connections or end connections, or \
             unblock the host with FLUSH HOSTS, or allow it with CREATE USER ..@'%'",
        )),
        Err(error) => Err(Problem::new(error, NOT_MYSQL)),
    }
}

/// Reports the TLS mode and the certificate. The real connection is made by sqlx in the next step; like sqlx, this
/// trusts the authorities of the system and those in DATABASE_CA_FILE together.
async fn look_at_tls(
    mut stream: TcpStream,
    offers: bool,
    mysql: &MySql,
    server: &Server<'_>,
) -> StepResult<()> {
    let mode = mysql.ssl_mode;
    let is_checked = matches!(mode, SslMode::VerifyCa | SslMode::VerifyIdentity);
    match mode {
        SslMode::Disabled => return Ok(((), "none, as DATABASE_SSL_MODE=disabled says".to_owned())),
        SslMode::Preferred if !offers => {
            return Ok((
                (),
                "none: the server offers none, and DATABASE_SSL_MODE=preferred does without".to_owned(),
            ));
        }
        _ if !offers => {
            return Err(Problem::new(
                "the server offers no TLS, and DATABASE_SSL_MODE asks for it",
                "give the server a certificate (RDS always has one: is this the right host?), or set \
                 DATABASE_SSL_MODE=preferred where the network is your own",
            ));
        }
        _ => {}
    }
    let problem = |error: &Error| bad_file(error, server.ca_advice);
    let mut roots: RootCertStore = tls::roots(None).map_err(|error| problem(&error))?;
    if is_checked && let Some(file) = &mysql.ca_file {
        let own = tls::roots(Some(file)).map_err(|error| problem(&error))?;
        roots.extend(own.roots);
    }
    mysql_handshake::ask_for_tls(&mut stream)
        .await
        .map_err(|error| Problem::new(error, server.no_tls_advice))?;
    let (seen, begun) = certificate::begin_tls(stream, &mysql.host, roots).await;
    let issued = seen.as_ref().map_or_else(String::new, certificate::Certificate::issued);
    let Err(error) = begun else {
        return Ok(((), seen.map_or_else(String::new, |seen| seen.describe(&mysql.host))));
    };
    let other_name = |fault: &CertificateError| {
        matches!(fault, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })
    };
    match certificate::fault(&error) {
        Some(fault) if mode == SslMode::VerifyCa && other_name(fault) => Ok((
            (),
            format!("{issued}, made out to another name, which DATABASE_SSL_MODE=verify_ca does not mind"),
        )),
        Some(_) if !is_checked && seen.is_some() => Ok((
            (),
            format!("{issued}, not checked: DATABASE_SSL_MODE=verify_identity with DATABASE_CA_FILE would"),
        )),
        _ => Err(server.refused(&error, seen.as_ref())),
    }
}

/// The steps `migrations` and `round trip`.
async fn check_tables(check: &mut Check, config: &Config, db: &Db) -> Result<(), Failed> {
    let look = async {
        let advice = "look at the table _sqlx_migrations, and at the rights of the database user";
        match db.pending_migrations().await.map_err(|error| Problem::of(&error, advice))? {
            0 => Ok((0, "all applied".to_owned())),
            pending if config.env == AppEnv::Production => Err(Problem::new(
                format!("the database lacks {pending}"),
                "run `sample-app migrate`; production does not start without",
            )),
            pending => Ok((pending, format!("{pending} to come: the next start applies them"))),
        }
    };
    if check.step("migrations", look).await? > 0 {
        check.skip("round trip", "until the migrations are applied");
        return Ok(());
    }
    let start = Instant::now();
    let trip = async {
        write_and_remove(db).await.map_err(|error| refused_write(&error))?;
        Ok(((), format!("a row was written and removed ({})", milliseconds(start))))
    };
    check.step("round trip", trip).await
}

/// Writes and removes a row in one transaction, so that no other connection sees it and it never remains. If it did, it
/// would be harmless: the picture that it schedules for deletion does not exist.
async fn write_and_remove(db: &Db) -> Result<()> {
    let picture = images::new_key(Format::Png)?;
    let now = Clock::default().now();
    db.transaction(async |conn: &mut Conn| {
        picture_deletion::schedule(conn, &picture, now).await?.cancel(conn).await
    })
    .await
}

fn refused(error: &Error, mysql: &MySql) -> Problem {
    let MySql { user, database, .. } = mysql;
    if let Error::Internal(source) = error
        && let Some(sqlx::Error::Configuration(found)) = source.downcast_ref()
        && found.is::<NeedsTls>()
    {
        let text = format!("{user} signs in by caching_sha2_password, which needs TLS");
        return Problem::new(text, NeedsTls::ADVICE);
    }
    let Some((number, message)) = mysql_error(error) else {
        return Problem::of(
            error,
            "look at the log of the server; name, port and TLS were all right just now",
        );
    };
    let advice = match number {
        1045 | 1698 if mysql.iam_region.is_some() => format!(
            "let the role of this program do rds-db:connect as {user}, switch on IAM authentication of the RDS instance, \
             and make the user with CREATE USER {user} IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'"
        ),
        1045 | 1698 => format!(
            "check {PASSWORD} against the user {user} of the RDS instance; in a URL, special characters have to be \
             percent-encoded. The user has to be allowed from this machine ({user}@'%')"
        ),
        1044 => format!("as the master user: GRANT ALL ON {database}.* TO {user}@'%'"),
        1049 => format!(
            "make it as the master user: CREATE DATABASE {database} CHARACTER SET utf8mb4 (RDS makes only the one \
             named as \"initial database\")"
        ),
        1040 | 1203 => "end other connections, or raise max_connections in the parameter group".to_owned(),
        3159 => "the server insists on TLS: remove DATABASE_SSL_MODE=disabled".to_owned(),
        _ => "look the number up in the reference of MySQL, and at the log of the server".to_owned(),
    };
    Problem::new(format!("{message} ({number})"), advice)
}

fn stale_reads() -> Problem {
    Problem::new(
        "this is a node of a cluster, and its reads do not wait for the writes of the other nodes: a visitor would miss \
         their own post",
        "set on every node wsrep_sync_wait=7 (Galera) or group_replication_consistency=BEFORE (Group Replication)",
    )
}

fn refused_write(error: &Error) -> Problem {
    let advice = match mysql_error(error).map(|(number, _)| number) {
        Some(1290 | 1792 | 1836) => {
            "this is a reader, which takes no rows: set the end point of the writer (the instance, or the cluster's own)"
        }
        Some(1142 | 1044) => "the user may not write: GRANT ALL on the database to it, as the master user",
        _ => "look at the free space and the state of the database",
    };
    Problem::new(error.text(), advice)
}

/// Number and message of the MySQL error in the chain of sources.
fn mysql_error(error: &Error) -> Option<(u16, String)> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = match error {
        Error::Unavailable(source) | Error::Internal(source) => Some(source.as_ref()),
        Error::Database(error) => Some(error),
        _ => None,
    };
    while let Some(error) = next {
        if let Some(sqlx::Error::Database(found)) = error.downcast_ref() {
            let mysql = found.try_downcast_ref::<MySqlDatabaseError>()?;
            return Some((mysql.number(), mysql.message().to_owned()));
        }
        next = error.source();
    }
    None
}
