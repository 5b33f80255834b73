//! Merging reports into days, the state of each property's collection, and forgetting what is old.
//!
//! All writes of a property's usage happen under the lock of its row in `property_usage`. Rows of a day are
//! written with one statement for the totals and one for up to a hundred cities. Called by the usage job, the
//! command `sync-usage` and housekeeping.

use super::{column, number_of};
use crate::db::catalogue::PropertyRow;
use crate::db::{Database, DbError, execute, marks, retrying, row_marks, rows};
use crate::domain::usage::{DAY_SECONDS, DayUsage, Merge, UsageReport};
use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult, Value};
use std::collections::{BTreeSet, HashMap};

/// Cities that are written with one statement.
const CITIES_AT_ONCE: usize = 100;

/// What a report changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Days whose totals changed.
    pub days: usize,
    /// Days of cities that changed.
    pub city_days: usize,
}

#[derive(FromQueryResult)]
struct DayRow {
    bytes: Vec<u8>,
    requests: Vec<u8>,
}

#[derive(FromQueryResult)]
struct CityDayRow {
    name: String,
    bytes: Vec<u8>,
    requests: Vec<u8>,
}

#[derive(FromQueryResult)]
struct CityRow {
    id: i64,
    name: String,
}

fn decoded(bytes: &[u8], requests: &[u8]) -> Result<DayUsage, DbError> {
    DayUsage::decode(bytes, requests).map_err(|error| DbError::Corrupt(format!("a day of usage: {error}")))
}

/// Merges a report into the days of its window. Slots that ended before `settled_before` (Unix seconds: now less
/// the vendor's delay) and that the vendor no longer speaks of become 0; see [`Merge`].
///
/// # Errors
/// [`DbError`] when the change fails; then nothing is changed.
pub async fn store(
    db: &Database,
    property_id: i64,
    report: &UsageReport,
    settled_before: i64,
) -> Result<Collected, DbError> {
    let merge = Merge::new(report, settled_before);
    // Before the transaction: a city that is new to several properties at once would make them wait for each other.
    let named: BTreeSet<&str> = merge.days().flat_map(|day| merge.cities_of(day)).collect();
    let known = retrying(|| city_ids(db, &named)).await?;
    retrying(|| async {
        let tx = db.begin().await?;
        lock(db, &tx, property_id).await?;
        let mut collected = Collected::default();
        for day in merge.days() {
            let number = number_of(day);
            let totals = stored_totals(&tx, property_id, number).await?;
            let cities = stored_cities(&tx, property_id, number).await?;
            let change = merge.day(day, totals.as_ref(), &cities);
            if let Some(totals) = &change.totals {
                write_totals(db, &tx, property_id, number, totals).await?;
                collected.days += 1;
            }
            let names = change.cities.iter().map(|(name, _)| name.as_str());
            let stored: Vec<&str> = names.filter(|name| !known.contains_key(*name)).collect();
            let mut ids = find_cities(&tx, &stored).await?;
            ids.extend(known.iter().map(|(name, id)| (name.clone(), *id)));
            for chunk in change.cities.chunks(CITIES_AT_ONCE) {
                write_cities(db, &tx, property_id, number, chunk, &ids).await?;
            }
            collected.city_days += change.cities.len();
        }
        if let Some(latest) = report.last_delivered() {
            let sql = "UPDATE property_usage SET latest = ? WHERE property_id = ? AND (latest IS NULL OR latest < ?)";
            execute(&tx, sql.to_owned(), vec![latest.into(), property_id.into(), latest.into()]).await?;
        }
        tx.commit().await?;
        Ok(collected)
    })
    .await
}

/// Makes the property's row where it is new, and holds it until the commit.
async fn lock(db: &Database, tx: &DatabaseTransaction, property_id: i64) -> Result<(), DbError> {
    let sql = format!("{} INTO property_usage (property_id) VALUES (?)", db.insert_new());
    execute(tx, sql, vec![property_id.into()]).await?;
    let sql = format!("SELECT property_id AS id FROM property_usage WHERE property_id = ?{}", db.for_update());
    rows::<Id>(tx, sql, vec![property_id.into()]).await.map(drop)
}

