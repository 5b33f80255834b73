//! Domains and who is mapped to what: `GET /level3/domains`, `/level3/user_cdns`, `/level3/user_domains`.
//!
//! All of it is answered from the database; a vendor is never called.

use crate::auth::{Caller, Staff, Target};
use crate::error::{Answer, ApiError};
use crate::params::{OneOrMany, Params, text, whole};
use crate::routes::Group;
use crate::state::SharedState;
use overseas_shared::db::catalogue::{self, CdnRow};
use overseas_shared::db::mapping::{self, Change};
use overseas_shared::domain::DomainName;
use poem::web::Data;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde::{Deserialize, Serialize};

/// Nothing is needed.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct NothingIn {}

/// At which CDN.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct CdnIn {
    /// Only this CDN.
    #[serde(deserialize_with = "text")]
    pub(super) cdn: Option<String>,
}

/// Whose mappings.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example)]
pub struct UserIn {
    /// Whose mappings; users may leave it out.
    #[serde(deserialize_with = "text")]
    login_email: Option<String>,
    /// Only this CDN.
    #[serde(deserialize_with = "text")]
    cdn: Option<String>,
}

impl Example for UserIn {
    fn example() -> Self {
        Self { login_email: Some("user@example.com".to_owned()), cdn: None }
    }
}

/// Domains.
#[derive(Debug, Serialize, Object)]
pub struct DomainsOut {
    /// 0.
    err: u16,
    /// Sorted.
    domains: Vec<String>,
}

/// CDNs to map a user to.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example)]
pub struct UserCdnsIn {
    /// The user.
    #[serde(deserialize_with = "text")]
    login_email: Option<String>,
    /// Names of CDNs.
    cdns: OneOrMany,
}

impl Example for UserCdnsIn {
    fn example() -> Self {
        Self { login_email: Some("user@example.com".to_owned()), cdns: OneOrMany(vec!["level3".to_owned()]) }
    }
}

/// The CDNs of a user.
#[derive(Debug, Serialize, Object)]
pub struct UserCdnsOut {
    /// 0.
    err: u16,
    /// Names of CDNs.
    cdns: Vec<String>,
}

/// Domains to map a user to.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example)]
pub struct UserDomainsIn {
    /// The user.
    #[serde(deserialize_with = "text")]
    login_email: Option<String>,
    /// The name of the CDN; the user is mapped to it as well.
    #[serde(deserialize_with = "text")]
    cdn: Option<String>,
    /// One domain or a list of them; in a PUT an empty list unmaps all.
    domains: Option<OneOrMany>,
}

impl Example for UserDomainsIn {
    fn example() -> Self {
        Self {
            login_email: Some("user@example.com".to_owned()),
            cdn: Some("level3".to_owned()),
            domains: Some(OneOrMany(vec!["a.example.com".to_owned()])),
        }
    }
}

/// What a user's domains are to be.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example)]
pub struct SetUserDomainsIn {
    /// The user.
    #[serde(deserialize_with = "text")]
    login_email: Option<String>,
    /// The name of the CDN; the user is mapped to it as well.
    #[serde(deserialize_with = "text")]
    cdn: Option<String>,
    /// Names of CDNs in place of `cdn`, to set several at once.
    cdns: Option<OneOrMany>,
    /// The id of a CDN in place of its name.
    #[serde(deserialize_with = "whole")]
    id: Option<i64>,
    /// One domain or a list of them, which is to be all; an empty list unmaps all.
    domains: Option<OneOrMany>,
    /// With `new_domain` in place of `domains`: replace this one.
    #[serde(deserialize_with = "text")]
    old_domain: Option<String>,
    /// What `old_domain` becomes.
    #[serde(deserialize_with = "text")]
    new_domain: Option<String>,
}

impl Example for SetUserDomainsIn {
    fn example() -> Self {
        Self {
            login_email: Some("user@example.com".to_owned()),
            cdn: Some("level3".to_owned()),
            domains: Some(OneOrMany(vec!["a.example.com".to_owned(), "cdn.example.com".to_owned()])),
            ..Self::default()
        }
    }
}

/// A domain and what its vendor says of it.
#[derive(Debug, Serialize, Object)]
pub struct DomainStateOut {
    /// The domain.
    domain: String,
    /// `Active` or `Inactive` as the vendor lists it, `Pending` if it does not list it (yet).
    state: String,
}

/// The domains of a user at one CDN.
#[derive(Debug, Serialize, Object)]
pub struct CdnDomainStatesOut {
    /// The domains.
    domains: Vec<DomainStateOut>,
    /// The name of the CDN.
    cdn: String,
}

/// The domains of a user.
#[derive(Debug, Serialize, Object)]
pub struct UserDomainsOut {
    /// 0.
    err: u16,
    /// The user's address.
    user: String,
    /// Whether the user may refresh and preload.
    operate_right: bool,
    /// By CDN.
    results: Vec<CdnDomainStatesOut>,
}

