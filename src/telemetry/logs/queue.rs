//! Lines waiting to be shipped, lines in flight, and when lines go to disk instead.
//!
//! TCP does not tell whether the peer's program has read what the kernel sent. So written lines are kept for another
//! [`RESEND_WINDOW`]; if the connection breaks within that time, they are sent again. Lines may therefore arrive twice
//! (`line_id` identifies them), and are lost if the peer leaves them unread for longer and then dies.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Stats;
use super::spool::{Spool, SpoolChunk};

/// Largest block, in bytes.
pub(super) const BLOCK_BYTES: usize = 64 * 1024;
/// Longer than TCP_USER_TIMEOUT (`USER_TIMEOUT` in connection.rs).
const RESEND_WINDOW: Duration = Duration::from_secs(10);
/// Maximum size of the lines waiting in memory, in bytes. The same limit applies to lines in flight.
const MAX_MEMORY_BYTES: usize = 8 * 1024 * 1024;

/// Whole lines.
#[derive(Default)]
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
}

impl Block {
    /// Builds a block from the content of a file. Omits lines that are not `{..}`, which are damaged.
    pub(super) fn of_whole_lines(mut bytes: Vec<u8>) -> Block {
        let is_whole = |line: &&[u8]| line.starts_with(b"{") && line.ends_with(b"}\n");
        let all = || bytes.split_inclusive(|byte| *byte == b'\n');
        let (lines, ours) = (all().count(), all().filter(is_whole).count());
        if ours < lines {
            bytes = all().filter(is_whole).flatten().copied().collect();
        }
        Block { bytes, lines: ours as u64 }
    }
}

pub(super) struct Queue {
    waiting: VecDeque<Rc<Block>>,
    in_flight: VecDeque<(Instant, InFlight)>,
    /// Size of the blocks in flight that came from memory.
    in_flight_bytes: usize,
    spool: Spool,
    /// Whether lines are likely to be sent soon; else they go to disk.
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

    /// Adds lines. An error is the reason why some could not be written to disk. Lines that do not fit into memory
    /// either are dropped and counted.
    pub(super) fn push(&mut self, lines: impl Iterator<Item = Vec<u8>>) -> io::Result<()> {
        let mut block = Block::default();
        let mut outcome = Ok(());
        for line in lines {
            if block.bytes.len() + line.len() > BLOCK_BYTES {
                outcome = outcome.and(self.put(std::mem::take(&mut block)));
            }
            block.bytes.extend(line);
            block.lines += 1;
        }
        outcome.and(self.put(block))
    }

    /// The next block to write; it is then in flight.
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

    pub(super) fn connected(&mut self) {
        self.prefer_memory = true;
    }

    /// Moves the waiting blocks to disk, until there is a connection again.
    pub(super) fn disconnected(&mut self) -> io::Result<()> {
        self.prefer_memory = false;
        let mut outcome = Ok(());
        for block in std::mem::take(&mut self.waiting) {
            outcome = outcome.and(self.keep(block));
        }
        self.count();
        outcome
    }

    /// Queues the lines in flight again, because a broken connection may have lost them.
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

    /// Treats blocks as delivered if they were written at least [`RESEND_WINDOW`] ago or exceed the memory limit.
    pub(super) fn ack(&mut self) {
        while let Some((at, _)) = self.in_flight.front()
            && (at.elapsed() >= RESEND_WINDOW || self.in_flight_bytes > MAX_MEMORY_BYTES)
        {
            self.ack_oldest();
        }
    }

    /// Treats all blocks as delivered: the peer has confirmed it by closing the connection.
    pub(super) fn ack_all(&mut self) {
        while !self.in_flight.is_empty() {
            self.ack_oldest();
        }
    }

    /// Takes over the files of ended processes.
    pub(super) fn adopt(&mut self) {
        self.spool.adopt();
    }

    /// Moves everything to disk for the next process. Lines that cannot be written are dropped and counted.
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
            && last.bytes.len() + block.bytes.len() <= BLOCK_BYTES
        {
            last.bytes.extend(block.bytes);
            last.lines += block.lines;
        } else {
            self.waiting.push_back(Rc::new(block));
        }
        self.count();
        outcome
    }

    /// Writes the block to disk; if that fails, keeps it in memory if there is room.
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
        self.waiting.iter().map(|block| block.bytes.len()).sum::<usize>() + block.bytes.len()
            <= MAX_MEMORY_BYTES
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
