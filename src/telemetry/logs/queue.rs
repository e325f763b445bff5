//! What waits to be shipped, what is on its way, and what goes to disk instead.
//!
//! TCP tells nobody whether the other program read what the kernel took. So what was written is kept for [`SETTLE`] more:
//! a connection that breaks by then gives it back, and it is sent once more. Lines may so arrive twice (`line_id` tells), and
//! are lost when the other side sat on them for longer and then died.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Stats;
use super::spool::{Spool, SpoolChunk};

/// Bytes written at once.
pub(super) const BLOCK: usize = 64 * 1024;
/// Longer than the kernel waits for the other kernel's receipt (`SILENCE` in connection.rs).
const SETTLE: Duration = Duration::from_secs(10);
/// Bytes that wait in memory, and as many that are on their way.
const MEMORY: usize = 8 * 1024 * 1024;

/// Whole lines.
#[derive(Default)]
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
}

impl Block {
    /// Of what a file holds. A line that cannot be one of ours is left out.
    pub(super) fn of_whole_lines(mut bytes: Vec<u8>) -> Block {
        let lease_is_valid = |line: &&[u8]| line.starts_with(b"{") && line.ends_with(b"}\n");
        let all = || bytes.split_inclusive(|byte| *byte == b'\n');
        let (lines, ours) = (all().count(), all().filter(lease_is_valid).count());
        if ours < lines {
            bytes = all().filter(lease_is_valid).flatten().copied().collect();
        }
        Block { bytes, lines: ours as u64 }
    }
}

/// See the module.
pub(super) struct Queue {
    waiting: VecDeque<Rc<Block>>,
    in_flight: VecDeque<(Instant, InFlight)>,
    /// Of those on the way that are in memory.
    in_flight_bytes: usize,
    spool: Spool,
    /// Whether there is reason to believe that lines leave soon.
    prefer_memory: bool,
    stats: Arc<Stats>,
}

enum InFlight {
    Memory(Rc<Block>),
    Disk(SpoolChunk),
}

impl Queue {
    pub(super) fn new(mut spool: Spool, stats: Arc<Stats>) -> Queue {
        spool.adopt();
        Queue {
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            spool,
            prefer_memory: true,
            stats,
        }
    }

    pub(super) fn folder(&self) -> &Path {
        self.spool.folder()
    }

    /// Takes lines in. An error says why the disk took none; what memory has no room for either is dropped and counted.
    pub(super) fn push(&mut self, lines: impl Iterator<Item = Vec<u8>>) -> io::Result<()> {
        let mut block = Block::default();
        let mut outcome = Ok(());
        for line in lines {
            if block.bytes.len() + line.len() > BLOCK {
                outcome = outcome.and(self.put(std::mem::take(&mut block)));
            }
            block.bytes.extend(line);
            block.lines += 1;
        }
        outcome.and(self.put(block))
    }

    /// What to write now.
    pub(super) fn next(&mut self) -> Option<Rc<Block>> {
        let now = Instant::now();
        let block = match self.waiting.pop_front() {
            Some(block) => {
                self.in_flight.push_back((now, InFlight::Memory(block.clone())));
                self.in_flight_bytes += block.bytes.len();
                block
            }
            None => {
                let (block, chunk) = self.spool.next()?;
                self.in_flight.push_back((now, InFlight::Disk(chunk)));
                Rc::new(block)
            }
        };
        self.count();
        Some(block)
    }

    /// There is a connection.
    pub(super) fn connected(&mut self) {
        self.prefer_memory = true;
    }

    /// There is none for a while: what waits goes to disk.
    pub(super) fn disconnected(&mut self) -> io::Result<()> {
        self.prefer_memory = false;
        let mut outcome = Ok(());
        for block in std::mem::take(&mut self.waiting) {
            outcome = outcome.and(self.keep(block));
        }
        self.count();
        outcome
    }

    /// The connection broke: what was written in the last moments may be lost, and waits again.
    pub(super) fn take_back(&mut self) {
        for (_, written) in std::mem::take(&mut self.in_flight).into_iter().rev() {
            if let InFlight::Memory(block) = written {
                self.waiting.push_front(block);
            }
        }
        self.in_flight_bytes = 0;
        self.spool.rewind();
        self.count();
    }

    /// What was written long enough ago has arrived.
    pub(super) fn ack(&mut self) {
        while let Some((at, _)) = self.in_flight.front()
            && (at.elapsed() >= SETTLE || self.in_flight_bytes > MEMORY)
        {
            self.ack_oldest();
        }
    }

    /// All that was written has arrived: the other side said so.
    pub(super) fn ack_all(&mut self) {
        while !self.in_flight.is_empty() {
            self.ack_oldest();
        }
    }

    /// Looks for what other processes left.
    pub(super) fn adopt(&mut self) {
        self.spool.adopt();
    }

    /// Keeps what is left for the next process; what the disk does not take is dropped and counted.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.take_back();
        let outcome = self.disconnected();
        self.stats.count_dropped(self.waiting.iter().map(|block| block.lines).sum());
        outcome
    }

    fn put(&mut self, block: Block) -> io::Result<()> {
        if block.lines == 0 {
            return Ok(());
        }
        let mut outcome = Ok(());
        if !self.prefer_memory || self.spool.has_unread() || !self.has_room(&block) {
            outcome = self.keep(Rc::new(block));
        } else if let Some(last) = self.waiting.back_mut().and_then(Rc::get_mut)
            && last.bytes.len() + block.bytes.len() <= BLOCK
        {
            last.bytes.extend(block.bytes);
            last.lines += block.lines;
        } else {
            self.waiting.push_back(Rc::new(block));
        }
        self.count();
        outcome
    }

    /// On disk; in memory as far as it has room where the disk refuses.
    fn keep(&mut self, block: Rc<Block>) -> io::Result<()> {
        self.spool.append(&block).inspect_err(|_| {
            if self.has_room(&block) {
                self.waiting.push_back(block);
            } else {
                self.stats.count_dropped(block.lines);
            }
        })
    }

    fn has_room(&self, block: &Block) -> bool {
        self.waiting.iter().map(|block| block.bytes.len()).sum::<usize>() + block.bytes.len() <= MEMORY
    }

    fn ack_oldest(&mut self) {
        match self.in_flight.pop_front() {
            Some((_, InFlight::Memory(block))) => self.in_flight_bytes -= block.bytes.len(),
            Some((_, InFlight::Disk(chunk))) => self.spool.ack(chunk),
            None => {}
        }
    }

    fn count(&self) {
        self.stats.set_waiting(self.waiting.iter().map(|block| block.lines).sum());
    }
}
