//! Server certificates: verifies them as the application does, and keeps them to report their contents.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_cert::der::Decode;

use super::Problem;
use super::network::Server;
use crate::views::pluralize;

/// The parts of a certificate that are reported.
pub(super) struct Certificate {
    issuer: String,
    days_left: i64,
}

/// Verifies with the standard WebPKI rules and keeps the certificate.
#[derive(Debug)]
struct RecordingVerifier {
    inner: Arc<WebPkiServerVerifier>,
    seen: Mutex<Option<CertificateDer<'static>>>,
}

/// Starts TLS and verifies the certificate for `host`. Also returns the certificate if verification fails.
pub(super) async fn begin_tls(
    stream: TcpStream,
    host: &str,
    roots: RootCertStore,
) -> (Option<Certificate>, io::Result<TlsStream<TcpStream>>) {
    let inner = match WebPkiServerVerifier::builder(Arc::new(roots)).build() {
        Ok(inner) => inner,
        Err(error) => return (None, Err(io::Error::other(error))),
    };
    let name = match ServerName::try_from(host.to_owned()) {
        Ok(name) => name,
        Err(error) => return (None, Err(io::Error::other(error))),
    };
    let recorder = Arc::new(RecordingVerifier { inner, seen: Mutex::default() });
    let config = ClientConfig::builder()
        .dangerous() // required for any custom verifier; this one delegates to WebPKI
        .with_custom_certificate_verifier(recorder.clone())
        .with_no_client_auth();
    let begun = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let seen = recorder.seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    (seen.and_then(|seen| Certificate::read(&seen)), begun)
}

/// The certificate error inside `error`, if it is one.
pub(super) fn fault(error: &io::Error) -> Option<&CertificateError> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::InvalidCertificate(fault) => Some(fault),
        _ => None,
    }
}

pub(super) fn refused(error: &io::Error, seen: Option<&Certificate>, server: &Server<'_>) -> Problem {
    let issuer = seen.map_or("somebody", |seen| seen.issuer.as_str());
    let Server { host, setting, ca_advice, .. } = server;
    match fault(error) {
        // BadSignature: an unknown authority has the same name as a trusted one.
        Some(CertificateError::UnknownIssuer | CertificateError::BadSignature) => Problem::new(
            format!(
                "the certificate is issued by {issuer}, who is none of the authorities that are trusted here"
            ),
            *ca_advice,
        ),
        Some(CertificateError::NotValidForNameContext { presented, .. }) => Problem::new(
            format!("the certificate is not made out to {host} but to {}", names(presented)),
            about_other_name(host, setting),
        ),
        Some(CertificateError::NotValidForName) => Problem::new(
            format!("the certificate is not made out to {host}"),
            about_other_name(host, setting),
        ),
        Some(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => Problem::new(
            format!("the certificate of {issuer} has expired"),
            "renew it at the server (RDS: rotate the certificate of the instance), and look whether this machine's clock \
             is right",
        ),
        Some(_) => Problem::new(error, *ca_advice),
        None => Problem::new(format!("TLS was not begun: {error}"), server.no_tls_advice),
    }
}

/// rustls formats each name as `DnsName("db.example.com")` or `IpAddress(10.0.1.7)`.
fn names(presented: &[String]) -> String {
    if presented.is_empty() {
        return "nobody".to_owned();
    }
    let name = |presented: &String| {
        presented
            .split(['"', '(', ')'])
            .filter(|part| !part.is_empty())
            .nth(1)
            .unwrap_or(presented)
            .to_owned()
    };
    presented.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn about_other_name(host: &str, setting: &str) -> String {
    format!(
        "set one of the names in the certificate instead of {host} in {setting}; an alias such as db.home is never in the \
         certificates of AWS (the database goes on with DATABASE_SSL_MODE=verify_ca, which does not ask for the name)"
    )
}

impl Certificate {
    fn read(der: &CertificateDer<'_>) -> Option<Certificate> {
        let certificate = x509_cert::Certificate::from_der(der).ok()?;
        let certificate = certificate.tbs_certificate();
        let issuer = certificate.issuer();
        let common_name = issuer.common_name().ok().flatten();
        let until = certificate.validity().not_after.to_unix_duration().as_secs();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
        Some(Certificate {
            issuer: common_name.map_or_else(|| issuer.to_string(), |name| name.value().into_owned()),
            days_left: (until.cast_signed() - now.cast_signed()).div_euclid(24 * 60 * 60),
        })
    }

    /// Text for a certificate that is valid for this host.
    pub(super) fn describe(&self, host: &str) -> String {
        format!("{}, made out to {host}", self.issued())
    }

    /// Issuer and remaining days, without the host name.
    pub(super) fn issued(&self) -> String {
        let days = pluralize(&self.days_left, "day");
        format!("issued by {}, {days} left", self.issuer)
    }
}

impl ServerCertVerifier for RecordingVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let seen = certificate.clone().into_owned();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        self.inner.verify_server_cert(certificate, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
