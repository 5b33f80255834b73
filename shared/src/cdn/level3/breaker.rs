//! When the account is to be left alone, and what a 403 means.
//!
//! The vendor answers 403 both to a bad key, signature, date or scope and to too many calls (Level 3
//! Media Portal API help), with nothing that reliably tells one from the other. So the history
//! decides: a 403 before any success is about the credentials; after one it is the call rate, until
//! pause after pause has not helped. A pure state machine: the time is passed in, `call.rs` asks it
//! before every call and tells it the outcome. Invariant: while a pause lasts, no call is let through.

use crate::cdn::CdnError;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// So many pauses in a row must fail to help before a 403 is taken for the credentials' after all.
const PATIENCE: u32 = 5;
/// So long must one scope be refused, while others are not, before that is taken for an answer.
const SCOPE_PATIENCE: Duration = Duration::from_secs(30 * 60);
/// How many refused scopes are remembered.
const SCOPES_REMEMBERED: usize = 1000;
/// The first hold after refused credentials; each further one is twice as long. Short, because a
/// process that has just started cannot tell a rate limit from a bad key yet.
const FIRST_HOLD: Duration = Duration::from_secs(15);
/// The longest hold, and the longest wait that the vendor may ask for.
const LONGEST_HOLD: Duration = Duration::from_secs(15 * 60);

#[derive(Debug, Clone)]
enum Reason {
    RateLimit,
    Credentials(String),
}

#[derive(Debug, Clone)]
struct Pause {
    began: Instant,
    until: Instant,
    reason: Reason,
}

#[derive(Debug)]
struct Strikes {
    count: u32,
    first: Instant,
}

/// One call, as far as its refusal is concerned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt<'a> {
    /// Verb and path: what the key may be allowed to do or not.
    pub(super) scope: &'a str,
    /// When it was sent.
    pub(super) started: Instant,
}

/// The state of one account.
#[derive(Debug)]
pub(super) struct Breaker {
    rate_limit_pause: Duration,
    has_succeeded: bool,
    strikes: u32,
    holds: u32,
    scopes: HashMap<String, Strikes>,
    pause: Option<Pause>,
}

impl Breaker {
    pub(super) fn new(rate_limit_pause: Duration) -> Self {
        Self { rate_limit_pause, has_succeeded: false, strikes: 0, holds: 0, scopes: HashMap::new(), pause: None }
    }

    /// Lets a call through or says why not, and for how long.
    pub(super) fn check(&self, now: Instant) -> Result<(), CdnError> {
        let Some(pause) = self.pause.as_ref().filter(|pause| now < pause.until) else {
            return Ok(());
        };
        let retry_after = pause.until - now;
        Err(match &pause.reason {
            Reason::RateLimit => CdnError::RateLimited { retry_after },
            Reason::Credentials(message) => CdnError::Credentials { message: message.clone(), retry_after },
        })
    }

    /// The vendor has accepted a call.
    pub(super) fn succeeded(&mut self, attempt: Attempt<'_>, now: Instant) {
        self.has_succeeded = true;
        self.strikes = 0;
        self.holds = 0;
        self.scopes.remove(attempt.scope);
        // A call that went out before the refusal proves the key: the refusal was about the rate.
        if let Some(pause) = self.pause.as_mut().filter(|pause| now < pause.until)
            && matches!(pause.reason, Reason::Credentials(_))
        {
            pause.reason = Reason::RateLimit;
            pause.until = pause.until.min(now + self.rate_limit_pause);
        }
    }

    /// The vendor has answered 403; `message` is for people. Gives the class of that answer.
    pub(super) fn forbidden(&mut self, attempt: Attempt<'_>, now: Instant, message: String) -> CdnError {
        if let Some(same) = self.same_refusal(attempt, now) {
            return same;
        }
        self.strikes = self.strikes.saturating_add(1);
        if !self.has_succeeded || self.strikes > PATIENCE {
            return self.hold(now, message);
        }
        if self.is_scope_refused(attempt.scope, now) {
            return CdnError::Rejected(message);
        }
        self.begin(now, self.rate_limit_pause, Reason::RateLimit)
    }

