//! Reading gzip (RFC 1952) to the last byte that can be read.
//!
//! The library's own reader gives nothing of the block in which a file is broken; this one hands out all that was
//! decompressed before it says so. Several members in one file are one text, and zeros after the last are padding,
//! as `zcat` has it. Called by the merge.

use flate2::{Decompress, FlushDecompress, Status};
use std::io::{self, Read};

/// Bytes that are read at a time.
const INPUT: usize = 64 * 1024;

/// What a read gave.
pub(super) enum Piece {
    /// So many bytes.
    Data(usize),
    /// The end of a whole file.
    End,
    /// What comes now cannot be read, and why.
    Broken(String),
}

pub(super) struct Gunzip<R> {
    source: R,
    input: Vec<u8>,
    begin: usize,
    end: usize,
    state: Decompress,
    /// Whether a member has begun and has not ended.
    inside: bool,
    /// Whether any member has ended.
    any: bool,
    broken: Option<String>,
}

impl<R: Read> Gunzip<R> {
    pub(super) fn new(source: R) -> Self {
        let (input, state) = (vec![0; INPUT], Decompress::new_gzip(15));
        Self { source, input, begin: 0, end: 0, state, inside: false, any: false, broken: None }
    }

    /// Fills `output` with at least one byte, or says why not.
    ///
    /// # Errors
    /// Those of the source.
    pub(super) fn read(&mut self, output: &mut [u8]) -> io::Result<Piece> {
        loop {
            if let Some(reason) = &self.broken {
                return Ok(Piece::Broken(reason.clone()));
            }
            if self.begin == self.end && !self.fill()? {
                return Ok(match (self.inside, self.any) {
                    (true, _) => Piece::Broken("it ends early".to_owned()),
                    (false, true) => Piece::End,
                    (false, false) => Piece::Broken("it is empty".to_owned()),
                });
            }
            if !self.inside && self.any {
                let zeros = self.input[self.begin..self.end].iter().take_while(|byte| **byte == 0).count();
                self.begin += zeros;
                if self.begin == self.end {
                    continue;
                }
            }
            let produced = self.step(output);
            if produced > 0 {
                return Ok(Piece::Data(produced));
            }
        }
    }

    fn fill(&mut self) -> io::Result<bool> {
        loop {
            match self.source.read(&mut self.input) {
                Ok(length) => {
                    (self.begin, self.end) = (0, length);
                    return Ok(length > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Decompresses some of the input; returns how many bytes came out.
    fn step(&mut self, output: &mut [u8]) -> usize {
        let (taken, given) = (self.state.total_in(), self.state.total_out());
        let outcome = self.state.decompress(&self.input[self.begin..self.end], output, FlushDecompress::None);
        let taken = usize::try_from(self.state.total_in() - taken).unwrap_or(0);
        let given = usize::try_from(self.state.total_out() - given).unwrap_or(0);
        self.begin = (self.begin + taken).min(self.end);
        self.inside = true;
        match outcome {
            Ok(Status::StreamEnd) => {
                self.state = Decompress::new_gzip(15);
                (self.inside, self.any) = (false, true);
            }
            Ok(_) if taken == 0 && given == 0 => self.broken = Some("it cannot be decompressed".to_owned()),
            Ok(_) => {}
            Err(error) => self.broken = Some(error.to_string()),
        }
        given.min(output.len())
    }
}
