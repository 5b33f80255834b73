//! `overseas simulate`: the simulator of the vendors alone, for trying a client or measuring the product.
//!
//! Reads none of the product's settings and needs no database; options win over the data file. What is
//! printed are the addresses in use, so port 0 may be asked for. Called by `main`; `bench` runs it.

use crate::wire;
use anyhow::Result;
use clap::Args;
use overseas_simulator::Config;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct Options {
    /// The simulated accounts and timings; the demo's if left out
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Address of the simulated vendor API and of the control endpoints
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Address of the simulated edge server
    #[arg(long, value_name = "ADDRESS")]
    edge_listen: Option<SocketAddr>,
}

pub(crate) async fn run(options: Options) -> Result<()> {
    let stop = wire::stop_on_signal()?;
    let mut config = match &options.data {
        Some(file) => Config::load(file)?,
        None => Config::demo(),
    };
    if let Some(listen) = options.listen {
        config.listen = listen;
    }
    if let Some(listen) = options.edge_listen {
        config.edge_listen = listen;
    }
    let keys: Vec<String> = config.keys.iter().map(|key| key.id.clone()).collect();
    let tencent = config.tencent.iter().map(|account| format!("tencent {}", account.secret_id));
    let edgeone = config.edgeone.iter().map(|account| format!("edgeone {}", account.secret_id));
    let keys: Vec<String> = [format!("level3 {}", keys.join(", "))].into_iter().chain(tencent).chain(edgeone).collect();
    let simulator = overseas_simulator::start(config).await?;
    say!("vendor API  {}  (keys: {})", simulator.vendor_url(), keys.join("; "));
    say!("control     {}/_control/summary", simulator.vendor_url());
    say!("edge        http://{}", simulator.edge_address());
    stop.cancelled().await;
    simulator.stop().await;
    Ok(())
}
