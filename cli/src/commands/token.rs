//! `overseas token`: give API tokens to programs, list them, take them back.
//!
//! A token acts as its user, within its scopes: `read`, `purge` (refresh, preload, follow tasks) and `admin`
//! (all that the user may do). It is printed once; the database keeps a hash. Taking one back counts at once
//! on every server. Called by `main`.

use crate::commands::user;
use crate::wire;
use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use overseas_shared::clock::Clock;
use overseas_shared::config::Config;
use overseas_shared::db::api_token::{self, NewApiToken};
use overseas_shared::db::audit::NewEntry;
use overseas_shared::domain::TokenScopes;
use overseas_shared::secret::new_token;

const DAY: i64 = 24 * 3_600_000;

#[derive(Subcommand)]
pub(crate) enum Action {
    /// Give a user an API token and print it, once
    Give(Give),
    /// List API tokens: id, user, name, scopes, when they end, when they were last used
    List {
        /// Only this user's
        #[arg(long)]
        email: Option<String>,
    },
    /// Take an API token back
    Revoke {
        /// The token's id, as `token list` shows it
        id: i64,
    },
}

#[derive(Args)]
pub(crate) struct Give {
    /// The user as whom the token acts
    #[arg(long)]
    email: String,
    /// read, purge, admin, or several joined by commas
    #[arg(long, value_name = "SCOPES")]
    scope: TokenScopes,
    /// What the token is for, such as the program's name
    #[arg(long)]
    name: String,
    /// Days until it ends
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "never_expires")]
    expires_in_days: u16,
    /// It does not end by itself
    #[arg(long)]
    never_expires: bool,
}

pub(crate) async fn run(config: &Config, action: Action) -> Result<()> {
    match action {
        Action::Give(options) => give(config, options).await,
        Action::List { email } => list(config, email.as_deref()).await,
        Action::Revoke { id } => revoke(config, id).await,
    }
}

async fn give(config: &Config, options: Give) -> Result<()> {
    let name = options.name.trim().to_owned();
    if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
        bail!("--name: expected 1 to 64 printable characters");
    }
    let db = wire::current_database(config).await?;
    let user = user::find(&db, &options.email).await?;
    let (now, token) = (Clock::system().now(), new_token());
    let expires_at = (!options.never_expires).then(|| now + i64::from(options.expires_in_days) * DAY);
    let end = expires_at.map_or_else(|| "never".to_owned(), |at| wire::shown_time(config, at));
    let detail = format!("{name}: {}, ends {end}", options.scope);
    let entry = NewEntry::by_command(now, "give_token", user.email.as_str(), &detail);
    let new = NewApiToken { hash: token.hash, user_id: user.id, name, scopes: options.scope, expires_at };
    let id = api_token::create(&db, &new, &entry).await?;
    eprintln!("token {id} of {} with the scope {}; it ends {end}. It is shown only now:", user.email, options.scope);
    say!("{}", token.text);
    db.close().await;
    Ok(())
}

async fn list(config: &Config, email: Option<&str>) -> Result<()> {
    let db = wire::current_database(config).await?;
    let user_id = match email {
        Some(email) => Some(user::find(&db, email).await?.id),
        None => None,
    };
    let now = Clock::system().now();
    say!("{:<6} {:<40} {:<24} {:<12} {:<20} LAST USED", "ID", "LOGIN_EMAIL", "NAME", "SCOPES", "ENDS");
    for token in api_token::list(&db, user_id).await? {
        let end = match token.expires_at {
            Some(at) if at <= now => "has ended".to_owned(),
            Some(at) => wire::shown_time(config, at),
            None => "never".to_owned(),
        };
        let used = token.last_used_at.map_or_else(|| "never".to_owned(), |at| wire::shown_time(config, at));
        let scopes = token.scopes.to_string();
        say!("{:<6} {:<40} {:<24} {scopes:<12} {end:<20} {used}", token.id, token.email, token.name);
    }
    db.close().await;
    Ok(())
}

async fn revoke(config: &Config, id: i64) -> Result<()> {
    let db = wire::current_database(config).await?;
    let all = api_token::list(&db, None).await?;
    let token = all.into_iter().find(|token| token.id == id);
    let token = token.with_context(|| format!("there is no API token {id}; see `overseas token list`"))?;
    let detail = format!("{id} {}", token.name);
    let entry = NewEntry::by_command(Clock::system().now(), "revoke_token", &token.email, &detail);
    if !api_token::revoke(&db, id, &entry).await? {
        bail!("the API token {id} was taken back by somebody else just now");
    }
    say!("the API token {id} ({}) of {} is dead", token.name, token.email);
    db.close().await;
    Ok(())
}
