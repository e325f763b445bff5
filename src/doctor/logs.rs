//! The check of the log destinations: standard output, and Logstash if configured.

use super::network::Server;
use super::{Check, Failed, Problem};
use crate::config::{Config, Logstash};
use crate::error::Result;
use crate::telemetry::logs::Logs;
use crate::tls;

pub(super) async fn run(config: &Config) -> Check {
    let Some(logstash) = &config.logstash else {
        let mut check = Check::begin("logs", "standard output", &[]);
        let look = async { Ok(((), "standard output, and nowhere else".to_owned())) };
        let done = check.step("place", look).await;
        return check.end(done);
    };
    let server = server(logstash);
    let scheme = if logstash.tls { "tls" } else { "tcp" };
    let steps = ["name", "port", "TLS", "connect"];
    let steps: Vec<_> = steps.into_iter().filter(|step| logstash.tls || *step != "TLS").collect();
    let mut check = Check::begin("logs", &format!("{scheme}://{}", server.authority()), &steps);
    let done = to_logstash(&mut check, config, logstash, &server).await;
    check.end(done)
}

fn server(logstash: &Logstash) -> Server<'_> {
    Server {
        host: &logstash.host,
        port: logstash.port,
        what: "Logstash",
        unreachable_advice: None,
        setting: "LOGSTASH_URL (or LOGSTASH_HOST)",
        ca_advice: "set LOGSTASH_CA_FILE to the PEM file of the authority that signed the certificate of Logstash",
        no_tls_advice: "the tcp input of Logstash has no TLS at this port: set ssl_enabled there, or tcp:// instead of \
            tls:// in LOGSTASH_URL",
    }
}

async fn to_logstash(
    check: &mut Check,
    config: &Config,
    logstash: &Logstash,
    server: &Server<'_>,
) -> Result<(), Failed> {
    let stream = server.reach(check).await?;
    if logstash.tls {
        server.begin_tls(check, stream, tls::roots(config.logstash_ca_file.as_deref())).await?;
    }
    let connect = async {
        let connected = async { Logs::new(config)?.ping().await };
        let advice = "look at the log of Logstash: its pipeline (deploy/logstash) has to be running";
        connected.await.map_err(|error| Problem::of(&error, advice))?;
        Ok((
            (),
            "the connection stands; Logstash answers nothing, so whether it reads lines is seen in Kibana"
                .to_owned(),
        ))
    };
    check.step("connect", connect).await
}
