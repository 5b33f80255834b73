//! Sorted runs on disk, and merging them.
//!
//! All runs of a level lie in one file without a name, in blocks of some 32 KiB that LZ4 compresses to about a third.
//! A block holds whole lines, each with its line feed. Of each run one block is in memory while it is merged;
//! runs that are too many for that are merged into fewer first, neighbours with neighbours, so that the order of
//! equal lines holds. Called by the merge.

use super::MergeError;
use super::chunk::Chunk;
use super::line::{self, MOST_LINE};
use overseas_shared::cdn::LineLayout;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes of a block before it is compressed; a long line can make it larger.
const BLOCK: usize = 32 * 1024;
/// Before each block: its length on disk and its length in memory, as 32-bit numbers.
const HEADER: usize = 8;
/// Most runs that are merged at a time.
const MOST_RUNS: usize = 512;

/// Where a run lies in the file.
#[derive(Debug, Clone, Copy)]
struct Run {
    begin: u64,
    end: u64,
}

pub(super) struct Spill {
    folder: PathBuf,
    layout: LineLayout,
    most_runs: usize,
    level: Option<Level>,
}

/// One file of runs.
struct Level {
    file: BufWriter<File>,
    at: u64,
    runs: Vec<Run>,
    block: Vec<u8>,
    packed: Vec<u8>,
}

impl Level {
    fn new(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let file = BufWriter::with_capacity(256 * 1024, tempfile::tempfile_in(folder)?);
        Ok(Self { file, at: 0, runs: Vec::new(), block: Vec::with_capacity(BLOCK + 1024), packed: Vec::new() })
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        if !self.block.is_empty() && self.block.len() + line.len() >= BLOCK {
            self.flush_block()?;
        }
        self.block.extend_from_slice(line);
        self.block.push(b'\n');
        Ok(())
    }

    fn flush_block(&mut self) -> io::Result<()> {
        self.packed.resize(lz4_flex::block::get_maximum_output_size(self.block.len()), 0);
        let length = lz4_flex::block::compress_into(&self.block, &mut self.packed).map_err(io::Error::other)?;
        let number = |length: usize| u32::try_from(length).map(u32::to_le_bytes).map_err(io::Error::other);
        self.file.write_all(&number(length)?)?;
        self.file.write_all(&number(self.block.len())?)?;
        self.file.write_all(&self.packed[..length])?;
        self.at += (HEADER + length) as u64;
        self.block.clear();
        Ok(())
    }

    fn end_run(&mut self) -> io::Result<()> {
        if !self.block.is_empty() {
            self.flush_block()?;
        }
        let begin = self.runs.last().map_or(0, |run| run.end);
        self.runs.push(Run { begin, end: self.at });
        Ok(())
    }
}

impl Spill {
    /// The folder is made when something is written.
    pub(super) fn new(folder: &Path, layout: LineLayout) -> Self {
        Self { folder: folder.to_owned(), layout, most_runs: MOST_RUNS, level: None }
    }

    #[cfg(test)]
    pub(super) fn with_most_runs(folder: &Path, most_runs: usize) -> Self {
        Self { most_runs, ..Self::new(folder, LineLayout::DateAndTime) }
    }

    /// Writes a sorted chunk as the next run.
    pub(super) fn write(&mut self, chunk: &Chunk) -> io::Result<()> {
        let level = match &mut self.level {
            Some(level) => level,
            None => self.level.insert(Level::new(&self.folder)?),
        };
        chunk.lines().try_for_each(|line| level.line(line))?;
        level.end_run()
    }

    /// Hands out all lines in order.
    pub(super) fn merge(
        self,
        disk: impl Fn(io::Error) -> MergeError,
        mut write: impl FnMut(&[u8]) -> Result<(), MergeError>,
    ) -> Result<(), MergeError> {
        let Some(mut level) = self.level else { return Ok(()) };
        while level.runs.len() > self.most_runs {
            level.file.flush().map_err(&disk)?;
            let mut next = Level::new(&self.folder).map_err(&disk)?;
            for runs in level.runs.chunks(self.most_runs) {
                merge_runs(level.file.get_ref(), runs, self.layout, &disk, |line| next.line(line).map_err(&disk))?;
                next.end_run().map_err(&disk)?;
            }
            level = next;
        }
        level.file.flush().map_err(&disk)?;
        merge_runs(level.file.get_ref(), &level.runs, self.layout, &disk, &mut write)
    }
}

