//! Decodes uploaded pictures: as many at a time as fit into a fixed amount of memory, however many threads there are.

use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::cpu_pool::CpuPool;
use crate::error::{Error, Result};
use crate::models::picture::{self, MAX_MEMORY, Picture, Refusal};

/// What all uploads that are decoded at the same time may take together, in kB: one of the largest, or many phone photos.
const MEMORY: u32 = (MAX_MEMORY / 1000) as u32;
/// Upper bound for waiting for memory, and for waiting for a thread. Longer than that of passwords: whoever sent 5 MB has
/// waited already, and would have to send them again.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// See the module.
pub struct PictureDecoder {
    /// Where pictures are decoded.
    pub threads: CpuPool,
    /// One permit for each kB.
    memory: Arc<Semaphore>,
}

impl PictureDecoder {
    /// Decodes on threads of its own.
    pub fn new() -> Result<PictureDecoder> {
        let memory = Arc::new(Semaphore::new(MEMORY as usize));
        Ok(PictureDecoder { threads: CpuPool::new(MAX_WAIT)?, memory })
    }

    /// Makes the picture that is kept of an upload, or says why not.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many others are being decoded.
    pub async fn read(&self, file: File) -> Result<Result<Picture, Refusal>> {
        let estimate = move || {
            let memory = picture::memory(BufReader::new(&file));
            (file, memory)
        };
        let (file, memory) = match self.threads.run(estimate).await? {
            (file, Ok(memory)) => (file, memory),
            (_, Err(refusal)) => return Ok(Err(refusal)),
        };
        let permits = u32::try_from(memory / 1000).unwrap_or(MEMORY).clamp(1, MEMORY);
        let wait = self.memory.clone().acquire_many_owned(permits);
        let Ok(Ok(permit)) = timeout(MAX_WAIT, wait).await else {
            return Err(Error::Busy);
        };
        // The permit goes with the work, which goes on when nobody waits for it any more.
        let decode = move || {
            let picture = picture::read(BufReader::new(file));
            drop(permit);
            picture
        };
        self.threads.run(decode).await
    }
}
