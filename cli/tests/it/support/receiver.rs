//! A receiver of webhooks: an HTTP server of a test that records what it is sent and answers as it is told.
//!
//! The job that delivers is driven by hand, as all jobs are: `send_webhooks` starts what is due and waits for it.
//! Called by the tests of webhooks.

use crate::support::World;
use overseas_worker::jobs::webhooks::Webhooks;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// How a receiver answers.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// Further header lines, each with its end.
    pub headers: String,
    pub delay: Duration,
    /// Whether the body never ends.
    pub endless: bool,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self { status, headers: String::new(), delay: Duration::ZERO, endless: false }
    }
}

#[derive(Default)]
struct Seen {
    received: Vec<Received>,
    under_way: usize,
    most_under_way: usize,
}

pub struct Receiver {
    pub port: u16,
    seen: Arc<Mutex<Seen>>,
    answer: Arc<Mutex<Answer>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Receiver {
    /// One that answers 200.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, answer) = (Arc::<Mutex<Seen>>::default(), Arc::new(Mutex::new(Answer::status(200))));
        let (noted, said) = (Arc::clone(&seen), Arc::clone(&answer));
        let server = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&noted), Arc::clone(&said)));
            }
        });
        Self { port, seen, answer, server }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    pub fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    pub fn received(&self) -> Vec<Received> {
        self.seen.lock().unwrap().received.clone()
    }

    /// Most requests that it had in hand at a time.
    pub fn most_under_way(&self) -> usize {
        self.seen.lock().unwrap().most_under_way
    }
}

async fn serve(mut socket: TcpStream, seen: Arc<Mutex<Seen>>, answer: Arc<Mutex<Answer>>) {
    let mut bytes = Vec::new();
    let (received, answer) = loop {
        let mut part = [0; 8192];
        let length = socket.read(&mut part).await.unwrap_or(0);
        if length == 0 {
            return;
        }
        bytes.extend_from_slice(&part[..length]);
        if let Some(received) = parse(&bytes) {
            let mut seen = seen.lock().unwrap();
            seen.received.push(received.clone());
            seen.under_way += 1;
            seen.most_under_way = seen.most_under_way.max(seen.under_way);
            break (received, answer.lock().unwrap().clone());
        }
    };
    drop(received);
    tokio::time::sleep(answer.delay).await;
    seen.lock().unwrap().under_way -= 1;
    let length = if answer.endless { String::new() } else { "content-length: 2\r\n".to_owned() };
    let head = format!("HTTP/1.1 {} Said\r\n{length}connection: close\r\n{}\r\n", answer.status, answer.headers);
    let _ = socket.write_all(head.as_bytes()).await;
    while socket.write_all(b"ok").await.is_ok() && answer.endless {}
}

/// The request, once it is whole.
fn parse(bytes: &[u8]) -> Option<Received> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length")?.parse().ok()?;
    (body.len() >= length).then(|| Received { path, headers, body: body.to_owned() })
}

impl World {
    /// Registers a webhook of the user; returns it with its secret.
    pub async fn webhook(&self, url: &str) -> Value {
        self.post(&self.user_token, "/level3/webhooks", json!({"url": url})).await.ok()["webhook"].clone()
    }

    /// The user's webhooks as the list shows them.
    pub async fn webhooks(&self) -> Vec<Value> {
        let list = self.get(&self.user_token, "/level3/webhooks").await.ok();
        list["results"].as_array().unwrap().clone()
    }

    /// Starts the deliveries that are due, of a worker of its own; returns how many, and waits for none.
    pub async fn start_webhooks(&self, tracker: &TaskTracker) -> usize {
        tracker.close();
        Webhooks::new(&self.context, tracker, &Arc::default()).start_due(&self.stop).await.unwrap().0
    }

    /// Delivers until nothing is due.
    pub async fn send_webhooks(&self) {
        let tracker = TaskTracker::new();
        while self.start_webhooks(&tracker).await > 0 {
            tracker.wait().await;
        }
    }

    /// A refresh of the user's that ends as done; returns its id.
    pub async fn done_task(&self, path: &str) -> String {
        let id = self.refresh(path).await.remove(0);
        self.submit(overseas_shared::domain::Kind::Refresh).await;
        self.control.advance(60);
        self.poll().await;
        assert_eq!(self.task("refresh", &id).await["state"], "done");
        id
    }
}