#[derive(FromQueryResult)]
struct Id {
    #[expect(dead_code, reason = "only the lock is wanted")]
    id: i64,
}

async fn stored_totals(tx: &DatabaseTransaction, property_id: i64, day: i64) -> Result<Option<DayUsage>, DbError> {
    let sql = "SELECT bytes, requests FROM usage_day WHERE property_id = ? AND day = ?".to_owned();
    let found: Vec<DayRow> = rows(tx, sql, vec![property_id.into(), day.into()]).await?;
    found.first().map(|row| decoded(&row.bytes, &row.requests)).transpose()
}

async fn stored_cities(
    tx: &DatabaseTransaction,
    property_id: i64,
    day: i64,
) -> Result<Vec<(String, DayUsage)>, DbError> {
    let sql = "SELECT c.name, u.bytes, u.requests FROM usage_city_day u JOIN city c ON c.id = u.city_id \
               WHERE u.property_id = ? AND u.day = ?";
    let found: Vec<CityDayRow> = rows(tx, sql.to_owned(), vec![property_id.into(), day.into()]).await?;
    found.into_iter().map(|row| Ok((row.name, decoded(&row.bytes, &row.requests)?))).collect()
}

/// The ids of cities by their names; new names get one.
async fn city_ids(db: &Database, names: &BTreeSet<&str>) -> Result<HashMap<String, i64>, DbError> {
    let names: Vec<&str> = names.iter().copied().collect();
    let mut ids = find_cities(&db.connection, &names).await?;
    let missing: Vec<&str> = names.into_iter().filter(|name| !ids.contains_key(*name)).collect();
    if !missing.is_empty() {
        for chunk in missing.chunks(CITIES_AT_ONCE) {
            let sql = format!("{} INTO city (name) VALUES {}", db.insert_new(), row_marks(chunk.len(), 1));
            execute(&db.connection, sql, chunk.iter().map(|name| (*name).into()).collect()).await?;
        }
        ids.extend(find_cities(&db.connection, &missing).await?);
    }
    Ok(ids)
}

async fn find_cities(on: &impl ConnectionTrait, names: &[&str]) -> Result<HashMap<String, i64>, DbError> {
    let mut ids = HashMap::with_capacity(names.len());
    for chunk in names.chunks(500) {
        let sql = format!("SELECT id, name FROM city WHERE name IN ({})", marks(chunk.len()));
        let found: Vec<CityRow> = rows(on, sql, chunk.iter().map(|name| (*name).into()).collect()).await?;
        ids.extend(found.into_iter().map(|row| (row.name, row.id)));
    }
    Ok(ids)
}

/// What an insert does with a row that is there: the same on MySQL and SQLite but for the words.
fn or_update(db: &Database, keys: &str, columns: &[&str]) -> String {
    let (head, source): (String, fn(&str) -> String) = if db.is_mysql() {
        ("ON DUPLICATE KEY UPDATE ".to_owned(), |column| format!("VALUES({column})"))
    } else {
        (format!("ON CONFLICT ({keys}) DO UPDATE SET "), |column| format!("excluded.{column}"))
    };
    let sets: Vec<String> = columns.iter().map(|column| format!("{column} = {}", source(column))).collect();
    head + &sets.join(", ")
}

async fn write_totals(
    db: &Database,
    tx: &DatabaseTransaction,
    property_id: i64,
    day: i64,
    usage: &DayUsage,
) -> Result<(), DbError> {
    let columns = ["total_bytes", "total_requests", "peak_bytes", "bytes", "requests"];
    let sql = format!(
        "INSERT INTO usage_day (property_id, day, {}) VALUES (?,?,?,?,?,?,?) {}",
        columns.join(", "),
        or_update(db, "property_id, day", &columns)
    );
    let values: Vec<Value> = vec![
        property_id.into(),
        day.into(),
        column(usage.total_bytes()).into(),
        column(usage.total_requests()).into(),
        column(usage.peak_bytes()).into(),
        usage.bytes.encode().into(),
        usage.requests.encode().into(),
    ];
    execute(tx, sql, values).await.map(drop)
}

