//! The content of an access log's file, as the vendor's help pages show it: gzip, a header, one line a request.
//!
//! All of a file follows from the property, the day, the place of the file among the day's and the form that was asked
//! for, so that a day which is delivered again has the same bytes. The help pages give one line as an example and leave
//! the names of most fields open; those in the header here are chosen. Files divide the day evenly. Addresses come from
//! the ranges for documentation (RFC 5737). Called by `crate::logs`.

use std::io::{self, Write};

use chrono::NaiveDate;
use flate2::{Compression, GzBuilder};

use crate::config::LogHeader;
use crate::hash::{mixed, seed};

const DAY_MS: u64 = 86_400_000;
const VERSION: &str = "Version: 1.0";
const FIELDS: &str = "date time cached request client-address bytes-sent bytes-received duration-ms first-byte-ms status \
                      user-agent referrer cookie header-bytes";
const AGENTS: [&str; 4] = [
    "curl/7.32.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:24.0) Gecko/20100101 Firefox/24.0",
    "Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/30.0.1599.69 Safari/537.36",
    "Wget/1.14 (linux-gnu)",
];

/// What a delivery wants of the files of a property and day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogForm {
    pub(crate) files: usize,
    pub(crate) lines: usize,
    pub(crate) out_of_order: bool,
    pub(crate) header: LogHeader,
}

/// The name of a file; the first is number 0. Within a folder, names are in the order of time.
pub(crate) fn file_name(day: NaiveDate, number: usize) -> String {
    format!("access.{}.{:04}.gz", day.format("%Y%m%d"), number + 1)
}

/// A file's bytes. Fails only with the compressor.
pub(crate) fn file_content(property: &str, day: NaiveDate, number: usize, form: LogForm) -> io::Result<Vec<u8>> {
    // No name and no time go into the head of the gzip data, so that it is always the same.
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    match form.header {
        LogHeader::W3c => write!(gzip, "#{VERSION}\n#Fields: {FIELDS}\n")?,
        LogHeader::Plain => write!(gzip, "{}\n{FIELDS}\n", VERSION.replace(':', ""))?,
        LogHeader::None => {}
    }
    let seed = mixed(mixed(seed(property) ^ u64::try_from(day.to_epoch_days()).unwrap_or(0)) ^ number as u64);
    // A wildcard's site is asked for under some name.
    let site = property.replace('*', "www");
    let day = day.format("%Y-%m-%d").to_string();
    for (line, time) in times(seed, number, form).into_iter().enumerate() {
        write_line(&mut gzip, &day, time, &site, mixed(seed ^ line as u64))?;
    }
    gzip.finish()
}

/// The times of a file's lines, in milliseconds of the day.
fn times(seed: u64, number: usize, form: LogForm) -> Vec<u64> {
    let (files, lines, number) = (form.files.max(1) as u64, form.lines.max(1) as u64, number as u64);
    let share = DAY_MS / files;
    // Half of the next file's time belongs to this file too.
    let span = if form.out_of_order && number + 1 < files { share * 3 / 2 } else { share };
    let shake = (span / lines / 4).max(1);
    let time = |line: u64| share * number + span * line / lines + mixed(seed.wrapping_add(line)) % shake;
    let mut times: Vec<u64> = (0..form.lines as u64).map(time).collect();
    if form.out_of_order {
        let last = times.len().saturating_sub(1);
        // The last line keeps its time, so that even a short file reaches into the next one.
        for line in (1..last).step_by(5) {
            times[line] = times[line - 1];
        }
        for line in (2..last).step_by(7) {
            times.swap(line, (line + 2).min(last));
        }
    }
    times
}

