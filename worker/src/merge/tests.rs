//! The merge against the reference pipeline: `zcat | sort --stable --key=1,2` of this very machine, byte for byte.
//!
//! Random days go through chunks so small that runs are spilled and merged in several levels. What is broken, too
//! long or called off has tests of its own.

use super::*;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::io::Write;
use std::process::{Command, Stdio};

/// Files in memory.
struct Given(Vec<Vec<u8>>);

impl Files for Given {
    fn count(&self) -> usize {
        self.0.len()
    }
    fn name(&self, index: usize) -> &str {
        ["a.gz", "b.gz", "c.gz", "d.gz"][index % 4]
    }
    fn open(&self, index: usize) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(io::Cursor::new(self.0[index].clone())))
    }
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

const LAYOUT: LineLayout = LineLayout::DateAndTime;

fn settings(chunk_bytes: usize) -> Settings {
    Settings { chunk_bytes, scratch: std::env::temp_dir(), threads: 2, layout: LineLayout::DateAndTime }
}

fn run(files: Vec<Vec<u8>>, chunk_bytes: usize) -> (Merged, Vec<u8>) {
    let mut stream = Vec::new();
    let merged = merge(&Given(files), &settings(chunk_bytes), &CancellationToken::new(), |piece| {
        stream.extend(piece);
        true
    });
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&stream[..]).read_to_end(&mut text).unwrap();
    (merged.unwrap(), text)
}

/// What the system's `sort` makes of the same lines.
fn reference(lines: &[u8]) -> Vec<u8> {
    let mut sort = Command::new("sort")
        .args(["-s", "-k1,2"])
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, text) = (sort.stdin.take().unwrap(), lines.to_vec());
    let writing = std::thread::spawn(move || stdin.write_all(&text).unwrap());
    let output = sort.wait_with_output().unwrap();
    writing.join().unwrap();
    output.stdout
}

const HEADER: &[u8] = b"#Version: 1.0\n#Fields: date time\n";

/// Lines as vendors write them, mostly; and what nobody should write.
fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let time = (0_u32..3, 0_u32..3, 0_u32..1000);
    let regular = (time.clone(), "[a-z]{0,20}")
        .prop_map(|((minute, second, milli), rest)| format!("2016-09-29 10:{minute:02}:{second:02}.{milli:03} {rest}"));
    let whole = (time.clone(), "[a-z]{0,5}")
        .prop_map(|((minute, second, _), rest)| format!("2016-09-29 10:{minute:02}:{second:02} {rest}"));
    let odd = (time, 0_usize..8).prop_map(|((minute, second, milli), kind)| match kind {
        0 => format!("2016-09-29\t10:{minute:02}:{second:02}.{milli:03}"),
        1 => format!("2016-09-29  10:{minute:02}:{second:02} two blanks"),
        2 => format!(" 2016-09-29 10:{minute:02}:{second:02}"),
        3 => format!("2016-09-29 10:{minute:02}:{second:02}.{milli}5 x"),
        4 => format!("2016-09-29 10:{minute:02}:{second:02}x {milli}"),
        5 => String::new(),
        6 => "2016-09-29".to_owned(),
        _ => format!("2016-09-29 10:{minute:02}:{second:02}.{milli:03}\r"),
    });
    let bytes = proptest::collection::vec(any::<u8>().prop_filter("a line", |b| *b != b'\n'), 0..30)
        .prop_filter("no header", |line| line.first() != Some(&b'#'));
    prop_oneof![
        12 => regular.prop_map(String::into_bytes),
        3 => whole.prop_map(String::into_bytes),
        3 => odd.prop_map(String::into_bytes),
        1 => bytes,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_output_is_that_of_the_reference_pipeline(
        files in proptest::collection::vec(proptest::collection::vec(any_line(), 0..120), 0..5),
        chunk_bytes in prop_oneof![Just(64_usize), 500_usize..4000, Just(1 << 20)],
        ends_with_line_feed in any::<bool>(),
    ) {
        let mut lines = Vec::new();
        let mut given = Vec::new();
        for file in &files {
            let mut text = HEADER.to_vec();
            text.extend(file.join(&b'\n'));
            let is_whole = file.is_empty() || ends_with_line_feed || file.last().is_some_and(Vec::is_empty);
            if is_whole && !file.is_empty() {
                text.push(b'\n');
            }
            file.iter().for_each(|line| { lines.extend(line); lines.push(b'\n'); });
            given.push(packed(&text));
        }
        let (merged, text) = run(given, chunk_bytes);
        prop_assert_eq!(merged.lines, files.iter().map(|file| file.len() as u64).sum::<u64>());
        prop_assert!(merged.broken.is_empty());
        prop_assert_eq!(text, reference(&lines));
    }

    #[test]
    fn keys_order_lines_as_their_bytes_do(a in any_line(), b in any_line()) {
        let by_key = line::compare(LAYOUT, (line::key(LAYOUT, &a), &a), (line::key(LAYOUT, &b), &b));
        let by_bytes = line::compare(LAYOUT, (line::IRREGULAR, &a), (line::IRREGULAR, &b));
        prop_assert_eq!(by_key, by_bytes);
    }
}

