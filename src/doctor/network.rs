//! The steps that most services share: DNS name, port, TLS.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use rustls::RootCertStore;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::certificate::{self, Certificate};
use super::{Check, Failed, Problem, STEP_TIMEOUT, StepResult, bad_file, milliseconds};
use crate::config::authority;

/// An open port answers within milliseconds; a security group drops packets, so a blocked port never answers.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// A server, and the texts for advice about it.
pub(super) struct Server<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    /// Its name on AWS, for example "the RDS instance".
    pub(super) what: &'static str,
    /// Advice for when the server does not answer. `None` for servers in the same VPC.
    pub(super) unreachable_advice: Option<&'static str>,
    /// The settings that contain its host.
    pub(super) setting: &'static str,
    /// Advice about the setting for its CA file, and where to get that file.
    pub(super) ca_advice: &'static str,
    /// Advice for when it does not speak TLS on this port.
    pub(super) no_tls_advice: &'static str,
}

impl Server<'_> {
    /// `host:port` as URLs write it.
    pub(super) fn authority(&self) -> String {
        authority(self.host, self.port)
    }

    /// Runs the steps `name` and `port`.
    pub(super) async fn reach(&self, check: &mut Check) -> Result<TcpStream, Failed> {
        let addresses = check.step("name", self.look_up()).await?;
        check.step("port", self.connect(&addresses)).await
    }

    /// Runs the step `TLS` on a connection that starts with the TLS handshake.
    pub(super) async fn begin_tls(
        &self,
        check: &mut Check,
        stream: TcpStream,
        roots: Result<RootCertStore, crate::error::Error>,
    ) -> Result<TlsStream<TcpStream>, Failed> {
        let tls = async {
            let roots = roots.map_err(|error| bad_file(&error, self.ca_advice))?;
            let (certificate, begun) = certificate::begin_tls(stream, self.host, roots).await;
            let stream = begun.map_err(|error| self.refused(&error, certificate.as_ref()))?;
            Ok((stream, certificate.map_or_else(String::new, |seen| seen.describe(self.host))))
        };
        check.step_within(STEP_TIMEOUT, "TLS", self.no_tls_advice, tls).await
    }

    /// The problem when the TLS handshake fails.
    pub(super) fn refused(&self, error: &io::Error, certificate: Option<&Certificate>) -> Problem {
        certificate::refused(error, certificate, self)
    }

    async fn look_up(&self) -> StepResult<Vec<SocketAddr>> {
        if self.host.parse::<IpAddr>().is_ok() {
            let address = (self.host, self.port).to_socket_addrs().map_err(|e| Problem::new(e, ""))?;
            return Ok((address.collect(), format!("{} is an address already", self.host)));
        }
        // Not `spawn_blocking`: a runtime thread would keep the program from exiting while name servers do not answer.
        let (tell, told) = oneshot::channel();
        let asked = (self.host.to_owned(), self.port);
        std::thread::spawn(move || {
            // The receiver is gone after a time-out.
            let _ = tell.send(asked.to_socket_addrs().map(Iterator::collect::<Vec<_>>));
        });
        let found = match timeout(CONNECT_TIMEOUT, told).await {
            Ok(Ok(found)) => found,
            _ => Err(io::Error::other(format!(
                "the name servers gave no answer within {} s",
                CONNECT_TIMEOUT.as_secs()
            ))),
        };
        match found {
            Ok(addresses) if !addresses.is_empty() => {
                let mut known: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
                known.dedup();
                Ok((addresses, format!("{} is {}", self.host, known.join(", "))))
            }
            Ok(_) => Err(Problem::new(format!("{} has no address", self.host), self.about_name())),
            Err(error) => Err(Problem::new(format!("{}: {error}", self.host), self.about_name())),
        }
    }

    fn about_name(&self) -> String {
        let Server { host, setting, what, .. } = self;
        let name = host.trim_end_matches('.');
        if name.ends_with(".home") {
            return format!(
                "{host} is a name of your own, in the private hosted zone home of Route 53: make the record there (a \
                 CNAME to the end point of {what}), associate the zone with this VPC, and switch on DNS resolution and \
                 DNS host names of the VPC; outside of it nobody can look the name up. Or set the end point itself in \
                 {setting}"
            );
        }
        if name.contains(".amazonaws.com") {
            return format!(
                "copy the end point of {what} from the console into {setting}: region and account are part of it, and \
                 what was deleted has no name any more"
            );
        }
        format!(
            "correct the host in {setting}, or make the name known: `getent hosts {host}` asks as the program does"
        )
    }

    async fn connect(&self, addresses: &[SocketAddr]) -> StepResult<TcpStream> {
        let start = Instant::now();
        let mut last = None;
        for address in addresses {
            let left = CONNECT_TIMEOUT.saturating_sub(start.elapsed());
            match timeout(left, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    let took = milliseconds(start);
                    return Ok((stream, format!("{} takes connections ({took})", self.port)));
                }
                Ok(Err(error)) => {
                    last = Some(Problem::new(format!("{address}: {error}"), self.about_port(&error)))
                }
                Err(_) if last.is_none() => {
                    last = Some(Problem::new(
                        format!("{address} did not answer within {} s", CONNECT_TIMEOUT.as_secs()),
                        self.about_silence(),
                    ));
                }
                Err(_) => {}
            }
        }
        Err(last.unwrap_or_else(|| Problem::new("there is no address", self.about_name())))
    }

    fn about_port(&self, error: &io::Error) -> String {
        let Server { port, what, setting, .. } = self;
        match error.kind() {
            io::ErrorKind::ConnectionRefused => format!(
                "the machine is there, and nothing takes connections at its port {port}: look whether {what} is \
                 running, and whether host and port in {setting} are right"
            ),
            _ => self.about_silence(),
        }
    }

    fn about_silence(&self) -> String {
        let Server { port, what, setting, unreachable_advice, .. } = self;
        if let Some(advice) = unreachable_advice {
            return (*advice).to_owned();
        }
        format!(
            "let this machine through: the security group of {what} needs an inbound rule for TCP port {port} whose \
             source is the security group of this instance. Then look at the port in {setting}, at network ACLs, and \
             whether both are in the same VPC"
        )
    }
}
