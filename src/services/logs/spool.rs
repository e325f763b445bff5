//! Lines that wait on disk: files of whole lines in one folder, up to so many bytes, the oldest dropped and counted.
//!
//! A file is locked by the process that writes or ships it, so that several processes can share the folder (one that is
//! being replaced, a command beside the server) and what a dead one left is shipped by whoever finds it unlocked.

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
    settled: Read,
}

/// A piece of a file.
#[derive(Clone, Copy, Default)]
pub(super) struct Read {
    number: u64,
    bytes: u64,
    lines: u64,
}

impl Spool {
    /// Touches nothing yet.
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
    pub(super) fn next(&mut self) -> Option<(Block, Read)> {
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
            let piece = Read { number: file.number, bytes: bytes.len() as u64, lines: count_lines(&bytes) };
            file.read += piece.bytes;
            let block = Block::of_whole_lines(bytes);
            self.stats.count_dropped(piece.lines - block.lines);
            return Some((block, piece));
        }
    }

    /// What was read has arrived.
    pub(super) fn settle(&mut self, piece: Read) {
        let Some(at) = self.files.iter().position(|file| file.number == piece.number) else { return };
        let Some(file) = self.files.get_mut(at) else { return };
        file.settled.bytes += piece.bytes;
        file.settled.lines += piece.lines;
        if file.settled.bytes >= file.bytes {
            self.forget(at, false);
        }
        self.count();
    }

    /// What was read and not settled is read again.
    pub(super) fn rewind(&mut self) {
        self.files.iter_mut().for_each(|file| file.read = file.settled.bytes);
    }

    /// Takes over what processes left that are gone.
    pub(super) fn adopt(&mut self) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
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
        Ok(SpoolFile { number: self.made, path, file, bytes: 0, lines: 0, read: 0, settled: Read::default() })
    }

    fn drop_oldest(&mut self) {
        self.forget(0, true);
    }

    fn forget(&mut self, at: usize, is_loss: bool) {
        self.writing &= at + 1 != self.files.len();
        if let Some(file) = self.files.remove(at) {
            if is_loss {
                // Some may be on their way and arrive all the same: rather one too many.
                self.stats.count_dropped(file.lines.saturating_sub(file.settled.lines));
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
        let lines = self.files.iter().map(|file| file.lines.saturating_sub(file.settled.lines)).sum();
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
        Some(SpoolFile { number, path, file, bytes, lines, read: 0, settled: Read::default() })
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(numbers: std::ops::Range<u32>) -> Block {
        let text: String = numbers.map(|number| format!("{{\"number\":{number}}}\n")).collect();
        Block::of_whole_lines(text.into_bytes())
    }

    fn spool(folder: &Path, most: u64) -> (Spool, Arc<Stats>) {
        let stats = Arc::<Stats>::default();
        (Spool::new(folder.join("spool"), most, stats.clone()), stats)
    }

    fn read_all(spool: &mut Spool) -> (Vec<u8>, Vec<Read>) {
        let (mut bytes, mut pieces) = (Vec::new(), Vec::new());
        while let Some((block, piece)) = spool.next() {
            bytes.extend(&block.bytes);
            pieces.push(piece);
        }
        (bytes, pieces)
    }

    fn files(folder: &Path) -> usize {
        std::fs::read_dir(folder.join("spool")).unwrap().count()
    }

    #[test]
    fn gives_back_what_it_got_and_again_until_it_is_settled() {
        let folder = tempfile::tempdir().unwrap();
        let (mut spool, stats) = spool(folder.path(), 1_000_000);
        for n in 0..100 {
            spool.append(&block(n * 100..n * 100 + 100)).unwrap();
        }
        assert!(files(folder.path()) > 3);
        let (all, _) = read_all(&mut spool);
        assert_eq!(all, block(0..10_000).bytes);
        assert!(!spool.has_unread());
        spool.rewind();
        let (again, pieces) = read_all(&mut spool);
        assert_eq!(again, all);
        assert_eq!(stats.snapshot().spooled_lines, 10_000);
        pieces.into_iter().for_each(|piece| spool.settle(piece));
        assert_eq!(files(folder.path()), 0);
        let now = stats.snapshot();
        assert_eq!((now.spooled_lines, now.spooled_bytes, now.dropped), (0, 0, 0));
    }

    #[test]
    fn drops_the_oldest_and_counts_them() {
        let folder = tempfile::tempdir().unwrap();
        let (mut spool, stats) = spool(folder.path(), 10_000);
        for n in 0..10_000 {
            spool.append(&block(n..n + 1)).unwrap();
            assert!(stats.snapshot().spooled_bytes <= 10_000);
        }
        let (left, _) = read_all(&mut spool);
        let now = stats.snapshot();
        assert_eq!(now.dropped + now.spooled_lines, 10_000);
        assert!(now.spooled_bytes > 9_000, "it fills the room that it has");
        assert_eq!(left, block(u32::try_from(now.dropped).unwrap()..10_000).bytes);
    }

    #[test]
    fn takes_over_what_a_dead_process_left_and_nothing_of_a_living_one() {
        let folder = tempfile::tempdir().unwrap();
        let (mut first, _) = spool(folder.path(), 100_000);
        (0..50).for_each(|n| first.append(&block(n * 100..n * 100 + 100)).unwrap());
        let (mut second, stats) = spool(folder.path(), 100_000);
        second.adopt();
        assert!(!second.has_unread(), "it is the first one's");

        // Torn in the middle of a line, as by a power failure; and a file of somebody else.
        std::fs::write(folder.path().join("spool/readme.txt"), "?").unwrap();
        first.files.back_mut().unwrap().file.write_all(b"{\"number\":50").unwrap();
        drop(first);
        second.adopt();
        let (all, pieces) = read_all(&mut second);
        assert_eq!(all, block(0..5000).bytes);
        assert_eq!((stats.snapshot().spooled_lines, stats.snapshot().dropped), (5000, 1));
        pieces.into_iter().for_each(|piece| second.settle(piece));
        assert_eq!(files(folder.path()), 1);
    }

    #[test]
    fn skips_what_the_disk_spoiled() {
        let folder = tempfile::tempdir().unwrap();
        let (mut spool, stats) = spool(folder.path(), 1_000_000);
        spool.append(&block(0..3)).unwrap();
        let file = OpenOptions::new().write(true).open(&spool.files[0].path).unwrap();
        file.write_all_at(&[0; 5], 13).unwrap();
        assert_eq!(read_all(&mut spool).0, [block(0..1).bytes, block(2..3).bytes].concat());
        assert_eq!(stats.snapshot().dropped, 1);
    }

    #[test]
    fn a_disk_that_takes_nothing_is_an_error_and_no_loss_of_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let (mut spool, _) = spool(folder.path(), 1_000_000);
        spool.append(&block(0..10)).unwrap();
        // Takes no byte, as a full disk does.
        let full = OpenOptions::new().read(true).append(true).open("/dev/full").unwrap();
        let file = std::mem::replace(&mut spool.files[0].file, full);
        assert!(spool.append(&block(10..20)).is_err());
        spool.files[0].file = file;
        spool.append(&block(20..30)).unwrap();
        assert_eq!(read_all(&mut spool).0, [block(0..10).bytes, block(20..30).bytes].concat());
    }
}
