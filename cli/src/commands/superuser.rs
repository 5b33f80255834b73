//! `overseas createsuperuser`: the first member of staff, or a new password for one.
//!
//! The way in while there is nobody who could use the API, so the address needs no account in the ops
//! directory. An existing user becomes staff, gets the password and loses its sessions. The password is
//! asked for or read from standard input: arguments would show in the process list. Called by `main`.

use crate::commands::password;
use crate::wire;
use anyhow::Result;
use clap::Args;
use overseas_shared::clock::Clock;
use overseas_shared::config::Config;
use overseas_shared::db::account::{self, NewUser, Role};
use overseas_shared::db::audit::NewEntry;
use overseas_shared::domain::EmailAddress;
use overseas_shared::secret::hash_password;

#[derive(Args)]
pub(crate) struct Options {
    /// The address to log in with
    #[arg(long)]
    email: String,
    /// Read the password from standard input instead of asking for it
    #[arg(long)]
    password_stdin: bool,
}

pub(crate) async fn run(config: &Config, options: Options) -> Result<()> {
    let email = EmailAddress::parse(&options.email)?;
    let password_hash = hash_password(&password::read(config, options.password_stdin)?).await?;
    let db = wire::current_database(config).await?;
    let entry = NewEntry::by_command(Clock::system().now(), "create_superuser", email.as_str(), "");
    match account::find_user(&db, &email).await? {
        Some(user) => {
            account::reset_password(&db, user.id, Role::Staff, &password_hash, &entry).await?;
            say!("{email} is staff now and has a new password; its sessions have ended");
        }
        None => {
            let new = NewUser { email: email.clone(), role: Role::Staff, password_hash, operate_right: true };
            account::create_user(&db, &new, &entry).await?;
            say!("{email} is staff now");
        }
    }
    db.close().await;
    Ok(())
}
