//! The settings for outgoing mail, its sender address and SES events.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use lettre::message::Mailbox;

use super::reader::{Given, Reader};
use super::ses_password::{self, SES_KEY};
use super::values::{Fault, ServiceUrl, aws_domain, host, path_of};
use super::{AppUrl, Secret};

/// How mail is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mail {
    /// Into a folder, one .eml file per mail.
    Folder(PathBuf),
    /// Through a mail server such as SES.
    Smtp(Smtp),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smtp {
    /// How TLS starts; there is no mode without TLS.
    pub tls: SmtpTls,
    /// Host name or IP address; IPv6 without brackets.
    pub host: String,
    /// Default: 465 with implicit TLS, 587 with STARTTLS.
    pub port: u16,
    /// Set if and only if the password is set.
    pub username: Option<String>,
    /// For SES: the region's SMTP password, which is not the secret access key but can be derived from it.
    pub password: Option<Secret>,
}

impl Smtp {
    /// The region that the host name of an SES endpoint contains.
    pub fn ses_region(&self) -> Option<String> {
        ses_password::region_of_host(&self.host)
    }
}

/// The SNS topic to which SES publishes bounces and complaints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SesTopic {
    pub arn: String,
    /// The SNS endpoint of its region.
    pub origin: AppUrl,
}

/// How TLS starts on an SMTP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// Right after connecting.
    Implicit,
    /// With the STARTTLS command; no mail or password is sent before it.
    StartTls,
}

const ADDRESS: &str = "AWS_INTRO_SAMPLE_SMTP_ADDRESS";
const PASSWORD: &str = "AWS_INTRO_SAMPLE_SMTP_PASSWORD";

const SMTP_PORTS: Fault = "has a port that does not tell how TLS begins; set SMTP_URL to smtps://.. (465 and 2465) or \
    smtp://.. for STARTTLS (587 and 2587), instead of these names";

pub(super) fn mail(r: &mut Reader<'_>, data_dir: &Path) -> Option<Mail> {
    let ses_key = ses_password::secret_access_key(r);
    let has_ses_key = r.is_set(SES_KEY);
    let url = r.given("SMTP_URL", |text| mail_url(text, has_ses_key));
    let book = book_mail(r);
    let mail = match r.one_of("mail account", [url, book]) {
        Some(mail) => mail.value,
        None => {
            let folder = Mail::Folder(data_dir.join("mail"));
            r.absent(
                "SMTP_URL",
                folder,
                "set smtps://USER:PASSWORD@HOST, or the AWS_INTRO_SAMPLE_SMTP_ names, or file:PATH",
            )?
        }
    };
    match (mail, ses_key) {
        (mail, None) => Some(mail),
        (Mail::Smtp(smtp), Some(key)) => ses_password::complete(r, smtp, &key).map(Mail::Smtp),
        (Mail::Folder(_), Some(_)) => {
            r.error(
                SES_KEY,
                "is set, and mail goes to a folder; set SMTP_URL to \
                 smtps://ACCESS_KEY_ID@email-smtp.REGION.amazonaws.com, or remove it",
            );
            None
        }
    }
}

/// The region in the host name of the mail server; the account may be incomplete.
pub(super) fn region_of_server(r: &mut Reader<'_>) -> Option<String> {
    let url = r.value("SMTP_URL", |text| mail_url(text, true));
    let address = r.host_and_port(ADDRESS, None, 465);
    match url {
        Some(Mail::Smtp(smtp)) => smtp.ses_region(),
        _ => address.and_then(|(host, _)| ses_password::region_of_host(&host.value)),
    }
}

/// With `has_ses_key`, the user may lack a password, because it is derived.
fn mail_url(text: &str, has_ses_key: bool) -> Result<Mail, Fault> {
    const FORM: Fault = "is not of the form smtps://USER:PASSWORD@HOST[:465], smtp://USER:PASSWORD@HOST[:587] or \
        file:PATH; write it so (without :PASSWORD beside SES_SECRET_ACCESS_KEY), with / ? # @ : and % of user and \
        password percent-encoded (%2F %3F %23 %40 %3A %25)";
    if let Some(folder) = path_of(text, "file") {
        return Ok(Mail::Folder(folder));
    }
    let url = ServiceUrl::parse(text).filter(|url| url.path.is_empty()).ok_or(FORM)?;
    let derived = has_ses_key && url.password.is_none();
    if !derived && url.user.is_some() != url.password.is_some() {
        return Err(FORM);
    }
    let (tls, usual) = match url.scheme.as_str() {
        "smtps" => (SmtpTls::Implicit, 465),
        "smtp" => (SmtpTls::StartTls, 587),
        _ => return Err(FORM),
    };
    let port = url.port.unwrap_or(usual);
    // With the wrong scheme for a port, client and server would wait for each other.
    if tls_of(port).is_some_and(|usual| usual != tls) {
        return Err(
            "has a scheme that does not fit its port; smtps:// goes with 465 and 2465, smtp:// with 587 and 2587",
        );
    }
    Ok(Mail::Smtp(Smtp { tls, host: url.host, port, username: url.user, password: url.password }))
}

