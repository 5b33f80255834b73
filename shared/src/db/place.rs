//! Where the domains are that somebody reads about: at which CDN, and as which property.
//!
//! Asked first, within the caller's scope; what is read afterwards takes the ids that came out of it. A user sees what is
//! mapped to it; staff see that and every caching property. Called by the handlers of statistics and logs, and by the
//! commands.

use crate::db::{Database, DbError, marks, rows};
use crate::domain::{DomainName, Scope};
use sea_orm::{FromQueryResult, Value};

/// Domains of one query.
const CHUNK: usize = 500;

/// A domain that the caller may see, at one CDN.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct DomainPlace {
    /// The domain.
    pub domain: String,
    /// The CDN's name.
    pub cdn: String,
    /// The row of the CDN.
    pub cdn_id: i64,
    /// Its property there; `None` where the vendor never listed it.
    pub property_id: Option<i64>,
}

/// The places of domains, or of all domains within the scope; a domain that is missing in the answer is none that the
/// caller may see.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn places(
    db: &Database,
    scope: Scope,
    domains: Option<&[DomainName]>,
    cdn: Option<&str>,
) -> Result<Vec<DomainPlace>, DbError> {
    let mut found = Vec::new();
    match domains {
        None => found = find(db, scope, None, cdn).await?,
        Some(domains) => {
            for chunk in domains.chunks(CHUNK) {
                found.extend(find(db, scope, Some(chunk), cdn).await?);
            }
        }
    }
    // Several users may have the same domain.
    found.sort_by(|a, b| (&a.domain, &a.cdn, a.property_id).cmp(&(&b.domain, &b.cdn, b.property_id)));
    found.dedup();
    Ok(found)
}

async fn find(
    db: &Database,
    scope: Scope,
    domains: Option<&[DomainName]>,
    cdn: Option<&str>,
) -> Result<Vec<DomainPlace>, DbError> {
    let user = match scope {
        Scope::User(id) => Some(id),
        Scope::All => None,
    };
    let mut values: Vec<Value> = Vec::new();
    let mut narrow = |column: &str, user: Option<i64>| {
        let mut conditions = String::new();
        if let Some(domains) = domains {
            conditions.push_str(&format!(" AND {column} IN ({})", marks(domains.len())));
            values.extend(domains.iter().map(|domain| Value::from(domain.as_str())));
        }
        if let Some(id) = user {
            conditions.push_str(" AND d.user_id = ?");
            values.push(id.into());
        }
        if let Some(cdn) = cdn {
            conditions.push_str(" AND c.name = ?");
            values.push(cdn.into());
        }
        conditions
    };
    let mut sql = format!(
        "SELECT d.domain, c.name AS cdn, c.id AS cdn_id, p.id AS property_id FROM user_domain d JOIN cdn c ON c.id = d.cdn_id \
         LEFT JOIN property p ON p.name = d.domain AND p.cdn_id = d.cdn_id AND p.caching WHERE 1 = 1{}",
        narrow("d.domain", user)
    );
    if user.is_none() {
        sql.push_str(&format!(
            " UNION SELECT p.name, c.name, c.id, p.id FROM property p JOIN cdn c ON c.id = p.cdn_id WHERE p.caching{}",
            narrow("p.name", None)
        ));
    }
    rows(&db.connection, sql, values).await
}
