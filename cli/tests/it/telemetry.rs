//! What the processes tell of themselves: one request id from the HTTP call to the vendor's call, metrics of every
//! process, and health checks.
//!
//! Real processes on MariaDB and Redis, whose log lines are read as JSON.

use crate::faults::{settings, world};
use crate::support::process::{Process, Settings, run};
use crate::support::servers::{Redis, free_port};
use crate::support::{World, eventually};
use serde_json::{Value, json};

fn with(settings: &Settings, pairs: &[(&str, &str)]) -> Settings {
    let mut settings = settings.clone();
    settings.extend(pairs.iter().map(|(name, value)| (format!("OVERSEAS__{name}"), (*value).to_owned())));
    settings
}

/// The lines of a process's log that are JSON.
fn lines(process: &Process) -> Vec<Value> {
    process.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

async fn text(world: &World, url: &str) -> String {
    match world.client.get(url).send().await {
        Ok(answer) => answer.text().await.unwrap(),
        Err(_) => String::new(),
    }
}

/// The sum of a metric's samples whose labels hold these words.
fn sample(text: &str, name: &str, words: &[&str]) -> Option<f64> {
    let samples = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    let values: Vec<f64> = samples
        .filter(|line| words.iter().all(|word| line.contains(word)))
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_id_leads_from_the_call_to_the_vendor() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let world = world(&redis).await;
    let settings = with(&settings(&world, &redis), &[("LOG__FORMAT", "json"), ("LOG__LEVEL", "debug")]);
    let listen = format!("127.0.0.1:{}", free_port());
    let api = Process::start(&with(&settings, &[("HTTP__LISTEN", &listen)]), folder.path(), &["api"]);
    let worker = Process::start(&settings, folder.path(), &["worker"]);
    let post = || {
        let request = world.client.post(format!("http://{listen}/level3/refresh")).bearer_auth(&world.user_token);
        request.header("x-request-id", "trace-me-1").json(&json!({"path": "http://cdn.example.com/a"})).send()
    };
    eventually("the API answers", 30, || async { post().await.is_ok_and(|answer| answer.status() == 200) }).await;
    let traced = |line: &Value| line["span"]["request_ids"].as_str().is_some_and(|ids| ids.contains("trace-me-1"));
    eventually("the vendor is called", 30, || async {
        lines(&worker).iter().any(|line| line["message"] == "called the vendor" && traced(line))
    })
    .await;
    let handed = || {
        let of_request = |line: &Value| line["message"] == "handed over" && line["request_id"] == "trace-me-1";
        lines(&worker).into_iter().find(of_request)
    };
    eventually("the task is handed over", 10, || async { handed().is_some() }).await;
    let handed = handed().unwrap();
    let task = handed["task"].as_str().unwrap();
    assert_eq!(world.number("SELECT COUNT(*) FROM task WHERE request_id = 'trace-me-1'").await, 1);
    assert_eq!(world.number(&format!("SELECT COUNT(*) FROM task WHERE id = '{task}'")).await, 1);
    let answered = |line: &Value| line["message"] == "answered" && line["request_id"] == "trace-me-1";
    assert!(lines(&api).iter().any(answered), "{}", api.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_logged_once_with_its_request() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let world = world(&redis).await;
    let listen = format!("127.0.0.1:{}", free_port());
    let settings = with(&settings(&world, &redis), &[("LOG__FORMAT", "json"), ("HTTP__LISTEN", &listen)]);
    let api = Process::start(&settings, folder.path(), &["api"]);
    let url = format!("http://{listen}/level3/domains");
    let ask = || world.client.get(&url).bearer_auth(&world.user_token).header("x-request-id", "broken-1").send();
    eventually("the API answers", 30, || async { ask().await.is_ok_and(|answer| answer.status() == 200) }).await;
    crate::support::database::execute(&world.url, "ALTER TABLE user_domain RENAME TO user_domain_away").await;
    assert_eq!(ask().await.unwrap().status(), 500);
    let failed = |line: &&Value| line["level"] == "ERROR";
    eventually("the failure is logged", 5, || async { lines(&api).iter().any(|line| failed(&line)) }).await;
    let lines = lines(&api);
    let failures: Vec<&Value> = lines.iter().filter(failed).collect();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0]["span"]["request_id"], "broken-1", "{failures:?}");
    assert!(failures[0]["reason"].as_str().unwrap().contains("user_domain"), "{failures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_on_its_own_tells_its_health_and_its_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let mut redis = Redis::start(folder.path()).await;
    let world = world(&redis).await;
    let listen = format!("127.0.0.1:{}", free_port());
    let settings = with(&settings(&world, &redis), &[("WORKER__LISTEN", &listen)]);
    let worker = Process::start(&settings, folder.path(), &["worker"]);
    let ready = format!("http://{listen}/readyz");
    let health = || run(&settings, folder.path(), &["health", "--url", &ready], "");
    eventually("the worker is ready", 30, || async { health().status.success() }).await;
    assert!(text(&world, &format!("http://{listen}/healthz")).await.contains("\"err\":0"));
    world.refresh("http://cdn.example.com/a|http://cdn.example.com/b").await;
    let metrics = async || text(&world, &format!("http://{listen}/metrics")).await;
    eventually("the task is counted", 30, || async {
        sample(&metrics().await, "overseas_task_handover_seconds_count", &["kind=\"refresh\""]) == Some(1.0)
    })
    .await;
    for (name, words) in [
        ("overseas_vendor_calls_total", ["outcome=\"ok\"", "cdn=\"level3\""]),
        ("overseas_vendor_call_seconds_bucket", ["operation=", "le=\"1\""]),
        ("overseas_job_rounds_total", ["job=\"submit-refresh/level3\"", "outcome=\"ok\""]),
        ("overseas_tasks", ["state=\"running\"", "cdn=\"level3\""]),
        ("overseas_task_oldest_age_seconds", ["state=\"queued\"", "cdn=\"level3\""]),
        ("overseas_tasks_ended_total", ["state=\"done\"", "kind=\"refresh\""]),
        ("overseas_vendor_paused_seconds", ["cdn=\"level3\"", ""]),
        ("overseas_vendor_credits", ["cdn=\"level3\"", ""]),
        ("overseas_log_days", ["state=\"missing\"", "cdn=\"level3\""]),
        ("overseas_database_connections", ["state=\"most\"", ""]),
        ("overseas_database_connections", ["state=\"used\"", ""]),
        ("overseas_build_info", ["version=", ""]),
        ("overseas_scheduled_runs_total", ["job=\"sync-catalogue\"", "outcome=\"ok\""]),
    ] {
        eventually(name, 30, || async { sample(&metrics().await, name, &words).is_some() }).await;
    }
    redis.stop();
    let output = health();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("the queue does not answer"), "{output:?}");
    drop(worker);
    let output = health();
    assert!(String::from_utf8_lossy(&output.stderr).contains("does not answer"), "{output:?}");
}
