//! `overseas health`: asks a running process whether it is ready, for health checks where there is no curl.
//!
//! Exit code 0 when the answer is HTTP 200, 1 with what was said otherwise. Without an address it asks the API that
//! the settings describe, on this machine. Called by `main`.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use overseas_shared::cdn::http;
use overseas_shared::config::Config;
use std::time::Duration;

/// Longest time for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(crate) struct Options {
    /// What to ask, such as http://127.0.0.1:9100/readyz; the API's /readyz if left out
    #[arg(long)]
    pub(crate) url: Option<String>,
}

/// An address that listens everywhere is asked on this machine.
fn own_address(config: &Config) -> String {
    let listen = &config.http.listen;
    let local = listen.replacen("0.0.0.0:", "127.0.0.1:", 1).replacen("[::]:", "[::1]:", 1);
    format!("http://{local}/readyz")
}

pub(crate) async fn run(config: &Config, options: Options) -> Result<()> {
    let url = options.url.unwrap_or_else(|| own_address(config));
    let client = http::builder(url.starts_with("https://")).timeout(PATIENCE).build()?;
    let answer = client.get(&url).send().await.with_context(|| format!("{url} does not answer"))?;
    let status = answer.status();
    if status.as_u16() == 200 {
        return Ok(());
    }
    let said: String = answer.text().await.unwrap_or_default().chars().take(500).collect();
    bail!("{url}: {status}: {said}")
}
