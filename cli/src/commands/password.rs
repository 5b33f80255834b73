//! A password from the operator, asked for twice or read from standard input.
//!
//! Never an argument: those show in the process list and in the shell's history. The rule for its length is
//! the API's. Called by `superuser` and `user`.

use anyhow::{Result, anyhow, bail};
use overseas_shared::config::Config;
use overseas_shared::secret::check_length;

/// Reads a password and holds it to the rule.
pub(crate) fn read(config: &Config, from_stdin: bool) -> Result<String> {
    let password = if from_stdin { line()? } else { ask()? };
    check_length(&password, config.auth.min_password_length).map_err(|error| anyhow!("the password is {error}"))?;
    Ok(password)
}

fn line() -> Result<String> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn ask() -> Result<String> {
    let password = rpassword::prompt_password("Password: ")?;
    if rpassword::prompt_password("Again: ")? != password {
        bail!("the two passwords are not the same");
    }
    Ok(password)
}
