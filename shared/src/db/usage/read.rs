//! Reading usage: a range of the primary key for a series, totals of whole days and two unpacked ends for areas.
//!
//! Which properties a caller's domains are is asked first (`db::place`); the reads themselves take the ids that
//! came out of it. Called by the statistics handlers, the export and `doctor`.

use super::number_of;
use crate::db::{Database, DbError, marks, rows};
use crate::domain::city;
use crate::domain::usage::{Grid, PackView, Span};
use futures::TryStreamExt;
use sea_orm::{FromQueryResult, Statement, StreamTrait, Value};
use std::collections::HashMap;

#[derive(FromQueryResult)]
struct DayRow {
    day: i64,
    bytes: Vec<u8>,
}

/// The newest slot that the vendor of a CDN has delivered of any property (Unix seconds).
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn latest(db: &Database, cdn_id: i64) -> Result<Option<i64>, DbError> {
    #[derive(FromQueryResult)]
    struct Latest {
        latest: Option<i64>,
    }
    let sql = "SELECT MAX(u.latest) AS latest FROM property_usage u JOIN property p ON p.id = u.property_id WHERE p.cdn_id = ?";
    let found: Vec<Latest> = rows(&db.connection, sql.to_owned(), vec![cdn_id.into()]).await?;
    Ok(found.first().and_then(|row| row.latest))
}

fn corrupt(error: impl std::fmt::Display) -> DbError {
    DbError::Corrupt(format!("a day of usage: {error}"))
}

/// The sum of the properties' bytes on the grid of a span.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn series(db: &Database, property_ids: &[i64], span: Span) -> Result<Grid, DbError> {
    let mut grid = Grid::new(span);
    for chunk in property_ids.chunks(500) {
        let sql = format!(
            "SELECT CAST(day AS SIGNED) AS day, bytes FROM usage_day WHERE property_id IN ({}) AND day BETWEEN ? AND ?",
            marks(chunk.len())
        );
        let mut values: Vec<Value> = chunk.iter().map(|id| (*id).into()).collect();
        values.extend([number_of(span.from()).into(), number_of(span.to()).into()]);
        let statement = Statement::from_sql_and_values(backend(db), sql, values);
        let mut stream = db.connection.stream_raw(statement).await?;
        while let Some(found) = stream.try_next().await? {
            let row = DayRow::from_query_result(&found, "")?;
            let pack = PackView::parse(&row.bytes).map_err(corrupt)?;
            grid.add(row.day * crate::domain::usage::DAY_SECONDS, &pack);
        }
    }
    Ok(grid)
}

fn backend(db: &Database) -> sea_orm::DbBackend {
    db.connection.get_database_backend()
}

/// A city's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AreaRow {
    /// As it is stored: English.
    pub city: String,
    /// Bytes.
    pub bytes: u64,
    /// Requests.
    pub requests: u64,
}

#[derive(FromQueryResult)]
struct CityTotal {
    city_id: i64,
    total_bytes: i64,
    total_requests: i64,
}

#[derive(FromQueryResult)]
struct CityDay {
    day: i64,
    city_id: i64,
    bytes: Vec<u8>,
    requests: Vec<u8>,
}

#[derive(FromQueryResult)]
struct CityName {
    id: i64,
    name: String,
}

/// The sum over the span for each city that has anything in it, in no order.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn area(db: &Database, property_ids: &[i64], span: Span) -> Result<Vec<AreaRow>, DbError> {
    let (whole, ends): (Vec<i64>, Vec<i64>) = span.days().partition(|day| span.is_whole(*day));
    let mut sums: HashMap<i64, (u64, u64)> = HashMap::new();
    let mut add = |city: i64, bytes: u64, requests: u64| {
        let sum = sums.entry(city).or_default();
        *sum = (sum.0.saturating_add(bytes), sum.1.saturating_add(requests));
    };
    for chunk in property_ids.chunks(500) {
        let ids: Vec<Value> = chunk.iter().map(|id| (*id).into()).collect();
        if let (Some(first), Some(last)) = (whole.first(), whole.last()) {
            let sql = format!(
                "SELECT city_id, total_bytes, total_requests FROM usage_city_day WHERE property_id IN ({}) AND day BETWEEN ? AND ?",
                marks(ids.len())
            );
            let mut values = ids.clone();
            values.extend([number_of(*first).into(), number_of(*last).into()]);
            for row in rows::<CityTotal>(&db.connection, sql, values).await? {
                add(row.city_id, row.total_bytes.unsigned_abs(), row.total_requests.unsigned_abs());
            }
        }
        if !ends.is_empty() {
            let sql = format!(
                "SELECT CAST(day AS SIGNED) AS day, city_id, bytes, requests FROM usage_city_day WHERE property_id IN ({}) AND day IN ({})",
                marks(ids.len()),
                marks(ends.len())
            );
            let mut values = ids;
            values.extend(ends.iter().map(|day| Value::from(number_of(*day))));
            for row in rows::<CityDay>(&db.connection, sql, values).await? {
                let slots = span.slots_of(row.day * crate::domain::usage::DAY_SECONDS);
                let bytes = PackView::parse(&row.bytes).map_err(corrupt)?.sum_range(slots.clone());
                let requests = PackView::parse(&row.requests).map_err(corrupt)?.sum_range(slots);
                add(row.city_id, bytes, requests);
            }
        }
    }
    sums.retain(|_, sum| *sum != (0, 0));
    let names = city_names(db, &sums.keys().copied().collect::<Vec<_>>()).await?;
    let row = |(id, (bytes, requests)): (&i64, &(u64, u64))| {
        Some(AreaRow { city: names.get(id)?.clone(), bytes: *bytes, requests: *requests })
    };
    Ok(sums.iter().filter_map(row).collect())
}

async fn city_names(db: &Database, ids: &[i64]) -> Result<HashMap<i64, String>, DbError> {
    let mut names = HashMap::with_capacity(ids.len());
    for chunk in ids.chunks(500) {
        let sql = format!("SELECT id, name FROM city WHERE id IN ({})", marks(chunk.len()));
        let found: Vec<CityName> = rows(&db.connection, sql, chunk.iter().map(|id| (*id).into()).collect()).await?;
        names.extend(found.into_iter().map(|row| (row.id, row.name)));
    }
    Ok(names)
}

/// The cities that vendors have named and that the list of cities does not know, by name.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn unknown_cities(db: &Database) -> Result<Vec<String>, DbError> {
    let sql = "SELECT id, name FROM city ORDER BY name".to_owned();
    let found: Vec<CityName> = rows(&db.connection, sql, vec![]).await?;
    Ok(found.into_iter().map(|row| row.name).filter(|name| city::find(name).is_none()).collect())
}