/// The names of a user's domains at one CDN.
#[derive(Debug, Serialize, Object)]
pub struct CdnDomainsOut {
    /// The domains.
    domains: Vec<String>,
    /// The name of the CDN.
    cdn: String,
}

/// All mappings of a user.
#[derive(Debug, Serialize, Object)]
pub struct MappedOut {
    /// 0.
    err: u16,
    /// By CDN.
    results: Vec<CdnDomainsOut>,
}

/// Handlers.
pub struct Mappings;

#[OpenApi(tag = "Group::Mapping")]
impl Mappings {
    /// List domains
    ///
    /// A user sees its own, staff see all that are known.
    #[oai(path = "/level3/domains", method = "get", operation_id = "domains")]
    async fn domains(
        &self,
        state: Data<&SharedState>,
        caller: Caller,
        params: Params<CdnIn>,
    ) -> Result<Answer<DomainsOut>, ApiError> {
        let domains = mapping::visible_domains(&state.db, caller.scope(), params.0.cdn.as_deref()).await?;
        Answer::new(&DomainsOut { err: 0, domains })
    }

    /// List the CDNs of a user
    #[oai(path = "/level3/user_cdns", method = "get", operation_id = "user_cdns")]
    async fn user_cdns(
        &self,
        state: Data<&SharedState>,
        caller: Caller,
        params: Params<UserIn>,
    ) -> Result<Answer<UserCdnsOut>, ApiError> {
        let UserIn { login_email, cdn } = params.0;
        let target = caller.target(state.0, login_email.as_deref()).await?;
        let mut cdns = mapping::cdns_of(&state.db, target.id).await?;
        cdns.retain(|name| is_wanted(cdn.as_deref(), name));
        Answer::new(&UserCdnsOut { err: 0, cdns })
    }

    /// Map a user to CDNs (staff)
    #[oai(path = "/level3/user_cdns", method = "post", operation_id = "add_user_cdns")]
    async fn add_user_cdns(
        &self,
        state: Data<&SharedState>,
        staff: Staff,
        params: Params<UserCdnsIn>,
    ) -> Result<Answer<UserCdnsOut>, ApiError> {
        let target = named_target(state.0, &staff, params.0.login_email.as_deref()).await?;
        if params.0.cdns.0.is_empty() {
            return Err(ApiError::missing("cdns"));
        }
        let mut ids = Vec::new();
        for name in &params.0.cdns.0 {
            ids.push(known_cdn(state.0, name).await?.id);
        }
        let entry = staff.0.entry(state.clock.now(), "map_cdns", target.email.as_str(), &params.0.cdns.0.join(" "));
        mapping::add_cdns(&state.db, target.id, &ids, &entry).await?;
        Answer::new(&UserCdnsOut { err: 0, cdns: mapping::cdns_of(&state.db, target.id).await? })
    }

    /// List the domains of a user, with what their vendors say of them
    #[oai(path = "/level3/user_domains", method = "get", operation_id = "user_domains")]
    async fn user_domains(
        &self,
        state: Data<&SharedState>,
        caller: Caller,
        params: Params<UserIn>,
    ) -> Result<Answer<UserDomainsOut>, ApiError> {
        let UserIn { login_email, cdn } = params.0;
        let target = caller.target(state.0, login_email.as_deref()).await?;
        let mut mapped = mapping::domains_of(&state.db, target.id).await?;
        mapped.retain(|mapped| is_wanted(cdn.as_deref(), &mapped.cdn));
        let mut results: Vec<CdnDomainStatesOut> = Vec::new();
        for mapped in mapped {
            let domain = DomainStateOut { domain: mapped.domain, state: mapped.state.as_str().to_owned() };
            match results.last_mut().filter(|last| last.cdn == mapped.cdn) {
                Some(last) => last.domains.push(domain),
                None => results.push(CdnDomainStatesOut { domains: vec![domain], cdn: mapped.cdn }),
            }
        }
        Answer::new(&UserDomainsOut {
            err: 0,
            user: target.email.to_string(),
            operate_right: target.operate_right,
            results,
        })
    }

    /// Map a user to domains (staff)
    ///
    /// Domains that the user has already stay.
    #[oai(path = "/level3/user_domains", method = "post", operation_id = "add_user_domains")]
    async fn add_user_domains(
        &self,
        state: Data<&SharedState>,
        staff: Staff,
        params: Params<UserDomainsIn>,
    ) -> Result<Answer<MappedOut>, ApiError> {
        let Params(params) = params;
        let target = named_target(state.0, &staff, params.login_email.as_deref()).await?;
        let cdns = named_cdns(state.0, params.cdn, None, None).await?;
        let domains = read_domains(params.domains)?;
        if domains.is_empty() {
            return Err(ApiError::missing("domains"));
        }
        change(state.0, &staff, &target, &cdns, Change::Add(&domains)).await
    }

