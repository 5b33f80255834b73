//! A world with two CDNs: `level3`, and `second`, another customer's account at the same simulator.
//!
//! The second account serves every domain below `example.com`, by a wildcard; what is mapped there a test says.
//! Called by the tests of what several CDNs make different.

use crate::support::world::USER;
use crate::support::{Kind, World};
use overseas_shared::config::Config;
use overseas_shared::db::{catalogue, vendor};
use overseas_simulator::{Config as SimulatorConfig, PropertyConfig};
use overseas_worker::jobs::sync;
use serde_json::{Value, json};

/// A property of the simulator's catalogue.
pub fn property(name: &str) -> PropertyConfig {
    let demo = SimulatorConfig::demo();
    PropertyConfig { name: name.to_owned(), ..demo.access_groups[0].services[0].properties[0].clone() }
}

fn second_cdn(config: &mut Config) {
    let key = SimulatorConfig::demo().keys[1].clone();
    let mut second = config.cdn["level3"].clone();
    second.key_id = Some(key.id);
    second.secret = Some(key.secret.into());
    config.cdn.insert("second".to_owned(), second);
}

fn second_catalogue(data: &mut SimulatorConfig) {
    data.access_groups[1].services[0].properties.push(property("*.example.com"));
}

pub async fn world_with_two_cdns(kind: Kind) -> World {
    let world = World::with(kind, second_cdn, second_catalogue).await;
    let second = &world.context.accounts[1];
    sync::groups(&world.db, &world.clock, second).await.unwrap();
    sync::services(&world.db, &world.clock, second).await.unwrap();
    world
}

pub async fn map_at_second(world: &World, domain: &str) {
    let body = json!({"login_email": USER, "cdn": "second", "domains": domain});
    world.post(&world.staff_token, "/level3/user_domains", body).await.ok();
}

/// Writes what a worker would have read of a CDN's quotas, now.
pub async fn note_quotas(world: &World, cdn: &str, quotas: Value) {
    let cdn = catalogue::find_cdn(&world.db, cdn).await.unwrap().unwrap();
    let seen = vendor::Seen { quotas: Some((quotas.to_string(), world.clock.now())), ..vendor::Seen::default() };
    vendor::note(&world.db, cdn.id, &seen).await.unwrap();
}
