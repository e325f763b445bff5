//! A TLS proxy in front of a plain TCP server, which counts its connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::Certificates;

pub struct TlsFront {
    pub address: SocketAddr,
    tried: Arc<AtomicUsize>,
    trusted: Arc<AtomicUsize>,
}

impl TlsFront {
    /// Forwards to this address, on its own runtime.
    pub fn to(target: SocketAddr, certificates: &Certificates) -> TlsFront {
        sample_app::tls::install();
        let certificate = CertificateDer::from_pem_file(&certificates.cert).unwrap();
        let key = PrivateKeyDer::from_pem_file(&certificates.key).unwrap();
        let config =
            ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (tried, trusted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (tell, told) = std::sync::mpsc::channel();
        let counters = (tried.clone(), trusted.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                loop {
                    let (near, _) = listener.accept().await.unwrap();
                    let (acceptor, (tried, trusted)) = (acceptor.clone(), counters.clone());
                    tokio::spawn(async move {
                        tried.fetch_add(1, Ordering::SeqCst);
                        // Fails if the client does not trust the certificate; it has sent no data of its own then.
                        let Ok(mut near) = acceptor.accept(near).await else { return };
                        trusted.fetch_add(1, Ordering::SeqCst);
                        let Ok(mut far) = TcpStream::connect(target).await else { return };
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    });
                }
            });
        });
        TlsFront { address: told.recv().unwrap(), tried, trusted }
    }

    /// Number of connections, and number of those in which the client accepted the certificate.
    pub fn connections(&self) -> (usize, usize) {
        (self.tried.load(Ordering::SeqCst), self.trusted.load(Ordering::SeqCst))
    }
}
