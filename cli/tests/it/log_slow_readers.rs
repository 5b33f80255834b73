//! Fifty slow readers of one large log cost the API a piece each, and not the file.
//!
//! A real `overseas api` with a store in a folder; the row is written by hand. Each MiB of the file is marked with its
//! number, so that a byte from a wrong place is seen.

use crate::support::logs::{DOMAIN, days_ago, folder_of, property_id, settings};
use crate::support::process::Process;
use crate::support::servers::free_port;
use crate::support::{Kind, World, database, eventually};
use futures::StreamExt;
use futures::future::join_all;
use overseas_shared::domain::log::day_number;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;
const SIZE: usize = 300 * MIB;
const READERS: usize = 50;
/// What each reader takes while the memory is watched.
const TAKEN: usize = 2 * MIB;
/// Most memory of the process.
const MOST: u64 = 100 * MIB as u64;

fn write_log(path: &Path) -> File {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = File::create(path).unwrap();
    let mut block: Vec<u8> = (0..MIB).map(|_| rand::random()).collect();
    for number in 0..SIZE / MIB {
        block[..8].copy_from_slice(&number.to_le_bytes());
        file.write_all(&block).unwrap();
    }
    File::open(path).unwrap()
}

/// Resident memory in bytes.
fn memory(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

struct Log<'a> {
    world: &'a World,
    address: String,
    file: &'a File,
}

impl Log<'_> {
    fn get(&self) -> reqwest::RequestBuilder {
        // A connection of its own, as each client has; its receiving side holds little.
        self.world.client.get(&self.address).bearer_auth(&self.world.user_token)
    }

    /// Reads slowly from here on until `done`, and compares each byte; returns how many there were.
    async fn read_slowly(&self, from: usize, started: &AtomicUsize, done: &AtomicUsize) -> usize {
        let answer = self.get().header("range", format!("bytes={from}-")).send().await.unwrap();
        assert_eq!(answer.status(), 206);
        assert_eq!(answer.headers()["content-range"], format!("bytes {from}-{}/{SIZE}", SIZE - 1));
        started.fetch_add(1, Ordering::Relaxed);
        let (mut pieces, mut at) = (answer.bytes_stream(), from);
        while at - from < TAKEN {
            let piece = pieces.next().await.unwrap().unwrap();
            let mut expected = vec![0; piece.len()];
            self.file.read_exact_at(&mut expected, at as u64).unwrap();
            assert!(piece == expected, "wrong bytes after byte {at}");
            at += piece.len();
            // This is what makes the reader slow.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // It keeps its connection until all have read.
        done.fetch_add(1, Ordering::Relaxed);
        eventually("all have read", 60, || async { done.load(Ordering::Relaxed) == READERS }).await;
        at - from
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_slow_readers_of_a_large_log_leave_the_api_small_and_read_the_right_bytes() {
    let world = World::with(Kind::Mariadb, |_| {}, |_| {}).await;
    let date = days_ago(&world, 5);
    let object = folder_of(Path::new(""), date, "1-large.log.gz").display().to_string();
    let file = write_log(&world.folder.path().join("logs").join(&object));
    let (id, day) = (property_id(&world, DOMAIN).await, day_number(date));
    let sum = "5".repeat(64);
    let sql = format!(
        "INSERT INTO log_day (property_id, day, cdn_id, state, object, size, line_count, sha256, file_count, attempts, created_at, made_at) \
         SELECT id, {day}, cdn_id, 'ready', '{object}', {SIZE}, 1, '{sum}', 1, 0, 0, 0 FROM property WHERE id = {id}"
    );
    database::execute(&world.url, &sql).await;
    let mut settings = settings(&world);
    let listen = format!("127.0.0.1:{}", free_port());
    settings.insert("OVERSEAS__HTTP__LISTEN".to_owned(), listen.clone());
    let api = Process::start(&settings, world.folder.path(), &["api"]);
    eventually("the api runs", 20, || async {
        world.client.get(format!("http://{listen}/healthz")).send().await.is_ok()
    })
    .await;
    let before = memory(&api);
    let log = Log { world: &world, address: format!("http://{listen}/level3/log/{date}-{DOMAIN}.log.gz"), file: &file };
    let whole = log.get().send().await.unwrap();
    assert_eq!((whole.status().as_u16(), whole.content_length()), (200, Some(SIZE as u64)));
    assert_eq!(whole.headers()["etag"], format!("\"{sum}\""));

    let (started, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // Everywhere in the file, and not at the borders of pieces.
    let readers = (0..READERS).map(|n| log.read_slowly(n * (SIZE - TAKEN) / READERS + n, &started, &done));
    let watching = async {
        let (begun, mut most) = (Instant::now(), 0);
        while done.load(Ordering::Relaxed) < READERS && begun.elapsed() < Duration::from_secs(60) {
            most = most.max(memory(&api));
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        most
    };
    let (read, most) = tokio::join!(join_all(readers), watching);
    eprintln!("{} MiB before, at most {} MiB with {READERS} readers", before / MIB as u64, most / MIB as u64);
    assert_eq!(started.load(Ordering::Relaxed), READERS);
    assert!(read.iter().all(|bytes| *bytes >= TAKEN));
    assert!(most < MOST, "{} MiB", most / MIB as u64);
    drop(whole);
    assert_eq!(api.stop(Duration::from_secs(20)), 0);
}
