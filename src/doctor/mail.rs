//! The check of outgoing mail, up to the sender address. No mail is sent.

use std::io;
use std::path::Path;
use std::time::Instant;

use rustls::RootCertStore;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::network::Server;
use super::{Check, Failed, Problem, STEP_TIMEOUT, StepResult, bad_file, folder, milliseconds};
use crate::config::{Config, Mail, Smtp, SmtpTls};
use crate::error::{Error, Result};
use crate::mail::mailer::{DeliveryError, Mailer};
use crate::tls;

const SETTING: &str = "SMTP_URL (or AWS_INTRO_SAMPLE_SMTP_ADDRESS)";
/// Maximum length of a reply in bytes.
const MAX_REPLY: u64 = 8192;
const NO_GREETING: &str = "what is there does not greet as a mail server does: smtp:// (STARTTLS) is for the ports 587 and \
    2587, smtps:// for 465 and 2465";
const SENDER: &str = "set MAIL_FROM to an address that this server sends for; SES: one that is verified, or of a verified \
    domain";
const SANDBOX: &str = "no mail was sent; in SES's sandbox, where every account begins, only verified addresses get mail, and \
    the sender has to be verified always";

pub(super) async fn run(config: &Config) -> Check {
    match &config.mail {
        Mail::Folder(path) => {
            let address = format!("a folder, {}", path.display());
            let mut check = Check::begin("mail", &address, &["folder", "sender"]);
            let done = in_folder(&mut check, config, path).await;
            check.end(done)
        }
        Mail::Smtp(smtp) => {
            let server = server(smtp);
            // Implicit TLS comes before the greeting, STARTTLS after it.
            let (scheme, steps) = match smtp.tls {
                SmtpTls::Implicit => ("smtps", ["name", "port", "TLS", "greeting", "sign-in", "sender"]),
                SmtpTls::StartTls => ("smtp", ["name", "port", "greeting", "TLS", "sign-in", "sender"]),
            };
            let mut check = Check::begin("mail", &format!("{scheme}://{}", server.authority()), &steps);
            let done = by_smtp(&mut check, config, smtp, &server).await;
            check.end(done)
        }
    }
}

async fn in_folder(check: &mut Check, config: &Config, path: &Path) -> Result<(), Failed> {
    check.step("folder", folder(path, "SMTP_URL")).await?;
    check.step("sender", sender(config)).await
}

/// Builds a mail as the application does and has the server accept its sender. Sends nothing.
async fn sender(config: &Config) -> StepResult<()> {
    let rehearsed = async { Mailer::open(config)?.rehearse().await.map_err(Error::unavailable) };
    rehearsed.await.map_err(|error| Problem::of(&error, SENDER))?;
    Ok(((), format!("{} may send", config.mail_from)))
}

fn server(smtp: &Smtp) -> Server<'_> {
    Server {
        host: &smtp.host,
        port: smtp.port,
        what: "SES",
        unreachable_advice: Some(
            "let mail out: port 25 is closed on EC2, so set 465 (smtps://) or 587 (smtp://); the security group of this \
             instance needs an outbound rule for it, and its subnet a route to the internet (a public address and an \
             internet gateway, or a NAT gateway) or an interface end point for SES",
        ),
        setting: SETTING,
        ca_advice: "set SMTP_CA_FILE to the PEM file of the authority that signed it; SES needs none, because every \
            system knows Amazon's, so remove the setting there",
        no_tls_advice: "TLS does not begin with the connection at this port: smtps:// is for 465 and 2465, smtp:// \
            (STARTTLS) for 587 and 2587",
    }
}

async fn by_smtp(check: &mut Check, config: &Config, smtp: &Smtp, server: &Server<'_>) -> Result<(), Failed> {
    let stream = server.reach(check).await?;
    let roots = tls::roots(config.smtp_ca_file.as_deref());
    match smtp.tls {
        SmtpTls::Implicit => {
            let stream = server.begin_tls(check, stream, roots).await?;
            let mut stream = BufReader::new(stream);
            check.step_within(STEP_TIMEOUT, "greeting", NO_GREETING, greeting(&mut stream)).await?;
        }
        SmtpTls::StartTls => {
            let mut stream = BufReader::new(stream);
            check.step_within(STEP_TIMEOUT, "greeting", NO_GREETING, greeting(&mut stream)).await?;
            let tls = start_tls(stream, config, server, roots);
            check.step_within(STEP_TIMEOUT, "TLS", server.no_tls_advice, tls).await?;
        }
    }
    let sign_in = async {
        let start = Instant::now();
        let greeted = async { Mailer::open(config)?.ping().await };
        greeted.await.map_err(|error| refused(&error, smtp))?;
        let who = match &smtp.username {
            Some(_) => "user and password are taken",
            None => "no user is set, so nobody signed in",
        };
        Ok(((), format!("{who} ({})", milliseconds(start))))
    };
    check.step("sign-in", sign_in).await?;
    check.step("sender", async { Ok(((), format!("{}; {SANDBOX}", sender(config).await?.1))) }).await
}

