//! What stops a start, with one message that names the setting; and `overseas doctor`.
//!
//! All of it with the real binary, in a folder of its own.

use crate::support::process::{Process, Settings, run};
use crate::support::servers::free_port;
use crate::support::{Kind, database};
use overseas_simulator::{Config as SimulatorConfig, Simulator};
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn settings(pairs: &[(&str, &str)]) -> Settings {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn an_answer_that_nobody_reads_to_its_end_is_no_failure() {
    let folder = TempDir::new().unwrap();
    for command in [["openapi"].as_slice(), &["migrate", "up"], &["doctor"]] {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_overseas"))
            .args(command)
            .current_dir(folder.path())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // Closed before the first line.
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !log.contains("panicked"), "{command:?}: {log}");
    }
}

/// The one message of a command that has to fail at once.
fn refusal(settings: &Settings, folder: &Path, command: &str) -> String {
    let begun = Instant::now();
    let mut process = Process::start(settings, folder, &[command]);
    while !process.has_ended() {
        assert!(begun.elapsed() < Duration::from_secs(20), "`{command}` runs on:\n{}", process.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let log = process.log();
    assert_eq!(process.child.wait().unwrap().code(), Some(1), "{log}");
    let messages: Vec<&str> = log.lines().filter(|line| line.starts_with("overseas: ")).collect();
    assert_eq!(messages.len(), 1, "{log}");
    assert!(!log.contains("panicked"), "{log}");
    messages[0].to_owned()
}

fn with_file(text: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("overseas.toml"), text).unwrap();
    folder
}

/// Settings of an installation with a simulated vendor, in a folder of its own.
async fn installation() -> (TempDir, Simulator) {
    let simulated = SimulatorConfig::demo().on_free_ports();
    let key = simulated.keys[0].clone();
    let simulator = overseas_simulator::start(simulated).await.unwrap();
    let text = format!(
        "[queue]\nurl = \"{}\"\n[cdn.level3]\nvendor = \"level3\"\nbase_url = \"{}\"\nkey_id = \"{}\"\nsecret = \"{}\"\ntimeout_seconds = 3\n",
        database::server("OVERSEAS_TEST_REDIS"),
        simulator.vendor_url(),
        key.id,
        key.secret
    );
    (with_file(&text), simulator)
}

#[test]
fn a_busy_port_is_a_clear_message() {
    let folder = TempDir::new().unwrap();
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    let settings = settings(&[("OVERSEAS__HTTP__LISTEN", &address)]);
    let message = refusal(&settings, folder.path(), "up");
    assert!(message.contains(&address) && message.contains("http.listen"), "{message}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing but the log is left behind");
}

#[test]
fn a_setting_that_is_wrong_stops_the_start_and_is_named() {
    let level3 = "[cdn.level3]\nvendor = \"level3\"\nbase_url = \"http://127.0.0.1:1\"\n";
    let cases = [
        ("[http]\nlistne = \"127.0.0.1:0\"", "http.listne"),
        ("[htp]\nlisten = \"127.0.0.1:0\"", "htp"),
        ("[worker]\nlease_seconds = \"soon\"", "worker.lease_seconds"),
        ("[worker]\nlease_seconds = 1", "worker.lease_seconds"),
        ("[database]\nurl = \"postgres://u:hunter2@h/d\"", "database.url"),
        ("[database]\nmax_connections = -1", "database.max_connections"),
        ("[queue]\nurl = \"amqp://localhost\"", "queue.url"),
        ("time_zone = \"Mars/Olympus\"", "time_zone"),
        ("[http]\ntrusted_networks = [\"10.0.0.0/33\"]", "http.trusted_networks"),
        ("[http]\nlisten = \"nowhere\"", "nowhere"),
        ("[log]\nformat = \"xml\"", "log.format"),
        ("not toml at all", "overseas.toml"),
    ];
    for (text, named) in cases {
        let folder = with_file(text);
        for command in ["up", "api", "worker"] {
            // A worker listens nowhere, and a database that is not migrated is refused before the port is bound.
            if named == "nowhere" && command != "up" {
                continue;
            }
            let message = refusal(&Settings::new(), folder.path(), command);
            assert!(message.contains(named) && !message.contains("hunter2"), "{command}: {message}");
        }
    }
    let unknown = [
        (format!("{level3}key_id = \"1\""), "cdn.level3.secret"),
        (format!("{level3}secret = \"hunter2\""), "cdn.level3.key_id"),
        (format!("{level3}key_id = \"1\"\nsecrte = \"hunter2\""), "cdn.level3.secrte"),
        (format!("{level3}key_id = \"1\"\nsecret = \"hunter2\"\npoll_seconds = 0"), "cdn.level3"),
        ("[cdn.other]\nvendor = \"acme\"\nkey_id = \"1\"\nsecret = \"hunter2\"".to_owned(), "cdn.other.vendor"),
    ];
    for (text, named) in unknown {
        let folder = with_file(&text);
        let settings = settings(&[("OVERSEAS__HTTP__LISTEN", "127.0.0.1:0")]);
        let message = refusal(&settings, folder.path(), "up");
        assert!(message.contains(named) && !message.contains("hunter2"), "{named}: {message}");
    }
}

#[test]
fn an_edge_that_is_no_address_stops_the_start() {
    let level3 =
        "[cdn.level3]\nvendor = \"level3\"\nbase_url = \"http://127.0.0.1:1\"\nkey_id = \"1\"\nsecret = \"x\"\n";
    let folder = with_file(&format!("{level3}edge = \"nowhere\""));
    let message = refusal(&settings(&[("OVERSEAS__HTTP__LISTEN", "127.0.0.1:0")]), folder.path(), "up");
    assert!(message.contains("cdn.level3.edge"), "{message}");
}

#[test]
fn a_vendor_that_nobody_knows_stops_api_and_worker() {
    let folder = with_file("[cdn.other]\nvendor = \"acme\"\nkey_id = \"1\"\nsecret = \"x\"");
    let settings = settings(&[("OVERSEAS__HTTP__LISTEN", "127.0.0.1:0")]);
    assert!(run(&settings, folder.path(), &["migrate", "up"], "").status.success());
    for command in ["worker", "api"] {
        let message = refusal(&settings, folder.path(), command);
        assert!(message.contains("cdn.other.vendor") && message.contains("level3"), "{command}: {message}");
    }
}

#[test]
fn an_environment_variable_that_is_wrong_is_named() {
    let folder = TempDir::new().unwrap();
    for (name, value, named) in [
        ("OVERSEAS__HTTP__LISTNE", "127.0.0.1:0", "http.listne"),
        ("OVERSEAS__WORKER__SWEEP_SECONDS", "0", "worker.sweep_seconds"),
        ("OVERSEAS__TIME_ZONE", "Nowhere", "time_zone"),
    ] {
        let message = refusal(&settings(&[(name, value)]), folder.path(), "up");
        assert!(message.contains(named), "{message}");
    }
    let output = run(&Settings::new(), folder.path(), &["--config", "missing.toml", "up"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("missing.toml"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_and_worker_refuse_a_database_that_is_not_migrated() {
    for kind in [Kind::Sqlite, Kind::Mariadb] {
        let (folder, _simulator) = installation().await;
        let url = database::fresh_url(kind, folder.path()).await;
        let settings = settings(&[("OVERSEAS__DATABASE__URL", &url), ("OVERSEAS__HTTP__LISTEN", "127.0.0.1:0")]);
        for command in ["api", "worker"] {
            let message = refusal(&settings, folder.path(), command);
            assert!(message.contains("overseas migrate up"), "{command}: {message}");
        }
        let migrated = run(&settings, folder.path(), &["migrate", "up"], "");
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        database::execute(
            &url,
            "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m99991231_000001_later', 0)",
        )
        .await;
        for command in ["api", "worker"] {
            let message = refusal(&settings, folder.path(), command);
            assert!(message.contains("newer"), "{command}: {message}");
        }
    }
}

/// What `overseas doctor` prints and its exit code.
fn doctor(folder: &Path, pairs: &[(&str, &str)]) -> (Vec<String>, Option<i32>) {
    let output = run(&settings(pairs), folder, &["doctor"], "");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("EXAMPLEsecret") && !String::from_utf8_lossy(&output.stderr).contains("EXAMPLEsecret"));
    (text.lines().map(str::to_owned).collect(), output.status.code())
}

fn failed(lines: &[String]) -> Vec<&str> {
    let failed = lines.iter().filter_map(|line| line.strip_prefix("FAIL "));
    failed.map(|line| line.split_whitespace().next().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_prints_one_line_a_check_and_fails_when_one_does() {
    let (folder, simulator) = installation().await;
    let folder = folder.path();
    let (lines, code) = doctor(folder, &[]);
    assert_eq!((failed(&lines), code), (vec!["migrations", "cdn.level3"], Some(1)), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("overseas migrate up")), "{lines:#?}");

    assert!(run(&Settings::new(), folder, &["migrate", "up"], "").status.success());
    let (lines, code) = doctor(folder, &[]);
    assert_eq!((failed(&lines), code), (vec![], Some(0)), "{lines:#?}");
    let checks: Vec<&str> = lines.iter().map(|line| line[6..22].trim()).collect();
    assert_eq!(
        checks,
        ["database", "migrations", "queue", "cdn.level3", "cities", "log store", "log staging", "clock"]
    );

    let nowhere = format!("127.0.0.1:{}", free_port());
    let (lines, code) = doctor(folder, &[("OVERSEAS__QUEUE__URL", &format!("redis://{nowhere}"))]);
    assert_eq!((failed(&lines), code), (vec!["queue"], Some(1)), "{lines:#?}");
    let (lines, code) = doctor(folder, &[("OVERSEAS__CDN__LEVEL3__BASE_URL", &format!("http://{nowhere}"))]);
    assert_eq!((failed(&lines), code), (vec!["cdn.level3"], Some(1)), "{lines:#?}");
    let (lines, code) = doctor(folder, &[("OVERSEAS__CDN__LEVEL3__SECRET", "a wrong one")]);
    assert_eq!((failed(&lines), code), (vec!["cdn.level3"], Some(1)), "{lines:#?}");
    let (lines, code) = doctor(folder, &[("OVERSEAS__LOGS__STORE", "/proc/nowhere")]);
    assert_eq!((failed(&lines), code), (vec!["log"], Some(1)), "{lines:#?}");
    let (lines, code) = doctor(folder, &[("OVERSEAS__DATABASE__URL", &format!("mysql://u:hunter2@{nowhere}/x"))]);
    assert_eq!(code, Some(1));
    assert!(failed(&lines).contains(&"database") && !lines.concat().contains("hunter2"), "{lines:#?}");
    simulator.stop().await;
}
