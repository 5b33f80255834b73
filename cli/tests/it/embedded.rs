//! `overseas` as it is started for the first time: the real binary in an empty folder, without any
//! setting but a free port.
//!
//! What stops a start is in `start_refusals`.

use crate::support::delivery::gunzip;
use crate::support::eventually;
use crate::support::process::{Process, Settings};
use overseas_shared::clock::Clock;
use overseas_shared::domain::log::{date_of, day_at};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The demo, and where it answers.
struct Demo {
    process: Process,
    base: String,
    client: Client,
}

impl Demo {
    async fn start(folder: &Path) -> Self {
        let settings = Settings::from([("OVERSEAS__HTTP__LISTEN".to_owned(), "127.0.0.1:0".to_owned())]);
        let process = Process::start(&settings, folder, &[]);
        let base = || {
            Some(
                process
                    .log()
                    .split("API and Swagger UI")
                    .nth(1)?
                    .split_whitespace()
                    .next()?
                    .strip_suffix("/docs")?
                    .to_owned(),
            )
        };
        eventually("the greeting", 30, || async { base().is_some() && process.log().contains("/level3/login") }).await;
        let base = base().unwrap();
        let client = overseas_shared::cdn::http::builder(false).build().unwrap();
        Self { process, base, client }
    }

    /// The status and the JSON of an answer; of a file, what an answer without a failure would say.
    async fn send(request: RequestBuilder) -> (u16, Value) {
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        if response.headers()["content-type"] == "application/gzip" {
            let text = gunzip(&response.bytes().await.unwrap());
            return (status, json!({"err": 0, "lines": text.lines().count()}));
        }
        (status, response.json().await.unwrap())
    }

    /// Waits until the worker has made the logs that the vendor has delivered.
    async fn logs_are_made(&self) {
        let (first, last) = ("startDate=20160929", "endDate=20160929");
        let yesterday = date_of(day_at(Clock::system().now()) - 1).format("%Y%m%d");
        for range in [format!("{first}&{last}"), format!("startDate={yesterday}&endDate={yesterday}")] {
            let path = format!("/level3/logdownload?domain=cdn.example.com&{range}");
            eventually("the log is made", 20, || async { self.get(&path).await["results"][0]["state"] == "ready" })
                .await;
        }
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = Self::send(self.client.get(format!("{}{path}", self.base))).await;
        assert_eq!((status, &body["err"]), (200, &json!(0)), "{path}: {body}");
        body
    }

    /// Orders a refresh as the demo's user, once the vendor's catalogue has been read.
    async fn refresh(&self, path: &str) -> Value {
        let catalogue = "/level3/user_domains?login_email=user@example.com";
        eventually("the catalogue has been read", 20, || async {
            !self.get(catalogue).await.to_string().contains("Pending")
        })
        .await;
        let order = json!({"login_email": "user@example.com", "path": path});
        let request = self.client.post(format!("{}/level3/refresh", self.base)).json(&order);
        let (status, made) = Self::send(request).await;
        assert_eq!(status, 200, "{made}");
        made
    }

    /// The greeting's lines that begin with `curl`, up to a pipe, as words.
    fn curl_lines(&self) -> Vec<Vec<String>> {
        let log = self.process.log();
        let lines = log.lines().map(str::trim).filter(|line| line.starts_with("curl "));
        lines.map(|line| words(line.split(" | ").next().unwrap_or(line))).collect()
    }

    /// The request that a curl line makes.
    fn request(&self, words: &[String]) -> RequestBuilder {
        let (mut url, mut data) = (None, Vec::new());
        let mut rest = words[1..].iter();
        while let Some(word) = rest.next() {
            match word.as_str() {
                "-s" => {}
                "-d" => data.push(rest.next().unwrap().clone()),
                address => assert!(url.replace(address.to_owned()).is_none(), "{words:?}"),
            }
        }
        let url = url.unwrap();
        if data.is_empty() {
            return self.client.get(url);
        }
        self.client.post(url).header("content-type", "application/x-www-form-urlencoded").body(data.join("&"))
    }

    /// SIGINT, as Ctrl-C sends it; returns the exit code.
    async fn interrupt(mut self) -> Option<i32> {
        self.process.signal("INT");
        let begun = Instant::now();
        let child = tokio::sync::Mutex::new(&mut self.process.child);
        eventually("Ctrl-C ends it", 5, || async { child.lock().await.try_wait().unwrap().is_some() }).await;
        assert!(begun.elapsed() < Duration::from_secs(5));
        self.process.child.wait().unwrap().code()
    }
}

/// Splits a line as a shell does; only single quotes are used.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in line.split('\'').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

