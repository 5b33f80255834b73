//! Writes the points of a usage answer, a piece at a time, so that an answer of any length takes little memory.
//!
//! A step adds five minutes of every property to the cells; where a point's time ends, its cells are written and begin
//! anew. Numbers are written by hand, since they are most of the work of an answer.
//!
//! A volume has ten decimals: the nearest to a whole number of bytes, so that `round(volume × 1024³)` is that number
//! again. A golden row's own text is sent as it is, unless it is summed with others. Called by the parent module.

use bytes::Bytes;
use chrono::{DateTime, Datelike};
use quick_xml::escape::escape;

use super::cities::{Column, REGIONS};
use super::query::{Geo, Query};
use super::traffic::{Cell, Track};
use crate::config::{GIGABYTE, POINT_SECONDS};

/// The size of a piece, in bytes, that is worth sending.
const PIECE: usize = 48 << 10;
/// How many cells are worked out before others get their turn.
const CELLS_OF_A_TURN: usize = 100_000;

/// The rest of an answer: pieces of its body, an empty one where it only wants to let others work.
pub(super) struct Points {
    query: Query,
    tracks: Vec<Track>,
    /// For each column, its region and the opening of its element.
    columns: Vec<(usize, Vec<u8>)>,
    cells: Vec<Cell>,
    cells_of_a_step: usize,
    /// What is written before the points, until it is.
    head: Vec<u8>,
    tail: &'static [u8],
    /// The next five minutes, and where they end.
    next: i64,
    end: i64,
    /// The five minutes that are in the cells.
    steps: u64,
    /// Begin and end of the point that they belong to.
    point: (i64, i64),
    stamp: Stamp,
    done: bool,
}

impl Points {
    /// The points between two seconds, within `head` and `tail`. The columns are sorted.
    pub(super) fn new(query: Query, tracks: Vec<Track>, columns: &[Column], head: String, tail: &'static str) -> Self {
        let open =
            |column: &Column| (column.region, format!("<metro id=\"{}\">", escape(column.city.as_ref())).into_bytes());
        Self {
            query,
            columns: columns.iter().map(open).collect(),
            cells: vec![Cell::default(); columns.len()],
            cells_of_a_step: tracks.iter().map(Track::width).sum(),
            tracks,
            head: head.into_bytes(),
            tail: tail.as_bytes(),
            next: query.from,
            end: query.to,
            steps: 0,
            point: query.interval.around(query.from),
            stamp: Stamp::default(),
            done: false,
        }
    }

    /// Adds five minutes, and writes the point that ends with them.
    fn step(&mut self, out: &mut Vec<u8>) {
        for track in &self.tracks {
            track.add(self.next, &mut self.cells);
        }
        self.steps += 1;
        let (begin, end) = self.point;
        self.next += POINT_SECONDS;
        if self.next >= end.min(self.end) {
            if self.cells.iter().any(|cell| cell.parts > 0) {
                self.write(begin, out);
                self.cells.fill(Cell::default());
            }
            self.steps = 0;
            self.point = self.query.interval.around(self.next);
        }
    }

    fn write(&mut self, begin: i64, out: &mut Vec<u8>) {
        let seconds = self.steps * POINT_SECONDS.cast_unsigned();
        out.extend_from_slice(b"<point id=\"");
        self.stamp.write(begin, out);
        out.extend_from_slice(b"\"><item>");
        if self.query.geo == Geo::None {
            measures(&sum(&self.cells), seconds, out);
        } else {
            out.extend_from_slice(b"<regions>");
            self.regions(seconds, out);
            out.extend_from_slice(b"</regions>");
        }
        out.extend_from_slice(b"</item></point>");
    }

    fn regions(&self, seconds: u64, out: &mut Vec<u8>) {
        let mut begin = 0;
        for columns in self.columns.chunk_by(|a, b| a.0 == b.0) {
            let cells = &self.cells[begin..begin + columns.len()];
            begin += columns.len();
            if cells.iter().all(|cell| cell.parts == 0) {
                continue;
            }
            out.extend_from_slice(b"<region id=\"");
            out.extend_from_slice(REGIONS[columns[0].0].as_bytes());
            out.extend_from_slice(b"\">");
            if self.query.geo == Geo::Region {
                measures(&sum(cells), seconds, out);
            } else {
                out.extend_from_slice(b"<metros>");
                for ((_, open), cell) in columns.iter().zip(cells).filter(|(_, cell)| cell.parts > 0) {
                    out.extend_from_slice(open);
                    measures(cell, seconds, out);
                    out.extend_from_slice(b"</metro>");
                }
                out.extend_from_slice(b"</metros>");
            }
            out.extend_from_slice(b"</region>");
        }
    }
}

