//! A vendor made by hand: canned answers on a loopback socket, requests recorded.
//!
//! It writes raw bytes, so that it can send what no proper server would: a cut body, a flood, silence.
//! A connection carries one request, and the n-th request gets the n-th answer, whatever it asks.
//! Signatures are not checked here; the tests compare the recorded text. Called by the tests of the vendors' clients.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Debug, Clone)]
pub(in crate::cdn) enum Reply {
    /// These bytes, then the end of the connection.
    Bytes(String),
    /// The first text once, the second without end.
    Endless(&'static str, &'static str),
    /// Nothing, while the connection stays open.
    Silence,
}

pub(in crate::cdn) fn answer(status: &str, headers: &str, body: &str) -> Reply {
    let length = body.len();
    Reply::Bytes(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"))
}

pub(in crate::cdn) fn ok(body: &str) -> Reply {
    answer("200 OK", "Content-Type: text/xml\r\n", body)
}

pub(in crate::cdn) struct Vendor {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    pub(in crate::cdn) flooded: Arc<AtomicU64>,
}

impl Vendor {
    /// Answers the n-th request with the n-th reply, and with the last one from then on.
    pub(in crate::cdn) async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let vendor =
            Self { address: listener.local_addr().unwrap(), requests: Arc::default(), flooded: Arc::default() };
        let (requests, flooded) = (Arc::clone(&vendor.requests), Arc::clone(&vendor.flooded));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read_request(&mut stream).await;
                let reply = {
                    let mut requests = requests.lock().unwrap();
                    requests.push(request);
                    replies.get(requests.len() - 1).or(replies.last()).cloned().unwrap()
                };
                tokio::spawn(send(stream, reply, Arc::clone(&flooded)));
            }
        });
        vendor
    }

    /// Where it is, as a base URL.
    pub(in crate::cdn) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(in crate::cdn) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = header(head, "content-length").and_then(|text| text.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return text,
            Ok(length) => bytes.extend_from_slice(&chunk[..length]),
        }
    }
}

async fn send(mut stream: TcpStream, reply: Reply, flooded: Arc<AtomicU64>) {
    match reply {
        Reply::Bytes(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
        }
        Reply::Endless(first, again) => {
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{first}");
            let _ = stream.write_all(head.as_bytes()).await;
            let block = again.repeat((16 << 10) / again.len());
            while stream.write_all(block.as_bytes()).await.is_ok() {
                flooded.fetch_add(block.len() as u64, Ordering::Relaxed);
            }
        }
        Reply::Silence => tokio::time::sleep(Duration::from_secs(60)).await,
    }
}

pub(in crate::cdn) fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let head = request.split("\r\n\r\n").next().unwrap();
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then_some(value)
    })
}