    /// The vendor has refused the credentials in so many words.
    pub(super) fn unauthorized(&mut self, attempt: Attempt<'_>, now: Instant, message: String) -> CdnError {
        match self.same_refusal(attempt, now) {
            Some(same) => same,
            None => self.hold(now, message),
        }
    }

    /// Calls that were under way together are refused together: that is one refusal.
    fn same_refusal(&self, attempt: Attempt<'_>, now: Instant) -> Option<CdnError> {
        let pause = self.pause.as_ref()?;
        if attempt.started <= pause.began { self.check(now).err() } else { None }
    }

    fn hold(&mut self, now: Instant, message: String) -> CdnError {
        let hold = FIRST_HOLD.saturating_mul(1 << self.holds.min(8)).min(LONGEST_HOLD);
        self.holds = self.holds.saturating_add(1);
        self.begin(now, hold, Reason::Credentials(message))
    }

    /// The vendor has answered 429 and perhaps said for how long.
    pub(super) fn throttled(&mut self, now: Instant, retry_after: Option<Duration>) -> CdnError {
        let pause = retry_after.unwrap_or(self.rate_limit_pause).min(LONGEST_HOLD);
        self.begin(now, pause, Reason::RateLimit)
    }

    fn begin(&mut self, now: Instant, length: Duration, reason: Reason) -> CdnError {
        if let Err(longer) = self.check(now)
            && longer.account_pause() > Some(length)
        {
            return longer;
        }
        let retry_after = length;
        let error = match &reason {
            Reason::RateLimit => CdnError::RateLimited { retry_after },
            Reason::Credentials(message) => CdnError::Credentials { message: message.clone(), retry_after },
        };
        self.pause = Some(Pause { began: now, until: now + length, reason });
        error
    }

    /// A key may lack the right to one scope. Without this, asking for it again and again would
    /// keep the whole account waiting for ever.
    fn is_scope_refused(&mut self, scope: &str, now: Instant) -> bool {
        if self.scopes.len() >= SCOPES_REMEMBERED && !self.scopes.contains_key(scope) {
            self.scopes.clear();
        }
        let strikes = self.scopes.entry(scope.to_owned()).or_insert(Strikes { count: 0, first: now });
        strikes.count = strikes.count.saturating_add(1);
        strikes.count > PATIENCE && now.duration_since(strikes.first) >= SCOPE_PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAUSE: Duration = Duration::from_secs(15);

    struct Bench {
        breaker: Breaker,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            Self { breaker: Breaker::new(PAUSE), now: Instant::now() }
        }

        fn attempt(&self) -> Attempt<'static> {
            Attempt { scope: "GET /a", started: self.now }
        }

        fn wait(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }

        fn succeed(&mut self) {
            self.breaker.succeeded(self.attempt(), self.now);
        }

        fn refuse(&mut self) -> CdnError {
            self.breaker.forbidden(self.attempt(), self.now, "no".to_owned())
        }

