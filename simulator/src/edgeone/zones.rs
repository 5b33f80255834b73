//! The zones of the account and their domains.
//!
//! In the order of the configuration, which also is that of creation. What the configuration does not say is the same
//! for all; members that are documented as possibly null or empty are so here and there, as in the vendor's samples.
//! Called by `EdgeOne::act`.

use serde_json::{Value, json};

use super::EdgeOne;
use crate::config::{EdgeOneDomain, EdgeOneZone, EdgeOneZoneStatus};
use crate::tencent_api::{ApiError, Members, Params, Visit, members};

/// The same for all zones, and for all domains.
const ZONE_TYPE: &str = "partial";
const ORIGIN_TYPE: &str = "IP_DOMAIN";
const CREATED: &str = "2023-09-18T07:41:05Z";

impl EdgeOne {
    pub(super) fn describe_zones(&self, visit: &Visit<'_>) -> Result<Members, ApiError> {
        let (offset, limit) = visit.params.page(20, 100)?;
        let filters = visit.params.objects("Filters");
        let mut found = Vec::new();
        for zone in &self.config.zones {
            let own = [
                ("zone-id", zone.id.clone()),
                ("zone-name", zone.name.clone()),
                ("status", zone.status.as_str().to_owned()),
                ("zone-type", ZONE_TYPE.to_owned()),
                ("alias-zone-name", String::new()),
            ];
            if passes(&filters, &own, &["tag-key", "tag-value"], true)? {
                found.push(zone);
            }
        }
        let shown: Vec<Value> = found.iter().skip(offset).take(limit).map(|zone| shown_zone(zone)).collect();
        Ok(members(json!({ "TotalCount": found.len(), "Zones": shown })))
    }

    pub(super) fn describe_acceleration_domains(&self, visit: &Visit<'_>) -> Result<Members, ApiError> {
        let params = visit.params;
        let (offset, limit) = params.page(20, 200)?;
        let zone = self.zone(params.text("ZoneId").unwrap_or_default())?;
        let all = match params.text("Match") {
            None | Some("all") => true,
            Some("any") => false,
            Some(_) => return Err(ApiError::invalid("Match is all or any")),
        };
        let filters = params.objects("Filters");
        let mut found = Vec::new();
        for domain in &zone.domains {
            let own = [
                ("domain-name", domain.name.clone()),
                ("origin-type", ORIGIN_TYPE.to_owned()),
                ("origin", origin(zone)),
                ("domain-cname", cname(domain)),
            ];
            if passes(&filters, &own, &["backup-origin", "share-cname"], all)? {
                found.push(domain);
            }
        }
        // Without an order, the answer is sorted by name.
        found.sort_by(|a, b| a.name.cmp(&b.name));
        if params.text("Direction") == Some("desc") {
            found.reverse();
        }
        let shown: Vec<Value> =
            found.iter().skip(offset).take(limit).map(|domain| shown_domain(zone, domain)).collect();
        Ok(members(json!({ "TotalCount": found.len(), "AccelerationDomains": shown })))
    }
}

/// Whether something passes all filters, or any of them. The `absent` ones are of what nothing here has.
fn passes(filters: &[Params], own: &[(&str, String)], absent: &[&str], all: bool) -> Result<bool, ApiError> {
    let mut results = Vec::new();
    for filter in filters {
        let (name, values) = (filter.text("Name").unwrap_or_default(), filter.texts("Values"));
        if values.is_empty() || values.len() > 20 {
            return Err(ApiError::new("InvalidParameter.TooManyFilterValues", "A filter has 1 to 20 values"));
        }
        let Some((_, own)) = own.iter().find(|(known, _)| *known == name) else {
            if absent.contains(&name) {
                results.push(false);
                continue;
            }
            return Err(ApiError::new("InvalidFilter", format!("There is no filter {name}")));
        };
        let fuzzy = filter.flag("Fuzzy");
        results.push(values.iter().any(|value| if fuzzy { own.contains(value) } else { own == *value }));
    }
    Ok(if all { results.iter().all(|passed| *passed) } else { results.is_empty() || results.contains(&true) })
}

fn origin(zone: &EdgeOneZone) -> String {
    format!("origin.{}", zone.name)
}

fn cname(domain: &EdgeOneDomain) -> String {
    format!("{}.eo.dnse3.com", domain.name.replace('*', "wildcard"))
}

fn shown_zone(zone: &EdgeOneZone) -> Value {
    let active = zone.status == EdgeOneZoneStatus::Active;
    json!({
        "ZoneId": zone.id,
        "ZoneName": zone.name,
        "AliasZoneName": "",
        "Area": "global",
        "Type": ZONE_TYPE,
        "Tags": [],
        "Resources": [],
        "NSDetail": null,
        "CNAMEDetail": { "IsFake": 0, "OwnershipVerification": null },
        "DNSPodDetail": null,
        "CreatedOn": CREATED,
        "ModifiedOn": CREATED,
        "Status": zone.status.as_str(),
        "CnameStatus": if active { "finished" } else { "pending" },
        "ActiveStatus": if active { "active" } else { "inactive" },
        "LockStatus": "enable",
        "Paused": false,
        "IsFake": 0,
        "CnameSpeedUp": "enabled",
        "OwnershipVerification": null,
        "OriginalNameServers": [],
        "NameServers": [],
        "VanityNameServers": null,
        "VanityNameServersIps": [],
        "WorkModeInfos": [
            { "ConfigGroupType": "l7_acceleration", "WorkMode": "immediate_effect" },
        ],
    })
}

fn shown_domain(zone: &EdgeOneZone, domain: &EdgeOneDomain) -> Value {
    json!({
        "ZoneId": zone.id,
        "DomainName": domain.name,
        "DomainStatus": domain.status.as_str(),
        "Cname": cname(domain),
        "IPv6Status": "follow",
        "IdentificationStatus": "finished",
        "OwnershipVerification": null,
        "OriginDetail": {
            "OriginType": ORIGIN_TYPE,
            "Origin": origin(zone),
            "BackupOrigin": "",
            "OriginGroupName": "",
            "BackOriginGroupName": "",
            "PrivateAccess": "",
            "PrivateParameters": [],
            "HostHeader": domain.name,
        },
        "OriginProtocol": "FOLLOW",
        "HttpOriginPort": 80,
        "HttpsOriginPort": 443,
        "Certificate": null,
        "CreatedOn": "2020-09-22T00:00:00+00:00",
        "ModifiedOn": "2020-09-22T00:00:00+00:00",
    })
}
