//! Starting and stopping: refusals that name their cause, and addresses that are free afterwards.
//!
//! A stop does not wait long for a request that hangs, and a simulator on the same addresses can start
//! right after it: a test of a client may take the vendor away and bring it back.

use std::time::{Duration, Instant};

use crate::client::{Wire, config};

#[tokio::test]
async fn a_busy_port_is_named() {
    let wire = Wire::start().await;
    let address = wire.simulator.edge_address();
    let mut vendor_busy = config();
    vendor_busy.listen = address;
    let mut edge_busy = config();
    edge_busy.edge_listen = address;
    for config in [vendor_busy, edge_busy] {
        let error = overseas_simulator::start(config).await.err().unwrap();
        assert_eq!(error.to_string(), format!("cannot listen on {address}: address already in use"));
    }
}

#[tokio::test]
async fn a_contradictory_configuration_does_not_start() {
    let mut config = config();
    config.keys[0].access_group = 7;
    let error = overseas_simulator::start(config).await.err().unwrap();
    assert!(error.to_string().contains("key 279000001"));
}

#[tokio::test]
async fn stopping_frees_the_addresses_even_under_a_request_that_hangs() {
    let wire = Wire::start().await;
    wire.faults(r#"[{"operation":"key","kind":"slow","delay_ms":60000}]"#).await;
    let hanging = tokio::spawn(wire.request("GET", "/key/v1.0", "text/xml").send());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut again = config();
    again.listen = wire.simulator.vendor_url().trim_start_matches("http://").parse().unwrap();
    again.edge_listen = wire.simulator.edge_address();
    let begun = Instant::now();
    wire.simulator.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(hanging.await.unwrap().is_err());
    let second = Wire::with(again).await;
    assert_eq!(second.get("/key/v1.0").await.status, 200);
}

#[tokio::test]
async fn serve_ends_with_its_shutdown() {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(overseas_simulator::serve(config(), async {
        let _ = stopped.await;
    }));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!serving.is_finished());
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
}
