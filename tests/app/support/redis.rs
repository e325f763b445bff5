//! A test's own Redis servers.

use std::process::Command;

use redis::{Client, Connection, FromRedisValue, cmd};

use super::server::free_address;
use super::wait::wait_blocking;
use super::{Certificates, Server};

/// A server without persistence.
pub fn start() -> Server {
    Server::start(|port| program(port, &[]))
}

/// A server that accepts only TLS, and only the user "app" with the password "p w".
pub fn start_with_tls(certificates: &Certificates) -> Server {
    let [ca, cert, key] =
        [&certificates.ca, &certificates.cert, &certificates.key].map(|file| file.display().to_string());
    Server::start(move |port| {
        let mut command = program(0, &["--tls-port", &port.to_string(), "--tls-auth-clients", "no"]);
        command.args(["--tls-ca-cert-file", &ca, "--tls-cert-file", &cert, "--tls-key-file", &key]);
        // As ElastiCache does: a user with rights on these keys, and the default user disabled.
        command.args([
            "--user",
            "app",
            "on",
            ">secret",
            "~sample_app:*",
            "+@all",
            "--user",
            "default",
            "off",
        ]);
        command
    })
}

/// A cluster of three servers that share the key space.
pub fn start_cluster() -> Vec<Server> {
    let node = |port: u16| {
        // By default the cluster bus uses the port plus 10000, which may not exist.
        let bus = free_address().port();
        program(port, &["--cluster-enabled", "yes", "--cluster-port", &bus.to_string()])
    };
    let nodes: Vec<_> = (0..3).map(|_| Server::start(node)).collect();
    let addresses: Vec<_> = nodes.iter().map(|node| node.address.to_string()).collect();
    let mut create = Command::new("redis-cli");
    create.args(["--cluster", "create"]).args(&addresses).arg("--cluster-yes");
    let created = create.output().unwrap();
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
    for node in &nodes {
        wait_blocking(|| {
            let info: String = ask(node, &["CLUSTER", "INFO"]);
            if info.contains("cluster_state:ok") { Ok(()) } else { Err(info) }
        });
    }
    nodes
}

/// For REDIS_URL.
pub fn url(server: &Server) -> String {
    format!("redis://{}", server.address)
}

/// Runs a command, as with redis-cli.
pub fn ask<T: FromRedisValue>(server: &Server, words: &[&str]) -> T {
    let mut connection: Connection = Client::open(url(server)).unwrap().get_connection().unwrap();
    let mut command = cmd(words[0]);
    for word in &words[1..] {
        command.arg(word);
    }
    command.query(&mut connection).unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

fn program(port: u16, options: &[&str]) -> Command {
    // A folder of its own, because a cluster node keeps what it knows in a file: a later node on the same port must not
    // find it. scripts/test removes all temporary files.
    let folder = tempfile::Builder::new().prefix("sample-app-redis.").tempdir().unwrap().keep();
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.arg("--dir").arg(folder).args(options);
    command
}