/// The Rails sample's variables. The domain also sets the sender ([`mail_from`]), so it requires the others only if
/// SMTP_URL is not set.
fn book_mail(r: &mut Reader<'_>) -> Option<Given<Mail>> {
    let mut names = vec![ADDRESS, "AWS_INTRO_SAMPLE_SMTP_USERNAME", PASSWORD];
    if !r.is_set("SMTP_URL") {
        names.push("AWS_INTRO_SAMPLE_SMTP_DOMAIN");
    }
    let first = names.into_iter().find(|name| r.is_set(name))?;
    r.required(ADDRESS, first);
    let username = r.required("AWS_INTRO_SAMPLE_SMTP_USERNAME", first);
    let derived = r.is_set(SES_KEY) && !r.is_set(PASSWORD);
    let password = (!derived).then(|| r.required(PASSWORD, first));
    let (host, port) = r.host_and_port(ADDRESS, None, 465)?;
    let Some(tls) = tls_of(port.value) else {
        r.error(ADDRESS, SMTP_PORTS);
        return None;
    };
    let smtp = Smtp {
        tls,
        host: host.value,
        port: port.value,
        username: Some(username?.value),
        password: match password {
            Some(password) => Some(Secret::from(password?.value)),
            None => None,
        },
    };
    Some(Given { by: ADDRESS, value: Mail::Smtp(smtp) })
}

/// The TLS mode that a well-known port implies (the ports of SES and the standard ones).
fn tls_of(port: u16) -> Option<SmtpTls> {
    match port {
        465 | 2465 => Some(SmtpTls::Implicit),
        587 | 2587 => Some(SmtpTls::StartTls),
        _ => None,
    }
}

/// The sender address: MAIL_FROM, or no-reply at AWS_INTRO_SAMPLE_SMTP_DOMAIN, or no-reply at the host of APP_URL.
pub(super) fn mail_from(r: &mut Reader<'_>, app_url: Option<&AppUrl>, mail: Option<&Mail>) -> String {
    let at = |domain: &str| Some(format!("no-reply@{domain}")).filter(|address| is_sender(address));
    let stated = r.value("MAIL_FROM", mail_address);
    let domain = r.value("AWS_INTRO_SAMPLE_SMTP_DOMAIN", |text| {
        host(text).and_then(|domain| at(&domain)).ok_or("is not a domain; set one")
    });
    let app_host = app_url.map_or("localhost", AppUrl::host);
    stated.or(domain).or_else(|| at(app_host).filter(|_| app_host != "localhost")).unwrap_or_else(|| {
        if app_host != "localhost" || matches!(mail, Some(Mail::Smtp(_))) {
            r.warn(
                "MAIL_FROM",
                "is not set, and the host of APP_URL is no domain, so mail comes from no-reply@localhost, which mail \
                 servers may refuse; set an address of a domain of yours (SES: one that is verified)",
            );
        }
        "no-reply@localhost".to_owned()
    })
}

/// Whether mail can be sent from this address. lettre rejects address literals (`no-reply@[127.0.0.1]`, RFC 5321
/// 4.1.3), and servers reject IP addresses without brackets.
fn is_sender(address: &str) -> bool {
    let has_name = address.rsplit('@').next().is_some_and(|domain| domain.parse::<IpAddr>().is_err());
    has_name && address.parse::<Mailbox>().is_ok()
}

pub(super) fn configuration_set(text: &str) -> Result<String, Fault> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let valid = text.len() <= 64 && text.chars().all(allowed);
    if valid {
        Ok(text.to_owned())
    } else {
        Err("is not the name of a configuration set: a-z A-Z 0-9 _ - only")
    }
}

pub(super) fn ses_topic(r: &mut Reader<'_>) -> Option<SesTopic> {
    let endpoint = r.value("AWS_ENDPOINT_URL_SNS", |text| {
        let url: AppUrl = text.parse()?;
        if url.is_https() || matches!(url.host(), "localhost" | "127.0.0.1" | "[::1]") {
            return Ok(url);
        }
        Err("is http:// to another machine, where anybody could sign; set https://HOST[:PORT]")
    });
    let topic = r.value("SES_TOPIC_ARN", |text| {
        topic(text).ok_or("is not the ARN of a topic of SNS; set arn:aws:sns:REGION:ACCOUNT:NAME")
    })?;
    Some(SesTopic { origin: endpoint.unwrap_or(topic.origin), ..topic })
}

/// Parses `arn:PARTITION:sns:REGION:ACCOUNT:NAME`.
fn topic(arn: &str) -> Option<SesTopic> {
    let ["arn", partition, "sns", region, account, name] = *arn.split(':').collect::<Vec<_>>() else {
        return None;
    };
    let is_region = region.contains('-')
        && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let is_name = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    let domain = aws_domain(partition)?;
    let origin = format!("https://sns.{region}.{domain}").parse().ok()?;
    (is_region && is_account && is_name).then(|| SesTopic { arn: arn.to_owned(), origin })
}

fn mail_address(text: &str) -> Result<String, Fault> {
    let plain = |c: char| c.is_ascii_graphic() && !"<>()[],;:\\\"@".contains(c);
    let address = text.rsplit_once('@').filter(|(local, _)| !local.is_empty() && local.chars().all(plain));
    let address = address.and_then(|(local, domain)| Some(format!("{local}@{}", host(domain)?)));
    address
        .filter(|address| is_sender(address))
        .ok_or("is not a mail address; set it alone, NAME@DOMAIN, without a name or brackets around it")
}
