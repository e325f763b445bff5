//! Lines that wait on disk: files of whole lines in one folder, up to so many bytes, the oldest dropped and counted.
//!
//! A file is locked by the process that writes or ships it, so that several processes can share the folder (one that is
//! being replaced, a command beside the server) and what a dead one left is shipped by whoever finds it unlocked.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Stats;
use super::queue::{BLOCK, Block};

/// The cap is split in so many files: what goes at once when it is reached, and how many are open at most.
const FILES: u64 = 32;
/// Of files that are complete.
const ENDING: &str = "jsonl";

/// See the module.
pub(super) struct Spool {
    folder: PathBuf,
    most: u64,
    /// Oldest first.
    files: VecDeque<SpoolFile>,
    /// Whether the last file is being written.
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
    /// Bytes handed to the connection.
    read: u64,
    /// Bytes and lines that need not be sent again.
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
    /// Touches nothing yet. `most` is 0 for no spool at all.
    pub(super) fn new(folder: PathBuf, most: u64, stats: Arc<Stats>) -> Spool {
        Spool { folder, most, files: VecDeque::new(), writing: false, made: 0, stats }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn has_unread(&self) -> bool {
        self.files.iter().any(|file| file.read < file.bytes)
    }

    /// Writes whole lines, or nothing.
    pub(super) fn append(&mut self, block: &Block) -> io::Result<()> {
        if self.most == 0 {
            return Err(io::Error::other("a command keeps no lines on disk"));
        }
        let length = block.bytes.len() as u64;
        while !self.files.is_empty() && self.bytes() + length > self.most {
            self.drop_oldest();
        }
        if !self.writing || self.files.back().is_some_and(|file| file.bytes + length > self.most / FILES) {
            self.writing = false;
            let file = self.create()?;
            self.files.push_back(file);
            self.writing = true;
        }
        let Some(last) = self.files.back_mut() else { return Ok(()) };
        if let Err(error) = last.file.write_all(&block.bytes) {
            // Half a line must not stand before the next one.
            self.writing = last.file.set_len(last.bytes).is_ok();
            return Err(error);
        }
        last.bytes += length;
        last.lines += block.lines;
        self.count();
        Ok(())
    }

    /// The oldest lines that were not read yet.
    pub(super) fn next(&mut self) -> Option<(Block, SpoolChunk)> {
        loop {
            let at = self.files.iter().position(|file| file.read < file.bytes)?;
            let file = self.files.get_mut(at)?;
            let mut bytes = vec![0; usize::try_from(file.bytes - file.read).unwrap_or(BLOCK).min(BLOCK)];
            let read = file.file.read_exact_at(&mut bytes, file.read);
            let end = bytes.iter().rposition(|byte| *byte == b'\n');
            let (Ok(()), Some(end)) = (read, end) else {
                // The disk is broken there; what else it holds may be fine.
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

    /// What was read has arrived.
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

    /// What was read and not acked is read again.
    pub(super) fn rewind(&mut self) {
        self.files.iter_mut().for_each(|file| file.read = file.acked.bytes);
    }

    /// Takes over what processes left that are gone.
    pub(super) fn adopt(&mut self) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        if self.most == 0 {
            return;
        }
        let mut found: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        found.retain(|path| path.extension().is_some_and(|ending| ending == ENDING));
        found.retain(|path| self.files.iter().all(|file| file.path != *path));
        found.sort();
        // Before our own, and the oldest, whose name comes first, before all.
        for path in found.into_iter().rev() {
            self.made += 1;
            if let Some(file) = SpoolFile::adopt(path, self.made, &self.stats) {
                self.files.push_front(file);
            }
        }
        // Ours is never the only one: files that are empty were not adopted.
        while self.files.len() > 1 && self.bytes() > self.most {
            self.drop_oldest();
        }
        self.count();
    }

    fn create(&mut self) -> io::Result<SpoolFile> {
        // Nobody else's business: lines say who was where.
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        self.made += 1;
        let now = chrono::Utc::now().timestamp_millis();
        let path = self.folder.join(format!("{now:014}-{}-{:08}.{ENDING}", std::process::id(), self.made));
        let new = path.with_extension("new");
        let file = OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(&new)?;
        // It gets its name when it is locked, so that nobody takes it for one that was left. Where there are no locks,
        // nobody adopts.
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
                // Some may be on their way and arrive all the same: rather one too many.
                self.stats.count_dropped(file.lines.saturating_sub(file.acked.lines));
            }
            // Where it stays it is shipped once more by a later process.
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
            // Shipped and removed by another in this moment.
            return None;
        }
        let (mut bytes, mut lines, mut at, mut part) = (0, 0, 0, vec![0; BLOCK]);
        while let Ok(length @ 1..) = file.read_at(&mut part, at) {
            let part = part.get(..length).unwrap_or_default();
            if let Some(end) = part.iter().rposition(|byte| *byte == b'\n') {
                bytes = at + end as u64 + 1;
            }
            lines += count_lines(part);
            at += length as u64;
        }
        // A line that was being written when its process died.
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