        fn hold(&mut self) -> u64 {
            self.refuse().account_pause().unwrap().as_secs()
        }
    }

    #[test]
    fn the_first_403_is_about_the_credentials_and_holds_calls_ever_longer() {
        let mut bench = Bench::new();
        let mut holds = Vec::new();
        for _ in 0..7 {
            let error = bench.refuse();
            assert_eq!(error.class(), "credentials");
            let hold = error.account_pause().unwrap().as_secs();
            bench.wait(hold - 1);
            assert_eq!(bench.breaker.check(bench.now).unwrap_err().account_pause(), Some(Duration::from_secs(1)));
            bench.wait(1);
            assert_eq!(bench.breaker.check(bench.now), Ok(()));
            holds.push(hold);
        }
        assert_eq!(holds, [15, 30, 60, 120, 240, 480, 900]);
        bench.succeed();
        assert_eq!(bench.hold(), 15);
    }

    #[test]
    fn a_403_after_a_success_is_the_call_rate_until_five_pauses_did_not_help() {
        let mut bench = Bench::new();
        bench.succeed();
        for _ in 0..5 {
            assert_eq!(bench.refuse(), CdnError::RateLimited { retry_after: PAUSE });
            bench.wait(15);
        }
        assert_eq!(bench.refuse().class(), "credentials");
        bench.wait(15);
        bench.succeed();
        assert_eq!(bench.refuse().class(), "rate_limited");
    }

    #[test]
    fn calls_that_were_under_way_together_are_refused_once() {
        let mut bench = Bench::new();
        bench.succeed();
        let together = bench.attempt();
        bench.wait(1);
        for _ in 0..20 {
            let error = bench.breaker.forbidden(together, bench.now, "no".to_owned());
            assert_eq!(error, CdnError::RateLimited { retry_after: PAUSE });
        }
        assert_eq!(bench.breaker.strikes, 1);
        let mut bench = Bench::new();
        for _ in 0..3 {
            assert_eq!(bench.hold(), 15);
        }
    }

    #[test]
    fn a_success_beside_the_first_403_proves_the_key() {
        let mut bench = Bench::new();
        let together = bench.attempt();
        assert_eq!(bench.hold(), 15);
        bench.breaker.succeeded(together, bench.now);
        assert_eq!(bench.breaker.check(bench.now), Err(CdnError::RateLimited { retry_after: PAUSE }));
    }

    #[test]
    fn a_scope_that_alone_is_refused_for_half_an_hour_no_longer_holds_up_the_others() {
        let mut bench = Bench::new();
        let mut classes = Vec::new();
        for _ in 0..8 {
            bench.breaker.succeeded(Attempt { scope: "GET /b", started: bench.now }, bench.now);
            classes.push(bench.refuse().class());
            bench.wait(600);
        }
        assert_eq!(classes[..5], ["rate_limited"; 5]);
        assert_eq!(classes[5..], ["rejected"; 3]);
        assert_eq!(bench.breaker.check(bench.now), Ok(()));
    }

    #[test]
    fn a_429_waits_as_long_as_the_vendor_asks_within_reason() {
        let wait = |asked| {
            let bench = Bench::new();
            let mut breaker = bench.breaker;
            breaker.throttled(bench.now, asked).account_pause().unwrap().as_secs()
        };
        assert_eq!(wait(Some(Duration::from_secs(7))), 7);
        assert_eq!(wait(Some(Duration::from_secs(86_400))), 900);
        assert_eq!(wait(None), 15);
    }

    proptest! {
        #[test]
        fn a_pause_holds_every_call_and_always_ends(steps in proptest::collection::vec((0..4u8, 0..100u64), 1..60)) {
            let mut bench = Bench::new();
            let mut rate_is_possible = false;
            for (step, seconds) in steps {
                bench.wait(seconds);
                let error = match step {
                    0 => {
                        bench.succeed();
                        rate_is_possible = true;
                        continue;
                    }
                    1 => {
                        rate_is_possible = true;
                        bench.breaker.throttled(bench.now, Some(Duration::from_secs(seconds)))
                    }
                    2 => bench.breaker.unauthorized(bench.attempt(), bench.now, "no".to_owned()),
                    _ => {
                        let error = bench.refuse();
                        prop_assert!(rate_is_possible || error.class() == "credentials");
                        error
                    }
                };
                prop_assert!(!error.is_final() || step == 3);
                if let Some(pause) = error.account_pause() {
                    prop_assert!(pause <= LONGEST_HOLD);
                    let held = bench.breaker.check(bench.now).err().and_then(|held| held.account_pause());
                    prop_assert_eq!(held.unwrap_or_default(), pause);
                    prop_assert!(bench.breaker.check(bench.now + pause).is_ok());
                }
            }
        }
    }
}