/// A run that is being read: one block of it, and the line that is next.
struct Reader<'a> {
    file: &'a File,
    layout: LineLayout,
    rest: Run,
    block: Vec<u8>,
    begin: usize,
    end: usize,
    key: u64,
}

impl<'a> Reader<'a> {
    /// A reader at its first line; `None` for a run without lines.
    fn open(file: &'a File, run: Run, layout: LineLayout, packed: &mut Vec<u8>) -> io::Result<Option<Self>> {
        let mut reader = Self { file, layout, rest: run, block: Vec::new(), begin: 0, end: 0, key: 0 };
        Ok(reader.load(packed)?.then_some(reader))
    }

    fn line(&self) -> &[u8] {
        &self.block[self.begin..self.end]
    }

    /// Goes on to the next line; false at the end of the run.
    fn advance(&mut self, packed: &mut Vec<u8>) -> io::Result<bool> {
        self.begin = self.end + 1;
        if self.begin < self.block.len() {
            self.find_line();
            return Ok(true);
        }
        self.load(packed)
    }

    fn load(&mut self, packed: &mut Vec<u8>) -> io::Result<bool> {
        if self.rest.begin >= self.rest.end {
            return Ok(false);
        }
        let mut header = [0; HEADER];
        self.file.read_exact_at(&mut header, self.rest.begin)?;
        let number = |at: usize| header[at..at + 4].iter().rev().fold(0, |sum, byte| sum * 256 + usize::from(*byte));
        let (length, unpacked) = (number(0), number(4));
        if unpacked > BLOCK + MOST_LINE + 1 || length > lz4_flex::block::get_maximum_output_size(unpacked) {
            return Err(io::Error::other("what was written cannot be read back"));
        }
        packed.resize(length, 0);
        self.file.read_exact_at(packed, self.rest.begin + HEADER as u64)?;
        self.block.resize(unpacked, 0);
        lz4_flex::block::decompress_into(packed, &mut self.block).map_err(io::Error::other)?;
        self.rest.begin += (HEADER + length) as u64;
        self.begin = 0;
        self.find_line();
        Ok(true)
    }

    fn find_line(&mut self) {
        let rest = &self.block[self.begin..];
        self.end = self.begin + memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        self.key = line::key(self.layout, self.line());
    }
}

/// A heap of the runs, the one with the first line on top; among equal lines that of the earlier run.
fn merge_runs(
    file: &File,
    runs: &[Run],
    layout: LineLayout,
    disk: &impl Fn(io::Error) -> MergeError,
    mut write: impl FnMut(&[u8]) -> Result<(), MergeError>,
) -> Result<(), MergeError> {
    let mut packed = Vec::new();
    let mut readers = Vec::with_capacity(runs.len());
    for run in runs {
        readers.extend(Reader::open(file, *run, layout, &mut packed).map_err(disk)?);
    }
    let mut heap: Vec<usize> = (0..readers.len()).collect();
    for at in (0..heap.len() / 2).rev() {
        sift_down(&mut heap, at, &readers);
    }
    while let Some(&first) = heap.first() {
        write(readers[first].line())?;
        if !readers[first].advance(&mut packed).map_err(disk)? {
            heap.swap_remove(0);
        }
        sift_down(&mut heap, 0, &readers);
    }
    Ok(())
}

fn sift_down(heap: &mut [usize], mut at: usize, readers: &[Reader<'_>]) {
    let before = |a: usize, b: usize| {
        let (x, y) = (&readers[a], &readers[b]);
        line::compare(x.layout, (x.key, x.line()), (y.key, y.line())).then(a.cmp(&b)).is_lt()
    };
    loop {
        let (left, right) = (2 * at + 1, 2 * at + 2);
        let mut first = at;
        for child in [left, right] {
            if child < heap.len() && before(heap[child], heap[first]) {
                first = child;
            }
        }
        if first == at {
            return;
        }
        heap.swap(at, first);
        at = first;
    }
}
