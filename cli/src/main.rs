//! `overseas`, the one binary: parses arguments, wires the parts together, calls them. No logic.
//!
//! Without a command it runs `up`: API and worker in one process, and where no CDN is configured a
//! simulator with demo data. A failure is one message on standard error and exit code 1.

mod commands;
mod wire;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// One HTTP API for every CDN that a company buys.
#[derive(Parser)]
#[command(name = "overseas", version, about)]
struct Arguments {
    /// The configuration file; overseas.toml if it is there.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run API and worker in one process; without a configured CDN also a simulator with demo data (default)
    Up,
    /// Run the HTTP API
    Api,
    /// Run the background worker
    Worker,
    /// Change or show the database's schema
    Migrate {
        #[command(subcommand)]
        action: commands::migrate::Action,
    },
    /// Make a member of staff, or give one a new password
    Createsuperuser(commands::superuser::Options),
    /// List users, give one a new password
    User {
        #[command(subcommand)]
        action: commands::user::Action,
    },
    /// Give, list and take back API tokens
    Token {
        #[command(subcommand)]
        action: commands::token::Action,
    },
    /// Read the access groups of all accounts from the vendors
    SyncAg,
    /// Read the services and properties of all accounts from the vendors
    SyncService,
    /// Read a range of usage from the vendors again
    SyncUsage(commands::usage::SyncOptions),
    /// Make the daily logs of a date anew
    SyncLogs(commands::logs::SyncOptions),
    /// Stored usage
    Usage {
        #[command(subcommand)]
        action: commands::usage::Action,
    },
    /// Run the simulator of the vendors alone
    Simulate(commands::simulate::Options),
    /// Write the OpenAPI document to standard output
    Openapi,
    /// Check everything that the service needs, one line each
    Doctor,
    /// Ask a running process whether it is ready; exit code 0 if so
    Health(commands::health::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("overseas: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(run(arguments));
    // Work that was cut off by the end of a grace period must not hold the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("overseas: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode> {
    let file = arguments.config.as_deref();
    match arguments.command.unwrap_or(Command::Up) {
        Command::Up => commands::up::run(wire::config(file)?).await?,
        Command::Api => commands::serve::api(wire::config(file)?).await?,
        Command::Worker => commands::serve::worker(wire::config(file)?).await?,
        Command::Migrate { action } => commands::migrate::run(&wire::config(file)?, action).await?,
        Command::Createsuperuser(options) => commands::superuser::run(&wire::config(file)?, options).await?,
        Command::User { action } => commands::user::run(&wire::config(file)?, action).await?,
        Command::Token { action } => commands::token::run(&wire::config(file)?, action).await?,
        Command::SyncAg => commands::sync::run(&wire::config(file)?, commands::sync::Part::Groups).await?,
        Command::SyncService => commands::sync::run(&wire::config(file)?, commands::sync::Part::Services).await?,
        Command::SyncUsage(options) => commands::usage::sync(&wire::config(file)?, options).await?,
        Command::SyncLogs(options) => commands::logs::sync(&wire::config(file)?, options).await?,
        Command::Usage { action } => commands::usage::run(&wire::config(file)?, action).await?,
        Command::Simulate(options) => commands::simulate::run(options).await?,
        Command::Openapi => commands::openapi::run()?,
        Command::Health(options) => commands::health::run(&wire::config(file)?, options).await?,
        Command::Doctor => return commands::doctor::run(&wire::config(file)?).await,
    }
    Ok(ExitCode::SUCCESS)
}
