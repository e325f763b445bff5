//! Lines waiting on disk, in files of whole lines in one folder. Above the size limit, the oldest are dropped.
//! Appenders such as tracing-appender rotate files, but do not read them back and ship them.
//!
//! A process locks each file that it writes or ships, so that several processes can share the folder (during a restart,
//! or while a command runs beside the server). A process also ships the files that it finds unlocked: the
//! processes that locked them have ended.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Stats;
use super::queue::{BLOCK_BYTES, Block};

/// The size limit is split into this many files. One file is dropped at a time when it is reached.
const MAX_FILES: u64 = 32;
/// Extension of the spool files; a new one has `.new` until it is locked.
const EXTENSION: &str = "jsonl";

pub(super) struct Spool {
    folder: PathBuf,
    max_bytes: u64,
    /// Oldest first.
    files: VecDeque<SpoolFile>,
    /// Whether the last file can be appended to.
    writing: bool,
    made: u64,
    stats: Arc<Stats>,
}

struct SpoolFile {
    number: u64,
    path: PathBuf,
    file: File,
    bytes: u64,
    lines: u64,
    /// Bytes read for sending.
    read: u64,
    /// Bytes and lines that have been delivered.
    acked: SpoolChunk,
}

/// A chunk of a file.
#[derive(Clone, Copy, Default)]
pub(super) struct SpoolChunk {
    number: u64,
    bytes: u64,
    lines: u64,
}

impl Spool {
    /// Does not touch the disk yet. `max_bytes` is the size limit in bytes, 0 for no spool.
    pub(super) fn new(folder: PathBuf, max_bytes: u64, stats: Arc<Stats>) -> Spool {
        Spool { folder, max_bytes, files: VecDeque::new(), writing: false, made: 0, stats }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn has_unread(&self) -> bool {
        self.files.iter().any(|file| file.read < file.bytes)
    }

    /// Writes the whole block, or nothing.
    pub(super) fn append(&mut self, block: &Block) -> io::Result<()> {
        if self.max_bytes == 0 {
            return Err(io::Error::other("a command keeps no lines on disk"));
        }
        let length = block.bytes.len() as u64;
        while !self.files.is_empty() && self.bytes() + length > self.max_bytes {
            self.drop_oldest();
        }
        if !self.writing
            || self.files.back().is_some_and(|file| file.bytes + length > self.max_bytes / MAX_FILES)
        {
            self.writing = false;
            let file = self.create()?;
            self.files.push_back(file);
            self.writing = true;
        }
        let Some(last) = self.files.back_mut() else { return Ok(()) };
        if let Err(error) = last.file.write_all(&block.bytes) {
            // Removes a partial line, or else starts a new file.
            self.writing = last.file.set_len(last.bytes).is_ok();
            return Err(error);
        }
        last.bytes += length;
        last.lines += block.lines;
        self.count();
        Ok(())
    }

    /// Reads the oldest lines that were not read yet.
    pub(super) fn next(&mut self) -> Option<(Block, SpoolChunk)> {
        loop {
            let at = self.files.iter().position(|file| file.read < file.bytes)?;
            let file = self.files.get_mut(at)?;
            let mut bytes =
                vec![0; usize::try_from(file.bytes - file.read).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES)];
            let read = file.file.read_exact_at(&mut bytes, file.read);
            let end = bytes.iter().rposition(|byte| *byte == b'\n');
            let (Ok(()), Some(end)) = (read, end) else {
                // This file is damaged; the others may be readable.
                self.forget(at, true);
                continue;
            };
            bytes.truncate(end + 1);
            let chunk =
                SpoolChunk { number: file.number, bytes: bytes.len() as u64, lines: count_lines(&bytes) };
            file.read += chunk.bytes;
            let block = Block::of_whole_lines(bytes);
            self.stats.count_dropped(chunk.lines - block.lines);
            return Some((block, chunk));
        }
    }

