//! The CDNs and the vendors' catalogues as last read: groups, services, properties.
//!
//! A synchronisation writes what the vendor lists and marks the rest of that part as not listed; it
//! never deletes. What could not be read is left as it was. Called by the `sync-*` jobs and commands.

use crate::db::audit::{self, NewEntry};
use crate::db::entity::{access_group, cdn, property, service};
use crate::db::{Database, DbError, epoch, execute, marks, retrying};
use crate::domain::catalogue::{Group, Property, Service};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use std::collections::HashMap;

/// A CDN that users can be mapped to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CdnRow {
    /// The row's id, shown as `id`.
    pub id: i64,
    /// The name that users see, the key of its table in the configuration.
    pub name: String,
}

/// A stored group of a vendor's catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRow {
    /// The row's id.
    pub id: i64,
    /// As the vendor lists it.
    pub group: Group,
}

/// Makes the CDN if it is new; returns its id.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn ensure_cdn(db: &Database, name: &str, now: i64) -> Result<i64, DbError> {
    if let Some(found) = find_cdn(db, name).await? {
        return Ok(found.id);
    }
    let row = cdn::ActiveModel { id: NotSet, name: Set(name.to_owned()), created_at: Set(now) };
    match cdn::Entity::insert(row).exec(&db.connection).await.map_err(DbError::from) {
        Ok(inserted) => Ok(inserted.last_insert_id),
        Err(DbError::Conflict(_)) => {
            let found = find_cdn(db, name).await?;
            found.map(|row| row.id).ok_or_else(|| DbError::Other(format!("cdn {name} vanished")))
        }
        Err(other) => Err(other),
    }
}

/// Makes a CDN; returns its id.
///
/// # Errors
/// [`DbError::Conflict`] when the name is in use.
pub async fn create_cdn(db: &Database, name: &str, entry: &NewEntry) -> Result<i64, DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        let row = cdn::ActiveModel { id: NotSet, name: Set(name.to_owned()), created_at: Set(entry.at) };
        let id = cdn::Entity::insert(row).exec(&tx).await?.last_insert_id;
        audit::insert(&tx, &[entry]).await?;
        tx.commit().await?;
        Ok(id)
    })
    .await
}

/// Gives a CDN another name.
///
/// # Errors
/// [`DbError::Conflict`] when the name is in use.
pub async fn rename_cdn(db: &Database, id: i64, name: &str, entry: &NewEntry) -> Result<(), DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        execute(&tx, "UPDATE cdn SET name = ? WHERE id = ?".to_owned(), vec![name.into(), id.into()]).await?;
        audit::insert(&tx, &[entry]).await?;
        epoch::raise(&tx).await?;
        Ok(tx.commit().await?)
    })
    .await
}

/// The CDN with this name.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn find_cdn(db: &Database, name: &str) -> Result<Option<CdnRow>, DbError> {
    let found = cdn::Entity::find().filter(cdn::Column::Name.eq(name)).one(&db.connection).await?;
    Ok(found.map(|row| CdnRow { id: row.id, name: row.name }))
}

/// All CDNs, in the order in which they were made.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn list_cdns(db: &Database) -> Result<Vec<CdnRow>, DbError> {
    let found = cdn::Entity::find().order_by_asc(cdn::Column::Id).all(&db.connection).await?;
    Ok(found.into_iter().map(|row| CdnRow { id: row.id, name: row.name }).collect())
}

/// Writes all groups of an account; those that are not in the list are marked as not listed.
///
/// # Errors
/// [`DbError`] when the change fails; then nothing is changed.
pub async fn store_groups(db: &Database, cdn_id: i64, groups: &[Group], now: i64) -> Result<(), DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        for chunk in groups.chunks(200) {
            let models = chunk.iter().map(|group| access_group::ActiveModel {
                id: NotSet,
                cdn_id: Set(cdn_id),
                vendor_id: Set(group.vendor_id.clone()),
                name: Set(group.name.clone()),
                parent_vendor_id: Set(group.parent_vendor_id.clone()),
                listed: Set(true),
                seen_at: Set(now),
            });
            use access_group::Column::{CdnId, Listed, Name, ParentVendorId, SeenAt, VendorId};
            let known = OnConflict::columns([CdnId, VendorId])
                .update_columns([Name, ParentVendorId, Listed, SeenAt])
                .to_owned();
            access_group::Entity::insert_many(models).on_conflict(known).exec_without_returning(&tx).await?;
        }
        let sql = "UPDATE access_group SET listed = ? WHERE cdn_id = ? AND seen_at < ?".to_owned();
        execute(&tx, sql, vec![false.into(), cdn_id.into(), now.into()]).await?;
        Ok(tx.commit().await?)
    })
    .await
}

/// The listed groups of an account.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn groups(db: &Database, cdn_id: i64) -> Result<Vec<GroupRow>, DbError> {
    let found = access_group::Entity::find()
        .filter(access_group::Column::CdnId.eq(cdn_id))
        .filter(access_group::Column::Listed.eq(true))
        .order_by_asc(access_group::Column::Id)
        .all(&db.connection)
        .await?;
    let row = |row: access_group::Model| GroupRow {
        id: row.id,
        group: Group { vendor_id: row.vendor_id, name: row.name, parent_vendor_id: row.parent_vendor_id },
    };
    Ok(found.into_iter().map(row).collect())
}

