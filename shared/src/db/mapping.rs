//! Which user may act on which domain, at which CDN; and which property that is.
//!
//! A domain that is mapped but not listed by the vendor is pending. A property with a wildcard name
//! (`*.img.example.com`) serves every domain below it. Called by the handlers of domains, mappings,
//! refresh and preload.

use crate::db::audit::{self, NewEntry};
use crate::db::entity::user_domain;
use crate::db::{Database, DbError, epoch, execute, marks, retrying, row_marks, rows};
use crate::domain::{DomainName, Scope};
use sea_orm::{DatabaseTransaction, FromQueryResult, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What the vendor says of a mapped domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainState {
    /// Listed and serving.
    Active,
    /// Listed and not serving.
    Inactive,
    /// Not listed (yet).
    Pending,
}

impl DomainState {
    /// The word that clients see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Inactive => "Inactive",
            Self::Pending => "Pending",
        }
    }
}

/// A domain of a user at one CDN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedDomain {
    /// The CDN's name.
    pub cdn: String,
    /// The domain.
    pub domain: String,
    /// What the vendor says of it.
    pub state: DomainState,
}

/// Where a host of a purge URL leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgePlace {
    /// The CDN.
    pub cdn_id: i64,
    /// The CDN's name.
    pub cdn: String,
    /// The property that serves the host; `None` while the vendor does not list it.
    pub property_id: Option<i64>,
}

#[derive(Debug, Clone, FromQueryResult)]
struct PlaceRow {
    user_id: i64,
    domain: String,
    cdn_id: i64,
    cdn: String,
    property_id: Option<i64>,
}

#[derive(Debug, Clone, FromQueryResult)]
struct PropertyName {
    id: i64,
    cdn_id: i64,
    name: String,
    active: bool,
}

/// The names under which a host may be mapped: itself, then the wildcards above it, nearest first.
fn candidates(host: &DomainName) -> Vec<String> {
    std::iter::once(host.as_str().to_owned()).chain(host.covering_wildcards()).collect()
}

/// For each `(user, host)` the places where that user may purge it; an empty list when the host is not the user's.
/// Usually one query, however many pairs.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn purge_places(
    db: &Database,
    pairs: &[(i64, DomainName)],
) -> Result<HashMap<(i64, DomainName), Vec<PurgePlace>>, DbError> {
    let users: BTreeSet<i64> = pairs.iter().map(|(user, _)| *user).collect();
    let names: BTreeSet<String> = pairs.iter().flat_map(|(_, host)| candidates(host)).collect();
    let found = mapped_rows(db, &users, &names).await?;
    let pending = found.iter().any(|row| row.property_id.is_none());
    let wildcards = if pending { wildcard_properties(db, &names).await? } else { Vec::new() };
    let mut by_user: HashMap<(i64, &str), Vec<&PlaceRow>> = HashMap::new();
    for row in &found {
        by_user.entry((row.user_id, row.domain.as_str())).or_default().push(row);
    }
    let answer = pairs.iter().map(|(user, host)| {
        let mut places: BTreeMap<(i64, Option<i64>), PurgePlace> = BTreeMap::new();
        let mut decided = BTreeSet::new();
        for name in candidates(host) {
            let rows = by_user.get(&(*user, name.as_str())).map(Vec::as_slice).unwrap_or_default();
            // At one CDN the most specific mapping counts.
            let fresh: Vec<_> = rows.iter().filter(|row| !decided.contains(&row.cdn_id)).collect();
            for row in &fresh {
                let property_id = row.property_id.or_else(|| nearest(&wildcards, row.cdn_id, host));
                let place = PurgePlace { cdn_id: row.cdn_id, cdn: row.cdn.clone(), property_id };
                places.insert((row.cdn_id, property_id), place);
            }
            decided.extend(fresh.iter().map(|row| row.cdn_id));
        }
        ((*user, host.clone()), places.into_values().collect())
    });
    Ok(answer.collect())
}

fn nearest(wildcards: &[PropertyName], cdn_id: i64, host: &DomainName) -> Option<i64> {
    candidates(host)
        .iter()
        .find_map(|name| wildcards.iter().find(|p| p.cdn_id == cdn_id && p.name == *name))
        .map(|property| property.id)
}

