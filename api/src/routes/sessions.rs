//! Sessions: `POST /level3/login`, `POST /level3/logout`, `GET|POST /level3/logincheck`.
//!
//! A wrong password and an unknown user get the same answer after the same work. Failed logins of an
//! account or from an address slow the next ones down; an attempt is counted before it is checked, and in the
//! database, so the count holds for a crowd that comes at once, on every server, and after a restart.

use crate::auth::Visitor;
use crate::error::{Answer, ApiError};
use crate::params::{Params, secret, text};
use crate::routes::Group;
use crate::state::SharedState;
use overseas_shared::db::account::{self, User};
use overseas_shared::db::login::{self, Attempt, NewSession, Subject};
use overseas_shared::db::session;
use overseas_shared::domain::EmailAddress;
use overseas_shared::secret::{new_token, token_hash, verify_password};
use poem::Request;
use poem::web::Data;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde::{Deserialize, Serialize};

/// Many people may share one address, so it is given this many times the failures of an account.
const ADDRESS_FAILURES: u32 = 10;

/// Who logs in.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example)]
pub struct LoginIn {
    /// The user's address.
    #[serde(deserialize_with = "text")]
    login_email: Option<String>,
    /// The user's password.
    #[serde(deserialize_with = "secret")]
    password: Option<String>,
}

impl Example for LoginIn {
    fn example() -> Self {
        Self { login_email: Some("user@example.com".to_owned()), password: Some("user".to_owned()) }
    }
}

/// A new session.
#[derive(Debug, Serialize, Object)]
pub struct LoginOut {
    /// 0.
    err: u16,
    /// The user's address.
    user: String,
    /// The user's address.
    login_email: String,
    /// Whether the user may refresh and preload.
    operate_right: bool,
    /// Send it as `Authorization: Bearer <token>`, or as the parameter `token`.
    token: String,
    /// This login, in Unix seconds.
    last_login: i64,
    /// When the session ends, in Unix seconds.
    expires: i64,
}

/// A token.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct TokenIn {
    /// The token that a login answered; the header `Authorization` is taken too.
    #[serde(deserialize_with = "text")]
    token: Option<String>,
}

/// The session has ended.
#[derive(Debug, Serialize, Object)]
pub struct LogoutOut {
    /// 0.
    err: u16,
    /// For people.
    message: String,
}

/// Whether a session lives.
#[derive(Debug, Serialize, Object)]
pub struct LoginCheckOut {
    /// 0.
    err: u16,
    /// 1 if it lives.
    alive: u8,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    user: Option<String>,
    /// When it ends, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    expires: Option<i64>,
}

/// Handlers.
pub struct Sessions;

#[OpenApi(tag = "Group::Session")]
impl Sessions {
    /// Log in
    #[oai(path = "/level3/login", method = "post", operation_id = "login")]
    async fn login(
        &self,
        state: Data<&SharedState>,
        visitor: Visitor,
        params: Params<LoginIn>,
    ) -> Result<Answer<LoginOut>, ApiError> {
        let email = params.0.login_email.ok_or_else(|| ApiError::missing("login_email"))?;
        let email = EmailAddress::parse(&email).map_err(|error| ApiError::wrong("login_email", error))?;
        let password = params.0.password.ok_or_else(|| ApiError::missing("password"))?;
        let (user, attempt) = check_password(state.0, &visitor, &email, &password).await?;
        let now = state.clock.now();
        let token = new_token();
        let expires_at = now + i64::from(state.config.auth.session_seconds) * 1000;
        let session = NewSession { hash: token.hash, user_id: user.id, expires_at };
        let entry = visitor.entry(now, email.as_str(), "login", email.as_str(), "");
        login::succeed(&state.db, &attempt, &session, &entry).await?;
        Answer::new(&LoginOut {
            err: 0,
            user: user.email.to_string(),
            login_email: user.email.to_string(),
            operate_right: user.operate_right,
            token: token.text,
            last_login: now / 1000,
            expires: expires_at / 1000,
        })
    }