/// Writes one request, made up from a number.
fn write_line(out: &mut impl Write, day: &str, time: u64, site: &str, number: u64) -> io::Result<()> {
    let draw = |salt: u64, count: u64| mixed(number ^ (salt << 32)) % count;
    // The smaller of two numbers: some objects are asked for often, most of them seldom.
    let object = 1 + draw(1, 400).min(draw(2, 400));
    let path = match object % 8 {
        0 => format!("/scripts/{object}.js"),
        1 => format!("/video/{object}.mp4"),
        2 => format!("/images/{object}.jpg?size=large"),
        _ => format!("/images/{object}.jpg"),
    };
    let (status, body) = match draw(3, 100) {
        0..80 => (200, 2_000 + mixed(object) % 600_000),
        80..87 => (206, 1_000 + mixed(object) % 1_000),
        87..93 => (304, 0),
        93..98 => (404, 512),
        _ => (503, 128),
    };
    let method = if draw(4, 50) == 0 { "HEAD" } else { "GET" };
    let body = if method == "HEAD" { 0 } else { body };
    let cached = if status == 503 || draw(5, 10) == 0 { 'n' } else { 'y' };
    let network = ["192.0.2", "198.51.100", "203.0.113"][usize::try_from(draw(6, 3)).unwrap_or(0)];
    let agent = AGENTS[usize::try_from(draw(7, 4)).unwrap_or(0)];
    let referrer = if draw(8, 3) == 0 { format!("http://{site}/") } else { "-".to_owned() };
    let (header, first_byte) = (280 + draw(9, 120), 1 + draw(10, 90));
    writeln!(
        out,
        "{day} {:02}:{:02}:{:02}.{:03} {cached} \"{method} {path} HTTP/1.1\" {network}.{host} {sent} {received} {duration} \
         {first_byte} {status} \"{agent}\" \"{referrer}\" \"-\" {header}",
        time / 3_600_000,
        time / 60_000 % 60,
        time / 1000 % 60,
        time % 1000,
        host = 1 + draw(11, 254),
        sent = body + header,
        received = 90 + path.len() as u64 + draw(12, 60),
        duration = first_byte + body / 40,
    )
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::MultiGzDecoder;

    use super::*;

    const FORM: LogForm = LogForm { files: 4, lines: 60, out_of_order: true, header: LogHeader::W3c };

    fn day() -> NaiveDate {
        NaiveDate::from_ymd_opt(2016, 9, 29).unwrap()
    }

    fn text(number: usize, form: LogForm) -> String {
        let mut text = String::new();
        let bytes = file_content("*.img.example.com", day(), number, form).unwrap();
        MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_file_begins_with_its_header() {
        let first_lines = |header| {
            let text = text(0, LogForm { header, ..FORM });
            let lines: Vec<String> = text.lines().take(3).map(str::to_owned).collect();
            (lines, text.lines().count())
        };
        let (w3c, count) = first_lines(LogHeader::W3c);
        assert_eq!((w3c[0].as_str(), count), ("#Version: 1.0", 62));
        assert!(w3c[1].starts_with("#Fields: date time cached request "), "{}", w3c[1]);
        let (plain, count) = first_lines(LogHeader::Plain);
        assert_eq!((plain[0].as_str(), count), ("Version 1.0", 62));
        assert!(plain[1].starts_with("date time cached request "), "{}", plain[1]);
        assert!(w3c[2].starts_with("2016-09-29 00:") && w3c[2] == plain[2]);
        let (none, count) = first_lines(LogHeader::None);
        assert_eq!((&none[0], count), (&w3c[2], 60));
    }

    /// The fields of a line; text in quotes is one field, without them.
    fn fields(line: &str) -> Vec<&str> {
        let mut fields = Vec::new();
        for (place, part) in line.split('"').enumerate() {
            if place % 2 == 1 {
                fields.push(part);
            } else {
                fields.extend(part.split(' ').filter(|field| !field.is_empty()));
            }
        }
        fields
    }

    #[test]
    fn a_line_has_the_form_of_the_help_pages() {
        let example = "2013-10-08 10:13:24.250 y \"GET /a/b.jpg HTTP/1.1\" 135.221.31.26 440521 102 16110 9 200 \
                       \"curl/7.32.0\" \"-\" \"-\" 347";
        let shape = |line: &str| -> String { line.chars().filter(|part| *part == '"').collect() };
        assert_eq!(fields(example).len(), FIELDS.split(' ').count());
        for line in text(1, LogForm { lines: 2_000, header: LogHeader::None, ..FORM }).lines() {
            let fields = fields(line);
            assert_eq!((fields.len(), shape(line)), (14, shape(example)), "{line}");
            assert_eq!((fields[0], fields[1].len()), ("2016-09-29", 12), "{line}");
            assert!(chrono::NaiveTime::parse_from_str(fields[1], "%H:%M:%S%.3f").is_ok(), "{line}");
            assert!(["y", "n"].contains(&fields[2]), "{line}");
            let request: Vec<&str> = fields[3].split(' ').collect();
            assert!(matches!(request[..], ["GET" | "HEAD", path, "HTTP/1.1"] if path.starts_with('/')), "{line}");
            let (network, host) = fields[4].rsplit_once('.').unwrap();
            assert!(["192.0.2", "198.51.100", "203.0.113"].contains(&network), "{line}");
            assert!((1..255).contains(&host.parse::<u32>().unwrap()), "{line}");
            for number in [5, 6, 7, 8, 13] {
                assert!(fields[number].parse::<u64>().is_ok(), "{line}");
            }
            assert!(["200", "206", "304", "404", "503"].contains(&fields[9]), "{line}");
            assert!(["-", "http://www.img.example.com/"].contains(&fields[11]), "{line}");
        }
    }

    #[test]
    fn times_are_out_of_order_equal_and_overlapping_only_if_asked_for() {
        for (files, lines) in [(2, 4), (4, 7), (4, 12), (4, 60), (24, 5), (100, 500_000)] {
            let form = LogForm { files, lines, ..FORM };
            let (first, second) = (times(7, 0, form), times(8, 1, form));
            assert!(!first.is_sorted(), "{form:?}");
            assert!(first.iter().enumerate().any(|(line, time)| first[..line].contains(time)), "{form:?}");
            assert!(first.iter().max() > second.iter().min(), "{form:?}");
            let ordered = LogForm { out_of_order: false, ..form };
            let (first, second) = (times(7, 0, ordered), times(8, 1, ordered));
            assert!(first.is_sorted_by(|a, b| a < b) && first.last() < second.first(), "{ordered:?}");
            for form in [form, ordered] {
                assert!(times(9, files - 1, form).iter().all(|time| *time < DAY_MS), "{form:?}");
                assert_eq!(times(9, 0, form).len(), lines);
            }
        }
        assert_eq!(times(1, 0, LogForm { lines: 0, ..FORM }), Vec::<u64>::new());
    }

    #[test]
    fn a_file_is_always_the_same_and_no_two_are_alike() {
        let content = |property, day, number| file_content(property, day, number, FORM).unwrap();
        let base = content("cdn.example.com", day(), 0);
        assert_eq!(content("cdn.example.com", day(), 0), base);
        assert_eq!(base[4..8], [0; 4], "the time in the head of the gzip data");
        let body = |bytes: &[u8]| {
            let mut text = String::new();
            MultiGzDecoder::new(bytes).read_to_string(&mut text).unwrap();
            // Without the date, which differs anyway.
            text.replace("2016-09-29", "").replace("2016-09-30", "")
        };
        for other in [
            content("www.example.com", day(), 0),
            content("cdn.example.com", day().succ_opt().unwrap(), 0),
            content("cdn.example.com", day(), 1),
        ] {
            assert_ne!(body(&other), body(&base));
        }
        assert_eq!(file_name(day(), 0), "access.20160929.0001.gz");
        assert_eq!(file_name(day(), 99), "access.20160929.0100.gz");
    }
}