/// Writes the services and properties of one group; those that are not in the list are marked as not listed.
///
/// # Errors
/// [`DbError`] when the change fails; then nothing is changed.
pub async fn store_services(
    db: &Database,
    cdn_id: i64,
    group_id: i64,
    services: &[Service],
    now: i64,
) -> Result<(), DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        for listed in services {
            let row = service::ActiveModel {
                id: NotSet,
                access_group_id: Set(group_id),
                vendor_id: Set(listed.vendor_id.clone()),
                product: Set(listed.product.clone()),
                listed: Set(true),
                seen_at: Set(now),
            };
            use service::Column::{AccessGroupId, Listed, Product, SeenAt, VendorId};
            let known =
                OnConflict::columns([AccessGroupId, VendorId]).update_columns([Product, Listed, SeenAt]).to_owned();
            service::Entity::insert(row).on_conflict(known).exec_without_returning(&tx).await?;
            let stored = service::Entity::find()
                .filter(AccessGroupId.eq(group_id))
                .filter(VendorId.eq(listed.vendor_id.as_str()))
                .one(&tx)
                .await?
                .ok_or_else(|| DbError::Other("a service vanished".to_owned()))?;
            for chunk in listed.properties.chunks(200) {
                let models = chunk.iter().map(|item| property_row(cdn_id, stored.id, item, now));
                use property::Column as P;
                let known = OnConflict::columns([P::CdnId, P::VendorRef])
                    .update_columns([
                        P::ServiceId,
                        P::Name,
                        P::Product,
                        P::Active,
                        P::Caching,
                        P::Listed,
                        P::SeenAt,
                        P::Areas,
                    ])
                    .to_owned();
                property::Entity::insert_many(models).on_conflict(known).exec_without_returning(&tx).await?;
            }
        }
        for (table, rows) in [
            ("property", "service_id IN (SELECT id FROM service WHERE access_group_id = ?)"),
            ("service", "access_group_id = ?"),
        ] {
            let sql = format!("UPDATE {table} SET listed = ? WHERE {rows} AND seen_at < ?");
            execute(&tx, sql, vec![false.into(), group_id.into(), now.into()]).await?;
        }
        epoch::raise(&tx).await?;
        Ok(tx.commit().await?)
    })
    .await
}

fn property_row(cdn_id: i64, service_id: i64, item: &Property, now: i64) -> property::ActiveModel {
    property::ActiveModel {
        id: NotSet,
        cdn_id: Set(cdn_id),
        service_id: Set(service_id),
        vendor_ref: Set(item.vendor_ref.clone()),
        name: Set(item.name.clone()),
        product: Set(item.product.clone()),
        active: Set(item.active),
        caching: Set(item.caching),
        listed: Set(true),
        seen_at: Set(now),
        areas: Set(Some(item.areas.clone()).filter(|areas| !areas.is_empty())),
    }
}

/// The areas in which properties are counted, the vendor's words joined by commas, by id; those without are left out.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn areas(db: &Database, ids: &[i64]) -> Result<HashMap<i64, String>, DbError> {
    let mut found = HashMap::new();
    for chunk in ids.chunks(500) {
        let query = property::Entity::find().filter(property::Column::Id.is_in(chunk.iter().copied()));
        let rows = query.all(&db.connection).await?;
        found.extend(rows.into_iter().filter_map(|row| Some((row.id, row.areas?))));
    }
    Ok(found)
}

/// A property's address at its vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyRow {
    /// The row's id.
    pub id: i64,
    /// How the vendor addresses it.
    pub vendor_ref: String,
    /// Its name.
    pub name: String,
}

/// The properties with these ids.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn properties(db: &Database, ids: &[i64]) -> Result<Vec<PropertyRow>, DbError> {
    let mut found = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(500) {
        let part = property::Entity::find()
            .filter(property::Column::Id.is_in(chunk.iter().copied()))
            .all(&db.connection)
            .await?;
        found.extend(part.into_iter().map(|row| PropertyRow {
            id: row.id,
            vendor_ref: row.vendor_ref,
            name: row.name,
        }));
    }
    Ok(found)
}

/// How many groups, services and properties of an account are listed.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn counts(db: &Database, cdn_id: i64) -> Result<(u64, u64), DbError> {
    use sea_orm::PaginatorTrait;
    let groups = access_group::Entity::find()
        .filter(access_group::Column::CdnId.eq(cdn_id))
        .filter(access_group::Column::Listed.eq(true))
        .count(&db.connection)
        .await?;
    let properties = property::Entity::find()
        .filter(property::Column::CdnId.eq(cdn_id))
        .filter(property::Column::Listed.eq(true))
        .count(&db.connection)
        .await?;
    Ok((groups, properties))
}

/// Marks the services and properties of groups that the vendor no longer lists.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn unlist_orphans(db: &Database, cdn_id: i64) -> Result<u64, DbError> {
    let gone = access_group::Entity::find()
        .filter(access_group::Column::CdnId.eq(cdn_id))
        .filter(access_group::Column::Listed.eq(false))
        .all(&db.connection)
        .await?;
    let mut changed = 0;
    for chunk in gone.chunks(200) {
        let ids: Vec<sea_orm::Value> = chunk.iter().map(|group| group.id.into()).collect();
        let services = format!("SELECT id FROM service WHERE access_group_id IN ({})", marks(ids.len()));
        let mut values = vec![false.into(), true.into()];
        values.extend(ids);
        let sql = format!("UPDATE property SET listed = ? WHERE listed = ? AND service_id IN ({services})");
        changed += execute(&db.connection, sql, values).await?;
    }
    if changed > 0 {
        retrying(|| epoch::raise(&db.connection)).await?;
    }
    Ok(changed)
}
