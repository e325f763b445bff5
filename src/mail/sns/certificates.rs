//! Fetches and caches the signing certificates that messages name.
//!
//! Anybody can send a message with a forged certificate URL, and such fetches must not delay genuine ones. So each URL
//! has its own fetch, and beyond a limit the oldest fetches are cancelled (a genuine one takes milliseconds).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::error::{Error, Result};
use crate::http;
use crate::services::single_flight::SingleFlight;

/// Maximum number of concurrent fetches.
const MAX_FETCHES: u64 = 64;
/// Capacity of each of the two maps. SNS has one certificate per region and replaces it once a year.
const CAPACITY: usize = 4;

type ByUrl = HashMap<Url, CertificateDer<'static>>;

pub(super) struct Certificates {
    tls: Arc<ClientConfig>,
    kept: Mutex<Sorts>,
    flights: SingleFlight,
    /// Number of fetches started so far.
    started: watch::Sender<u64>,
}

#[derive(Default)]
struct Sorts {
    /// Certificates that verified a message. Unverified ones cannot evict them.
    verified: ByUrl,
    fetched: ByUrl,
}

impl Certificates {
    pub(super) fn new(tls: Arc<ClientConfig>) -> Certificates {
        Certificates {
            tls,
            kept: Mutex::default(),
            flights: SingleFlight::default(),
            started: watch::Sender::new(0),
        }
    }

    pub(super) async fn get(&self, url: &Url) -> Result<CertificateDer<'static>> {
        if let Some(known) = self.known(url) {
            return Ok(known);
        }
        // The deadline includes the wait for another fetch of this URL. A caller that waited too long starts no fetch.
        let deadline = Instant::now() + http::TIMEOUT;
        let fetch = async {
            if let Some(known) = self.known(url) {
                return Ok(known);
            }
            let fetched = timeout_at(deadline, self.fetch(url)).await;
            let fetched =
                fetched.map_err(|_| Error::unavailable("the certificate did not come in time"))??;
            keep(&mut self.lock().fetched, url, &fetched);
            Ok(fetched)
        };
        self.flights.run(url.as_str(), fetch).await
    }

    /// Records that this certificate verified a message.
    pub(super) fn mark_verified(&self, url: &Url, certificate: &CertificateDer<'static>) {
        keep(&mut self.lock().verified, url, certificate);
    }

    async fn fetch(&self, url: &Url) -> Result<CertificateDer<'static>> {
        let mut started = self.started.subscribe();
        let mut last = 0;
        self.started.send_modify(|started| {
            *started += 1;
            last = *started + MAX_FETCHES;
        });
        tokio::select! {
            pem = http::get(url, &self.tls) => CertificateDer::from_pem_slice(&pem?).map_err(Error::unavailable),
            _ = started.wait_for(|started| *started >= last) => {
                Err(Error::unavailable("too many certificates are being fetched"))
            }
        }
    }

    fn known(&self, url: &Url) -> Option<CertificateDer<'static>> {
        let kept = self.lock();
        kept.verified.get(url).or_else(|| kept.fetched.get(url)).cloned()
    }

    /// Ignores poisoning: each change of the maps is a single call, so a panic leaves them consistent.
    fn lock(&self) -> MutexGuard<'_, Sorts> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep(kept: &mut ByUrl, url: &Url, certificate: &CertificateDer<'static>) {
    if kept.len() >= CAPACITY && !kept.contains_key(url) {
        kept.clear();
    }
    kept.insert(url.clone(), certificate.clone());
}
