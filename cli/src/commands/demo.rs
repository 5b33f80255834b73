//! The demo of the embedded default: a simulator as the vendors, a superuser, a user and domains, and
//! what to try.
//!
//! Called by `up` where no CDN is configured. Filling is idempotent, so a second start changes nothing.

use anyhow::Result;
use chrono::NaiveDate;
use overseas_shared::clock::Clock;
use overseas_shared::config::{CdnConfig, Config};
use overseas_shared::db::account::{self, NewCompany, NewUser, Role};
use overseas_shared::db::audit::NewEntry;
use overseas_shared::db::log::{self, Asked};
use overseas_shared::db::{Database, DbError, catalogue, mapping, place};
use overseas_shared::domain::log::{date_of, day_number};
use overseas_shared::domain::{DomainName, EmailAddress, Scope};
use overseas_shared::secret::hash_password;
use overseas_simulator::{PropertyConfig, Simulator};
use overseas_worker::Context;
use overseas_worker::jobs::sync;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

const ADMIN: (&str, &str) = ("admin@example.com", "admin");
const USER: (&str, &str) = ("user@example.com", "user");
/// An account in the ops directory that is no user yet, for the documented example of making one.
const OWNER: &str = "owner@example.com";
/// A domain that two CDNs serve.
const SHARED: &str = "shared.example.com";
/// The demo user's domains, by CDN.
const DOMAINS: [(&str, &[&str]); 3] = [
    (
        "level3",
        &["cdn.example.com", "www.example.com", "a.example.com", "b.example.com", "photo.img.example.com", SHARED],
    ),
    ("tencent", &["shop.example.com", SHARED]),
    ("edgeone", &["www.example.org"]),
];
/// The domain of the documented example.
const DOCUMENTED: &str = "cdn.example.com";

/// Starts the simulator and points the settings at it.
pub(crate) async fn configure(config: &mut Config) -> Result<Simulator> {
    let mut data = overseas_simulator::Config::demo();
    let delivery = Path::new(&config.logs.staging).with_file_name("demo-log-delivery");
    data.log_folder = Some(delivery.clone());
    share_a_domain(&mut data);
    let keys = [
        ("level3", data.keys.first().map(|key| (key.id.clone(), key.secret.clone()))),
        ("tencent", data.tencent.as_ref().map(|account| (account.secret_id.clone(), account.secret_key.clone()))),
        ("edgeone", data.edgeone.as_ref().map(|account| (account.secret_id.clone(), account.secret_key.clone()))),
    ];
    // The usual ports are easier to remember, but any will do.
    let simulator = match overseas_simulator::start(data.clone()).await {
        Ok(simulator) => simulator,
        Err(_) => overseas_simulator::start(data.on_free_ports()).await?,
    };
    for (vendor, key) in keys {
        let (key_id, secret) = key.unwrap_or_default();
        let mut settings = CdnConfig {
            base_url: Some(simulator.vendor_url()),
            key_id: Some(key_id),
            secret: Some(secret.into()),
            poll_seconds: 2,
            ..CdnConfig::new(vendor)
        };
        if vendor == "level3" {
            settings.edge = Some(simulator.edge_address().to_string());
            settings.logs = Some(delivery.display().to_string());
        }
        config.cdn.insert(vendor.to_owned(), settings);
    }
    for loopback in ["127.0.0.0/8", "::1/128"] {
        config.http.trusted_networks.push(loopback.parse()?);
    }
    config.auth.min_password_length = 1;
    Ok(simulator)
}

/// Puts one domain at two CDNs in place of the one that the documented example is about, which has one CDN.
fn share_a_domain(data: &mut overseas_simulator::Config) {
    let domains = data.tencent.iter_mut().flat_map(|account| &mut account.domains);
    for domain in domains.filter(|domain| domain.name == DOCUMENTED) {
        domain.name = SHARED.to_owned();
    }
    let services = data.access_groups.iter_mut().flat_map(|group| &mut group.services);
    for service in services {
        let like = service.properties.iter().find(|property| property.name == DOCUMENTED).cloned();
        service.properties.extend(like.map(|like| PropertyConfig { name: SHARED.to_owned(), ..like }));
    }
}

