//! Writing gzip (RFC 1952) with several threads.
//!
//! The text is cut into blocks that are compressed independently and end at a byte's border (a "sync flush"), so that
//! together they are one stream of one member, which every reader takes; a block is large enough that this costs less
//! than a hundredth of the size. The same lines always give the same bytes. Called by the merge.

use super::MergeError;
use flate2::{Compress, Compression, Crc, FlushCompress};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Bytes of text in a block.
const BLOCK: usize = 1 << 20;
/// No name, no time, an unknown system (RFC 1952, section 2.3).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// A last block without content (RFC 1951, section 3.2.3), since all others say that another one follows.
const END: [u8; 2] = [3, 0];

struct Packed {
    bytes: Vec<u8>,
    check: Crc,
}

struct Job {
    text: Vec<u8>,
    reply: Sender<Packed>,
}

/// The writing end.
pub(super) struct Gzip {
    text: Vec<u8>,
    jobs: SyncSender<Job>,
    order: SyncSender<Receiver<Packed>>,
}

impl Gzip {
    /// Runs `fill`, which writes lines, and hands what they become to `output`, which says whether it takes more.
    pub(super) fn run<T>(
        threads: usize,
        mut output: impl FnMut(Vec<u8>) -> bool + Send,
        fill: impl FnOnce(&mut Self) -> Result<T, MergeError>,
    ) -> Result<T, MergeError> {
        let threads = threads.max(1);
        thread::scope(|scope| {
            let (jobs, waiting) = sync_channel::<Job>(1);
            let (order, results) = sync_channel::<Receiver<Packed>>(threads + 1);
            let waiting = Arc::new(Mutex::new(waiting));
            for _ in 0..threads {
                let waiting = Arc::clone(&waiting);
                scope.spawn(move || work(&waiting));
            }
            drop(waiting);
            let writing = scope.spawn(move || write(&results, &mut output));
            let mut gzip = Self { text: Vec::with_capacity(BLOCK), jobs, order };
            let filled = fill(&mut gzip).and_then(|value| gzip.flush().map(|()| (value, gzip)));
            match filled {
                Ok((value, gzip)) => {
                    // The channels end, and with them the threads; the writer adds the end of the stream.
                    let Self { jobs, order, .. } = gzip;
                    drop((jobs, order));
                    match writing.join() {
                        Ok(true) => Ok(value),
                        _ => Err(MergeError::Output),
                    }
                }
                Err(error) => Err(error),
            }
        })
    }

    /// Writes a line and its line feed.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<(), MergeError> {
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
        if self.text.len() >= BLOCK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), MergeError> {
        if self.text.is_empty() {
            return Ok(());
        }
        let (reply, result) = channel();
        let text = std::mem::replace(&mut self.text, Vec::with_capacity(BLOCK + BLOCK / 16));
        let sent = self.order.send(result).is_ok() && self.jobs.send(Job { text, reply }).is_ok();
        if sent { Ok(()) } else { Err(MergeError::Output) }
    }
}

fn work(waiting: &Mutex<Receiver<Job>>) {
    let mut state = Compress::new(Compression::default(), false);
    loop {
        // The lock is held while waiting: the next one waits for the lock in place of the job.
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        if let Some(packed) = pack(&mut state, &job.text) {
            let _ = job.reply.send(packed);
        }
    }
}

/// Compresses a block on its own.
fn pack(state: &mut Compress, text: &[u8]) -> Option<Packed> {
    let mut check = Crc::new();
    check.update(text);
    state.reset();
    let mut bytes = Vec::with_capacity(text.len() / 3 + 1024);
    loop {
        let taken = usize::try_from(state.total_in()).ok()?;
        state.compress_vec(text.get(taken..)?, &mut bytes, FlushCompress::Sync).ok()?;
        // With room left over there was nothing more to write.
        if state.total_in() == text.len() as u64 && bytes.len() < bytes.capacity() {
            return Some(Packed { bytes, check });
        }
        bytes.reserve(bytes.capacity() / 2);
    }
}

/// Puts the blocks together in their order; true when everything was taken. The end of the stream is written only
/// when the last block is there, and a stream that was given up never ends properly.
fn write(results: &Receiver<Receiver<Packed>>, output: &mut (impl FnMut(Vec<u8>) -> bool + Send)) -> bool {
    let mut check = Crc::new();
    if !output(HEADER.to_vec()) {
        return false;
    }
    for result in results {
        let Ok(packed) = result.recv() else { return false };
        check.combine(&packed.check);
        if !output(packed.bytes) {
            return false;
        }
    }
    let mut end = END.to_vec();
    end.extend(check.sum().to_le_bytes());
    end.extend(check.amount().to_le_bytes());
    output(end)
}
