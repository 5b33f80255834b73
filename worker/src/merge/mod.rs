//! Merging a day's log files into one: decompress, drop headers, sort all lines by time, compress.
//!
//! Memory is bounded whatever the day holds: lines are collected in two chunks, which take turns in being filled and
//! in being sorted and spilled; the sorted runs on disk are then merged. The order is that of
//! `LC_ALL=C sort --stable --key=1,2` (or of the time, wherever a line has it) over the files in the order of their names: lines of equal time stay in the
//! order in which they came. A day that fits into one chunk touches no disk. The spill is a file without a name, so
//! that a process that is killed leaves nothing. Blocking; called by `jobs::logs` on a thread of its own.

mod chunk;
mod gunzip;
mod gzip;
mod line;
mod spill;
#[cfg(test)]
mod tests;

use chunk::Chunk;
use gunzip::{Gunzip, Piece};
use gzip::Gzip;
use line::Lines;
use overseas_shared::cdn::LineLayout;
use spill::Spill;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use tokio_util::sync::CancellationToken;

/// Bytes that are decompressed at a time.
const PIECE: usize = 128 * 1024;
/// Most bytes that one file may become; what a vendor sends is input too.
const MOST_BYTES_OF_A_FILE: u64 = 64 << 30;

/// How a merge works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bytes of each of the two chunks.
    pub chunk_bytes: usize,
    /// Where runs are spilled to; there has to be room for about a third of the day's uncompressed bytes.
    pub scratch: PathBuf,
    /// Threads that compress.
    pub threads: usize,
    /// How the lines are laid out.
    pub layout: LineLayout,
}

impl Settings {
    /// Bytes of a chunk that keep the whole process below 128 MB.
    pub const CHUNK_BYTES: usize = 24 << 20;

    /// The usual settings with this folder for what does not fit into memory.
    #[must_use]
    pub fn new(scratch: PathBuf, layout: LineLayout) -> Self {
        let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get).min(4);
        Self { chunk_bytes: Self::CHUNK_BYTES, scratch, threads, layout }
    }
}

/// What became of the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    /// Lines that were written.
    pub lines: u64,
    /// What was wrong with files of which only a part could be read: name and reason.
    pub broken: Vec<(String, String)>,
    /// Lines that were longer than a line may be, and were cut.
    pub cut_lines: u64,
}

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A file could not be opened or read to its end, which says nothing about what is in it.
    #[error("{file}: {error}")]
    Source {
        /// The file's name.
        file: String,
        /// What the reader said.
        error: io::Error,
    },
    /// What does not fit into memory could not be written or read back.
    #[error("the staging folder {folder}: {error}")]
    Spill {
        /// The folder.
        folder: String,
        /// What the system said.
        error: io::Error,
    },
    /// Nobody takes the result.
    #[error("the result could not be written")]
    Output,
    /// The caller wants no more.
    #[error("the work was called off")]
    Cancelled,
}

/// Where the merge finds its files.
pub trait Files {
    /// How many there are.
    fn count(&self) -> usize;
    /// The name of one.
    fn name(&self, index: usize) -> &str;
    /// Opens one.
    ///
    /// # Errors
    /// What the source said.
    fn open(&self, index: usize) -> io::Result<Box<dyn Read>>;
}

/// Merges the files, in their order, and hands the compressed result to `output` piece by piece.
///
/// # Errors
/// [`MergeError`]; then what `output` was given is worth nothing. A file whose content is broken is no error.
pub fn merge(
    files: &dyn Files,
    settings: &Settings,
    cancel: &CancellationToken,
    output: impl FnMut(Vec<u8>) -> bool + Send,
) -> Result<Merged, MergeError> {
    let mut merged = Merged::default();
    let sorted = sort(files, settings, cancel, &mut merged)?;
    let disk = |error| spill_error(settings, error);
    Gzip::run(settings.threads, output, |gzip| {
        let mut number = 0_u64;
        let mut write = |line: &[u8]| {
            number += 1;
            if number.is_multiple_of(4096) && cancel.is_cancelled() {
                return Err(MergeError::Cancelled);
            }
            gzip.line(line)
        };
        match sorted {
            Sorted::InMemory(chunk) => chunk.lines().try_for_each(&mut write)?,
            Sorted::OnDisk(spill) => spill.merge(disk, &mut write)?,
        }
        merged.lines = number;
        Ok(merged)
    })
}

