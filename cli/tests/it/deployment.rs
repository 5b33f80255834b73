//! What `supervisord.conf` promises: who is killed comes back, a stop loses nothing, logs stay bounded.
//!
//! The file itself under Debian's supervisor, in a folder of the test's, with the real binary, MariaDB and
//! Redis; only environment variables are set. The vendor is the simulator of a world, which also has the
//! users; that world's own API is not called. The supervisor's processes lead groups of their own, out of
//! reach of whoever ends the tests, so a script in place of the binary ties their lives to the supervisor's.

use crate::queue::secret;
use crate::support::process::Settings;
use crate::support::servers::{Redis, free_port};
use crate::support::{Kind, World, eventually};
use serde_json::json;
use std::collections::BTreeSet;
use std::future::ready;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BOTH: [&str; 2] = ["api", "worker"];

/// A supervisor with an API and a worker.
struct Supervisor {
    child: Child,
    folder: PathBuf,
    settings: Settings,
    base: String,
}

async fn world(redis: &Redis) -> World {
    let url = redis.url();
    World::with(Kind::Mariadb, move |config| config.queue.url = url, |data| data.invalidation_seconds = 1).await
}

fn settings(world: &World, redis: &Redis, bin: &Path) -> Settings {
    let uid = Command::new("id").arg("-u").output().unwrap().stdout;
    let pairs = [
        ("PATH", format!("{}:/usr/bin:/bin", bin.display())),
        ("OVERSEAS_USER", String::from_utf8(uid).unwrap().trim().to_owned()),
        ("OVERSEAS_LOG_BYTES", "1MB".to_owned()),
        ("OVERSEAS__DATABASE__URL", world.url.clone()),
        ("OVERSEAS__QUEUE__URL", redis.url()),
        ("OVERSEAS__HTTP__LISTEN", format!("127.0.0.1:{}", free_port())),
        ("OVERSEAS__CDN__LEVEL3__VENDOR", "level3".to_owned()),
        ("OVERSEAS__CDN__LEVEL3__BASE_URL", world.simulator.vendor_url()),
        ("OVERSEAS__CDN__LEVEL3__KEY_ID", world.control.config().keys[0].id.clone()),
        ("OVERSEAS__CDN__LEVEL3__SECRET", secret(world)),
        ("OVERSEAS__CDN__LEVEL3__POLL_SECONDS", "1".to_owned()),
        ("OVERSEAS__WORKER__LEASE_SECONDS", "3".to_owned()),
        ("OVERSEAS__WORKER__SWEEP_SECONDS", "1".to_owned()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

impl Supervisor {
    /// Starts it in a new folder below this one; returns once both programs run.
    async fn start(world: &World, redis: &Redis, folder: &Path, more: &[(&str, &str)]) -> Self {
        let folder = folder.join("overseas");
        let bin = folder.join("bin");
        std::fs::create_dir_all(folder.join("log")).unwrap();
        std::fs::create_dir(&bin).unwrap();
        let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../supervisord.conf");
        std::fs::copy(conf, folder.join("supervisord.conf")).unwrap();
        let script = format!("#!/bin/sh\nexec setpriv --pdeathsig KILL '{}' \"$@\"\n", env!("CARGO_BIN_EXE_overseas"));
        std::fs::write(bin.join("overseas"), script).unwrap();
        std::fs::set_permissions(bin.join("overseas"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut settings = settings(world, redis, &bin);
        settings.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let said = std::fs::File::create(folder.join("said")).unwrap();
        let child = Self::command("supervisord", &folder, &settings)
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .expect("supervisord is on the PATH");
        let base = format!("http://{}", settings["OVERSEAS__HTTP__LISTEN"]);
        let supervisor = Self { child, folder, settings, base };
        let start = Instant::now();
        while !BOTH.iter().all(|program| supervisor.runs(program)) {
            assert!(start.elapsed() < Duration::from_secs(30), "{}", supervisor.logs());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        supervisor
    }

    fn command(program: &str, folder: &Path, settings: &Settings) -> Command {
        let mut command = Command::new(format!("/usr/bin/{program}"));
        command.args(["-c", "supervisord.conf"]).current_dir(folder).env_clear().envs(settings).stdin(Stdio::null());
        command
    }

    /// What supervisorctl answers.
    fn control(&self, words: &[&str]) -> String {
        let output = Self::command("supervisorctl", &self.folder, &self.settings).args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn runs(&self, program: &str) -> bool {
        self.control(&["status", &format!("overseas:overseas-{program}")]).contains("RUNNING")
    }

    fn pid(&self, program: &str) -> String {
        self.control(&["pid", &format!("overseas:overseas-{program}")]).trim().to_owned()
    }

    /// All that was logged, to show when a test fails.
    fn logs(&self) -> String {
        let files = ["said", "log/supervisord.log", "log/api.log", "log/worker.log"];
        files.map(|name| std::fs::read_to_string(self.folder.join(name)).unwrap_or_default()).join("\n")
    }

    /// Refreshes one path of the user's; whether it was accepted.
    async fn refresh(&self, world: &World, path: &str) -> bool {
        let body = json!({"path": format!("http://cdn.example.com{path}")});
        let request = world.client.post(format!("{}/level3/refresh", self.base)).bearer_auth(&world.user_token);
        request.json(&body).send().await.is_ok_and(|answer| answer.status().is_success())
    }

    async fn is_ready(&self, world: &World) -> bool {
        let answer = world.client.get(format!("{}/readyz", self.base)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(name: &str, pid: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), pid]).status().unwrap().success(), "{name} to {pid}");
}

async fn all_told(world: &World, accepted: &BTreeSet<String>) {
    eventually("every accepted path has reached the vendor", 20, || async {
        accepted.is_subset(&world.invalidated().into_iter().collect())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_or_a_worker_that_is_killed_is_back_and_at_work_within_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let world = world(&redis).await;
    let supervisor = Supervisor::start(&world, &redis, folder.path(), &[]).await;
    let mut accepted = BTreeSet::new();
    for (round, program) in ["api", "worker", "api", "worker"].into_iter().enumerate() {
        let (before, after) = (format!("/{round}/before.html"), format!("/{round}/after.html"));
        eventually("the API is ready", 10, || supervisor.is_ready(&world)).await;
        assert!(supervisor.refresh(&world, &before).await, "{}", supervisor.logs());
        let killed = supervisor.pid(program);
        signal("KILL", &killed);
        eventually("it runs again", 15, || async { supervisor.pid(program) != killed && supervisor.runs(program) })
            .await;
        eventually("a refresh is taken", 10, || supervisor.refresh(&world, &after)).await;
        accepted.extend([before, after]);
        all_told(&world, &accepted).await;
    }
    let log = std::fs::read_to_string(supervisor.folder.join("log/supervisord.log")).unwrap();
    assert_eq!(log.matches("terminated by SIGKILL; not expected").count(), 4, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_both_within_their_grace_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let world = world(&redis).await;
    let mut supervisor = Supervisor::start(&world, &redis, folder.path(), &[]).await;
    eventually("the API is ready", 10, || supervisor.is_ready(&world)).await;
    // Orders come in until the API takes no more, so that the stop meets both at work.
    let orders = async {
        let mut accepted = BTreeSet::new();
        loop {
            let path = format!("/stop/{}.html", accepted.len());
            if !supervisor.refresh(&world, &path).await {
                return accepted;
            }
            accepted.insert(path);
        }
    };
    let stop = async {
        eventually("the vendor is told", 15, || async { world.invalidated().len() >= 5 }).await;
        let mut control = Supervisor::command("supervisorctl", &supervisor.folder, &supervisor.settings);
        let begun = Instant::now();
        let mut stopping = control.args(["stop", "overseas:*"]).stdout(Stdio::null()).spawn().unwrap();
        eventually("both are stopped", 30, || ready(stopping.try_wait().unwrap().is_some())).await;
        begun.elapsed()
    };
    let (accepted, took) = tokio::join!(orders, stop);
    // The worker's grace, during which the API's passes too.
    assert!(took < Duration::from_secs(20), "{took:?}\n{}", supervisor.logs());
    let stopped = supervisor.logs();
    for program in BOTH {
        assert!(stopped.contains(&format!("stopped: overseas-{program} (exit status 0)")), "{stopped}");
    }
    assert!(accepted.len() >= 5, "{stopped}");

    supervisor.control(&["start", "overseas:*"]);
    all_told(&world, &accepted).await;
    // As when the machine goes down.
    signal("TERM", &supervisor.child.id().to_string());
    eventually("the supervisor has ended", 30, || ready(supervisor.child.try_wait().unwrap().is_some())).await;
    let log = supervisor.logs();
    for program in BOTH {
        assert_eq!(log.matches(&format!("stopped: overseas-{program} (exit status 0)")).count(), 2, "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_rotated_while_the_process_goes_on_and_the_oldest_go() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let world = world(&redis).await;
    let talkative = [
        ("OVERSEAS_LOG_BYTES", "4KB"),
        ("OVERSEAS__LOG__LEVEL", "debug"),
        ("OVERSEAS__HTTP__RATE_LIMIT__ENABLED", "false"),
    ];
    let supervisor = Supervisor::start(&world, &redis, folder.path(), &talkative).await;
    eventually("the API is ready", 10, || supervisor.is_ready(&world)).await;
    let pid = supervisor.pid("api");
    let log = |number: usize| {
        supervisor.folder.join(if number == 0 { "log/api.log".to_owned() } else { format!("log/api.log.{number}") })
    };
    let call = async |n: usize| {
        let url = format!("{}/healthz", supervisor.base);
        let answer = world.client.get(url).header("x-request-id", format!("call-{n:05}")).send().await.unwrap();
        assert!(answer.status().is_success());
    };
    let mut calls = 0;
    while !log(10).exists() {
        assert!(calls < 3000, "{}", supervisor.logs());
        call(calls).await;
        calls += 1;
    }
    // Twice as many again, of which nothing more may be left than ten old files and the one that is written.
    for n in calls..2 * calls {
        call(n).await;
    }
    let last = format!("call-{:05}", 2 * calls - 1);
    eventually("the last line is in one of the newest files", 10, || async {
        (0..2).any(|number| std::fs::read_to_string(log(number)).is_ok_and(|text| text.contains(&last)))
    })
    .await;
    assert!(!log(11).exists());
    let sizes: Vec<u64> = (0..=10).map(|number| std::fs::metadata(log(number)).map_or(0, |file| file.len())).collect();
    // The size, and what the supervisor read at once when it was reached.
    assert!(
        sizes.iter().all(|size| *size < 4096 + 131_072) && sizes.iter().skip(1).all(|size| *size >= 4096),
        "{sizes:?}"
    );
    let texts: String = (0..=10).map(|number| std::fs::read_to_string(log(number)).unwrap_or_default()).collect();
    assert!(!texts.contains("call-00000"), "the oldest lines are gone");
    assert_eq!(supervisor.pid("api"), pid, "rotation disturbs nobody");
}
