//! Redis and MariaDB servers of a test's own, for tests that stop, flush or restart them.
//!
//! A server comes back on its old port, so that clients find it again: Redis empty, as after a crash
//! without persistence; MariaDB with its data, which `kill` leaves as a power cut would. Both need
//! their binaries on the PATH and end when their value is dropped. Called by `queue` and `faults`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A private Redis.
pub struct Redis {
    child: Option<Child>,
    port: u16,
    folder: PathBuf,
}

impl Redis {
    pub async fn start(folder: &Path) -> Self {
        let mut redis = Self { child: None, port: free_port(), folder: folder.to_owned() };
        redis.resume().await;
        redis
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it (again), empty, on the same port.
    pub async fn resume(&mut self) {
        let child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(&self.folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is on the PATH");
        self.child = Some(child);
        wait_for_port(self.port).await;
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub async fn command(&self, words: &[&str]) -> redis::Value {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        command.query_async(&mut connection).await.unwrap()
    }

    /// Bytes of data that Redis holds.
    pub async fn used_memory(&self) -> u64 {
        let info = self.command(&["INFO", "memory"]).await;
        let text: String = redis::from_redis_value(info).unwrap();
        let line = text.lines().find(|line| line.starts_with("used_memory:")).unwrap();
        line["used_memory:".len()..].trim().parse().unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A private MariaDB.
pub struct Mariadb {
    child: Option<Child>,
    port: u16,
    folder: PathBuf,
}

impl Mariadb {
    pub async fn start(folder: &Path) -> Self {
        let data = folder.join("mariadb");
        let installed = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--user=root"])
            .arg(format!("--datadir={}", data.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("mariadb-install-db is on the PATH");
        assert!(installed.success());
        let mut server = Self { child: None, port: free_port(), folder: folder.to_owned() };
        server.resume().await;
        server
    }

    /// Without a database's name.
    pub fn url(&self) -> String {
        format!("mysql://root@127.0.0.1:{}", self.port)
    }

    /// Starts it (again) on the same data and port.
    pub async fn resume(&mut self) {
        let folder = self.folder.display();
        let child = Command::new("mariadbd")
            .args([
                "--no-defaults",
                "--user=root",
                "--bind-address=127.0.0.1",
                "--skip-log-bin",
                "--innodb-buffer-pool-size=64M",
            ])
            .arg(format!("--datadir={folder}/mariadb"))
            .arg(format!("--socket={folder}/mariadb.sock"))
            .arg(format!("--pid-file={folder}/mariadb.pid"))
            .arg(format!("--port={}", self.port))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mariadbd is on the PATH");
        self.child = Some(child);
        wait_for_port(self.port).await;
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Mariadb {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn wait_for_port(port: u16) {
    let end = Instant::now() + Duration::from_secs(30);
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(Instant::now() < end, "no server on port {port}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
