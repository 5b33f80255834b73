//! The domains of the account, as `DescribeDomains` lists them.
//!
//! In the order of the configuration. What the configuration does not say is the same for all domains, or follows from
//! the name. Members that are documented as possibly null are null here and there, as in the vendor's sample.

use serde_json::{Value, json};

use super::Tencent;
use crate::config::{TencentDomain, TencentStatus};
use crate::hash::seed;
use crate::tencent_api::{ApiError, Members, Params, Visit, members};

/// The same for all domains.
const SERVICE_TYPE: &str = "web";
const PULL_PROTOCOL: &str = "http";

impl Tencent {
    pub(super) fn describe_domains(&self, visit: &Visit<'_>) -> Result<Members, ApiError> {
        let (offset, limit) = visit.params.page(100, 1000)?;
        let filters = visit.params.objects("Filters");
        let mut found = Vec::new();
        for domain in &self.config.domains {
            let mut matches = true;
            for filter in &filters {
                matches &= passes(domain, filter)?;
            }
            if matches {
                found.push(domain);
            }
        }
        let shown: Vec<Value> = found.iter().skip(offset).take(limit).map(|domain| brief(domain)).collect();
        Ok(members(json!({ "Domains": shown, "TotalNumber": found.len() })))
    }
}

fn passes(domain: &TencentDomain, filter: &Params) -> Result<bool, ApiError> {
    let (name, values, fuzzy) = (filter.text("Name").unwrap_or_default(), filter.texts("Value"), filter.flag("Fuzzy"));
    if values.is_empty() || values.len() > if fuzzy { 1 } else { 5 } {
        return Err(ApiError::invalid("A filter has 1 to 5 values, and one when it is fuzzy"));
    }
    let own = match name {
        "domain" => domain.name.clone(),
        "origin" => origin(domain),
        "resourceId" => resource_id(domain),
        "status" => domain.status.as_str().to_owned(),
        "serviceType" => SERVICE_TYPE.to_owned(),
        "originPullProtocol" => PULL_PROTOCOL.to_owned(),
        "projectId" => "0".to_owned(),
        "domainType" => "cname".to_owned(),
        "fullUrlCache" => "on".to_owned(),
        "https" => "off".to_owned(),
        // No domain has a tag.
        "tagKey" => return Ok(false),
        _ => return Err(ApiError::invalid(format!("There is no filter {name}"))),
    };
    if fuzzy && !matches!(name, "domain" | "origin") {
        return Err(ApiError::invalid("Only domain and origin can be fuzzy"));
    }
    Ok(values.iter().any(|value| if fuzzy { own.contains(value) } else { own == *value }))
}

fn origin(domain: &TencentDomain) -> String {
    format!("origin.{}", domain.name.trim_start_matches("*."))
}

fn resource_id(domain: &TencentDomain) -> String {
    let number = seed(&domain.name);
    let letter = |place: u32| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[(number >> (5 * place)) as usize % 32]);
    format!("cdn-{}", (0..8).map(letter).collect::<String>())
}

fn brief(domain: &TencentDomain) -> Value {
    json!({
        "ResourceId": resource_id(domain),
        "AppId": 1_251_000_004,
        "Domain": domain.name,
        "Cname": format!("{}.cdn.dnsv1.com", domain.name.replace('*', "wildcard")),
        "Status": domain.status.as_str(),
        "ProjectId": 0,
        "ServiceType": SERVICE_TYPE,
        "CreateTime": "2019-11-15 15:20:46",
        "UpdateTime": "2019-12-04 11:13:09",
        "Origin": {
            "Origins": [origin(domain)],
            "OriginType": "domain",
            "ServerName": domain.name,
            "CosPrivateAccess": "off",
            "OriginPullProtocol": PULL_PROTOCOL,
            "BackupOrigins": [],
            "BackupOriginType": null,
            "BackupServerName": null,
            "BasePath": null,
            "PathRules": null,
            "PathBasedOrigin": null,
        },
        "Disable": if domain.status == TencentStatus::Rejected { "unlicensed" } else { "normal" },
        "Area": domain.area.as_str(),
        "Readonly": "normal",
        "Product": domain.product.as_str(),
        "ParentHost": "",
    })
}
