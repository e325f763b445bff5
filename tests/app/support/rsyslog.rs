//! The substitute for Logstash: rsyslog, which receives lines over TCP or TLS and separates JSON lines from others.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::Server;
use super::certificates::Certificates;
use super::wait::wait_up_to;

pub struct Rsyslog {
    pub server: Server,
    folder: PathBuf,
}

impl Rsyslog {
    /// Writes what it receives into this folder. With certificates it accepts only TLS, at 127.0.0.1 and at 127.0.0.2,
    /// for which the certificate is not valid.
    pub fn start(folder: &Path, certificates: Option<&Certificates>) -> Rsyslog {
        std::fs::create_dir_all(folder).unwrap();
        let kept = folder.to_owned();
        let tls = certificates.map(|files| {
            format!(
                r#"global(defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{}"
                    defaultNetstreamDriverCertFile="{}" defaultNetstreamDriverKeyFile="{}")
                module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
                "#,
                files.ca.display(),
                files.cert.display(),
                files.key.display()
            )
        });
        let server = Server::start(move |port| {
            let folder = kept.display();
            let input = match &tls {
                Some(tls) => format!(
                    r#"{tls}
                    input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="lines")
                    input(type="imtcp" address="127.0.0.2" port="{port}" ruleset="lines")"#
                ),
                None => format!(
                    r#"module(load="imptcp")
                    input(type="imptcp" address="127.0.0.1" port="{port}" ruleset="lines"
                        supportOctetCountedFraming="off")"#
                ),
            };
            let settings = format!(
                r#"global(workDirectory="{folder}" maxMessageSize="64k")
                module(load="mmjsonparse")
                template(name="whole" type="string" string="%rawmsg%\n")
                ruleset(name="lines") {{
                    action(type="mmjsonparse" cookie="" useRawMsg="on")
                    if $parsesuccess == "OK" then {{
                        action(type="omfile" file="{folder}/lines" template="whole")
                    }} else {{
                        action(type="omfile" file="{folder}/rest" template="whole")
                    }}
                }}
                {input}
                "#
            );
            std::fs::write(kept.join("settings"), settings).unwrap();
            let mut command = Command::new("/usr/sbin/rsyslogd");
            // A killed predecessor leaves its pid file behind.
            let _ = std::fs::remove_file(kept.join("pid"));
            command.args(["-n", "-f"]).arg(kept.join("settings")).arg("-i").arg(kept.join("pid"));
            command.stderr(std::fs::File::create(kept.join("complaints")).unwrap());
            command
        });
        Rsyslog { server, folder: folder.to_owned() }
    }

    pub fn url(&self) -> String {
        format!("tcp://{}", self.server.address)
    }

    /// All JSON lines.
    pub fn lines(&self) -> Vec<Value> {
        self.text("lines").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// All other lines.
    pub fn rest(&self) -> String {
        self.text("rest")
    }

    /// The lines, once they satisfy the condition.
    pub async fn wait_for(
        &self,
        what: &str,
        patience: Duration,
        fits: impl Fn(&[Value]) -> bool,
    ) -> Vec<Value> {
        wait_up_to(patience, async || {
            // The last line may be incomplete.
            let text = self.text("lines");
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let lines: Vec<Value> = whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            if fits(&lines) { Ok(lines) } else { Err(format!("{what}: not among {} lines", lines.len())) }
        })
        .await
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.join(name)).unwrap_or_default()).into_owned()
    }
}
