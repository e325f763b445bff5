//! TLS for connections to services: always rustls with ring, and certificates are always verified.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::error::{Error, Result};

/// Makes ring the process-wide crypto provider of rustls. A second call does nothing.
pub fn install() {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client configuration that trusts the CAs in `ca_file`; without a file, those that the system trusts.
///
/// # Errors
/// When the file cannot be read or contains no certificate.
pub fn client(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>> {
    install();
    let roots = roots(ca_file)?;
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

/// The root certificates in `ca_file`; without a file, those that the system trusts.
///
/// # Errors
/// When the file cannot be read or contains no certificate.
pub fn roots(ca_file: Option<&Path>) -> Result<RootCertStore> {
    let Some(file) = ca_file else { return Ok(system_roots().clone()) };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(Error::internal)?;
    }
    Ok(roots)
}

/// The root certificates that the system trusts, read once: there are about 140 of them.
pub fn system_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        // Ignores invalid certificates in the system's store.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    })
}

/// The certificates in a PEM file.
///
/// # Errors
/// When the file cannot be read or contains none; the text names the file.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let unreadable =
        |why: String| Error::internal(format!("{}: {why}; it has to be a PEM file", file.display()));
    let read = CertificateDer::pem_file_iter(file).map_err(|error| unreadable(error.to_string()))?;
    let found: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| unreadable(error.to_string()))?;
    if found.is_empty() {
        return Err(unreadable("holds no certificate".into()));
    }
    Ok(found)
}
