//! MySQL Router with connection sharing, in place of RDS Proxy: it lends a client a server connection for each statement
//! or transaction, and reserves one for a client that has a prepared statement. It does not mind executable comments. Of
//! the server connections that no client uses, it keeps one.

use std::process::Command;

use tempfile::TempDir;

use super::server::tool;
use super::{Certificates, Server};

pub struct MySqlRouter {
    pub server: Server,
    _folder: TempDir,
}

impl MySqlRouter {
    /// Starts in front of the server at this `host:port`. With TLS on both sides, which sharing needs.
    pub fn start(destination: &str) -> MySqlRouter {
        let folder = tempfile::tempdir().unwrap();
        let tls = Certificates::create(&folder.path().join("tls"));
        let plugins = tool("mysql/usr/lib/mysqlrouter/plugin");
        let (path, destination) = (folder.path().to_owned(), destination.to_owned());
        let server = Server::start(move |port| {
            let config = format!(
                "[DEFAULT]\nplugin_folder = {}\nruntime_folder = {path}\ndata_folder = {path}\n\
                 client_ssl_mode = REQUIRED\nclient_ssl_cert = {}\nclient_ssl_key = {}\nserver_ssl_mode = REQUIRED\n\
                 [connection_pool]\nmax_idle_server_connections = 1\n\
                 [routing:shared]\nbind_address = 127.0.0.1\nbind_port = {port}\ndestinations = {destination}\n\
                 routing_strategy = first-available\nconnection_sharing = 1\nconnection_sharing_delay = 0\n",
                plugins.display(),
                tls.cert.display(),
                tls.key.display(),
                path = path.display(),
            );
            let file = path.join("router.conf");
            std::fs::write(&file, config).unwrap();
            let mut command = Command::new(tool("mysql/mysqlrouter"));
            command.arg("--config").arg(file);
            command
        });
        MySqlRouter { server, _folder: folder }
    }
}
