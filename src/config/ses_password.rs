//! SES_SECRET_ACCESS_KEY: the SMTP password of Amazon SES is derived from an IAM user's secret access key and differs
//! by region. The algorithm is published in the AWS documentation, "Obtaining Amazon SES SMTP credentials".

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;

use super::mail::{Smtp, region_of_server};
use super::reader::Reader;
use super::values::aws_region;
use super::{ConfigErrors, Secret, Variables};

pub(super) const SES_KEY: &str = "SES_SECRET_ACCESS_KEY";

/// Names the algorithm; the first byte of the password.
const VERSION: u8 = 0x04;
/// Replaces the date of Signature Version 4, so that the password does not expire.
const DATE: &str = "11111111";

/// Derives the SMTP password for other programs. Unrelated settings may be missing.
///
/// # Errors
/// All missing and malformed settings together.
pub fn smtp_password(vars: &Variables) -> Result<Secret, ConfigErrors> {
    let mut reader = Reader::new(vars);
    let r = &mut reader;
    let key = secret_access_key(r);
    if !r.is_set(SES_KEY) {
        r.error(SES_KEY, "is missing; set the secret access key of the IAM user that sends mail");
    }
    let in_host = region_of_server(r);
    let region = region(r, in_host);
    let (errors, _) = reader.finish();
    let (Some(key), Some(region), []) = (key, region, errors.as_slice()) else {
        return Err(ConfigErrors(errors));
    };
    Ok(derive(&key, &region))
}

pub(super) fn secret_access_key(r: &mut Reader<'_>) -> Option<Secret> {
    r.value(SES_KEY, |text| Ok(Secret::from(text.to_owned())))
}

/// Adds the derived password to an account that has only a user name.
pub(super) fn complete(r: &mut Reader<'_>, account: Smtp, key: &Secret) -> Option<Smtp> {
    if account.password.is_some() {
        r.error(
            SES_KEY,
            "is set, and so is an SMTP password; remove it, or the password in SMTP_URL \
             (AWS_INTRO_SAMPLE_SMTP_PASSWORD)",
        );
        return None;
    }
    if account.username.is_none() {
        r.error(
            SES_KEY,
            "needs the id of the access key as the user name; set SMTP_URL to smtps://ACCESS_KEY_ID@HOST",
        );
    }
    let region = region(r, account.ses_region())?;
    Some(Smtp { password: Some(derive(key, &region)), ..account })
}

/// The region whose password is needed: the one in the host name, or AWS_REGION for hosts without one (a VPC endpoint,
/// a tunnel).
fn region(r: &mut Reader<'_>, in_host: Option<String>) -> Option<String> {
    const AWS_REGION: &str = "AWS_REGION";
    if in_host.is_none() && !r.is_set(AWS_REGION) {
        r.error(
            AWS_REGION,
            "is missing, and the mail server is not email-smtp.REGION.amazonaws.com; set the region for which \
             SES_SECRET_ACCESS_KEY gives the SMTP password",
        );
    }
    in_host.or_else(|| r.value(AWS_REGION, aws_region))
}

/// The region in `email-smtp.REGION.amazonaws.com` and `email-smtp-fips.REGION.amazonaws.com`.
pub(super) fn region_of_host(host: &str) -> Option<String> {
    let rest = host.strip_prefix("email-smtp.").or_else(|| host.strip_prefix("email-smtp-fips."))?;
    aws_region(rest.strip_suffix(".amazonaws.com")?).ok()
}

pub(super) fn derive(key: &Secret, region: &str) -> Secret {
    let first_key = format!("AWS4{}", key.expose()).into_bytes();
    let messages = [DATE, region, "ses", "aws4_request", "SendRawEmail"];
    let signature = messages.into_iter().fold(first_key, |key, message| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
    });
    Secret::from(BASE64_STANDARD.encode([&[VERSION][..], signature.as_slice()].concat()))
}
