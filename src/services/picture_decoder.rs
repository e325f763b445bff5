//! Decodes uploaded pictures. A memory budget limits how many are decoded at a time, however many threads there are.

use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::cpu_pool::CpuPool;
use crate::error::{Error, Result};
use crate::models::picture::{self, MAX_MEMORY, Picture, Refusal};

/// Memory for all concurrent decodes together, in kB: enough for one picture of the maximum size, or many phone photos.
const MEMORY_KB: u32 = (MAX_MEMORY / 1000) as u32;
/// Upper bound for waiting for memory, and for waiting for a thread. Longer than for passwords, because a refused
/// client has to upload up to 5 MB again.
const MAX_WAIT: Duration = Duration::from_secs(5);

pub struct PictureDecoder {
    pub threads: CpuPool,
    /// One permit per kB.
    memory: Arc<Semaphore>,
}

impl PictureDecoder {
    /// Starts a separate thread pool for pictures.
    pub fn new() -> Result<PictureDecoder> {
        let memory = Arc::new(Semaphore::new(MEMORY_KB as usize));
        Ok(PictureDecoder { threads: CpuPool::new(MAX_WAIT)?, memory })
    }

    /// Converts an upload to the picture to store, or says why it is refused.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many other uploads are being decoded.
    pub async fn read(&self, file: File) -> Result<Result<Picture, Refusal>> {
        let estimate = move || {
            let memory = picture::memory(BufReader::new(&file));
            (file, memory)
        };
        let (file, memory) = match self.threads.run(estimate).await? {
            (file, Ok(memory)) => (file, memory),
            (_, Err(refusal)) => return Ok(Err(refusal)),
        };
        let permits = u32::try_from(memory / 1000).unwrap_or(MEMORY_KB).clamp(1, MEMORY_KB);
        let wait = self.memory.clone().acquire_many_owned(permits);
        let Ok(Ok(permit)) = timeout(MAX_WAIT, wait).await else {
            return Err(Error::Busy);
        };
        // The work owns the permit, because it continues if the caller stops waiting.
        let decode = move || {
            let picture = picture::read(BufReader::new(file));
            drop(permit);
            picture
        };
        self.threads.run(decode).await
    }
}
