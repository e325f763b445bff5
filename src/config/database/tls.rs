//! DATABASE_SSL_MODE and DATABASE_CA_FILE.

use std::path::PathBuf;

use super::super::AppEnv;
use super::super::reader::{Given, Reader};
use super::super::values::Fault;
use super::{Account, MySql, iam, is_here, is_rds};

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

pub(super) fn ssl_mode(text: &str) -> Result<SslMode, Fault> {
    match text.to_ascii_lowercase().replace('-', "_").as_str() {
        "disabled" => Ok(SslMode::Disabled),
        "preferred" => Ok(SslMode::Preferred),
        "required" => Ok(SslMode::Required),
        "verify_ca" => Ok(SslMode::VerifyCa),
        "verify_identity" => Ok(SslMode::VerifyIdentity),
        _ => Err("is none of disabled, preferred, required, verify_ca and verify_identity; set one of them"),
    }
}

/// Adds the TLS settings. Default mode: `VerifyIdentity` for RDS host names, elsewhere `Preferred`, as in MySQL.
pub(super) fn with_tls(
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
    // Within RDS, only RDS Proxy has certificates from Amazon's public authorities.
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
        secret: r.without_values("DATABASE_URL"),
    }
}