#[test]
fn more_runs_than_fit_are_merged_in_levels() {
    let mut spill = Spill::with_most_runs(&std::env::temp_dir(), 3);
    let mut lines = Vec::new();
    for run in 0..40 {
        let mut chunk = Chunk::new(1 << 20, LAYOUT);
        for second in (0..10).rev() {
            let line = format!("2016-09-29 10:00:0{second} run {run}");
            chunk.push(line.as_bytes());
            lines.extend(format!("{line}\n").into_bytes());
        }
        chunk.sort();
        spill.write(&chunk).unwrap();
    }
    let mut merged = Vec::new();
    let disk = |error| MergeError::Spill { folder: String::new(), error };
    spill
        .merge(disk, |line| {
            merged.extend_from_slice(line);
            merged.push(b'\n');
            Ok(())
        })
        .unwrap();
    assert_eq!(String::from_utf8(merged).unwrap(), String::from_utf8(reference(&lines)).unwrap());
}

fn lines_of(header: &str) -> String {
    let text = format!("{header}2016-09-29 10:00:00.000 first\n2016-09-29 10:00:01.000 second\n");
    String::from_utf8(run(vec![packed(text.as_bytes())], 1 << 20).1).unwrap()
}

#[test]
fn headers_are_dropped_in_each_of_their_forms() {
    let both = "2016-09-29 10:00:00.000 first\n2016-09-29 10:00:01.000 second\n";
    for header in ["", "#Version: 1.0\n#Fields: date time\n", "Version 1.0\ndate time url\n", "Version 1.0\n", "\n\n"] {
        assert_eq!(lines_of(header), both, "{header:?}");
    }
    // Only the first two lines of a file can be headers without the sign.
    assert_eq!(lines_of("a\nb\nc\n"), format!("{both}c\n"));
    assert_eq!(lines_of("a\nb\n#c\n"), both);
    assert_eq!(lines_of("#a\n#b\nc\n"), format!("{both}c\n"));
}

#[test]
fn of_a_broken_file_all_that_can_be_read_is_kept() {
    let text: String = (0..5_000).map(|n| format!("2016-09-29 10:00:00.{:03} line {n}\n", n % 1000)).collect();
    let whole = packed(text.as_bytes());
    let good = packed(b"2016-09-29 09:00:00.000 good\n");
    for (broken, least) in [
        (whole[..whole.len() / 2].to_vec(), 2_000),
        (whole[..whole.len() - 4].to_vec(), 5_000),
        (
            {
                let mut wrong_sum = whole.clone();
                let at = whole.len() - 6;
                wrong_sum[at] ^= 1;
                wrong_sum
            },
            5_000,
        ),
        (b"not gzip at all".to_vec(), 0),
        (Vec::new(), 0),
        ([&whole[..], b"garbage"].concat(), 5_000),
    ] {
        let (merged, kept) = run(vec![good.clone(), broken.clone(), good.clone()], 1 << 20);
        assert_eq!(merged.broken.len(), 1, "{merged:?}");
        assert_eq!(merged.broken[0].0, "b.gz");
        assert!(merged.lines >= least + 2, "{merged:?}");
        // As much as `zcat` gives, but for a line that is cut off.
        let mut readable = Vec::new();
        let _ = MultiGzDecoder::new(&broken[..]).read_to_end(&mut readable);
        let complete = readable.iter().filter(|byte| **byte == b'\n').count() as u64;
        assert!(merged.lines >= complete + 2, "{} of {complete}", merged.lines);
        assert!(String::from_utf8(kept).unwrap().lines().all(|line| line.contains(" line ") || line.ends_with("good")));
    }
}

