//! IAM tokens, which replace the password of an RDS user. A token is a presigned URL that is never fetched. (AWS
//! documentation: "IAM database authentication".)

use std::time::{Duration, SystemTime};

use aws_sdk_s3::config::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use url::Url;

use crate::aws;
use crate::config::{MySql, Secret, authority};
use crate::error::{Error, Result};

/// How long a token can be used to sign in. Sessions outlast it.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// A token for this database's user and endpoint, signed with newly loaded credentials.
pub async fn create(database: &MySql, region: &str) -> Result<Secret> {
    let (_, credentials) = aws::load(region).await?;
    token(database, region, credentials, SystemTime::now())
}

fn token(database: &MySql, region: &str, credentials: Credentials, now: SystemTime) -> Result<Secret> {
    let host = authority(database.host.trim_end_matches('.'), database.port);
    let mut url = Url::parse(&format!("https://{host}/")).map_err(Error::internal)?;
    url.query_pairs_mut().append_pair("Action", "connect").append_pair("DBUser", &database.user);
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(LIFETIME);
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("rds-db")
        .time(now)
        .settings(settings)
        .build()
        .map_err(Error::internal)?;
    let request = SignableRequest::new("GET", url.as_str(), std::iter::empty(), SignableBody::Bytes(&[]));
    let (signed, _) =
        sign(request.map_err(Error::internal)?, &params.into()).map_err(Error::internal)?.into_parts();
    for (name, value) in signed.params() {
        url.query_pairs_mut().append_pair(name, value);
    }
    // `Url` drops port 443, the default of https; no MySQL server listens there.
    Ok(Secret::from(url.as_str().trim_start_matches("https://").to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SslMode;

    /// Test vector from auth_token.rs of aws-sdk-rds.
    #[test]
    fn a_token_is_the_published_one() -> Result<()> {
        let database = MySql {
            host: "prod-instance.us-east-1.rds.amazonaws.com".into(),
            port: 3306,
            user: "peccy".into(),
            password: Secret::from(String::new()),
            database: "app".into(),
            ssl_mode: SslMode::VerifyIdentity,
            ca_file: None,
            by_proxy: false,
            iam_region: Some("us-east-1".into()),
            secret: None,
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_724_709_600);
        let credentials = Credentials::new("akid", "secret", None, None, "test");
        let token = token(&database, "us-east-1", credentials, now)?;
        assert_eq!(
            token.expose(),
            "prod-instance.us-east-1.rds.amazonaws.com:3306/?Action=connect&DBUser=peccy\
             &X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=akid%2F20240826%2Fus-east-1%2Frds-db%2Faws4_request\
             &X-Amz-Date=20240826T220000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=dd0cba843009474347af724090233265628ace491ea17ce3eb3da098b983ad89"
        );
        Ok(())
    }
}
