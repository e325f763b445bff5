//! A test's own real server process, which can be stopped, frozen, killed, and restarted at the same address.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use sample_app::models::values::token::random_hex;

use super::wait::wait_blocking;

/// Killed on drop.
pub struct Server {
    pub address: SocketAddr,
    command: Box<dyn Fn(u16) -> Command>,
    child: Child,
}

impl Server {
    /// Starts a server on a port with this command, and waits until it accepts connections.
    pub fn start(command: impl Fn(u16) -> Command + 'static) -> Server {
        let address = free_address();
        let child = run(&command, address);
        Server { address, command: Box::new(command), child }
    }

    /// Kills it (SIGKILL), like a power failure.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Restarts it at the same address.
    pub fn start_again(&mut self) {
        self.kill();
        self.child = run(&*self.command, self.address);
    }

    /// Stops the process (SIGSTOP): the kernel still accepts connections, but nothing answers.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Continues the process (SIGCONT).
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

/// A program that scripts/setup installed, because Debian does not have it.
pub fn tool(path: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"), PathBuf::from);
    let tool = cache.join("sample-app").join(path);
    assert!(tool.exists(), "{} is missing; scripts/setup installs it", tool.display());
    tool
}

/// Below the kernel's ephemeral ports (as in scripts/services): from those, another test could get the port before the
/// server that is meant to have it has started.
pub fn free_address() -> SocketAddr {
    loop {
        let random = u16::from_str_radix(&random_hex::<2>().unwrap(), 16).unwrap();
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", 20_000 + random % 12_000)) {
            return listener.local_addr().unwrap();
        }
    }
}

fn run(command: &dyn Fn(u16) -> Command, address: SocketAddr) -> Child {
    let server = command(address.port());
    // The process dies with the thread that started it, even if that thread is killed.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(server.get_program()).args(server.get_args());
    command.envs(server.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = server.get_current_dir() {
        command.current_dir(folder);
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap_or_else(|error| {
        panic!("{:?}: {error}; scripts/setup installs it", server.get_program());
    });
    wait_blocking(|| {
        assert!(child.try_wait().unwrap().is_none(), "{command:?} ended");
        TcpStream::connect(address).map_err(|error| format!("{command:?}: {error}"))
    });
    child
}
