//! A port that leads to a server, for tests in which the server is away.
//!
//! It can be shut, then a connection is refused and those that there are end; opened again, on the same port; and
//! opened only by a crack: each connection answers so many bytes and then hangs, as over a network that has died.
//! Called by the tests of logs.

use crate::support::servers::free_port;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

pub struct Door {
    port: u16,
    server: String,
    open: Option<JoinHandle<()>>,
    /// Whether a connection hangs.
    silent: Arc<AtomicBool>,
}

impl Door {
    /// A door to this server, `host:port`, which is shut.
    pub fn to(server: &str) -> Self {
        Self { port: free_port(), server: server.to_owned(), open: None, silent: Arc::default() }
    }

    /// Where it is, as `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub async fn open(&mut self) {
        self.open_for(u64::MAX).await;
    }

    /// Opens it; each connection passes so many bytes of the server's answers.
    pub async fn open_for(&mut self, bytes: u64) {
        self.shut().await;
        let listener = TcpListener::bind(self.address()).await.unwrap();
        let (server, silent) = (self.server.clone(), Arc::clone(&self.silent));
        self.open = Some(tokio::spawn(async move {
            // They end with the task that holds them.
            let mut inside = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                inside.spawn(pass(client, server.clone(), bytes, Arc::clone(&silent)));
            }
        }));
    }

    /// Whether a connection has come to its last byte and hangs.
    pub fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    pub async fn shut(&mut self) {
        if let Some(open) = self.open.take() {
            open.abort();
            let _ = open.await;
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            open.abort();
        }
    }
}

async fn pass(client: TcpStream, server: String, bytes: u64, silent: Arc<AtomicBool>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let asking = async {
        let _ = copy(&mut from_client, &mut to_server).await;
        let _ = to_server.shutdown().await;
    };
    let answering = async {
        let mut some = from_server.take(bytes);
        let _ = copy(&mut some, &mut to_client).await;
        if some.limit() == 0 {
            silent.store(true, Ordering::Relaxed);
            std::future::pending::<()>().await;
        }
        let _ = to_client.shutdown().await;
    };
    tokio::join!(asking, answering);
}
