//! Listeners: TCP, a Unix socket, or a socket passed by systemd.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use actix_server::ServerBuilder;
use actix_web::rt::net::{TcpStream, UnixStream};
use actix_web::web::Data;
use listenfd::ListenFd;
use tokio::net::TcpSocket;

use super::connection;
use crate::app::App;
use crate::config::Listen;

/// Maximum number of connections that wait to be accepted.
const BACKLOG: u32 = 1024;

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Binds the listeners that LISTEN names; also returns the TCP addresses.
pub(super) fn listen(
    app: &Data<App>,
    mut server: ServerBuilder,
) -> io::Result<(ServerBuilder, Vec<SocketAddr>)> {
    let mut addresses = Vec::new();
    for listener in open(&app.config.listen)? {
        let (app, shutdown) = (app.clone(), server.graceful_shutdown_signal());
        server = match listener {
            Listener::Tcp(listener) => {
                addresses.push(listener.local_addr()?);
                let protocol = move || connection::protocol::<TcpStream>(app.clone(), shutdown.clone());
                server.listen("tcp", listener, protocol)?
            }
            Listener::Unix(listener) => {
                let protocol = move || connection::protocol::<UnixStream>(app.clone(), shutdown.clone());
                server.listen_uds("unix", listener, protocol)?
            }
        };
    }
    Ok((server, addresses))
}

fn open(listen: &Listen) -> io::Result<Vec<Listener>> {
    match listen {
        Listen::Tcp { host, port } => {
            let mut listeners = Vec::new();
            let mut failure = io::Error::other("the name has no address");
            // One success is enough: the machine may lack IPv4 or IPv6.
            for address in (host.as_str(), *port).to_socket_addrs()? {
                match bind(address) {
                    Ok(listener) => listeners.push(Listener::Tcp(listener)),
                    Err(error) => failure = error,
                }
            }
            if listeners.is_empty() { Err(failure) } else { Ok(listeners) }
        }
        Listen::Unix(path) => Ok(vec![Listener::Unix(open_unix(path)?)]),
        Listen::Inherited => {
            let mut inherited = ListenFd::from_env();
            match (inherited.take_unix_listener(0), inherited.take_tcp_listener(0)) {
                (Ok(Some(socket)), _) => Ok(vec![Listener::Unix(socket)]),
                (_, Ok(Some(socket))) => Ok(vec![Listener::Tcp(socket)]),
                (_, Err(error)) | (Err(error), _) => Err(error),
                _ => Err(io::Error::other("LISTEN_FDS is set, but there is no socket")),
            }
        }
    }
}

/// Like `TcpListener::bind`, with a longer backlog.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// Replaces an existing socket, whether a killed process left it behind or the previous instance still uses it. Never
/// removes any other kind of file.
fn open_unix(path: &Path) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::other("there is a file of that name, and it is no socket")),
        Err(_) => {}
    }
    UnixListener::bind(path)
}
