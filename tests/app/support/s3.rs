//! A test's own S3 bucket: s3s-fs, which rejects wrong signatures, on a folder that the test can read.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::program::Serving;
use super::server::tool;
use super::wait::wait_for;
use super::{Browser, Program, Server};

pub const ACCESS_KEY: &str = "canary-access-key";
/// Known only to the application and the store.
pub const SECRET_KEY: &str = "canary-secret-key-of-s3";

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

    /// The program with this bucket, seeded with 100 users.
    pub async fn program(&self) -> Program {
        let program = self.program_without_credentials().await;
        program
            .set("AWS_INTRO_SAMPLE_S3_REGION", "eu-central-1")
            .set("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .set("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    }

    /// The same without credentials. The instance metadata service, which has them on AWS, is disabled.
    pub async fn program_without_credentials(&self) -> Program {
        let program = Program::development()
            .await
            .set("IMAGES_URL", "s3://uploads")
            .set("AWS_ENDPOINT_URL_S3", &format!("http://{}", self.server.address))
            .set("AWS_EC2_METADATA_DISABLED", "true");
        program.succeed(&["seed"]);
        program
    }

    /// The file of an object.
    pub fn path(&self, key: &str) -> PathBuf {
        self.folder.path().join("uploads").join(key)
    }

    /// Keys of the stored objects.
    pub fn objects(&self) -> Vec<String> {
        let entries = self.folder.path().join("uploads").read_dir().unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Waits until the bucket contains this many objects.
    pub async fn objects_are(&self, count: usize) {
        wait_for(async || match self.objects() {
            objects if objects.len() == count => Ok(()),
            objects => Err(format!("{objects:?}, not {count}")),
        })
        .await;
    }

    /// The headers that the store saved for the only object put so far.
    pub fn attributes(&self) -> Value {
        let entries = self.folder.path().read_dir().unwrap().map(|entry| entry.unwrap().path());
        let mut files = entries.filter(|path| path.to_str().unwrap().ends_with(".metadata.json"));
        let file = files.next().unwrap();
        assert!(files.next().is_none(), "there are several");
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }
}

impl Serving {
    /// A browser in which a seeded user is logged in.
    pub async fn browser_of_a_writer(&mut self) -> Browser {
        let mut browser = self.browser();
        browser.log_in("example-1@railstutorial.org", "password").await;
        browser
    }
}