fn spill_error(settings: &Settings, error: io::Error) -> MergeError {
    MergeError::Spill { folder: settings.scratch.display().to_string(), error }
}

enum Sorted {
    InMemory(Chunk),
    OnDisk(Spill),
}

/// Fills one chunk while the other is sorted and spilled.
fn sort(
    files: &dyn Files,
    settings: &Settings,
    cancel: &CancellationToken,
    merged: &mut Merged,
) -> Result<Sorted, MergeError> {
    thread::scope(|scope| {
        let (full, to_spill) = mpsc::sync_channel::<Chunk>(1);
        let (emptied, empty) = mpsc::sync_channel::<Chunk>(2);
        let spilling = scope.spawn(move || -> io::Result<Spill> {
            let mut spill = Spill::new(&settings.scratch, settings.layout);
            for mut chunk in to_spill {
                chunk.sort();
                spill.write(&chunk)?;
                chunk.clear();
                if emptied.send(chunk).is_err() {
                    break;
                }
            }
            Ok(spill)
        });
        let mut spare = Some(Chunk::new(settings.chunk_bytes, settings.layout));
        let mut spilled = false;
        let last = read_all(
            files,
            settings.layout,
            cancel,
            merged,
            Chunk::new(settings.chunk_bytes, settings.layout),
            |chunk| {
                spilled = true;
                full.send(chunk).ok()?;
                spare.take().or_else(|| empty.recv().ok())
            },
        );
        let mut last = match last {
            // The other thread has ended; why is asked below.
            Err(ReadError::NoSpill) => None,
            Err(ReadError::Merge(error)) => {
                drop(full);
                let _ = spilling.join();
                return Err(error);
            }
            Ok(chunk) => Some(chunk),
        };
        if let Some(chunk) = last.take_if(|chunk| spilled && !chunk.is_empty()) {
            let _ = full.send(chunk);
        }
        drop(full);
        let outcome = spilling.join().unwrap_or_else(|_| Err(io::Error::other("the sorting thread panicked")));
        let spill = outcome.map_err(|error| spill_error(settings, error))?;
        match last {
            Some(mut chunk) if !spilled => {
                chunk.sort();
                Ok(Sorted::InMemory(chunk))
            }
            _ => Ok(Sorted::OnDisk(spill)),
        }
    })
}

enum ReadError {
    /// Full chunks are not taken any more.
    NoSpill,
    Merge(MergeError),
}

/// Reads all files into chunks; `exchange` takes a full one for an empty one. Returns the last one.
fn read_all(
    files: &dyn Files,
    layout: LineLayout,
    cancel: &CancellationToken,
    merged: &mut Merged,
    mut chunk: Chunk,
    mut exchange: impl FnMut(Chunk) -> Option<Chunk>,
) -> Result<Chunk, ReadError> {
    let mut piece = vec![0; PIECE];
    for index in 0..files.count() {
        let failed = |error| ReadError::Merge(MergeError::Source { file: files.name(index).to_owned(), error });
        let mut reader = Gunzip::new(files.open(index).map_err(failed)?);
        let mut lines = Lines::new(layout);
        let mut take = |line: &[u8]| {
            if !chunk.has_room_for(line) {
                chunk = exchange(std::mem::take(&mut chunk)).ok_or(ReadError::NoSpill)?;
            }
            chunk.push(line);
            Ok(())
        };
        let mut bytes = 0_u64;
        let broken = loop {
            if cancel.is_cancelled() {
                return Err(ReadError::Merge(MergeError::Cancelled));
            }
            match reader.read(&mut piece).map_err(failed)? {
                Piece::Data(length) => {
                    lines.feed(&piece[..length], &mut take)?;
                    bytes += length as u64;
                }
                Piece::End => break None,
                Piece::Broken(reason) => break Some(reason),
            }
            if bytes > MOST_BYTES_OF_A_FILE {
                break Some(format!("more than {MOST_BYTES_OF_A_FILE} bytes"));
            }
        };
        match broken {
            // The rest of a line that was cut off would be taken for a line.
            Some(reason) => merged.broken.push((files.name(index).to_owned(), reason)),
            None => lines.finish(&mut take)?,
        }
        merged.cut_lines += lines.cut();
    }
    Ok(chunk)
}
