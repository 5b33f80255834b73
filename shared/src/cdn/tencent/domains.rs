//! The account's domains: all of them for the catalogue, and one for the part of the world that it serves.
//!
//! Where a domain serves decides which quotas it spends, where a preload goes and which statistics there are; of which
//! product it is, where its statistics are counted. It is
//! asked for when it is needed and remembered for ten minutes, since it may be changed in the vendor's console.

use super::cloud::Account;
use super::wire::{Domain, DomainFilter, DomainsIn, DomainsOut};
use crate::cdn::{CatalogueProperty, CatalogueService, CdnError};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most domains of one answer.
const PAGE: usize = 1000;
/// Most domains of an account that are read.
const MOST: usize = 100_000;
/// The vendor's word for the product for dynamic content.
pub(super) const ECDN: &str = "ecdn";
/// How long it is remembered where a domain serves.
const REMEMBERED: Duration = Duration::from_secs(600);
/// How many domains are remembered.
const MOST_REMEMBERED: usize = 10_000;

/// Where a domain serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Mainland,
    Overseas,
    Global,
}

impl Reach {
    /// Of the vendor's word; one that is not known counts as everywhere.
    fn of(word: Option<&str>) -> Self {
        match word.map(str::to_ascii_lowercase).as_deref() {
            Some("mainland") => Self::Mainland,
            Some("overseas") => Self::Overseas,
            _ => Self::Global,
        }
    }

    /// The vendor's word.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Mainland => "mainland",
            Self::Overseas => "overseas",
            Self::Global => "global",
        }
    }

    /// The areas in it that are counted each for itself.
    pub(super) const fn areas(self) -> &'static [&'static str] {
        match self {
            Self::Mainland => &["mainland"],
            Self::Overseas => &["overseas"],
            Self::Global => &["mainland", "overseas"],
        }
    }
}

/// What has to be known of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traits {
    /// Where it serves.
    pub(super) reach: Reach,
    /// Whether its statistics are those of the product for dynamic content; the CDN's are meant where none is named.
    pub(super) is_ecdn: bool,
}

/// What is remembered of domains.
#[derive(Default)]
pub(super) struct Known(Mutex<HashMap<String, (Traits, Instant)>>);

impl Known {
    /// What has to be known of a domain; asked for when it is not remembered.
    pub(super) async fn of(&self, account: &Account, domain: &str) -> Result<Traits, CdnError> {
        if let Some(traits) = self.remembered(domain) {
            return Ok(traits);
        }
        let filters = vec![DomainFilter { name: "domain", value: vec![domain], fuzzy: false }];
        let request = DomainsIn { offset: 0, limit: 1, filters };
        let answer: DomainsOut = account.call("domains", "DescribeDomains", domain, &request).await?;
        let found = answer.domains.into_iter().find(|found| found.domain.eq_ignore_ascii_case(domain));
        let found = found.ok_or_else(|| CdnError::UnknownProperty(format!("the account has no domain {domain}")))?;
        let is_ecdn = found.product.as_deref().is_some_and(|product| product.eq_ignore_ascii_case(ECDN));
        let traits = Traits { reach: Reach::of(found.area.as_deref()), is_ecdn };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_REMEMBERED {
            known.clear();
        }
        known.insert(domain.to_owned(), (traits, Instant::now()));
        Ok(traits)
    }

    fn remembered(&self, domain: &str) -> Option<Traits> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(domain).filter(|(_, at)| at.elapsed() < REMEMBERED).map(|(traits, _)| *traits)
    }
}

/// All domains as services, one for each of the vendor's products.
pub(super) async fn services(account: &Account) -> Result<Vec<CatalogueService>, CdnError> {
    let request = DomainsIn { offset: 0, limit: PAGE, filters: Vec::new() };
    let (domains, _) = account.call_pages("services", "DescribeDomains", "", request, MOST).await?;
    let mut by_product: BTreeMap<String, BTreeMap<String, CatalogueProperty>> = BTreeMap::new();
    for domain in domains {
        let product = domain.product.clone().unwrap_or_else(|| "cdn".to_owned());
        let property = property(domain, &product);
        by_product.entry(product).or_default().insert(property.name.clone(), property);
    }
    let service = |(product, properties): (String, BTreeMap<String, CatalogueProperty>)| CatalogueService {
        id: product.clone(),
        product,
        properties: properties.into_values().collect(),
    };
    Ok(by_product.into_iter().map(service).collect())
}

/// A domain whose settings are being deployed serves with the old ones.
fn property(domain: Domain, product: &str) -> CatalogueProperty {
    let status = domain.status.map(|status| status.to_ascii_lowercase());
    let areas = Reach::of(domain.area.as_deref()).areas().to_vec();
    CatalogueProperty {
        vendor_ref: domain.domain.clone(),
        name: domain.domain,
        product: product.to_owned(),
        active: matches!(status.as_deref(), Some("online" | "processing")),
        caching: true,
        areas,
    }
}
