//! A real server of a test's own, as a process: can be stopped, frozen, killed, and started again at the same address.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::program::PATIENCE;

/// See the module. Gone when it is dropped.
pub struct Server {
    pub address: SocketAddr,
    command: Box<dyn Fn(u16) -> Command>,
    child: Child,
}

impl Server {
    /// Starts what this command says to start on a port, and waits until it answers there.
    pub fn start(command: impl Fn(u16) -> Command + 'static) -> Server {
        let address = free_address();
        let child = run(&command, address);
        Server { address, command: Box::new(command), child }
    }

    /// Ends it at once, as a power failure does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again, at the same address.
    pub fn start_again(&mut self) {
        self.kill();
        self.child = run(&*self.command, self.address);
    }

    /// Connections are still taken by the kernel, and nothing answers.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Goes on where it stopped.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What scripts/setup installed beside what Debian has.
pub fn tool(path: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"), PathBuf::from);
    let tool = cache.join("sample-app").join(path);
    assert!(tool.exists(), "{} is missing; scripts/setup installs it", tool.display());
    tool
}

pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn run(command: &dyn Fn(u16) -> Command, address: SocketAddr) -> Child {
    let server = command(address.port());
    // Dies with the thread that started it, even if that one cannot say so any more.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(server.get_program()).args(server.get_args());
    command.envs(server.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = server.get_current_dir() {
        command.current_dir(folder);
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap_or_else(|error| {
        panic!("{:?}: {error}; scripts/setup installs it", server.get_program());
    });
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(child.try_wait().unwrap().is_none(), "{command:?} ended");
        assert!(start.elapsed() < PATIENCE, "{command:?} does not answer");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}
