//! The simulator of Tencent Cloud CDN and EdgeOne, as the vendor's own SDK and its own description of the API see it.
//!
//! Our client and our simulator could agree on the same mistake; these two judges are neither of them. What is asked and
//! what is looked at, stands in `simulator/tests/sdk/drive.py`.

use crate::support::database::server;
use std::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../simulator/tests/sdk/drive.py");

#[tokio::test(flavor = "multi_thread")]
async fn the_official_sdk_understands_every_answer_of_the_simulator() {
    let simulator = overseas_simulator::start(overseas_simulator::Config::demo().on_free_ports()).await.unwrap();
    let mut python = Command::new(server("OVERSEAS_TEST_PYTHON"));
    // Without compiled files beside the sources.
    python.args(["-B", SCRIPT, &simulator.vendor_url()]);
    let output = tokio::task::spawn_blocking(move || python.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    simulator.stop().await;
}
