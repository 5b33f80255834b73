//! What is different about each vendor for the suite that all of them pass: where its simulator stands, and which requests
//! and faults are its own.
//!
//! A world has one account, named after its vendor, whose domains the user has. Called by the suite.

use crate::support::{Kind, World, world::USER};
use overseas_shared::config::{CdnConfig, Config};
use overseas_simulator::{
    FaultKind, FaultRule, FaultTarget, Operation, UsageChange, edgeone_log_lines, edgeone_usage, tencent_log_lines,
    tencent_usage,
};

/// A vendor in the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vendor {
    Level3,
    Tencent,
    EdgeOne,
}

const HOUR: i64 = 3600;

/// The settings of an account at the simulator that this configuration has Level 3 at.
pub(crate) fn account(config: &Config, vendor: &str) -> CdnConfig {
    let level3 = config.cdn.get("level3").expect("a world begins with an account at Level 3");
    let demo = overseas_simulator::Config::demo();
    let (key_id, secret) = match vendor {
        "tencent" => demo.tencent.map(|account| (account.secret_id, account.secret_key)),
        "edgeone" => demo.edgeone.map(|account| (account.secret_id, account.secret_key)),
        _ => return level3.clone(),
    }
    .expect("it is in the demo data");
    CdnConfig {
        base_url: level3.base_url.clone(),
        key_id: Some(key_id),
        secret: Some(secret.into()),
        timeout_seconds: 3,
        rate_limit_pause_seconds: 1,
        ..CdnConfig::new(vendor)
    }
}

