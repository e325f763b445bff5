//! A test's own Secrets Manager and Parameter Store: MiniStack, which has the regions of AWS and checks no rights.

use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::server::tool;
use super::{Program, Server};

pub const REGION: &str = "eu-central-1";

pub struct MiniStack {
    pub server: Server,
    _folder: TempDir,
}

impl MiniStack {
    pub fn start() -> MiniStack {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let server = Server::start(move |port| {
            let mut command = Command::new("sh");
            command.args(["-c", "exec \"$0\" > log 2>&1"]).arg(tool("aws/bin/ministack")).current_dir(&root);
            // It would listen for MQTT on all addresses.
            command.env("IOT_MTLS_ENABLED", "0").env("SERVICES", "secretsmanager,ssm");
            command.env("BIND_HOST", "127.0.0.1").env("GATEWAY_PORT", port.to_string());
            command
        });
        MiniStack { server, _folder: folder }
    }

    /// For AWS_ENDPOINT_URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Creates a secret and returns its ARN.
    pub async fn create_secret(&self, name: &str, text: &str) -> String {
        let input = json!({ "Name": name, "SecretString": text });
        self.call("secretsmanager.CreateSecret", &input).await["ARN"].as_str().unwrap().to_owned()
    }

    /// Gives a secret a version with this label: AWSPENDING during a rotation, AWSCURRENT after it.
    pub async fn put_secret(&self, arn: &str, text: &str, stage: &str) {
        // A version for each label: unlike AWS, MiniStack does not move a label from one version to another.
        let version = format!("{stage:-<32}");
        let input = json!({
            "SecretId": arn, "SecretString": text, "VersionStages": [stage], "ClientRequestToken": version,
        });
        self.call("secretsmanager.PutSecretValue", &input).await;
    }

    /// Creates an encrypted parameter and returns its ARN.
    pub async fn create_parameter(&self, name: &str, text: &str) -> String {
        let input = json!({ "Name": name, "Value": text, "Type": "SecureString" });
        self.call("AmazonSSM.PutParameter", &input).await;
        format!("arn:aws:ssm:{REGION}:000000000000:parameter/{}", name.trim_start_matches('/'))
    }

    async fn call(&self, action: &str, input: &Value) -> Value {
        let service = if action.starts_with("AmazonSSM") { "ssm" } else { "secretsmanager" };
        let signature = format!("AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/{service}/aws4_request");
        let request = reqwest::Client::new().post(self.url());
        let request = request.header("content-type", "application/x-amz-json-1.1");
        let request = request.header("x-amz-target", action).header("authorization", signature);
        let answer = request.body(input.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{action}: {}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }
}

impl Program {
    /// With credentials of AWS, whose end points are here.
    pub fn with_aws_at(self, url: &str) -> Program {
        self.set("AWS_ENDPOINT_URL", url)
            .set("AWS_ACCESS_KEY_ID", "canary-access-key")
            .set("AWS_SECRET_ACCESS_KEY", "canary-secret-access-key")
    }
}
