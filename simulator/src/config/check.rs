//! What the types of a configuration cannot say: unique ids and names, keys whose access group exists, the rest in bounds.
//!
//! Property names are unique over all groups, because the edge server finds a property by its host alone.
//! Names stand in the paths of requests, hence no slash and no space in them, and properties name folders of
//! logs. The first contradiction is told, by name and never with a secret. Called by `Config::validate`.

use std::collections::HashSet;

use super::edgeone::check_edgeone;
use super::logs::{check_days, check_size};
use super::tencent::check_tencent;
use super::usage::{check_cities, check_delay, check_golden};
use super::{AccessGroupConfig, Config, PropertyConfig};

/// The first contradiction that is found.
pub(super) fn check(config: &Config) -> Result<(), String> {
    let mut seen = Seen::default();
    for group in &config.access_groups {
        seen.group(group)?;
    }
    let mut ids = HashSet::new();
    for key in &config.keys {
        let problem = if key.id.is_empty() || key.id.contains(':') {
            "needs an id without a colon"
        } else if key.secret.is_empty() {
            "has an empty secret"
        } else if !ids.insert(&key.id) {
            "is there twice"
        } else if !seen.groups.contains(&key.access_group) {
            "names an access_group that does not exist"
        } else {
            continue;
        };
        return Err(format!("key {} {problem}", key.id));
    }
    check_cities(config.usage_cities)?;
    check_delay(config.usage_delay_minutes)?;
    check_golden(&config.usage_golden)?;
    check_days(config.log_days, &config.log_golden_days)?;
    check_size(config.log_files, config.log_lines)?;
    config.tencent.as_ref().map_or(Ok(()), check_tencent)?;
    config.edgeone.as_ref().map_or(Ok(()), check_edgeone)
}

/// The names that were met while a tree is checked.
#[derive(Default)]
struct Seen {
    groups: HashSet<u64>,
    services: HashSet<String>,
    properties: HashSet<String>,
}

impl Seen {
    fn group(&mut self, group: &AccessGroupConfig) -> Result<(), String> {
        if !self.groups.insert(group.id) {
            return Err(format!("access group {} is there twice", group.id));
        }
        for service in &group.services {
            check_name("scid", &service.scid)?;
            if !self.services.insert(service.scid.clone()) {
                return Err(format!("service {} is there twice", service.scid));
            }
            for property in &service.properties {
                self.property(property)?;
                if property.scid.is_some() {
                    return Err(format!(
                        "property {}: scid belongs to properties directly under a group",
                        property.name
                    ));
                }
            }
        }
        for property in &group.properties {
            self.property(property)?;
            match &property.scid {
                Some(scid) => check_name("scid", scid)?,
                None => return Err(format!("property {} needs a scid", property.name)),
            }
        }
        group.children.iter().try_for_each(|child| self.group(child))
    }

    fn property(&mut self, property: &PropertyConfig) -> Result<(), String> {
        check_name("property", &property.name)?;
        // Host names compare without case, and the edge finds a property by its host.
        if !self.properties.insert(property.name.to_ascii_lowercase()) {
            return Err(format!("property {} is there twice", property.name));
        }
        Ok(())
    }
}

fn check_name(what: &str, name: &str) -> Result<(), String> {
    let bad = |character: char| character == '/' || character.is_whitespace() || character.is_control();
    if matches!(name, "" | "." | "..") || name.contains(bad) {
        return Err(format!("{what} {name:?}: empty, only dots, or with a space or a slash"));
    }
    Ok(())
}
