//! A port that leads to a server, for tests in which the server is away.
//!
//! It can be shut, then a connection is refused and those that there are end; opened again, on the same port; and
//! opened only by a crack: each connection answers so many bytes and then hangs, as over a network that has died.
//! And it can be held: then nothing passes, neither on old connections nor on new ones, until it is let go.
//! Called by the tests of logs and by `fault_limits`.

use crate::support::servers::free_port;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub struct Door {
    port: u16,
    server: String,
    open: Option<JoinHandle<()>>,
    /// Whether a connection hangs.
    silent: Arc<AtomicBool>,
    held: watch::Sender<bool>,
}

impl Door {
    /// A door to this server, `host:port`, which is shut.
    pub fn to(server: &str) -> Self {
        Self {
            port: free_port(),
            server: server.to_owned(),
            open: None,
            silent: Arc::default(),
            held: watch::Sender::new(false),
        }
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
        let (server, silent, held) = (self.server.clone(), Arc::clone(&self.silent), self.held.subscribe());
        self.open = Some(tokio::spawn(async move {
            // They end with the task that holds them.
            let mut inside = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                inside.spawn(pass(client, server.clone(), bytes, Arc::clone(&silent), held.clone()));
            }
        }));
    }

    /// Whether a connection has come to its last byte and hangs.
    pub fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// From now on nothing passes, and nobody is told.
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    /// What was held goes on its way.
    pub fn let_go(&self) {
        self.held.send_replace(false);
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

async fn pass(client: TcpStream, server: String, bytes: u64, silent: Arc<AtomicBool>, held: watch::Receiver<bool>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, mut to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let mut other = held.clone();
    let asking = async {
        carry(from_client, &mut to_server, &mut other).await;
        let _ = to_server.shutdown().await;
    };
    let mut held = held;
    let answering = async {
        let mut some = from_server.take(bytes);
        carry(&mut some, &mut to_client, &mut held).await;
        if some.limit() == 0 {
            silent.store(true, Ordering::Relaxed);
            std::future::pending::<()>().await;
        }
        let _ = to_client.shutdown().await;
    };
    tokio::join!(asking, answering);
}

/// Copies to the end; waits where it is held.
async fn carry(mut from: impl AsyncRead + Unpin, to: &mut OwnedWriteHalf, held: &mut watch::Receiver<bool>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if held.wait_for(|held| !held).await.is_err() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
