//! A bucket of S3 of a test's own: s3s-fs, which refuses wrong signatures, on a folder that the test can look into.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::program::{PATIENCE, Serving};
use super::server::tool;
use super::{Browser, Program, Server};

pub const ACCESS_KEY: &str = "canary-access-key";
/// What only the application and the store know.
pub const SECRET_KEY: &str = "canary-secret-key-of-s3";

/// See the module.
pub struct Bucket {
    pub server: Server,
    folder: TempDir,
}

impl Bucket {
    pub fn start() -> Bucket {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        std::fs::create_dir(root.join("uploads")).unwrap();
        let server = Server::start(move |port| {
            let mut command = Command::new(tool("bin/s3s-fs"));
            command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
            command.args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]).arg(&root);
            command
        });
        Bucket { server, folder }
    }

    /// The program with this bucket, and with a hundred people.
    pub async fn program(&self) -> Program {
        let program = self.program_without_credentials().await;
        program
            .set("AWS_INTRO_SAMPLE_S3_REGION", "eu-central-1")
            .set("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .set("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    }

    /// The same, before anybody said who may use the bucket. The instance, which knows on AWS, is not asked.
    pub async fn program_without_credentials(&self) -> Program {
        let program = Program::development()
            .await
            .set("IMAGES_URL", "s3://uploads")
            .set("AWS_ENDPOINT_URL_S3", &format!("http://{}", self.server.address))
            .set("AWS_EC2_METADATA_DISABLED", "true");
        program.succeed(&["seed"]);
        program
    }

    /// Where an object lies.
    pub fn path(&self, key: &str) -> PathBuf {
        self.folder.path().join("uploads").join(key)
    }

    /// Keys of what is in it.
    pub fn objects(&self) -> Vec<String> {
        let entries = self.folder.path().join("uploads").read_dir().unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Waits until so many objects are in it.
    pub async fn objects_are(&self, count: usize) {
        let start = Instant::now();
        while self.objects().len() != count {
            assert!(start.elapsed() < PATIENCE, "{:?}, not {count}", self.objects());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What the store keeps of the headers of the one object that was ever put.
    pub fn attributes(&self) -> Value {
        let entries = self.folder.path().read_dir().unwrap().map(|entry| entry.unwrap().path());
        let mut files = entries.filter(|path| path.to_str().unwrap().ends_with(".metadata.json"));
        let file = files.next().unwrap();
        assert!(files.next().is_none(), "there are several");
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }
}

impl Serving {
    /// The browser of somebody whom `seed` brought, logged in.
    pub async fn browser_of_a_writer(&mut self) -> Browser {
        let mut browser = self.browser();
        browser.log_in("example-1@railstutorial.org", "password").await;
        browser
    }
}