    /// Marks lines that were read as delivered.
    pub(super) fn ack(&mut self, chunk: SpoolChunk) {
        let Some(at) = self.files.iter().position(|file| file.number == chunk.number) else { return };
        let Some(file) = self.files.get_mut(at) else { return };
        file.acked.bytes += chunk.bytes;
        file.acked.lines += chunk.lines;
        if file.acked.bytes >= file.bytes {
            self.forget(at, false);
        }
        self.count();
    }

    /// Lines that were read but not delivered will be read again.
    pub(super) fn rewind(&mut self) {
        self.files.iter_mut().for_each(|file| file.read = file.acked.bytes);
    }

    /// Takes over the files of ended processes.
    pub(super) fn adopt(&mut self) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        if self.max_bytes == 0 {
            return;
        }
        let mut found: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        found.retain(|path| path.extension().is_some_and(|ending| ending == EXTENSION));
        found.retain(|path| self.files.iter().all(|file| file.path != *path));
        found.sort();
        // In front of our own files, oldest first: names begin with the time.
        for path in found.into_iter().rev() {
            self.made += 1;
            if let Some(file) = SpoolFile::adopt(path, self.made, &self.stats) {
                self.files.push_front(file);
            }
        }
        // Keeps at least one file; no adopted file is empty.
        while self.files.len() > 1 && self.bytes() > self.max_bytes {
            self.drop_oldest();
        }
        self.count();
    }

    fn create(&mut self) -> io::Result<SpoolFile> {
        // Private: log lines contain personal data.
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        self.made += 1;
        let now = chrono::Utc::now().timestamp_millis();
        let path = self.folder.join(format!("{now:014}-{}-{:08}.{EXTENSION}", std::process::id(), self.made));
        let new = path.with_extension("new");
        let file = OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(&new)?;
        // Renamed only after it is locked, so that no other process takes it for an abandoned file. On a file system
        // without locks, no process adopts files.
        let _ = file.try_lock();
        std::fs::rename(&new, &path)?;
        Ok(SpoolFile {
            number: self.made,
            path,
            file,
            bytes: 0,
            lines: 0,
            read: 0,
            acked: SpoolChunk::default(),
        })
    }

    fn drop_oldest(&mut self) {
        self.forget(0, true);
    }

    fn forget(&mut self, at: usize, is_loss: bool) {
        self.writing &= at + 1 != self.files.len();
        if let Some(file) = self.files.remove(at) {
            if is_loss {
                // Lines in flight may still arrive; the count is then too high rather than too low.
                self.stats.count_dropped(file.lines.saturating_sub(file.acked.lines));
            }
            // If it cannot be removed, a later process ships it again.
            let _ = std::fs::remove_file(file.path);
        }
        self.count();
    }

    fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    fn count(&self) {
        let lines = self.files.iter().map(|file| file.lines.saturating_sub(file.acked.lines)).sum();
        self.stats.set_spooled(lines, self.bytes());
    }
}

impl SpoolFile {
    fn adopt(path: PathBuf, number: u64, stats: &Stats) -> Option<SpoolFile> {
        let file = OpenOptions::new().read(true).append(true).open(&path).ok()?;
        file.try_lock().ok()?;
        let about = file.metadata().ok()?;
        if about.nlink() == 0 {
            // Another process has just shipped and removed it.
            return None;
        }
        let (mut bytes, mut lines, mut at, mut part) = (0, 0, 0, vec![0; BLOCK_BYTES]);
        while let Ok(length @ 1..) = file.read_at(&mut part, at) {
            let part = part.get(..length).unwrap_or_default();
            if let Some(end) = part.iter().rposition(|byte| *byte == b'\n') {
                bytes = at + end as u64 + 1;
            }
            lines += count_lines(part);
            at += length as u64;
        }
        // The process died while writing the last line.
        stats.count_dropped(u64::from(bytes < at));
        if bytes == 0 {
            let _ = std::fs::remove_file(path);
            return None;
        }
        Some(SpoolFile { number, path, file, bytes, lines, read: 0, acked: SpoolChunk::default() })
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}