async fn mapped_rows(db: &Database, users: &BTreeSet<i64>, names: &BTreeSet<String>) -> Result<Vec<PlaceRow>, DbError> {
    let sql = format!(
        "SELECT d.user_id, d.domain, d.cdn_id, c.name AS cdn, p.id AS property_id FROM user_domain d \
         JOIN cdn c ON c.id = d.cdn_id \
         LEFT JOIN property p ON p.name = d.domain AND p.cdn_id = d.cdn_id AND p.listed AND p.caching \
         WHERE d.user_id IN ({}) AND d.domain IN ({})",
        marks(users.len()),
        marks(names.len())
    );
    let values = users.iter().map(|id| (*id).into()).chain(names.iter().map(Value::from)).collect();
    rows(&db.connection, sql, values).await
}

async fn wildcard_properties(db: &Database, names: &BTreeSet<String>) -> Result<Vec<PropertyName>, DbError> {
    let sql = format!(
        "SELECT id, cdn_id, name, active FROM property WHERE listed AND caching AND name IN ({})",
        marks(names.len())
    );
    rows(&db.connection, sql, names.iter().map(Value::from).collect()).await
}

#[derive(FromQueryResult)]
struct Name {
    name: String,
}

/// The domains that a caller may see, sorted: its own, or for staff all that are mapped or listed; at one CDN, or at all.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn visible_domains(db: &Database, scope: Scope, cdn: Option<&str>) -> Result<Vec<String>, DbError> {
    let at = if cdn.is_some() { " AND cdn_id = (SELECT id FROM cdn WHERE name = ?)" } else { "" };
    let name = cdn.map(Value::from);
    let (sql, values) = match scope {
        Scope::User(id) => (
            format!("SELECT DISTINCT domain AS name FROM user_domain WHERE user_id = ?{at} ORDER BY name"),
            std::iter::once(id.into()).chain(name).collect(),
        ),
        Scope::All => (
            format!(
                "SELECT name FROM property WHERE listed AND caching{at} \
                 UNION SELECT domain AS name FROM user_domain WHERE 1 = 1{at} ORDER BY name"
            ),
            name.clone().into_iter().chain(name).collect(),
        ),
    };
    let found: Vec<Name> = rows(&db.connection, sql, values).await?;
    Ok(found.into_iter().map(|row| row.name).collect())
}

/// The names of the CDNs that a user is mapped to, in the order in which the CDNs were made.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn cdns_of(db: &Database, user_id: i64) -> Result<Vec<String>, DbError> {
    let sql = "SELECT c.name FROM user_cdn m JOIN cdn c ON c.id = m.cdn_id WHERE m.user_id = ? ORDER BY c.id";
    let found: Vec<Name> = rows(&db.connection, sql.to_owned(), vec![user_id.into()]).await?;
    Ok(found.into_iter().map(|row| row.name).collect())
}

/// Maps a user to CDNs; those that it is mapped to already stay.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn add_cdns(db: &Database, user_id: i64, cdn_ids: &[i64], entry: &NewEntry) -> Result<(), DbError> {
    if cdn_ids.is_empty() {
        return Ok(());
    }
    let sql = format!("{} INTO user_cdn (user_id, cdn_id) VALUES {}", db.insert_new(), row_marks(cdn_ids.len(), 2));
    let values: Vec<Value> = cdn_ids.iter().flat_map(|id| [user_id.into(), (*id).into()]).collect();
    retrying(|| async {
        let tx = db.begin().await?;
        execute(&tx, sql.clone(), values.clone()).await?;
        audit::insert(&tx, &[entry]).await?;
        epoch::raise(&tx).await?;
        Ok(tx.commit().await?)
    })
    .await
}

/// How the domains of a user at some CDNs are to be changed.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// These as well.
    Add(&'a [DomainName]),
    /// These and no others.
    Exactly(&'a [DomainName]),
    /// The second in place of the first, where the first is mapped.
    Replace(&'a DomainName, &'a DomainName),
}

/// Changes the domains of a user at these CDNs, and maps the user to the CDNs; false when a domain that was to
/// be replaced is mapped at none of them, and then nothing is changed.
///
/// # Errors
/// [`DbError`] when the change fails; then nothing is changed.
pub async fn change_domains(
    db: &Database,
    user_id: i64,
    cdn_ids: &[i64],
    change: Change<'_>,
    entry: &NewEntry,
) -> Result<bool, DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        lock_user(db, &tx, user_id).await?;
        let mut found = false;
        for cdn_id in cdn_ids {
            found |= change_at(db, &tx, user_id, *cdn_id, change).await?;
        }
        if !found {
            tx.rollback().await?;
            return Ok(false);
        }
        audit::insert(&tx, &[entry]).await?;
        epoch::raise(&tx).await?;
        tx.commit().await?;
        Ok(true)
    })
    .await
}

