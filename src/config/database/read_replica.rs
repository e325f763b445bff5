//! DATABASE_READER_URL and its other names: the address of a read replica, and its own account if it has one.

use super::super::reader::{Given, Reader};
use super::super::values::Fault;
use super::{Account, Database, MySql, Source, SslMode, iam, is_rds, source};

const READER_FORM: Fault = "is not of the form mysql://USER:PASSWORD@HOST[:PORT]/DATABASE; write it so, or set the host alone \
    in MYSQL_DATABASE_READER_HOST";
/// Variables that set only the reader's address; everything else is as for the writer.
const READER_HOSTS: [&str; 2] = ["MYSQL_DATABASE_READER_HOST", "RDS_READER_HOSTNAME"];

/// The reader, or `None` if there is none or an error was reported.
pub(in crate::config) fn reader(r: &mut Reader<'_>, database: Option<&Database>) -> Option<MySql> {
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
        Some(account) => {
            (account.user.value, account.password.value, r.without_values("DATABASE_READER_URL"))
        }
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
