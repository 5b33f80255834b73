//! CDNs: `/level3/cdn`; deprecated, since a CDN comes into being with its table in the configuration.
//!
//! Old portals list them for their ids and keep names here. The name of a configured CDN is the key of its
//! table, so that one is renamed in the configuration and not here.

use crate::auth::{Caller, Staff};
use crate::error::{Answer, ApiError};
use crate::params::{Params, text, whole};
use crate::routes::Group;
use crate::routes::mappings::NothingIn;
use crate::state::SharedState;
use overseas_shared::db::{DbError, catalogue};
use overseas_shared::domain::name::shorten;
use poem::web::Data;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde::{Deserialize, Serialize};

/// Longest name of a CDN.
const LONGEST_NAME: usize = 64;

/// A CDN.
#[derive(Debug, Serialize, Object)]
pub struct CdnRowOut {
    /// Its id.
    id: i64,
    /// Its name.
    name: String,
}

/// All CDNs.
#[derive(Debug, Serialize, Object)]
pub struct CdnListOut {
    /// 0.
    err: u16,
    /// By id.
    results: Vec<CdnRowOut>,
}

/// A CDN that is to be made.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example)]
pub struct NewCdnIn {
    /// Its name.
    #[serde(deserialize_with = "text")]
    cdn: Option<String>,
}

impl Example for NewCdnIn {
    fn example() -> Self {
        Self { cdn: Some("acme".to_owned()) }
    }
}

/// A CDN that is to be renamed.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example)]
pub struct RenameCdnIn {
    /// Its id.
    #[serde(deserialize_with = "whole")]
    id: Option<i64>,
    /// Its new name.
    #[serde(deserialize_with = "text")]
    cdn: Option<String>,
}

impl Example for RenameCdnIn {
    fn example() -> Self {
        Self { id: Some(2), cdn: Some("Acme".to_owned()) }
    }
}

/// The CDN that was made or renamed.
#[derive(Debug, Serialize, Object)]
pub struct CdnOut {
    /// 0.
    err: u16,
    /// Its name.
    cdn: String,
    /// Its id.
    id: i64,
}

/// Handlers.
pub struct Cdns;

#[OpenApi(tag = "Group::Mapping")]
impl Cdns {
    /// List the CDNs
    #[oai(path = "/level3/cdn", method = "get", operation_id = "cdns", deprecated)]
    async fn cdns(
        &self,
        state: Data<&SharedState>,
        _caller: Caller,
        _params: Params<NothingIn>,
    ) -> Result<Answer<CdnListOut>, ApiError> {
        let found = catalogue::list_cdns(&state.db).await?;
        let results = found.into_iter().map(|row| CdnRowOut { id: row.id, name: row.name }).collect();
        Answer::new(&CdnListOut { err: 0, results })
    }

    /// Make a CDN (staff)
    ///
    /// It can be mapped to users at once; tasks for it need a table in the configuration.
    #[oai(path = "/level3/cdn", method = "post", operation_id = "create_cdn", deprecated)]
    async fn create_cdn(
        &self,
        state: Data<&SharedState>,
        staff: Staff,
        params: Params<NewCdnIn>,
    ) -> Result<Answer<CdnOut>, ApiError> {
        let name = read_name(params.0.cdn)?;
        let entry = staff.0.entry(state.clock.now(), "create_cdn", &name, "");
        match catalogue::create_cdn(&state.db, &name, &entry).await {
            Ok(id) => Answer::new(&CdnOut { err: 0, cdn: name, id }),
            Err(error) => Err(in_use(error, &name)),
        }
    }

    /// Rename a CDN (staff)
    #[oai(path = "/level3/cdn", method = "put", operation_id = "rename_cdn", deprecated)]
    async fn rename_cdn(
        &self,
        state: Data<&SharedState>,
        staff: Staff,
        params: Params<RenameCdnIn>,
    ) -> Result<Answer<CdnOut>, ApiError> {
        let id = params.0.id.ok_or_else(|| ApiError::missing("id"))?;
        let name = read_name(params.0.cdn)?;
        let all = catalogue::list_cdns(&state.db).await?;
        let known = all.into_iter().find(|row| row.id == id);
        let known = known.ok_or_else(|| ApiError::NotFound(format!("id: there is no CDN {id}")))?;
        if known.name != name && state.config.cdn.contains_key(&known.name) {
            let message = format!("id: {0} is configured as [cdn.{0}]; rename it in the configuration", known.name);
            return Err(ApiError::Conflict(message));
        }
        let entry = staff.0.entry(state.clock.now(), "rename_cdn", &name, &format!("was {}", known.name));
        match catalogue::rename_cdn(&state.db, id, &name, &entry).await {
            Ok(()) => Answer::new(&CdnOut { err: 0, cdn: name, id }),
            Err(error) => Err(in_use(error, &name)),
        }
    }
}

fn read_name(written: Option<String>) -> Result<String, ApiError> {
    let name = written.ok_or_else(|| ApiError::missing("cdn"))?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.len() > LONGEST_NAME || !name.chars().all(fits) {
        let expected = format!("expected letters, digits, - _ and ., at most {LONGEST_NAME}");
        return Err(ApiError::wrong("cdn", format!("`{}`: {expected}", shorten(&name))));
    }
    Ok(name)
}

fn in_use(error: DbError, name: &str) -> ApiError {
    match error {
        DbError::Conflict(_) => ApiError::Conflict(format!("cdn: the name {name} is in use")),
        other => other.into(),
    }
}
