//! Companies and their accounts in the ops directory, and users.
//!
//! Whether an address or a name is taken is decided by a unique index, never by a look before the
//! insert. Called by the account handlers, the login, and the commands.

use crate::db::audit::{self, NewEntry};
use crate::db::entity::{company, ops_account, user};
use crate::db::{Database, DbError, epoch, execute, retrying};
use crate::domain::EmailAddress;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

/// What a user may do at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Acts for itself.
    User,
    /// Acts for anyone.
    Staff,
}

impl Role {
    /// The stored word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Staff => "staff",
        }
    }

    /// An unknown word grants the least.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        if word == "staff" { Self::Staff } else { Self::User }
    }
}

/// A user as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The row's id.
    pub id: i64,
    /// Who it is.
    pub email: EmailAddress,
    /// What it may do at all.
    pub role: Role,
    /// The argon2id hash; without one nobody can log in.
    pub password_hash: Option<String>,
    /// Whether it may refresh and preload.
    pub operate_right: bool,
    /// UTC milliseconds of the login before this one.
    pub last_login_at: Option<i64>,
}

/// A user that is to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Who it is.
    pub email: EmailAddress,
    /// What it may do at all.
    pub role: Role,
    /// The argon2id hash.
    pub password_hash: String,
    /// Whether it may refresh and preload.
    pub operate_right: bool,
}

/// A company that is to be made, with its owner's account.
#[derive(Debug, Clone)]
pub struct NewCompany {
    /// The name, unique.
    pub name: String,
    /// A short name.
    pub alias: String,
    /// The owner's name.
    pub owner_name: String,
    /// The owner's address, unique in the ops directory.
    pub owner_email: EmailAddress,
}

/// Makes the company and its owner's account; returns the company's id.
///
/// # Errors
/// [`DbError::Conflict`] when the name or the owner is taken; the message names the index.
pub async fn create_company(db: &Database, new: &NewCompany, entry: &NewEntry) -> Result<i64, DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        let row = company::ActiveModel {
            id: NotSet,
            name: Set(new.name.clone()),
            alias: Set(new.alias.clone()),
            owner_name: Set(new.owner_name.clone()),
            owner_email: Set(new.owner_email.as_str().to_owned()),
            created_at: Set(entry.at),
        };
        let id = company::Entity::insert(row).exec(&tx).await?.last_insert_id;
        let account = ops_account::ActiveModel {
            email: Set(new.owner_email.as_str().to_owned()),
            company_id: Set(id),
            created_at: Set(entry.at),
        };
        ops_account::Entity::insert(account).exec_without_returning(&tx).await?;
        audit::insert(&tx, &[entry]).await?;
        tx.commit().await?;
        Ok(id)
    })
    .await
}

/// Whether the address is an account in the ops directory.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn is_ops_account(db: &Database, email: &EmailAddress) -> Result<bool, DbError> {
    let found = ops_account::Entity::find_by_id(email.as_str().to_owned()).one(&db.connection).await?;
    Ok(found.is_some())
}

/// Makes a user.
///
/// # Errors
/// [`DbError::Conflict`] when the address is taken.
pub async fn create_user(db: &Database, new: &NewUser, entry: &NewEntry) -> Result<User, DbError> {
    let id = retrying(|| async {
        let tx = db.begin().await?;
        let row = user::ActiveModel {
            id: NotSet,
            email: Set(new.email.as_str().to_owned()),
            role: Set(new.role.as_str().to_owned()),
            password_hash: Set(Some(new.password_hash.clone())),
            operate_right: Set(new.operate_right),
            created_at: Set(entry.at),
            last_login_at: Set(None),
        };
        let id = user::Entity::insert(row).exec(&tx).await?.last_insert_id;
        audit::insert(&tx, &[entry]).await?;
        tx.commit().await?;
        Ok(id)
    })
    .await?;
    Ok(User {
        id,
        email: new.email.clone(),
        role: new.role,
        password_hash: Some(new.password_hash.clone()),
        operate_right: new.operate_right,
        last_login_at: None,
    })
}

/// The user with this address.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn find_user(db: &Database, email: &EmailAddress) -> Result<Option<User>, DbError> {
    let found = user::Entity::find().filter(user::Column::Email.eq(email.as_str())).one(&db.connection).await?;
    found.map(to_user).transpose()
}

/// All users, by address.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn list_users(db: &Database) -> Result<Vec<User>, DbError> {
    let found = user::Entity::find().order_by_asc(user::Column::Email).all(&db.connection).await?;
    found.into_iter().map(to_user).collect()
}

fn to_user(row: user::Model) -> Result<User, DbError> {
    Ok(User {
        id: row.id,
        email: EmailAddress::parse(&row.email).map_err(|error| DbError::Corrupt(error.to_string()))?,
        role: Role::from_word(&row.role),
        password_hash: row.password_hash,
        operate_right: row.operate_right,
        last_login_at: row.last_login_at,
    })
}

/// Sets a user's password and role, and ends its sessions.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn reset_password(db: &Database, id: i64, role: Role, hash: &str, entry: &NewEntry) -> Result<(), DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        let sql = "UPDATE `user` SET password_hash = ?, role = ? WHERE id = ?".to_owned();
        execute(&tx, sql, vec![hash.into(), role.as_str().into(), id.into()]).await?;
        execute(&tx, "DELETE FROM session WHERE user_id = ?".to_owned(), vec![id.into()]).await?;
        audit::insert(&tx, &[entry]).await?;
        epoch::raise(&tx).await?;
        Ok(tx.commit().await?)
    })
    .await
}
