//! Real processes of the real binary, for tests that kill and stop them.
//!
//! A process sees only the settings that the test gives it: its environment is emptied, and it runs in the
//! test's folder, where no configuration file lies. What `start` runs writes to a file, which a failing
//! test can show, and is killed when its value is dropped, so that no test leaves a process behind.
//! Called by tests such as `queue` and `faults`.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Settings by environment variable.
pub type Settings = HashMap<String, String>;

/// A process of the binary that is killed when the test ends.
pub struct Process {
    pub child: Child,
    log: std::path::PathBuf,
}

fn command(settings: &Settings, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_overseas"));
    command.args(arguments).current_dir(folder).env_clear().envs(settings);
    command.env("PATH", "/usr/bin:/bin");
    command
}

impl Process {
    pub fn start(settings: &Settings, folder: &Path, arguments: &[&str]) -> Self {
        let log = folder.join(format!("{}-{}.log", arguments.first().unwrap_or(&"up"), ulid::Ulid::generate()));
        let file = std::fs::File::create(&log).unwrap();
        let child = command(settings, folder, arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The most memory that it ever had resident, in MiB.
    pub fn peak_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// SIGTERM, then the exit code; fails the test when it takes longer than `most`.
    pub fn stop(mut self, most: Duration) -> i32 {
        self.signal("TERM");
        let end = Instant::now() + most;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < end, "SIGTERM took longer than {most:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command of the binary to its end.
pub fn run(settings: &Settings, folder: &Path, arguments: &[&str], stdin: &str) -> Output {
    let mut child = command(settings, folder, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}
