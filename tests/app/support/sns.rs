//! The substitute for SNS: a key that signs messages as SNS does, and a real web server that serves the certificate.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::server::tool;
use super::{Browser, Page, Server, TestApp};

/// The topic in the settings of the applications under test.
pub const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:sample-app-mail";

pub struct Sns {
    pub server: Server,
    folder: TempDir,
}

impl Sns {
    /// Starts with a new key.
    pub fn start() -> Sns {
        let folder = tempfile::tempdir().unwrap();
        let script = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=sns.amazonaws.com -keyout key \
                      -out SimpleNotificationService-1.pem && mkdir www && mv *.pem www/";
        let made = Command::new("sh").args(["-c", script]).current_dir(folder.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let (python, root) = (tool("python/bin/python"), folder.path().to_owned());
        let server = Server::start(move |port| {
            let mut command = Command::new("sh");
            command.args(["-c", "exec \"$0\" -u -m http.server $1 --bind 127.0.0.1 --directory www 2>> log"]);
            command.arg(&python).arg(port.to_string()).current_dir(&root);
            command
        });
        Sns { server, folder }
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// An application that accepts messages of this topic.
    pub async fn app(&self) -> TestApp {
        TestApp::start_with(&[("SES_TOPIC_ARN", TOPIC), ("AWS_ENDPOINT_URL_SNS", &self.origin())]).await
    }

    /// The web server's access log.
    pub fn asked(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The web server's root folder.
    pub fn www(&self) -> PathBuf {
        self.folder.path().join("www")
    }

    /// A signed message of this type.
    pub fn message(&self, kind: &str, text: &str, at: DateTime<Utc>, version: &str) -> Value {
        let origin = self.origin();
        let mut message = json!({
            "Type": kind,
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": TOPIC,
            "Message": text,
            "Timestamp": at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            "SignatureVersion": version,
            "SigningCertURL": format!("{origin}/SimpleNotificationService-1.pem"),
        });
        if kind == "Notification" {
            message["UnsubscribeURL"] = format!("{origin}/?Action=Unsubscribe").into();
        } else {
            message["Token"] = "2336412f37".into();
            message["SubscribeURL"] = format!("{origin}/?Action=ConfirmSubscription&Token=2336412f37").into();
        }
        self.sign(&mut message);
        message
    }

    /// Signs a message (docs.aws.amazon.com/sns: "Verifying the signatures of Amazon SNS messages").
    pub fn sign(&self, message: &mut Value) {
        let names: &[&str] = match message["Type"].as_str().unwrap() {
            "Notification" => &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
            _ => &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"],
        };
        let line = |name: &&str| Some(format!("{name}\n{}\n", message[*name].as_str()?));
        let text: String = names.iter().filter_map(line).collect();
        let digest = if message["SignatureVersion"] == "1" { "-sha1" } else { "-sha256" };
        let mut openssl = Command::new("openssl")
            .args(["dgst", digest, "-sign", "key"])
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        openssl.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let signed = openssl.wait_with_output().unwrap();
        assert!(signed.status.success());
        message["Signature"] = BASE64_STANDARD.encode(signed.stdout).into();
    }
}

/// The notification that SES publishes for a bounce.
pub fn bounce(kind: &str, address: &str) -> String {
    json!({
        "notificationType": "Bounce",
        "bounce": {
            "bounceType": kind,
            "bounceSubType": "General",
            "bouncedRecipients": [{"emailAddress": address, "action": "failed", "status": "5.1.1"}],
        },
        "mail": {"source": "no-reply@sample.test", "destination": [address]},
    })
    .to_string()
}

/// The notification that SES publishes for a complaint.
pub fn complaint(address: &str) -> String {
    json!({
        "eventType": "Complaint",
        "complaint": {"complainedRecipients": [{"emailAddress": address}], "complaintFeedbackType": "abuse"},
    })
    .to_string()
}

/// As SNS sends it: as text/plain, without Origin or Sec-Fetch-Site.
pub async fn post(browser: &Browser, message: impl Into<String>) -> Page {
    let request = browser.request(Method::POST, "/webhooks/ses");
    let request = request.header("content-type", "text/plain; charset=UTF-8").body(message.into());
    browser.clone().send(request, "/webhooks/ses").await
}
