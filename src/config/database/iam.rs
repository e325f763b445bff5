//! DATABASE_IAM_AUTH: sign-in with IAM tokens, and its requirements. The server receives the token as a clear-text
//! password, so its certificate must be verified. A token is signed for the endpoint, so the host must not be an alias.

use super::super::reader::{Given, Reader};
use super::super::values::{aws_region, yes_or_no};
use super::{Secret, SslMode, is_here, is_rds};

const AWS_REGION: &str = "AWS_REGION";

pub(super) fn is_on(r: &mut Reader<'_>) -> bool {
    r.value("DATABASE_IAM_AUTH", yes_or_no).unwrap_or(false)
}

pub(super) fn refuse_for_a_file(r: &mut Reader<'_>) {
    r.error(
        "DATABASE_IAM_AUTH",
        "is true, and the database is a file; set DATABASE_URL to mysql://USER@HOST/DATABASE, or remove it",
    );
}

/// The region for which tokens are signed.
pub(super) fn region(
    r: &mut Reader<'_>,
    address: &Given<&str>,
    password: &Given<Secret>,
    ssl_mode: SslMode,
) -> Option<String> {
    let host = address.value.trim_end_matches('.');
    if !password.value.expose().is_empty() {
        r.error(
            password.by,
            "gives a password, and DATABASE_IAM_AUTH=true signs in by a token instead; remove one of the two",
        );
    }
    if ssl_mode != SslMode::VerifyIdentity {
        r.error(
            "DATABASE_SSL_MODE",
            "is not verify_identity, and DATABASE_IAM_AUTH=true sends a token that only the database itself may see; set \
             verify_identity, and DATABASE_CA_FILE",
        );
    }
    if !is_rds(host) && !is_here(host) {
        r.error(
            address.by,
            "gives an alias (such as db.home) as host, and DATABASE_IAM_AUTH=true needs the end point itself, for which \
             tokens are signed; set the one under .rds.amazonaws.com that the console shows",
        );
        return None;
    }
    // NAME.ID.REGION.rds.amazonaws.com
    let in_host = host.split(".rds.amazonaws.com").next().and_then(|rest| rest.rsplit('.').next());
    let in_host = in_host
        .filter(|region| is_rds(host) && region.contains('-'))
        .and_then(|region| aws_region(region).ok());
    if in_host.is_none() && !r.is_set(AWS_REGION) {
        r.error(
            AWS_REGION,
            "is missing, and the host of the database names no region; set the region of the database",
        );
    }
    in_host.or_else(|| r.value(AWS_REGION, aws_region))
}