/// Changes of one user's mappings follow each other: two that set different lists must not mix them.
async fn lock_user(db: &Database, tx: &DatabaseTransaction, user_id: i64) -> Result<(), DbError> {
    let sql = format!("SELECT email AS name FROM `user` WHERE id = ?{}", db.for_update());
    rows::<Name>(tx, sql, vec![user_id.into()]).await.map(drop)
}

async fn change_at(
    db: &Database,
    tx: &DatabaseTransaction,
    user_id: i64,
    cdn_id: i64,
    change: Change<'_>,
) -> Result<bool, DbError> {
    let insert = db.insert_new();
    let new = match change {
        Change::Add(domains) => domains,
        Change::Exactly(domains) => {
            let sql = "DELETE FROM user_domain WHERE user_id = ? AND cdn_id = ?".to_owned();
            execute(tx, sql, vec![user_id.into(), cdn_id.into()]).await?;
            domains
        }
        Change::Replace(old, new) => {
            let sql = "DELETE FROM user_domain WHERE user_id = ? AND cdn_id = ? AND domain = ?".to_owned();
            if execute(tx, sql, vec![user_id.into(), cdn_id.into(), old.as_str().into()]).await? == 0 {
                return Ok(false);
            }
            std::slice::from_ref(new)
        }
    };
    let sql = format!("{insert} INTO user_cdn (user_id, cdn_id) VALUES (?, ?)");
    execute(tx, sql, vec![user_id.into(), cdn_id.into()]).await?;
    for chunk in new.chunks(500) {
        let sql = format!("{insert} INTO user_domain (user_id, domain, cdn_id) VALUES {}", row_marks(chunk.len(), 3));
        let values = chunk.iter().flat_map(|domain| [user_id.into(), domain.as_str().into(), cdn_id.into()]).collect();
        execute(tx, sql, values).await?;
    }
    Ok(true)
}

#[derive(FromQueryResult)]
struct DomainOfCdn {
    cdn_id: i64,
    cdn: String,
    domain: String,
}

/// The domains of a user with what the vendor says of each, by CDN, then by name.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn domains_of(db: &Database, user_id: i64) -> Result<Vec<MappedDomain>, DbError> {
    let sql = "SELECT d.cdn_id, c.name AS cdn, d.domain FROM user_domain d JOIN cdn c ON c.id = d.cdn_id \
               WHERE d.user_id = ? ORDER BY c.id, d.domain";
    let mapped: Vec<DomainOfCdn> = rows(&db.connection, sql.to_owned(), vec![user_id.into()]).await?;
    let mut names = BTreeSet::new();
    for row in &mapped {
        if let Ok(domain) = DomainName::parse(&row.domain) {
            names.extend(candidates(&domain));
        }
    }
    let mut properties: HashMap<(i64, String), bool> = HashMap::new();
    let names: Vec<String> = names.into_iter().collect();
    for chunk in names.chunks(500) {
        for property in wildcard_properties(db, &chunk.iter().cloned().collect()).await? {
            *properties.entry((property.cdn_id, property.name)).or_default() |= property.active;
        }
    }
    let state = |row: &DomainOfCdn| {
        let Ok(domain) = DomainName::parse(&row.domain) else { return DomainState::Pending };
        match candidates(&domain).into_iter().find_map(|name| properties.get(&(row.cdn_id, name))) {
            Some(true) => DomainState::Active,
            Some(false) => DomainState::Inactive,
            None => DomainState::Pending,
        }
    };
    Ok(mapped
        .iter()
        .map(|row| MappedDomain { cdn: row.cdn.clone(), domain: row.domain.clone(), state: state(row) })
        .collect())
}

/// How many mappings there are in all.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn count(db: &Database) -> Result<u64, DbError> {
    use sea_orm::{EntityTrait, PaginatorTrait};
    Ok(user_domain::Entity::find().count(&db.connection).await?)
}
