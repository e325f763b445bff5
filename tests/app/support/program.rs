//! The real program, run as users run it, with its own environment, folder and database.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::app::APP_URL;
use super::wait::{PATIENCE, wait_blocking};
use super::{Browser, TestDatabase};

/// The program under test. TEST_PROGRAM overrides it, for example with the deployed one.
pub fn program() -> OsString {
    std::env::var_os("TEST_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_sample-app").into())
}

pub struct Program {
    pub folder: TempDir,
    pub database: TestDatabase,
    settings: BTreeMap<String, String>,
}

/// The result of a command.
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The running server; killed on drop.
pub struct Serving {
    pub child: Child,
    pub lines: Vec<String>,
    said: Receiver<String>,
    patience: Duration,
    complaints: Option<JoinHandle<String>>,
}

impl Program {
    /// With a database and a folder, otherwise with the defaults of development.
    pub async fn development() -> Program {
        let folder = tempfile::tempdir().unwrap();
        let database = TestDatabase::create(folder.path()).await;
        let settings = BTreeMap::new();
        let program = Program { folder, database, settings };
        let data = program.folder.path().to_str().unwrap().to_owned();
        let url = program.database.url.clone();
        program
            .set("DATA_DIR", &data)
            .set("DATABASE_URL", &url)
            .set("LISTEN", "127.0.0.1:0")
            .set("APP_URL", APP_URL)
    }

    /// With all settings that production requires.
    pub async fn production() -> Program {
        let program = Program::development().await;
        let folder = program.folder.path().display().to_string();
        program
            .set("APP_ENV", "production")
            .set("SECRET_KEY_BASE", &"0123456789abcdef".repeat(4))
            .set("SHUTDOWN_DELAY", "0")
            .set("REDIS_URL", "memory:")
            .set("IMAGES_URL", &format!("file:{folder}/images"))
            .set("SMTP_URL", &format!("file:{folder}/mail"))
    }

    pub fn set(mut self, name: &str, value: &str) -> Program {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A command without the test's own environment.
    pub fn command(&self) -> Command {
        let mut command = Command::new(program());
        command.env_clear().envs(&self.settings).current_dir(self.folder.path());
        command
    }

    /// Runs a command and waits for it.
    pub fn run(&self, args: &[&str]) -> Finished {
        let mut command = self.command();
        command.args(args).stdin(Stdio::null());
        let mut running = Serving::start(command);
        let (code, stderr) = running.end();
        let stdout = running.lines.drain(..).chain(running.said.iter()).map(|line| line + "\n").collect();
        Finished { code, stdout, stderr }
    }

    /// Runs a command that must succeed. Returns its stdout.
    pub fn succeed(&self, args: &[&str]) -> String {
        let done = self.run(args);
        assert_eq!(done.code, Some(0), "{args:?}: {}{}", done.stdout, done.stderr);
        done.stdout
    }

    /// Runs a command that must fail. Returns its stderr.
    pub fn fail(&self, args: &[&str]) -> String {
        let done = self.run(args);
        assert_eq!(done.code, Some(1), "{args:?}: {}{}", done.stdout, done.stderr);
        done.stderr
    }

    /// Starts the server and waits until it is ready.
    pub fn serve(&self) -> Serving {
        let mut serving = Serving::start(self.command());
        serving.wait_for("listening");
        serving
    }

    /// The same with a socket passed as systemd does: as descriptor 3, with the process id, which `exec` keeps.
    pub fn serve_on(&self, socket: OwnedFd) -> Serving {
        let mut command = Command::new("/bin/sh");
        let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\"";
        command.arg("-c").arg(script).arg(program()).stdin(socket);
        command.env_clear().envs(&self.settings).current_dir(self.folder.path());
        let mut serving = Serving::start(command);
        serving.wait_for("the inherited socket");
        serving
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.database.drop_soon();
    }
}

impl Serving {
    /// Starts a command that serves.
    pub fn start(command: Command) -> Serving {
        Serving::start_patiently(command, PATIENCE)
    }

    /// The same for a command that takes longer to start.
    pub fn start_patiently(mut command: Command, patience: Duration) -> Serving {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (say, said) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if say.send(line).is_err() {
                    break;
                }
            }
        });
        let mut stderr = child.stderr.take().unwrap();
        let complaints = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Serving { child, lines: Vec::new(), said, patience, complaints: Some(complaints) }
    }

    /// Waits for a line with these words and returns it.
    pub fn wait_for(&mut self, words: &str) -> String {
        if let Some(line) = self.lines.iter().find(|line| line.contains(words)) {
            return line.clone();
        }
        let start = Instant::now();
        loop {
            match self.said.recv_timeout(self.patience.saturating_sub(start.elapsed())) {
                Ok(line) => {
                    self.lines.push(line.clone());
                    if line.contains(words) {
                        return line;
                    }
                }
                Err(_) => {
                    let _ = self.child.kill();
                    let complaints = self.complaints.take().map(|thread| thread.join().unwrap());
                    panic!("it never said {words:?}: {:#?}\n{}", self.lines, complaints.unwrap_or_default());
                }
            }
        }
    }

    /// The TCP address that it listens on.
    pub fn address(&mut self) -> SocketAddr {
        let line = self.wait_for("listening");
        let address =
            line.split("listening").nth(1).unwrap().trim_start_matches(|c: char| !c.is_ascii_digit());
        let end = address.find(|c: char| !"0123456789.:".contains(c)).unwrap_or(address.len());
        address[..end].parse().unwrap_or_else(|_| panic!("{line}"))
    }

    /// A new browser without cookies.
    pub fn browser(&mut self) -> Browser {
        Browser::new(self.address())
    }

    /// Sends a signal by its name without SIG: TERM, INT.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status();
        assert!(sent.unwrap().success());
    }

    /// Its exit code, if it has ended.
    pub fn ended(&mut self) -> Option<i32> {
        self.end().0
    }

    /// Waits until it ends. Returns its exit code and stderr.
    pub fn wait(mut self) -> (Option<i32>, String) {
        self.end()
    }

    /// Waits until it ends, which must be with success. Returns its stdout lines and stderr.
    pub fn finish(mut self) -> (Vec<String>, String) {
        let (code, complaints) = self.end();
        assert_eq!(code, Some(0), "{complaints}");
        let rest: Vec<String> = self.said.iter().collect();
        self.lines.extend(rest);
        (std::mem::take(&mut self.lines), complaints)
    }

    fn end(&mut self) -> (Option<i32>, String) {
        let status =
            wait_blocking(|| self.child.try_wait().unwrap().ok_or_else(|| "it does not end".to_owned()));
        (status.code(), self.complaints.take().unwrap().join().unwrap())
    }

    /// Stops it with SIGTERM; it must exit with success.
    pub fn stop(self) {
        self.signal("TERM");
        let (code, complaints) = self.wait();
        assert_eq!(code, Some(0), "{complaints}");
    }

    /// A line of /proc/PID/status in kB: VmRSS, VmHWM.
    pub fn memory_kb(&self, line: &str) -> u64 {
        let status =
            std::fs::read_to_string(Path::new("/proc").join(self.child.id().to_string()).join("status"));
        let status = status.unwrap();
        let found = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
        found.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