fn percent(list: &Value) -> u32 {
    list["results"][0]["percentComplete"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_curl_line_of_the_greeting_works_as_it_is_typed() {
    let folder = TempDir::new().unwrap();
    let demo = Demo::start(folder.path()).await;
    let lines = demo.curl_lines();
    for path in [
        "/level3/refresh ",
        "dry_run=true",
        "capabilities",
        "refresh_list",
        "/level3/preload ",
        "preload_list",
        "bandwidths",
        "logdownload",
        "log/",
        "domains",
        "login ",
    ] {
        assert!(lines.iter().any(|line| format!("{} ", line.join(" ")).contains(path)), "{path}: {lines:?}");
    }
    demo.logs_are_made().await;
    for line in &lines {
        let (status, body) = Demo::send(demo.request(line)).await;
        assert_eq!((status, &body["err"]), (200, &json!(0)), "{line:?}: {body}");
    }
    assert_eq!(demo.process.log().matches("panicked").count(), 0);
    let metrics = demo.client.get(format!("{}/metrics", demo.base)).send().await.unwrap();
    assert!(metrics.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    let text = metrics.text().await.unwrap();
    let counted =
        |line: &&str| line.starts_with("overseas_http_requests_total{") && line.contains("route=\"/level3/refresh\"");
    let line = text.lines().find(counted).unwrap_or_else(|| panic!("{text}"));
    let sent = lines.iter().filter(|line| line.iter().any(|word| word.ends_with("/level3/refresh"))).count();
    let ends = format!(" {sent}");
    assert!(line.contains("status=\"200\"") && line.contains("method=\"POST\"") && line.ends_with(&ends), "{line}");
    assert!(text.contains("overseas_http_request_seconds"), "{text}");
    assert_eq!(demo.interrupt().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_goes_to_100_percent_without_a_step_back_and_outlives_a_restart() {
    let folder = TempDir::new().unwrap();
    let demo = Demo::start(folder.path()).await;
    let made = demo.refresh("http://cdn.example.com/test.html").await;
    let id = made["results"][0]["taskid"].as_str().unwrap();
    let path = format!("/level3/refresh_list?login_email=user@example.com&taskid={id}");
    let seen = tokio::sync::Mutex::new(vec![0]);
    eventually("the task is at 100 %", 30, || async {
        let now = percent(&demo.get(&path).await);
        let mut seen = seen.lock().await;
        assert!(now >= seen[seen.len() - 1], "{now} after {seen:?}");
        seen.push(now);
        now == 100
    })
    .await;
    assert!(seen.lock().await.iter().any(|now| (1..100).contains(now)), "progress is shown on the way");
    let done = demo.get(&path).await;
    assert_eq!(done["results"][0]["state"], "done");
    assert_eq!(demo.interrupt().await, Some(0));

    let again = Demo::start(folder.path()).await;
    assert_eq!(again.get(&path).await, done);
    assert_eq!(again.interrupt().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_that_are_under_way_at_the_stop_are_kept_and_never_fall_back() {
    let folder = TempDir::new().unwrap();
    let demo = Demo::start(folder.path()).await;
    demo.refresh("http://a.example.com/x|http://b.example.com/y").await;
    let list = "/level3/refresh_list?login_email=user@example.com";
    eventually("the first percent", 20, || async { percent(&demo.get(list).await) > 0 }).await;
    let before = demo.get(list).await;
    assert_eq!(demo.interrupt().await, Some(0));
    // The simulated vendor has forgotten everything; the tasks have not.
    let again = Demo::start(folder.path()).await;
    let after = again.get(list).await;
    assert_eq!(after["results"].as_array().unwrap().len(), 2);
    for (before, after) in before["results"].as_array().unwrap().iter().zip(after["results"].as_array().unwrap()) {
        assert_eq!(before["taskid"], after["taskid"]);
        let percent = |task: &Value| task["percentComplete"].as_str().unwrap().parse::<u32>().unwrap();
        assert!(percent(after) >= percent(before), "{after} after {before}");
        assert!(["running", "done"].contains(&after["state"].as_str().unwrap()), "{after}");
    }
    assert_eq!(again.interrupt().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_example_of_the_document_runs_as_it_stands() {
    let folder = TempDir::new().unwrap();
    let demo = Demo::start(folder.path()).await;
    let document: Value =
        demo.client.get(format!("{}/openapi.json", demo.base)).send().await.unwrap().json().await.unwrap();
    demo.logs_are_made().await;
    let mut failures = Vec::new();
    let mut examples = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let content = &operation["requestBody"]["content"]["application/json"];
            let name = content["schema"]["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
            let schema = &document["components"]["schemas"][name.unwrap_or_default()];
            let body = [&content["example"], &schema["example"]].into_iter().find(|example| example.is_object());
            let given = operation["parameters"].as_array().into_iter().flatten();
            let (in_path, parameters): (Vec<_>, Vec<_>) = given.partition(|parameter| parameter["in"] == "path");
            let path = in_path.iter().fold(path.clone(), |path, parameter| {
                let name = format!("{{{}}}", parameter["name"].as_str().unwrap());
                path.replace(&name, parameter["example"].as_str().unwrap())
            });
            let query: Vec<String> = parameters
                .into_iter()
                .filter(|parameter| !parameter["example"].is_null())
                .map(|parameter| {
                    let example = parameter["example"].to_string();
                    format!("{}={}", parameter["name"].as_str().unwrap(), example.trim_matches('"'))
                })
                .collect();
            examples += usize::from(body.is_some() || !query.is_empty());
            let request = demo.client.request(method.clone(), format!("{}{path}?{}", demo.base, query.join("&")));
            let (status, answer) = Demo::send(body.into_iter().fold(request, |request, body| request.json(body))).await;
            // What exists already says so, and that is documented.
            if status != 200 && status != 409 {
                failures.push(format!("{method} {path} {query:?} {body:?}: {status} {}", answer["message"]));
            }
        }
    }
    assert!(examples >= 10, "{examples}");
    assert_eq!(failures, [""; 0]);
    assert_eq!(demo.interrupt().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stops_on_a_signal_even_when_nobody_reads_its_log_any_more() {
    let folder = TempDir::new().unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_overseas"))
        .current_dir(folder.path())
        .env("OVERSEAS__HTTP__LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut greeting = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(greeting.any(|line| line.unwrap().contains("/level3/login")), "the end of the greeting");
    drop((greeting, child.stderr.take()));
    let signal = std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(signal.success());
    let end = Instant::now() + Duration::from_secs(10);
    while child.try_wait().unwrap().is_none() && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Does nothing to a process that has ended.
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "{status} after SIGTERM");
}
