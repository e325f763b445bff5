//! TLS towards the services: rustls with ring and nothing else, certificates always checked.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::error::{Error, Result};

/// Makes ring the provider of everything in the process that uses rustls. A second call does nothing.
pub fn install() {
    // An error says that it was done already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// How to speak to a server whose certificate one of these authorities signed; without a file, one that the system trusts.
///
/// # Errors
/// When the file cannot be read or holds no certificate.
pub fn client(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>> {
    install();
    let roots = roots(ca_file)?;
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

/// Whose signatures count: the authorities in this file; without one, those that the system trusts.
///
/// # Errors
/// When the file cannot be read or holds no certificate.
pub fn roots(ca_file: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(Error::internal)?;
            }
        }
        None => {
            // Some of the system's may be odd; what is left decides.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(roots)
}

/// The certificates in a PEM file.
///
/// # Errors
/// When it cannot be read or holds none; the text names the file.
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
