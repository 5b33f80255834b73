//! The demo of the embedded default: a simulator as the vendor, a superuser, a user and domains, and
//! what to try.
//!
//! Called by `up` where no CDN is configured. Filling is idempotent, so a second start changes nothing.

#![expect(clippy::print_stdout, reason = "the greeting is for the person at the terminal")]

use anyhow::Result;
use overseas_shared::clock::Clock;
use overseas_shared::config::{CdnConfig, Config};
use overseas_shared::db::account::{self, NewCompany, NewUser, Role};
use overseas_shared::db::{Database, DbError, catalogue, mapping};
use overseas_shared::domain::{DomainName, EmailAddress};
use overseas_shared::secret::hash_password;
use overseas_simulator::Simulator;
use std::net::SocketAddr;

const CDN: &str = "level3";
const ADMIN: (&str, &str) = ("admin@example.com", "admin");
const USER: (&str, &str) = ("user@example.com", "user");
const DOMAINS: [&str; 5] =
    ["cdn.example.com", "www.example.com", "a.example.com", "b.example.com", "photo.img.example.com"];

/// Starts the simulator and points the settings at it.
pub(crate) async fn configure(config: &mut Config) -> Result<Simulator> {
    let data = overseas_simulator::Config::demo();
    let (key_id, secret) = data.keys.first().map(|key| (key.id.clone(), key.secret.clone())).unwrap_or_default();
    // The usual ports are easier to remember, but any will do.
    let simulator = match overseas_simulator::start(data.clone()).await {
        Ok(simulator) => simulator,
        Err(_) => overseas_simulator::start(data.on_free_ports()).await?,
    };
    let settings = CdnConfig {
        base_url: Some(simulator.vendor_url()),
        key_id: Some(key_id),
        secret: Some(secret.into()),
        poll_seconds: 2,
        edge: Some(simulator.edge_address().to_string()),
        ..CdnConfig::new("level3")
    };
    config.cdn.insert(CDN.to_owned(), settings);
    for loopback in ["127.0.0.0/8", "::1/128"] {
        config.http.trusted_networks.push(loopback.parse()?);
    }
    config.auth.min_password_length = 1;
    Ok(simulator)
}

/// Makes the demo's accounts and mappings where they are missing.
pub(crate) async fn fill(db: &Database) -> Result<()> {
    let now = Clock::system().now();
    let company = NewCompany {
        name: "Example Company".to_owned(),
        alias: "example".to_owned(),
        owner_name: "Example User".to_owned(),
        owner_email: EmailAddress::parse(USER.0)?,
    };
    match account::create_company(db, &company, now).await {
        Ok(_) | Err(DbError::Conflict(_)) => {}
        Err(error) => return Err(error.into()),
    }
    for ((email, password), role) in [(ADMIN, Role::Staff), (USER, Role::User)] {
        let email = EmailAddress::parse(email)?;
        if account::find_user(db, &email).await?.is_none() {
            let password_hash = hash_password(password).await?;
            account::create_user(db, &NewUser { email, role, password_hash, operate_right: true }, now).await?;
        }
    }
    let user = account::find_user(db, &EmailAddress::parse(USER.0)?).await?;
    let cdn_id = catalogue::ensure_cdn(db, CDN, now).await?;
    let domains = DOMAINS.iter().map(|name| DomainName::parse(name)).collect::<Result<Vec<_>, _>>()?;
    if let Some(user) = user
        && mapping::domains_of(db, user.id).await?.is_empty()
    {
        mapping::map_domains(db, user.id, cdn_id, &domains, false).await?;
    }
    Ok(())
}

/// Says what runs and what to try.
pub(crate) fn greet(config: &Config, address: SocketAddr, simulator: Option<&Simulator>) {
    let base = format!("http://{address}");
    println!("Overseas {} runs. Press Ctrl-C to stop.\n", env!("CARGO_PKG_VERSION"));
    println!("  API and Swagger UI   {base}/docs");
    println!("  Database             {}", overseas_shared::config::without_password(&config.database.url));
    let Some(simulator) = simulator else {
        println!("  CDNs                 {}", config.cdn.keys().cloned().collect::<Vec<_>>().join(", "));
        return;
    };
    println!("  Simulated vendor     {}  (no CDN is configured, so this is a demo)", simulator.vendor_url());
    println!("  Staff                {} / {}", ADMIN.0, ADMIN.1);
    println!("  User                 {} / {}\n", USER.0, USER.1);
    println!("Try, in another terminal:\n");
    println!("  # refresh two URLs");
    println!(
        "  curl -s {base}/level3/refresh -d login_email={} -d 'path=http://cdn.example.com/test.html|http://cdn.example.com/test1.html'",
        USER.0
    );
    println!("  # follow the task to 100 %, some ten seconds");
    println!("  curl -s '{base}/level3/refresh_list?login_email={}&limit=1'", USER.0);
    println!("  # bring a page to the edge before it is asked for");
    println!("  curl -s {base}/level3/preload -d login_email={} -d path=http://www.example.com/index.html", USER.0);
    println!("  curl -s '{base}/level3/preload_list?login_email={}&limit=1'", USER.0);
    println!("  # what there is");
    println!("  curl -s {base}/level3/domains");
    println!("  # a token, as callers from elsewhere need it");
    println!("  curl -s {base}/level3/login -d login_email={} -d password={}\n", USER.0, USER.1);
}