async fn write_cities(
    db: &Database,
    tx: &DatabaseTransaction,
    property_id: i64,
    day: i64,
    cities: &[(String, DayUsage)],
    ids: &HashMap<String, i64>,
) -> Result<(), DbError> {
    let columns = ["total_bytes", "total_requests", "bytes", "requests"];
    let sql = format!(
        "INSERT INTO usage_city_day (property_id, day, city_id, {}) VALUES {} {}",
        columns.join(", "),
        row_marks(cities.len(), 7),
        or_update(db, "property_id, day, city_id", &columns)
    );
    let mut values: Vec<Value> = Vec::with_capacity(cities.len() * 7);
    for (name, usage) in cities {
        let id = ids.get(name).copied().ok_or_else(|| DbError::Contended(format!("the city {name} vanished")))?;
        values.extend([
            property_id.into(),
            day.into(),
            id.into(),
            column(usage.total_bytes()).into(),
            column(usage.total_requests()).into(),
            usage.bytes.encode().into(),
            usage.requests.encode().into(),
        ]);
    }
    execute(tx, sql, values).await.map(drop)
}

/// A property whose usage is collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The property.
    pub property: PropertyRow,
    /// The first day that is still to be read of a new property, going back in time; Unix seconds.
    pub backfilled_to: Option<i64>,
}

#[derive(FromQueryResult)]
struct DueRow {
    id: i64,
    vendor_ref: String,
    name: String,
    backfilled_to: Option<i64>,
}

impl From<DueRow> for Due {
    fn from(row: DueRow) -> Self {
        let property = PropertyRow { id: row.id, vendor_ref: row.vendor_ref, name: row.name };
        Self { property, backfilled_to: row.backfilled_to }
    }
}

const DUE: &str = "SELECT p.id, p.vendor_ref, p.name, u.backfilled_to FROM property p \
                   LEFT JOIN property_usage u ON u.property_id = p.id WHERE p.cdn_id = ? AND p.listed AND p.caching";

/// The listed caching properties of an account, active ones or all, by id.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn listed(db: &Database, cdn_id: i64, only_active: bool) -> Result<Vec<Due>, DbError> {
    let active = if only_active { " AND p.active" } else { "" };
    let found: Vec<DueRow> = rows(&db.connection, format!("{DUE}{active} ORDER BY p.id"), vec![cdn_id.into()]).await?;
    Ok(found.into_iter().map(Due::from).collect())
}

/// Active properties whose past has not been read back to `until` (Unix seconds), at most so many.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn due_for_backfill(db: &Database, cdn_id: i64, until: i64, most: u64) -> Result<Vec<Due>, DbError> {
    // The end moves on with the days, so what was read back to it once is not read again.
    let sql = format!("{DUE} AND p.active AND (u.backfilled_to IS NULL OR u.backfilled_to > ?) ORDER BY p.id LIMIT ?");
    let found: Vec<DueRow> = rows(&db.connection, sql, vec![cdn_id.into(), until.into(), most.into()]).await?;
    Ok(found.into_iter().map(Due::from).collect())
}

/// Notes how far back a property's past has been read, in Unix seconds.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn note_backfilled(db: &Database, property_id: i64, to: i64) -> Result<(), DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        lock(db, &tx, property_id).await?;
        let sql = "UPDATE property_usage SET backfilled_to = ? WHERE property_id = ?".to_owned();
        execute(&tx, sql, vec![to.into(), property_id.into()]).await?;
        Ok(tx.commit().await?)
    })
    .await
}

/// Deletes up to `most` days, and up to `most` days of cities, that are older than these times in Unix seconds;
/// returns how many of each.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn sweep(db: &Database, days_before: i64, city_days_before: i64, most: u64) -> Result<(u64, u64), DbError> {
    let mut deleted = [0, 0];
    for (number, (table, before)) in
        [("usage_day", days_before), ("usage_city_day", city_days_before)].into_iter().enumerate()
    {
        let sql = if db.is_mysql() {
            format!("DELETE FROM {table} WHERE day < ? LIMIT ?")
        } else {
            format!("DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE day < ? LIMIT ?)")
        };
        let values = vec![(before.div_euclid(DAY_SECONDS)).into(), most.into()];
        deleted[number] = retrying(|| execute(&db.connection, sql.clone(), values.clone())).await?;
    }
    Ok((deleted[0], deleted[1]))
}