impl Iterator for Points {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.done {
            return None;
        }
        let mut out = std::mem::take(&mut self.head);
        // A point may go beyond the piece; then the buffer grows, once.
        out.reserve(PIECE + PIECE / 2);
        let mut cells = 0;
        while out.len() < PIECE && cells < CELLS_OF_A_TURN && self.next < self.end {
            self.step(&mut out);
            cells += self.cells_of_a_step;
        }
        if self.next >= self.end {
            out.extend_from_slice(self.tail);
            self.done = true;
        }
        Some(Bytes::from(out))
    }
}

fn sum(cells: &[Cell]) -> Cell {
    cells.iter().fold(Cell::default(), |mut sum, cell| {
        sum.add(cell);
        sum
    })
}

/// Requests, volume in GB and average throughput in Mbps.
fn measures(cell: &Cell, seconds: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"<requests>");
    number(cell.requests, 1, out);
    out.extend_from_slice(b"</requests><volume>");
    match &cell.volume {
        Some(text) => out.extend_from_slice(text.as_bytes()),
        None => gigabytes(cell.bytes, out),
    }
    out.extend_from_slice(b"</volume><averageThroughput>");
    // In hundred-thousandths: bytes × 8 bits × 10⁵ / (seconds × 10⁶).
    let throughput = cell.bytes.saturating_mul(4) / (seconds * 5).max(1);
    number(throughput / 100_000, 1, out);
    out.push(b'.');
    number(throughput % 100_000, 5, out);
    out.extend_from_slice(b"</averageThroughput>");
}

/// Bytes as GB with ten decimals, rounded to the nearest.
fn gigabytes(bytes: u64, out: &mut Vec<u8>) {
    number(bytes / GIGABYTE, 1, out);
    out.push(b'.');
    number(((bytes % GIGABYTE) * 10_000_000_000 + GIGABYTE / 2) / GIGABYTE, 10, out);
}

/// A decimal number with leading zeros up to a width of at most 20.
fn number(mut number: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut begin = digits.len();
    while number > 0 {
        begin -= 1;
        digits[begin] = b"0123456789"[(number % 10) as usize];
        number /= 10;
    }
    out.extend_from_slice(&digits[begin.min(digits.len() - width)..]);
}

/// Writes times as `%m/%d/%Y %H:%M:%S`, UTC, and works out the date only once a day.
#[derive(Default)]
struct Stamp {
    /// The first second of the day and its text.
    day: Option<(i64, Vec<u8>)>,
}

impl Stamp {
    fn write(&mut self, second: i64, out: &mut Vec<u8>) {
        let midnight = second - second.rem_euclid(86_400);
        if self.day.as_ref().is_none_or(|(day, _)| *day != midnight) {
            let date = DateTime::from_timestamp(midnight, 0).unwrap_or_default();
            let text = format!("{:02}/{:02}/{:04} ", date.month(), date.day(), date.year());
            self.day = Some((midnight, text.into_bytes()));
        }
        let minutes = ((second - midnight) / 60).cast_unsigned();
        out.extend_from_slice(self.day.as_ref().map_or(b"", |(_, text)| text));
        number(minutes / 60, 2, out);
        out.push(b':');
        number(minutes % 60, 2, out);
        out.extend_from_slice(b":00");
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::config::GoldenUsage;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_volume_gives_its_bytes_back() {
        let mut bytes: u64 = 1;
        for step in 0..200_000_u64 {
            let volume = text(|out| gigabytes(bytes, out));
            let row = GoldenUsage {
                property: String::new(),
                time: DateTime::<Utc>::UNIX_EPOCH,
                city: String::new(),
                volume,
                requests: 0,
            };
            assert_eq!(row.bytes(), Some(bytes), "{}", row.volume);
            bytes = bytes.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step) >> (step % 60);
        }
    }

    #[test]
    fn numbers_and_times_have_their_width() {
        assert_eq!(text(|out| number(0, 1, out)), "0");
        assert_eq!(text(|out| number(7, 5, out)), "00007");
        assert_eq!(text(|out| number(u64::MAX, 1, out)), u64::MAX.to_string());
        assert_eq!(text(|out| gigabytes(GIGABYTE - 1, out)), "0.9999999991");
        let mut stamp = Stamp::default();
        for (second, expected) in [
            (1_470_297_000, "08/04/2016 07:50:00"),
            (1_470_355_500, "08/05/2016 00:05:00"),
            (1_483_228_500, "12/31/2016 23:55:00"),
        ] {
            assert_eq!(text(|out| stamp.write(second, out)), expected);
        }
    }
}
