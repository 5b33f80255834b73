//! Cutting decompressed bytes into lines, leaving headers out, and what a line is sorted by.
//!
//! How lines are laid out, the vendor's client says. Of those with date and time first, one that begins with `#` is a directive of W3C's extended log format, wherever it stands. Vendors also send two
//! header lines without that sign: of the first two lines of a file, those that do not begin with a time are dropped.
//! A line longer than [`MOST_LINE`] is cut, so that no file can fill the memory. Called by the merge.

use overseas_shared::cdn::LineLayout;

/// Longest line in bytes; request lines of servers end at a fraction of it.
pub(super) const MOST_LINE: usize = 64 * 1024;
/// The key of a line whose beginning is no time in the usual form.
pub(super) const IRREGULAR: u64 = u64::MAX;

/// Makes lines out of the pieces of one file.
#[derive(Default)]
pub(super) struct Lines {
    layout: LineLayout,
    /// The beginning of a line whose end has not been seen.
    rest: Vec<u8>,
    is_long: bool,
    seen: u64,
    cut: u64,
}

impl Lines {
    pub(super) fn new(layout: LineLayout) -> Self {
        Self { layout, ..Self::default() }
    }

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
        let is_header = self.layout == LineLayout::DateAndTime
            && (line.first() == Some(&b'#') || (self.seen <= 2 && !begins_with_time(line)));
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

/// The time as a number, in whose order lines come as they do by the bytes of what they are sorted by;
/// [`IRREGULAR`] where only the bytes can tell.
pub(super) fn key(layout: LineLayout, line: &[u8]) -> u64 {
    match layout {
        LineLayout::DateAndTime => date_and_time(line),
        LineLayout::TimeFirst => compact_time(sort_text(layout, line)),
        LineLayout::Json { .. } => universal_time(sort_text(layout, line)),
    }
}

/// `20261123043243`.
fn compact_time(text: &[u8]) -> u64 {
    if text.len() == 14 && text.iter().all(u8::is_ascii_digit) { number(text) } else { IRREGULAR }
}

/// `2026-11-22T05:16:21Z`.
fn universal_time(text: &[u8]) -> u64 {
    if text.len() != 20 || text[10] != b'T' || text[19] != b'Z' || !begins_with_time(text) {
        return IRREGULAR;
    }
    [0..4, 5..7, 8..10, 11..13, 14..16, 17..19].into_iter().fold(0, |sum, range| sum * 100 + number(&text[range]))
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |number, byte| number * 10 + u64::from(byte - b'0'))
}

/// `2013-10-08 10:13:24`, perhaps with `.250`.
fn date_and_time(line: &[u8]) -> u64 {
    let ends = |at: usize| line.get(at).is_none_or(|byte| matches!(byte, b' ' | b'\t'));
    if line.len() < 19 || line[10] != b' ' || !begins_with_time(line) {
        return IRREGULAR;
    }
    let digits = |range: std::ops::Range<usize>| number(&line[range]);
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

/// What a line is sorted by.
fn sort_text(layout: LineLayout, line: &[u8]) -> &[u8] {
    match layout {
        LineLayout::DateAndTime => first_fields(line, 2),
        LineLayout::TimeFirst => first_fields(line, 1),
        LineLayout::Json { time } => json_text(line, time.as_bytes()),
    }
}

/// The text in a member of a JSON object, empty where there is none; times hold nothing that is escaped.
fn json_text<'a>(line: &'a [u8], member: &[u8]) -> &'a [u8] {
    let names = memchr::memmem::find_iter(line, member);
    let quoted = names.filter(|at| *at > 0 && line[at - 1] == b'"');
    let mut texts = quoted.filter_map(|at| {
        let rest = line[at + member.len()..].strip_prefix(b"\"")?.trim_ascii_start();
        let rest = rest.strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
        Some(&rest[..memchr::memchr(b'"', rest)?])
    });
    texts.next().unwrap_or_default()
}

/// The first fields of a line, the blanks before them included.
fn first_fields(line: &[u8], fields: usize) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let mut end = 0;
    for _ in 0..fields {
        end += line[end..].iter().take_while(|byte| is_blank(byte)).count();
        end += line[end..].iter().take_while(|byte| !is_blank(byte)).count();
    }
    &line[..end]
}

/// The order of two lines with these keys.
pub(super) fn compare(layout: LineLayout, a: (u64, &[u8]), b: (u64, &[u8])) -> std::cmp::Ordering {
    if a.0 != IRREGULAR && b.0 != IRREGULAR {
        a.0.cmp(&b.0)
    } else {
        sort_text(layout, a.1).cmp(sort_text(layout, b.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layout_has_its_time_elsewhere() {
        let json = LineLayout::Json { time: "RequestTime" };
        for (layout, line, text, number) in [
            (LineLayout::TimeFirst, "20261123043243 192.0.2.1 a", "20261123043243", 20_261_123_043_243),
            (LineLayout::TimeFirst, "2026112304324x a", "2026112304324x", IRREGULAR),
            (
                json,
                r#"{"A":"RequestTime","RequestTime" : "2026-11-22T05:16:21Z"}"#,
                "2026-11-22T05:16:21Z",
                20_261_122_051_621,
            ),
            (json, r#"{"RequestTime":"2026-11-22T05:16:21.5Z"}"#, "2026-11-22T05:16:21.5Z", IRREGULAR),
            (json, r#"{"RequestTime":7}"#, "", IRREGULAR),
            (json, "", "", IRREGULAR),
        ] {
            assert_eq!(sort_text(layout, line.as_bytes()), text.as_bytes(), "{line}");
            assert_eq!(key(layout, line.as_bytes()), number, "{line}");
        }
    }

    #[test]
    fn only_files_that_may_have_headers_lose_lines_to_them() {
        let count = |layout, text: &str| {
            let (mut lines, mut number) = (Lines::new(layout), 0);
            let count = |_: &[u8]| {
                number += 1;
                Ok::<(), ()>(())
            };
            lines.feed(text.as_bytes(), count).unwrap();
            number
        };
        let text = "#Version: 1.0\n20261123043243 a\n20261123043244 b\n2026-11-23 04:32:45 c\n";
        assert_eq!(count(LineLayout::DateAndTime, text), 2);
        assert_eq!(count(LineLayout::TimeFirst, text), 4);
        assert_eq!(count(LineLayout::Json { time: "t" }, text), 4);
    }
}