    /// Make a user's domains at a CDN exactly these, or replace one (staff)
    #[oai(path = "/level3/user_domains", method = "put", operation_id = "set_user_domains")]
    async fn set_user_domains(
        &self,
        state: Data<&SharedState>,
        staff: Staff,
        params: Params<SetUserDomainsIn>,
    ) -> Result<Answer<MappedOut>, ApiError> {
        let Params(params) = params;
        let target = named_target(state.0, &staff, params.login_email.as_deref()).await?;
        let cdns = named_cdns(state.0, params.cdn, params.cdns, params.id).await?;
        let (Some(old), Some(new)) = (&params.old_domain, &params.new_domain) else {
            if params.old_domain.is_some() || params.new_domain.is_some() {
                let lacking = if params.old_domain.is_none() { "old_domain" } else { "new_domain" };
                return Err(ApiError::missing(lacking));
            }
            let domains = read_domains(params.domains)?;
            return change(state.0, &staff, &target, &cdns, Change::Exactly(&domains)).await;
        };
        let old = DomainName::parse(old).map_err(|error| ApiError::wrong("old_domain", error))?;
        let new = DomainName::parse(new).map_err(|error| ApiError::wrong("new_domain", error))?;
        change(state.0, &staff, &target, &cdns, Change::Replace(&old, &new)).await
    }
}

/// Whether a CDN is the one that is asked for, or none is.
fn is_wanted(asked: Option<&str>, cdn: &str) -> bool {
    asked.is_none_or(|asked| asked == cdn)
}

/// Left out is not the same as empty: a forgotten parameter must not unmap everything.
fn read_domains(written: Option<OneOrMany>) -> Result<Vec<DomainName>, ApiError> {
    let names = written.ok_or_else(|| ApiError::missing("domains"))?.0;
    let parsed: Result<Vec<DomainName>, _> = names.iter().map(|name| DomainName::parse(name)).collect();
    parsed.map_err(|error| ApiError::wrong("domains", error))
}

/// The CDNs that a request names in one of three ways.
async fn named_cdns(
    state: &SharedState,
    name: Option<String>,
    names: Option<OneOrMany>,
    id: Option<i64>,
) -> Result<Vec<CdnRow>, ApiError> {
    let mut found = Vec::new();
    for name in name.into_iter().chain(names.unwrap_or_default().0) {
        found.push(known_cdn(state, &name).await?);
    }
    if let Some(id) = id {
        let all = catalogue::list_cdns(&state.db).await?;
        let row = all.into_iter().find(|row| row.id == id);
        found.push(row.ok_or_else(|| ApiError::NotFound(format!("id: there is no CDN {id}")))?);
    }
    if found.is_empty() { Err(ApiError::missing("cdn")) } else { Ok(found) }
}

async fn change(
    state: &SharedState,
    staff: &Staff,
    target: &Target,
    cdns: &[CdnRow],
    change: Change<'_>,
) -> Result<Answer<MappedOut>, ApiError> {
    let listed = |domains: &[DomainName]| domains.iter().map(DomainName::as_str).collect::<Vec<_>>().join(" ");
    let (action, what) = match change {
        Change::Add(domains) => ("map_domains", listed(domains)),
        Change::Exactly(domains) => ("set_domains", listed(domains)),
        Change::Replace(old, new) => ("replace_domain", format!("{old} by {new}")),
    };
    let names: Vec<&str> = cdns.iter().map(|row| row.name.as_str()).collect();
    let detail = format!("{}: {what}", names.join(" "));
    let entry = staff.0.entry(state.clock.now(), action, target.email.as_str(), &detail);
    let ids: Vec<i64> = cdns.iter().map(|row| row.id).collect();
    let changed = mapping::change_domains(&state.db, target.id, &ids, change, &entry).await?;
    if let (Change::Replace(old, _), false) = (change, changed) {
        return Err(ApiError::NotFound(format!("old_domain: {} has no domain {old} there", target.email)));
    }
    let mut results: Vec<CdnDomainsOut> = Vec::new();
    for mapped in mapping::domains_of(&state.db, target.id).await? {
        match results.last_mut().filter(|last| last.cdn == mapped.cdn) {
            Some(last) => last.domains.push(mapped.domain),
            None => results.push(CdnDomainsOut { domains: vec![mapped.domain], cdn: mapped.cdn }),
        }
    }
    Answer::new(&MappedOut { err: 0, results })
}

/// Staff change nobody's mappings by leaving the name out.
async fn named_target(state: &SharedState, staff: &Staff, login_email: Option<&str>) -> Result<Target, ApiError> {
    let email = login_email.ok_or_else(|| ApiError::missing("login_email"))?;
    staff.0.target(state, Some(email)).await
}

async fn known_cdn(state: &SharedState, name: &str) -> Result<CdnRow, ApiError> {
    let found = catalogue::find_cdn(&state.db, name).await?;
    found.ok_or_else(|| {
        ApiError::NotFound(format!("cdn: there is no CDN `{}`", overseas_shared::domain::name::shorten(name)))
    })
}
