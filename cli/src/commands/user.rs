//! `overseas user`: list the users, give one a new password.
//!
//! What an operator needs when somebody cannot get in. A new password ends the user's sessions at once, on
//! every server; API tokens stay, since programs depend on them, and the answer says how many there are.
//! Called by `main`.

use crate::commands::password;
use crate::wire;
use anyhow::{Context as _, Result};
use clap::Subcommand;
use overseas_shared::clock::Clock;
use overseas_shared::config::Config;
use overseas_shared::db::account::{self, User};
use overseas_shared::db::audit::NewEntry;
use overseas_shared::db::{Database, api_token, mapping};
use overseas_shared::domain::EmailAddress;
use overseas_shared::secret::hash_password;

#[derive(Subcommand)]
pub(crate) enum Action {
    /// List all users: address, role, whether it may refresh, last login, CDNs
    List,
    /// Give a user a new password and end its sessions
    ResetPassword {
        /// The user's address
        #[arg(long)]
        email: String,
        /// Read the password from standard input instead of asking for it
        #[arg(long)]
        password_stdin: bool,
    },
}

pub(crate) async fn run(config: &Config, action: Action) -> Result<()> {
    match action {
        Action::List => list(config).await,
        Action::ResetPassword { email, password_stdin } => reset(config, &email, password_stdin).await,
    }
}

async fn list(config: &Config) -> Result<()> {
    let db = wire::current_database(config).await?;
    say!("{:<40} {:<6} {:<8} {:<20} CDNS", "LOGIN_EMAIL", "ROLE", "REFRESH", "LAST LOGIN");
    for user in account::list_users(&db).await? {
        let cdns = mapping::cdns_of(&db, user.id).await?.join(" ");
        let refresh = if user.operate_right { "yes" } else { "no" };
        let login = user.last_login_at.map_or_else(|| "never".to_owned(), |at| wire::shown_time(config, at));
        say!("{:<40} {:<6} {refresh:<8} {login:<20} {cdns}", user.email, user.role.as_str());
    }
    db.close().await;
    Ok(())
}

async fn reset(config: &Config, email: &str, password_stdin: bool) -> Result<()> {
    let db = wire::current_database(config).await?;
    let user = find(&db, email).await?;
    let password_hash = hash_password(&password::read(config, password_stdin)?).await?;
    let entry = NewEntry::by_command(Clock::system().now(), "reset_password", user.email.as_str(), "");
    account::reset_password(&db, user.id, user.role, &password_hash, &entry).await?;
    say!("{} has a new password; its sessions have ended", user.email);
    let tokens = api_token::list(&db, Some(user.id)).await?.len();
    if tokens > 0 {
        say!("{tokens} API token(s) of {0} go on working: see `overseas token list --email {0}`", user.email);
    }
    db.close().await;
    Ok(())
}

/// The user with this address.
pub(crate) async fn find(db: &Database, email: &str) -> Result<User> {
    let email = EmailAddress::parse(email)?;
    let user = account::find_user(db, &email).await?;
    user.with_context(|| format!("there is no user {email}; see `overseas user list`"))
}