impl Vendor {
    /// The name of the vendor and of the account.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Level3 => "level3",
            Self::Tencent => "tencent",
            Self::EdgeOne => "edgeone",
        }
    }

    /// A domain with traffic and logs.
    pub(super) fn domain(self) -> &'static str {
        match self {
            Self::Level3 => "cdn.example.com",
            Self::Tencent => "shop.example.com",
            Self::EdgeOne => "www.example.org",
        }
    }

    /// A domain without traffic.
    pub(super) fn quiet_domain(self) -> &'static str {
        match self {
            Self::Level3 => "www.example.com",
            Self::Tencent => "old.shop.example.com",
            Self::EdgeOne => "old.example.org",
        }
    }

    /// A URL of the domain.
    pub(super) fn url(self, path: &str) -> String {
        format!("http://{}{path}", self.domain())
    }

    /// A world with this account alone.
    pub(super) async fn world(self) -> World {
        let settings = move |config: &mut Config| {
            let mut account = account(config, self.name());
            if self == Self::Level3 {
                // One call after the other, so that a fault meets the one that is meant.
                account.max_concurrency = 1;
            }
            config.cdn.clear();
            config.cdn.insert(self.name().to_owned(), account);
        };
        let world = World::with(Kind::Mariadb, settings, |_| {}).await;
        world.map_at(self.name(), USER, &[self.domain(), self.quiet_domain()]).await;
        world
    }

    /// The request that refreshes URLs.
    pub(super) fn submits(self) -> Operation {
        match self {
            Self::Level3 => Operation::Invalidate,
            Self::Tencent => Operation::TencentPurgeUrlsCache,
            Self::EdgeOne => Operation::EdgeOneCreatePurgeTask,
        }
    }

    /// The request that tells how far a refresh is.
    pub(super) fn lists(self) -> Operation {
        match self {
            Self::Level3 => Operation::Invalidations,
            Self::Tencent => Operation::TencentDescribePurgeTasks,
            Self::EdgeOne => Operation::EdgeOneDescribePurgeTasks,
        }
    }

    /// A fault of one kind of request.
    pub(super) fn fault(operation: Operation, kind: FaultKind) -> FaultRule {
        FaultRule { operation: FaultTarget::Only(operation), ..FaultRule::new(kind) }
    }

    /// The vendor's words for these, on one kind of request.
    fn refusal(self, operation: Operation, level3: FaultRule, code: &str) -> FaultRule {
        match self {
            Self::Level3 => FaultRule { operation: FaultTarget::Only(operation), ..level3 },
            _ => FaultRule { code: Some(code.to_owned()), ..Self::fault(operation, FaultKind::Error) },
        }
    }

    /// The call rate is exceeded.
    pub(super) fn rate_limit(self, operation: Operation) -> FaultRule {
        self.refusal(operation, FaultRule::new(FaultKind::Forbidden), "RequestLimitExceeded")
    }

    /// The credentials are refused.
    pub(super) fn wrong_key(self, operation: Operation) -> FaultRule {
        let unauthorized = FaultRule { status: Some(401), ..FaultRule::new(FaultKind::Status) };
        self.refusal(operation, unauthorized, "AuthFailure.SignatureFailure")
    }

    /// What may be done today is used up; `None` for a vendor that does not count.
    pub(super) fn quota(self) -> Option<FaultRule> {
        let code = match self {
            Self::Level3 => return None,
            Self::Tencent => "LimitExceeded.CdnPurgeUrlExceedDayLimit",
            Self::EdgeOne => "LimitExceeded.DailyQuota",
        };
        Some(self.refusal(self.submits(), FaultRule::new(FaultKind::Forbidden), code))
    }

    /// Has the vendor refuse or fail this URL for as long as it is asked.
    pub(super) fn spoil(self, world: &World, text: &str) {
        match self {
            // It refuses a request wholly: the one for both, then the one for the task whose turn is second.
            Self::Level3 => {
                let refused = FaultRule { status: Some(400), times: Some(1), ..FaultRule::new(FaultKind::Status) };
                let rule = FaultRule { operation: FaultTarget::Only(self.submits()), ..refused };
                world.control.set_faults(vec![rule.clone(), FaultRule { skip: 1, ..rule }]).unwrap();
            }
            _ => world.control.refuse_urls(vec![text.to_owned()]).unwrap(),
        }
    }

    /// Has the vendor list all requests in a state that nobody knows.
    pub(super) fn confuse(self, world: &World) {
        match self {
            Self::Level3 => world.control.set_faults(vec![Self::fault(self.lists(), FaultKind::Forget)]).unwrap(),
            _ => world.control.task_state(Some("pondering".to_owned())),
        }
    }

    /// The begin of a UTC day with traffic that is told wholly; Unix seconds.
    pub(super) fn busy_day(self, world: &World) -> i64 {
        match self {
            Self::Level3 => 1_470_268_800,
            _ => {
                let now = world.clock.now_seconds();
                now - now.rem_euclid(86_400) - 2 * 86_400
            }
        }
    }

    /// Bytes of the domain in that day.
    pub(super) fn bytes_of_day(self, day: i64) -> u64 {
        let slots = (day..day + 86_400).step_by(300);
        match self {
            // The sum of the golden rows.
            Self::Level3 => 150_995 + 92_393_177 + 188_744 + 9_437 + 692_966_130 + 69_328_699 + 9_437,
            Self::Tencent => {
                slots.flat_map(|at| ["mainland", "overseas"].map(|area| tencent_usage(self.domain(), area, at).0)).sum()
            }
            Self::EdgeOne => slots.map(|at| edgeone_usage(self.domain(), at).0).sum(),
        }
    }

    /// Has the vendor tell statistics only when they are this old.
    pub(super) fn delay(self, world: &World, minutes: u32) {
        match self {
            Self::Level3 => {
                let change = UsageChange { delay_minutes: Some(minutes), ..UsageChange::default() };
                world.control.change_usage(&change).unwrap();
            }
            Self::Tencent => world.control.tencent_delay_minutes(minutes).unwrap(),
            Self::EdgeOne => world.control.edgeone_delay_minutes(minutes).unwrap(),
        }
    }

    /// The lines of a day's log, sorted as the file has them; the day is delivered where the vendor delivers.
    pub(super) fn log(self, world: &World, date: chrono::NaiveDate) -> Vec<String> {
        let day = date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp();
        let hours = (day..day + 24 * HOUR).step_by(3600);
        let areas = ["mainland", "overseas"];
        let mut lines: Vec<String> = match self {
            Self::Level3 => {
                let lines = [format!("{date} 10:13:24.250 HIT /a"), format!("{date} 11:13:24.250 HIT /b")];
                world.deliver(self.domain(), date, "a.gz", &format!("{}\n", lines.join("\n")));
                lines.to_vec()
            }
            Self::Tencent => hours
                .flat_map(|hour| areas.map(|area| tencent_log_lines(self.domain(), area, hour)))
                .flatten()
                .collect(),
            Self::EdgeOne => hours
                .flat_map(|hour| areas.map(|area| edgeone_log_lines(self.domain(), area, hour)))
                .flatten()
                .collect(),
        };
        lines.sort();
        lines
    }

    /// The time of a line of its logs.
    pub(super) fn time_of(self, line: &str) -> String {
        match self {
            Self::Level3 => line[..23].to_owned(),
            Self::Tencent => line[..14].to_owned(),
            Self::EdgeOne => {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                line["RequestTime"].as_str().unwrap().to_owned()
            }
        }
    }

    /// Whether a request whose answer was lost is found again, so that it is not made twice.
    pub(super) fn finds_lost_requests(self) -> bool {
        self != Self::Level3
    }
}