/// Makes the demo's accounts and mappings where they are missing.
pub(crate) async fn fill(db: &Database) -> Result<()> {
    let now = Clock::system().now();
    for (name, owner) in [("Demo Company", USER.0), ("Second Demo Company", OWNER)] {
        let company = NewCompany {
            name: name.to_owned(),
            alias: name.to_owned(),
            owner_name: "Example Owner".to_owned(),
            owner_email: EmailAddress::parse(owner)?,
        };
        let entry = NewEntry::by_command(now, "create_company", name, "demo");
        match account::create_company(db, &company, &entry).await {
            Ok(_) | Err(DbError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    for ((email, password), role) in [(ADMIN, Role::Staff), (USER, Role::User)] {
        let email = EmailAddress::parse(email)?;
        if account::find_user(db, &email).await?.is_none() {
            let password_hash = hash_password(password).await?;
            let entry = NewEntry::by_command(now, "create_user", email.as_str(), "demo");
            account::create_user(db, &NewUser { email, role, password_hash, operate_right: true }, &entry).await?;
        }
    }
    let user = account::find_user(db, &EmailAddress::parse(USER.0)?).await?;
    if let Some(user) = user
        && mapping::domains_of(db, user.id).await?.is_empty()
    {
        for (cdn, names) in DOMAINS {
            let cdn_id = catalogue::ensure_cdn(db, cdn, now).await?;
            let domains = names.iter().map(|name| DomainName::parse(name)).collect::<Result<Vec<_>, _>>()?;
            let entry = NewEntry::by_command(now, "map_domains", USER.0, "demo");
            mapping::change_domains(db, user.id, &[cdn_id], mapping::Change::Add(&domains), &entry).await?;
        }
    }
    Ok(())
}

/// Reads the simulated vendors' catalogues.
pub(crate) async fn read_catalogue(context: &Context) -> Result<()> {
    for account in &context.accounts {
        sync::groups(&context.db, &context.clock, account).await?;
        sync::services(&context.db, &context.clock, account).await?;
    }
    ask_for_documented_logs(context).await
}

/// Asks for the days of the documented example, which the simulated vendor delivers for ever.
async fn ask_for_documented_logs(context: &Context) -> Result<()> {
    let domain = DomainName::parse(DOCUMENTED)?;
    let places = place::places(&context.db, Scope::All, Some(&[domain]), None).await?;
    let first = NaiveDate::from_ymd_opt(2016, 9, 28).map_or(0, day_number);
    let days = places
        .iter()
        .filter_map(|place| Some((place.property_id?, place.cdn_id)))
        .flat_map(|(id, cdn)| (first..first + 3).map(move |day| Asked { property_id: id, cdn_id: cdn, day }));
    log::ask(&context.db, &days.collect::<Vec<_>>(), context.clock.now()).await?;
    Ok(())
}

/// Says what runs and what to try.
pub(crate) fn greet(config: &Config, address: SocketAddr, simulator: Option<&Simulator>) {
    // A reader that has gone away does not matter.
    let _ = std::io::stdout().write_all(greeting(config, address, simulator).as_bytes());
}

fn greeting(config: &Config, address: SocketAddr, simulator: Option<&Simulator>) -> String {
    let (base, version) = (format!("http://{address}"), env!("CARGO_PKG_VERSION"));
    let database = overseas_shared::config::without_password(&config.database.url);
    let head = format!(
        "Overseas {version} runs. Press Ctrl-C to stop.\n\n  API and Swagger UI   {base}/docs\n  Database             {database}\n"
    );
    let Some(simulator) = simulator else {
        let names: Vec<&str> = config.cdn.keys().map(String::as_str).collect();
        return format!("{head}  CDNs                 {}\n", names.join(", "));
    };
    let now = Clock::system().now_seconds();
    let yesterday = now - 86_400;
    let day = |back: i64| date_of(now.div_euclid(86_400) - back);
    let (first_day, last_day) = (day(3).format("%Y%m%d"), day(1).format("%Y%m%d"));
    let yesterday_date = day(1).format("%Y-%m-%d");
    let (vendor, (staff, staff_password), (user, password)) = (simulator.vendor_url(), ADMIN, USER);
    format!(
        "{head}  Simulated vendors    {vendor}  (no CDN is configured, so this is a demo of level3, tencent and edgeone)
  Staff                {staff} / {staff_password}
  User                 {user} / {password}

Try, in another terminal:

  # refresh two URLs
  curl -s {base}/level3/refresh -d login_email={user} -d 'path=http://cdn.example.com/test.html|http://cdn.example.com/test1.html'
  # follow the task to 100 %, some ten seconds
  curl -s '{base}/level3/refresh_list?login_email={user}&limit=1'
  # one domain at two CDNs: what a refresh would cost, and one that gives a task at each
  curl -s {base}/level3/refresh -d login_email={user} -d path=http://{SHARED}/ -d dry_run=true
  curl -s {base}/level3/refresh -d login_email={user} -d path=http://{SHARED}/
  # what each CDN can do, and what is left of its quotas today
  curl -s {base}/level3/capabilities
  # bring a page to the edge before it is asked for
  curl -s {base}/level3/preload -d login_email={user} -d path=http://www.example.com/index.html
  curl -s '{base}/level3/preload_list?login_email={user}&limit=1'
  # bandwidth of the last day, as far as the vendor has delivered
  curl -s '{base}/level3/bandwidths?domain=cdn.example.com&interval=3600&summary=true&startTime={yesterday}&endTime={now}'
  # traffic by city
  curl -s '{base}/level3/fluxs/area?domain=cdn.example.com&startTime={yesterday}&endTime={now}'
  # access logs of the last days; `url` is a link that works as it is, `gzip -d` reads the file
  curl -s '{base}/level3/logdownload?domain=cdn.example.com&startDate={first_day}&endDate={last_day}'
  curl -s {base}/level3/log/{yesterday_date}-cdn.example.com.log.gz | gzip -d | head -3
  # what there is
  curl -s {base}/level3/domains
  # a token, as callers from elsewhere need it
  curl -s {base}/level3/login -d login_email={user} -d password={password}

"
    )
}
