//! A vendor that fails in every way it can, beside one that works: nothing is lost, and nobody else waits.
//!
//! One real worker with two accounts, each at a simulator of its own. While the first fails whatever it is asked, the
//! second's tasks end; once the first works again, so do its own.

use crate::faults::{STOP, Stage};
use crate::support::{Ledger, eventually};
use overseas_shared::config::CdnConfig;
use overseas_simulator::{Config as SimulatorConfig, Control, FaultKind, FaultRule, Simulator};
use serde_json::json;
use std::time::Instant;

/// The first account's domains are in the demo data; the second's are these.
const OTHERS: [&str; 5] = ["o1.example.com", "o2.example.com", "o3.example.com", "o4.example.com", "o5.example.com"];
const FIRST: [&str; 4] = ["cdn.example.com", "www.example.com", "a.example.com", "b.example.com"];

/// An answer of this size, in bytes, must not be held in memory.
const HUGE: u64 = 400 * 1024 * 1024;
/// Most memory of the worker, in MiB: far less than such an answer.
const MOST_MIB: u64 = 160;

async fn second_simulator() -> Simulator {
    let mut data = SimulatorConfig::demo().on_free_ports();
    data.invalidation_seconds = 1;
    data.log_days = 0;
    data.log_golden_days.clear();
    data.usage_golden.clear();
    let properties = &mut data.access_groups[0].services[0].properties;
    properties.truncate(OTHERS.len());
    while properties.len() < OTHERS.len() {
        properties.push(properties[0].clone());
    }
    for (property, name) in properties.iter_mut().zip(OTHERS) {
        (property.name, property.active) = (name.to_owned(), true);
    }
    overseas_simulator::start(data).await.unwrap()
}

/// A stage with a second account, `other`, whose domains the user has too.
async fn stage(other: &Simulator) -> Stage {
    let key = other.control().config().keys[0].clone();
    let account = CdnConfig {
        base_url: Some(other.vendor_url()),
        key_id: Some(key.id.clone()),
        secret: Some(key.secret.clone().into()),
        edge: Some(other.edge_address().to_string()),
        ..CdnConfig::new("level3")
    };
    let mut stage = Stage::with(|config| drop(config.cdn.insert("other".to_owned(), account)), |_| {}).await;
    for (name, value) in [
        ("CDN__LEVEL3__TIMEOUT_SECONDS", "2"),
        ("CDN__LEVEL3__RATE_LIMIT_PAUSE_SECONDS", "1"),
        ("CDN__OTHER__VENDOR", "level3"),
        ("CDN__OTHER__BASE_URL", &other.vendor_url()),
        ("CDN__OTHER__KEY_ID", &key.id),
        ("CDN__OTHER__SECRET", &key.secret),
        ("CDN__OTHER__EDGE", &other.edge_address().to_string()),
        ("CDN__OTHER__POLL_SECONDS", "1"),
    ] {
        stage.set(name, value);
    }
    stage
}

async fn map_others(stage: &Stage) {
    let world = &stage.world;
    let mapping = json!({"login_email": crate::support::world::USER, "cdn": "other", "domains": OTHERS});
    world.post(&world.staff_token, "/level3/user_domains", mapping).await.ok();
    eventually("the second catalogue is there", 30, || async {
        let listed = world.get(&world.user_token, "/level3/user_domains").await.ok();
        !listed.to_string().contains("Pending")
    })
    .await;
}

/// The first account's tasks that have not ended, and the second's.
async fn open(ledger: &Ledger) -> (usize, usize) {
    let (others, first): (Vec<String>, Vec<String>) =
        ledger.open().await.into_iter().partition(|url| url.contains("://o"));
    (first.len(), others.len())
}

fn applied(vendor: &Control) -> u64 {
    vendor.faults().iter().map(|fault| fault.applied).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_that_fails_in_any_way_delays_its_own_tasks_only_and_gets_them_when_it_has_recovered() {
    let other = second_simulator().await;
    let stage = stage(&other).await;
    let vendor = &stage.world.control;
    let mut worker = stage.worker();
    map_others(&stage).await;
    let mut ledger = Ledger::of(&stage.world);
    ledger.domains =
        FIRST.iter().zip(OTHERS).flat_map(|(first, other)| [(*first).to_owned(), other.to_owned()]).collect();
    let vendors = [vendor, &other.control()];
    // What a 403 means depends on whether the account has ever worked.
    for n in 0..8 {
        ledger.post(n).await;
    }
    ledger.settle(&vendors, 40, &stage.world.url).await;
    let status = |status| FaultRule { status: Some(status), ..FaultRule::new(FaultKind::Status) };
    let faults = [
        ("403", FaultRule::new(FaultKind::Forbidden)),
        ("429", status(429)),
        ("500", status(500)),
        ("cut", FaultRule { after_effect: true, ..FaultRule::new(FaultKind::Cut) }),
        ("slow", FaultRule { delay_ms: 4_000, ..FaultRule::new(FaultKind::Slow) }),
        ("garbage", FaultRule::new(FaultKind::Garbage)),
        ("huge", FaultRule { bytes: Some(HUGE), ..FaultRule::new(FaultKind::Huge) }),
    ];
    for (name, rule) in faults {
        vendor.set_faults(vec![rule]).unwrap();
        let begun = Instant::now();
        for _ in 0..20 {
            ledger.post(ledger.tasks()).await;
        }
        eventually(&format!("{name}: the other account's tasks end"), 20, || async { open(&ledger).await.1 == 0 })
            .await;
        let others = begun.elapsed();
        eventually(&format!("{name}: the vendor fails"), 20, || std::future::ready(applied(vendor) >= 2)).await;
        let waiting = open(&ledger).await.0;
        assert_eq!(waiting, 10, "{name}: what the vendor has not confirmed is open");
        vendor.clear_faults();
        let begun = Instant::now();
        eventually(&format!("{name}: all tasks end"), 40, || async { open(&ledger).await.0 == 0 }).await;
        eprintln!(
            "{name}: the others took {others:.1?}, recovered in {:.1?}, peak {} MiB",
            begun.elapsed(),
            worker.peak_mib()
        );
    }
    ledger.settle(&vendors, 1, &stage.world.url).await;
    assert!(worker.peak_mib() < MOST_MIB, "the worker had {} MiB", worker.peak_mib());
    assert!(!worker.has_ended(), "{}", worker.log());
    assert_eq!(worker.stop(STOP), 0);
    other.stop().await;
}