    /// Log out
    ///
    /// The token is dead at once, on every server; an API token is taken back for good. A token that is not
    /// known gets the same answer.
    #[oai(path = "/level3/logout", method = "post", operation_id = "logout")]
    async fn logout(
        &self,
        state: Data<&SharedState>,
        request: &Request,
        visitor: Visitor,
        params: Params<TokenIn>,
    ) -> Result<Answer<LogoutOut>, ApiError> {
        if let Some(token) = token(request, params.0) {
            let hash = token_hash(&token);
            if let Some(session) = state.session(state.epoch().await?, hash).await? {
                let (email, kind) = (session.email.as_str(), session.api_token.map_or("session", |_| "API token"));
                let entry = visitor.entry(state.clock.now(), email, "logout", email, kind);
                session::end(&state.db, &hash, &entry).await?;
            }
        }
        Answer::new(&LogoutOut { err: 0, message: "logged out".to_owned() })
    }

    /// Tell whether a session lives
    #[oai(path = "/level3/logincheck", method = "get", operation_id = "logincheck")]
    async fn login_check(
        &self,
        state: Data<&SharedState>,
        request: &Request,
        _visitor: Visitor,
        params: Params<TokenIn>,
    ) -> Result<Answer<LoginCheckOut>, ApiError> {
        check(state.0, request, params.0).await
    }

    /// Tell whether a session lives
    #[oai(path = "/level3/logincheck", method = "post", operation_id = "logincheck_post")]
    async fn login_check_post(
        &self,
        state: Data<&SharedState>,
        request: &Request,
        _visitor: Visitor,
        params: Params<TokenIn>,
    ) -> Result<Answer<LoginCheckOut>, ApiError> {
        check(state.0, request, params.0).await
    }
}

/// The user, if the password is right and nobody has been guessing; and the attempt, which stays counted as
/// failed until it is taken back.
async fn check_password(
    state: &SharedState,
    visitor: &Visitor,
    email: &EmailAddress,
    password: &str,
) -> Result<(User, Attempt), ApiError> {
    let free = state.config.auth.free_login_failures;
    let attempt = Attempt {
        account: Subject { name: format!("account:{email}"), free },
        address: Subject { name: format!("address:{}", visitor.address), free: free.saturating_mul(ADDRESS_FAILURES) },
    };
    // One after the other: many people may log in to one account at once, and each is counted while it is checked.
    let _turn = state.logins.turn(email.as_str()).await;
    let now = state.clock.now();
    if let Some(blocked_until) = login::begin(&state.db, &attempt, now).await? {
        return Err(ApiError::TooManyRequests {
            message: "too many failed logins; wait before the next try".to_owned(),
            retry_after: u64::try_from((blocked_until - now + 999) / 1000).unwrap_or(1),
        });
    }
    let user = account::find_user(&state.db, email).await?;
    let hash = user.as_ref().and_then(|user| user.password_hash.as_deref());
    match (verify_password(password, hash).await, user) {
        (true, Some(user)) => Ok((user, attempt)),
        _ => Err(ApiError::Unauthorized("wrong login_email or password".to_owned())),
    }
}

fn token(request: &Request, params: TokenIn) -> Option<String> {
    let header = request
        .header("Authorization")
        .and_then(|value| value.split_once(' '))
        .map(|(_, token)| token.trim().to_owned());
    params.token.or(header)
}

async fn check(state: &SharedState, request: &Request, params: TokenIn) -> Result<Answer<LoginCheckOut>, ApiError> {
    let session = match token(request, params) {
        Some(token) => state.session(state.epoch().await?, token_hash(&token)).await?,
        None => None,
    };
    Answer::new(&LoginCheckOut {
        err: 0,
        alive: u8::from(session.is_some()),
        user: session.as_ref().map(|session| session.email.to_string()),
        expires: session.as_ref().and_then(|session| session.expires_at).map(|end| end / 1000),
    })
}
