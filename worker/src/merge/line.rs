//! Cutting decompressed bytes into lines, leaving headers out, and what a line is sorted by.
//!
//! A line that begins with `#` is a directive of W3C's extended log format, wherever it stands. Vendors also send two
//! header lines without that sign: of the first two lines of a file, those that do not begin with a time are dropped.
//! A line longer than [`MOST_LINE`] is cut, so that no file can fill the memory. Called by the merge.

/// Longest line in bytes; request lines of servers end at a fraction of it.
pub(super) const MOST_LINE: usize = 64 * 1024;
/// The key of a line whose beginning is no time in the usual form.
pub(super) const IRREGULAR: u64 = u64::MAX;

/// Makes lines out of the pieces of one file.
#[derive(Default)]
pub(super) struct Lines {
    /// The beginning of a line whose end has not been seen.
    rest: Vec<u8>,
    is_long: bool,
    seen: u64,
    cut: u64,
}

impl Lines {
    /// Hands out the lines that end in this piece, without their line feeds.
    pub(super) fn feed<E>(&mut self, piece: &[u8], mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut begin = 0;
        for end in memchr::memchr_iter(b'\n', piece) {
            let part = &piece[begin..end];
            begin = end + 1;
            if self.rest.is_empty() && part.len() <= MOST_LINE {
                self.hand_out(part, &mut take)?;
            } else {
                self.keep(part);
                self.hand_out_rest(&mut take)?;
            }
        }
        self.keep(&piece[begin..]);
        Ok(())
    }

    /// The last line of a whole file may have no line feed.
    pub(super) fn finish<E>(&mut self, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        if self.rest.is_empty() { Ok(()) } else { self.hand_out_rest(&mut take) }
    }

    /// How many lines were too long.
    pub(super) fn cut(&self) -> u64 {
        self.cut
    }

    fn keep(&mut self, part: &[u8]) {
        let room = MOST_LINE - self.rest.len();
        self.is_long |= part.len() > room;
        self.rest.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn hand_out_rest<E>(&mut self, take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.cut += u64::from(std::mem::take(&mut self.is_long));
        let mut line = std::mem::take(&mut self.rest);
        let outcome = self.hand_out(&line, take);
        line.clear();
        self.rest = line;
        outcome
    }

    fn hand_out<E>(&mut self, line: &[u8], mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.seen += 1;
        let is_header = line.first() == Some(&b'#') || (self.seen <= 2 && !begins_with_time(line));
        if is_header { Ok(()) } else { take(line) }
    }
}

/// `2013-10-08 10:13:24`, with a blank, a tab or a T in the middle.
fn begins_with_time(line: &[u8]) -> bool {
    line.len() >= 19
        && line[..19].iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            10 => matches!(byte, b' ' | b'\t' | b'T'),
            13 | 16 => *byte == b':',
            _ => byte.is_ascii_digit(),
        })
}

/// The time as a number, in whose order lines come as they do by the bytes of their first two fields;
/// [`IRREGULAR`] where only the bytes can tell.
pub(super) fn key(line: &[u8]) -> u64 {
    let ends = |at: usize| line.get(at).is_none_or(|byte| matches!(byte, b' ' | b'\t'));
    if line.len() < 19 || line[10] != b' ' || !begins_with_time(line) {
        return IRREGULAR;
    }
    let digits = |range: std::ops::Range<usize>| {
        line[range].iter().fold(0_u64, |number, byte| number * 10 + u64::from(byte - b'0'))
    };
    let seconds = [0..4, 5..7, 8..10, 11..13, 14..16, 17..19]
        .into_iter()
        .zip([0, 100, 100, 100, 100, 100])
        .fold(0, |number, (range, by)| number * by + digits(range));
    // Without a fraction comes before .000, as a shorter text comes before a longer one.
    if ends(19) {
        seconds * 1001
    } else if line.len() >= 23 && line[19] == b'.' && line[20..23].iter().all(u8::is_ascii_digit) && ends(23) {
        seconds * 1001 + digits(20..23) + 1
    } else {
        IRREGULAR
    }
}

/// The first two fields of a line, the blanks before them included.
fn first_fields(line: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let mut end = 0;
    for _ in 0..2 {
        end += line[end..].iter().take_while(|byte| is_blank(byte)).count();
        end += line[end..].iter().take_while(|byte| !is_blank(byte)).count();
    }
    &line[..end]
}

/// The order of two lines with these keys.
pub(super) fn compare(a: (u64, &[u8]), b: (u64, &[u8])) -> std::cmp::Ordering {
    if a.0 != IRREGULAR && b.0 != IRREGULAR { a.0.cmp(&b.0) } else { first_fields(a.1).cmp(first_fields(b.1)) }
}
