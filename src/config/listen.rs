//! The settings LISTEN and PORT, and sockets passed by systemd.

use std::fmt;
use std::path::PathBuf;

use super::Variables;
use super::reader::Reader;
use super::values::{Fault, authority, host_and_port, number, path_of};

/// Where the server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// The socket that systemd passes as file descriptor 3.
    Inherited,
    /// A TCP port; with 0 the system chooses one.
    Tcp {
        /// Host name or IP address; IPv6 without brackets.
        host: String,
        port: u16,
    },
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Inherited => write!(f, "the inherited socket"),
            Listen::Tcp { host, port } => write!(f, "{}", authority(host, *port)),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Listen {
    pub(super) fn port(&self) -> Option<u16> {
        match self {
            Listen::Tcp { port, .. } => Some(*port),
            Listen::Inherited | Listen::Unix(_) => None,
        }
    }
}

/// The listen address, and the port for a local URL, if known.
pub(super) fn listen(r: &mut Reader<'_>, vars: &Variables) -> (Listen, Option<u16>) {
    let address = r.given("LISTEN", listen_address);
    let port = r.value("PORT", |text| number(text).ok_or("is not a port; set a number up to 65535"));
    let stated = address.as_ref().and_then(|address| address.value.port()).or(port);
    if inherits_a_socket(vars) {
        return (Listen::Inherited, stated);
    }
    let listen = match (address, port) {
        (Some(address), Some(port)) => {
            // On Beanstalk the proxy connects to PORT, so a different LISTEN would be unreachable.
            if address.value.port() != Some(port) {
                r.contradiction("port", "PORT", address.by);
            }
            address.value
        }
        (Some(address), None) => address.value,
        (None, port) => Listen::Tcp { host: "127.0.0.1".to_owned(), port: port.unwrap_or(3000) },
    };
    let port = listen.port();
    (listen, port)
}

fn listen_address(text: &str) -> Result<Listen, Fault> {
    const FORM: Fault = "is not HOST:PORT, [::1]:PORT or unix:PATH; write it as one of them";
    if text.starts_with("unix:") {
        let path = path_of(text, "unix").ok_or(FORM)?;
        // The kernel's limit (sockaddr_un). Beyond it, bind would fail with an obscure error.
        let fits = path.as_os_str().len() <= 107;
        return if fits {
            Ok(Listen::Unix(path))
        } else {
            Err("is longer than 107 bytes; choose a shorter path")
        };
    }
    match host_and_port(text) {
        Some((host, Some(port))) => Ok(Listen::Tcp { host, port }),
        _ => Err(FORM),
    }
}

/// Whether systemd passed a socket to this process (sd_listen_fds). LISTEN_PID is compared because child processes
/// inherit the variables too.
fn inherits_a_socket(vars: &Variables) -> bool {
    let number = |name| vars.given(name).map(|text| text.parse::<u32>().ok());
    let offered = number("LISTEN_FDS").flatten().is_some_and(|count| count >= 1);
    let to_us = number("LISTEN_PID").is_none_or(|pid| pid == Some(std::process::id()));
    offered && to_us
}