/// Reads the server's greeting, which must be a 220.
async fn greeting<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> StepResult<()> {
    match reply(stream).await {
        Ok(said) if said.starts_with("220") => Ok(((), said)),
        Ok(said) => Err(Problem::new(said, "the server does not want to talk: wait, or ask who runs it")),
        Err(error) => Err(Problem::new(error, NO_GREETING)),
    }
}

async fn start_tls(
    mut stream: BufReader<TcpStream>,
    config: &Config,
    server: &Server<'_>,
    roots: Result<RootCertStore>,
) -> StepResult<()> {
    let roots = roots.map_err(|error| bad_file(&error, server.ca_advice))?;
    let domain = config.mail_from.rsplit('@').next().unwrap_or("localhost");
    let no_starttls = |said: String| {
        Problem::new(
            format!("the server offers no STARTTLS: {said}"),
            "set the port 587 of SES, or smtps:// with 465; the application gives no password and no mail away without \
             TLS",
        )
    };
    let broken = |error: io::Error| Problem::new(error, server.no_tls_advice);
    let offered = send_command(&mut stream, &format!("EHLO {domain}")).await.map_err(broken)?;
    if !offered.split(['\r', '\n', ' ', '-']).any(|word| word.eq_ignore_ascii_case("STARTTLS")) {
        return Err(no_starttls(offered));
    }
    let answer = send_command(&mut stream, "STARTTLS").await.map_err(broken)?;
    if !answer.starts_with("220") {
        return Err(no_starttls(answer));
    }
    let (seen, begun) = super::certificate::begin_tls(stream.into_inner(), server.host, roots).await;
    begun.map_err(|error| server.refused(&error, seen.as_ref()))?;
    Ok(((), format!("by STARTTLS, {}", seen.map_or_else(String::new, |seen| seen.describe(server.host)))))
}

async fn send_command<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    line: &str,
) -> io::Result<String> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await?;
    stream.flush().await?;
    reply(stream).await
}

/// Reads a reply. In a multi-line reply all lines but the last have a hyphen after the code.
async fn reply<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> io::Result<String> {
    let mut said = Vec::new();
    let mut stream = stream.take(MAX_REPLY);
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended"));
        }
        if !line.iter().take(3).all(u8::is_ascii_digit) || line.len() < 4 {
            return Err(io::Error::other("an answer that does not begin with a number"));
        }
        said.extend_from_slice(&line);
        if line.get(3) != Some(&b'-') {
            return Ok(String::from_utf8_lossy(&said).trim_end().to_owned());
        }
    }
}

fn refused(error: &Error, smtp: &Smtp) -> Problem {
    let unknown = match error {
        Error::Unavailable(source) => matches!(source.downcast_ref(), Some(DeliveryError::AuthFailed(_))),
        _ => false,
    };
    if !unknown {
        return Problem::of(
            error,
            "name, port and TLS were all right just now: try again, and look how the server is doing",
        );
    }
    let text = error.text();
    let what = text.split("; ").next().unwrap_or_default();
    let region = match smtp.ses_region() {
        Some(region) => format!("in the region {region}, since each region has passwords of its own"),
        None => "in the region of the host, since each region has passwords of its own".to_owned(),
    };
    Problem::new(
        what,
        format!(
            "the SMTP password of SES is not the secret access key of an IAM user: make a pair in the console of SES (SMTP \
             settings, Create SMTP credentials) {region}, and set it in SMTP_URL, percent-encoded (or in \
             AWS_INTRO_SAMPLE_SMTP_USERNAME and _PASSWORD as it is); or remove the password and set that key in \
             SES_SECRET_ACCESS_KEY, with its id as the user name. If it is set already, look in IAM whether the \
             user name and the key are those of one active access key"
        ),
    )
}
