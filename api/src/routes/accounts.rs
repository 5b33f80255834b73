//! Companies and users: `POST /useful/create/company`, `POST /level3/user`; staff only.
//!
//! A user can only be made of an address that is an account in the ops directory, and an account comes
//! into being with its company.

use crate::auth::Staff;
use crate::error::{Answer, ApiError};
use crate::params::{Params, flag, secret, text};
use crate::routes::Group;
use crate::state::SharedState;
use overseas_shared::db::DbError;
use overseas_shared::db::account::{self, NewCompany, NewUser, Role};
use overseas_shared::domain::EmailAddress;
use overseas_shared::secret::{check_length, hash_password};
use poem::web::Data;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde::{Deserialize, Serialize};

/// Longest name of a company or a person, in characters.
const LONGEST_NAME: usize = 255;

/// A user that is to be made.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example)]
pub struct NewUserIn {
    /// The address; must be an account in the ops directory.
    #[serde(deserialize_with = "text")]
    login_email: Option<String>,
    /// The password.
    #[serde(deserialize_with = "secret")]
    password: Option<String>,
    /// Whether the user may refresh and preload; true if left out.
    #[serde(deserialize_with = "flag")]
    operations: Option<bool>,
}

impl Example for NewUserIn {
    fn example() -> Self {
        Self {
            login_email: Some("owner@example.com".to_owned()),
            password: Some("a long password".to_owned()),
            operations: None,
        }
    }
}

/// The user that was made.
#[derive(Debug, Serialize, Object)]
pub struct NewUserOut {
    /// 0.
    err: u16,
    /// The user's address.
    user: String,
    /// Whether the user may refresh and preload.
    operate_right: bool,
    /// The CDNs that the user is mapped to; none yet.
    cdns: Vec<String>,
}

/// A company that is to be made, with its owner's account.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example)]
pub struct CompanyIn {
    /// The name, unique.
    #[serde(deserialize_with = "text")]
    company_name: Option<String>,
    /// A short name; the name if left out.
    #[serde(deserialize_with = "text")]
    company_alias: Option<String>,
    /// The owner's name.
    #[serde(deserialize_with = "text")]
    owner_name: Option<String>,
    /// The owner's address, unique; becomes an account in the ops directory.
    #[serde(deserialize_with = "text")]
    owner_email: Option<String>,
}

impl Example for CompanyIn {
    fn example() -> Self {
        Self {
            company_name: Some("Third Company".to_owned()),
            company_alias: Some("third".to_owned()),
            owner_name: Some("A. Owner".to_owned()),
            owner_email: Some("third.owner@example.com".to_owned()),
        }
    }
}

/// A company.
#[derive(Debug, Serialize, Object)]
pub struct Company {
    /// Its id.
    id: i64,
    /// Its name.
    company_name: String,
    /// Its short name.
    company_alias: String,
    /// Its owner's name.
    owner_name: String,
    /// Its owner's address.
    owner_email: String,
}

/// The company that was made.
#[derive(Debug, Serialize, Object)]
pub struct CompanyOut {
    /// 0.
    err: u16,
    /// The company.
    company: Company,
}

/// Handlers.
pub struct Accounts;

#[OpenApi(tag = "Group::Accounts")]
impl Accounts {
    /// Make a user (staff)
    #[oai(path = "/level3/user", method = "post", operation_id = "create_user")]
    async fn create_user(
        &self,
        state: Data<&SharedState>,
        staff: Staff,
        params: Params<NewUserIn>,
    ) -> Result<Answer<NewUserOut>, ApiError> {
        let email = read_email("login_email", params.0.login_email.as_deref())?;
        let password = params.0.password.ok_or_else(|| ApiError::missing("password"))?;
        let shortest = state.config.auth.min_password_length;
        check_length(&password, shortest).map_err(|error| ApiError::wrong("password", error))?;
        if !account::is_ops_account(&state.db, &email).await? {
            if account::find_user(&state.db, &email).await?.is_some() {
                return Err(ApiError::Conflict(format!("login_email: the user {email} exists already")));
            }
            return Err(ApiError::wrong(
                "login_email",
                format!(
                    "{email} is not an account in the ops directory; make its company first with POST /useful/create/company"
                ),
            ));
        }
        let new = NewUser {
            email: email.clone(),
            role: Role::User,
            password_hash: hash_password(&password).await?,
            operate_right: params.0.operations.unwrap_or(true),
        };
        let detail = format!("operations {}", new.operate_right);
        let entry = staff.0.entry(state.clock.now(), "create_user", email.as_str(), &detail);
        match account::create_user(&state.db, &new, &entry).await {
            Ok(_) => {}
            Err(DbError::Conflict(_)) => {
                return Err(ApiError::Conflict(format!("login_email: the user {email} exists already")));
            }
            Err(error) => return Err(error.into()),
        }
        Answer::new(&NewUserOut { err: 0, user: email.to_string(), operate_right: new.operate_right, cdns: vec![] })
    }

    /// Make a company and its owner's account (staff)
    #[oai(path = "/useful/create/company", method = "post", operation_id = "create_company")]
    async fn create_company(
        &self,
        state: Data<&SharedState>,
        staff: Staff,
        params: Params<CompanyIn>,
    ) -> Result<Answer<CompanyOut>, ApiError> {
        let name = read_name("company_name", params.0.company_name)?;
        let new = NewCompany {
            alias: params
                .0
                .company_alias
                .map_or_else(|| Ok(name.clone()), |alias| read_name("company_alias", Some(alias)))?,
            name,
            owner_name: read_name("owner_name", params.0.owner_name)?,
            owner_email: read_email("owner_email", params.0.owner_email.as_deref())?,
        };
        let detail = format!("owner {}", new.owner_email);
        let entry = staff.0.entry(state.clock.now(), "create_company", &new.name, &detail);
        let id = match account::create_company(&state.db, &new, &entry).await {
            Ok(id) => id,
            Err(DbError::Conflict(index)) => {
                // The refused values stand in the database's words too; the index comes last.
                let of_name = ["company.name", "company_name'"].iter().any(|end| index.trim_end().ends_with(end));
                let message = if of_name {
                    format!("company_name: the company {} exists already", new.name)
                } else {
                    format!("owner_email: {} is an account already", new.owner_email)
                };
                return Err(ApiError::Conflict(message));
            }
            Err(error) => return Err(error.into()),
        };
        let company = Company {
            id,
            company_name: new.name,
            company_alias: new.alias,
            owner_name: new.owner_name,
            owner_email: new.owner_email.to_string(),
        };
        Answer::new(&CompanyOut { err: 0, company })
    }
}

fn read_email(parameter: &str, written: Option<&str>) -> Result<EmailAddress, ApiError> {
    let written = written.ok_or_else(|| ApiError::missing(parameter))?;
    EmailAddress::parse(written).map_err(|error| ApiError::wrong(parameter, error))
}

fn read_name(parameter: &str, written: Option<String>) -> Result<String, ApiError> {
    let name = written.ok_or_else(|| ApiError::missing(parameter))?;
    if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(ApiError::wrong(parameter, format!("expected at most {LONGEST_NAME} printable characters")));
    }
    Ok(name)
}