#[test]
fn several_members_and_padding_are_one_file() {
    let file = [packed(b"2016-09-29 10:00:01 b\n2016-09"), packed(b"-29 10:00:00 a\n"), vec![0; 700]].concat();
    let (merged, text) = run(vec![file], 1 << 20);
    assert_eq!((merged.broken.len(), text.as_slice()), (0, &b"2016-09-29 10:00:00 a\n2016-09-29 10:00:01 b\n"[..]));
}

#[test]
fn a_line_without_end_does_not_fill_the_memory() {
    let mut text = b"2016-09-29 10:00:00.000 ".to_vec();
    text.resize(3_000_000, b'x');
    text.extend_from_slice(b"\n2016-09-29 09:00:00.000 short\n");
    let (merged, text) = run(vec![packed(&text)], 1 << 20);
    assert_eq!((merged.lines, merged.cut_lines), (2, 1));
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    assert_eq!((lines[0], lines[1].len()), (&b"2016-09-29 09:00:00.000 short"[..], line::MOST_LINE));
}

#[test]
fn the_same_lines_give_the_same_bytes() {
    let text: String = (0..100_000).map(|n| format!("2016-09-29 10:{:02}:00.000 line {n}\n", n % 60)).collect();
    let stream = |threads| {
        let mut stream = Vec::new();
        let settings = Settings { threads, ..settings(1 << 20) };
        merge(&Given(vec![packed(text.as_bytes())]), &settings, &CancellationToken::new(), |piece| {
            stream.extend(piece);
            true
        })
        .unwrap();
        stream
    };
    let first = stream(1);
    assert_eq!(first, stream(3));
    // One member, which a reader that knows of one only takes as a whole.
    let mut decoder = flate2::bufread::GzDecoder::new(&first[..]);
    assert_eq!(io::copy(&mut decoder, &mut io::sink()).unwrap(), text.len() as u64);
    assert!(decoder.into_inner().is_empty());
}

#[test]
fn a_merge_ends_when_it_is_called_off_and_when_nobody_takes_the_result() {
    let text: String = (0..50_000).map(|n| format!("2016-09-29 10:{:02}:00.000 line {n}\n", n % 60)).collect();
    let files = Given(vec![packed(text.as_bytes())]);
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    let called_off = merge(&files, &settings(1 << 16), &cancelled, |_| true);
    assert!(matches!(called_off, Err(MergeError::Cancelled)), "{called_off:?}");
    for taken in 0..2 {
        let mut left = taken;
        let refused = merge(&files, &settings(1 << 16), &CancellationToken::new(), |_| {
            left -= 1;
            left >= 0
        });
        assert!(matches!(refused, Err(MergeError::Output)), "{refused:?}");
    }
}

#[test]
fn a_source_that_fails_and_a_staging_folder_that_cannot_be_written_are_named() {
    struct Failing;
    impl Files for Failing {
        fn count(&self) -> usize {
            1
        }
        fn name(&self, _: usize) -> &str {
            "a.gz"
        }
        fn open(&self, _: usize) -> io::Result<Box<dyn Read>> {
            Err(io::Error::other("cut off"))
        }
    }
    let failed = merge(&Failing, &settings(1 << 16), &CancellationToken::new(), |_| true).unwrap_err();
    assert_eq!(failed.to_string(), "a.gz: cut off");
    let text = "2016-09-29 10:00:00.000 line\n".repeat(10_000);
    let nowhere = Settings { scratch: PathBuf::from("/dev/null/nowhere"), ..settings(1 << 16) };
    let failed =
        merge(&Given(vec![packed(text.as_bytes())]), &nowhere, &CancellationToken::new(), |_| true).unwrap_err();
    assert!(failed.to_string().starts_with("the staging folder /dev/null/nowhere"), "{failed}");
}
