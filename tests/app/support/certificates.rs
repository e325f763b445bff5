//! A test's own certificate authority, with a certificate for localhost and 127.0.0.1.

use std::path::{Path, PathBuf};
use std::process::Command;

/// PEM files.
pub struct Certificates {
    /// The authority's certificate, for a `.._CA_FILE` setting.
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Certificates {
    /// Creates them in this folder. Each call makes a new authority.
    pub fn create(folder: &Path) -> Certificates {
        let script = "umask 022; ec='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
            openssl req -x509 $ec -days 2 -subj '/CN=tests of sample-app' \\
                -addext keyUsage=critical,keyCertSign -keyout ca.key -out ca.pem &&
            openssl req $ec -subj /CN=localhost -keyout server.key -out server.csr &&
            echo subjectAltName=DNS:localhost,IP:127.0.0.1 > server.ext &&
            openssl x509 -req -in server.csr -days 2 -CA ca.pem -CAkey ca.key -CAcreateserial -extfile server.ext \\
                -out server.pem";
        std::fs::create_dir_all(folder).unwrap();
        let made = Command::new("sh").args(["-c", script]).current_dir(folder).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Certificates {
            ca: folder.join("ca.pem"),
            cert: folder.join("server.pem"),
            key: folder.join("server.key"),
        }
    }
}
