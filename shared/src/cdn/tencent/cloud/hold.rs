//! When an account is to be left alone: after refused credentials, and when its call rate is exceeded.
//!
//! Each further refusal doubles the pause up to a bound, and a success begins anew. Calls that were under way together
//! and are refused together count once. A pure state machine: the time is passed in, `call.rs` asks it before every call
//! and tells it the outcome. Invariant: while a pause lasts, no call is let through.

use crate::cdn::CdnError;
use std::time::{Duration, Instant};

/// The first hold after refused credentials.
const FIRST_HOLD: Duration = Duration::from_secs(15);
/// The longest.
const LONGEST_HOLD: Duration = Duration::from_secs(15 * 60);
/// The first pause when the call rate is exceeded, as the vendor's SDKs begin.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

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

/// The state of one account.
#[derive(Debug)]
pub(super) struct Hold {
    longest_pause: Duration,
    refusals: u32,
    pause: Option<Pause>,
}

impl Hold {
    /// `longest_pause` is for an exceeded call rate.
    pub(super) fn new(longest_pause: Duration) -> Self {
        Self { longest_pause, refusals: 0, pause: None }
    }

    /// Lets a call through or says why not, and for how long.
    pub(super) fn check(&self, now: Instant) -> Result<(), CdnError> {
        match self.pause.as_ref().filter(|pause| now < pause.until) {
            Some(pause) => Err(error(&pause.reason, pause.until - now)),
            None => Ok(()),
        }
    }

    /// The vendor has answered a call that was sent at `started`.
    pub(super) fn succeeded(&mut self, started: Instant) {
        if self.pause.as_ref().is_none_or(|pause| started >= pause.until) {
            self.refusals = 0;
            self.pause = None;
        }
    }

    /// The call rate is exceeded. Gives the class of that answer.
    pub(super) fn throttled(&mut self, started: Instant, now: Instant) -> CdnError {
        self.begin(started, now, Reason::RateLimit, FIRST_PAUSE, self.longest_pause)
    }

    /// The credentials are refused; `message` is for people. Gives the class of that answer.
    pub(super) fn refused(&mut self, started: Instant, now: Instant, message: String) -> CdnError {
        self.begin(started, now, Reason::Credentials(message), FIRST_HOLD, LONGEST_HOLD)
    }

    fn begin(&mut self, started: Instant, now: Instant, reason: Reason, first: Duration, most: Duration) -> CdnError {
        if let Some(pause) = self.pause.as_ref().filter(|pause| started <= pause.began && now < pause.until) {
            return error(&pause.reason, pause.until - now);
        }
        let length = first.saturating_mul(1 << self.refusals.min(16)).min(most);
        self.refusals = self.refusals.saturating_add(1);
        self.pause = Some(Pause { began: now, until: now + length, reason: reason.clone() });
        error(&reason, length)
    }
}

fn error(reason: &Reason, retry_after: Duration) -> CdnError {
    match reason {
        Reason::RateLimit => CdnError::RateLimited { retry_after },
        Reason::Credentials(message) => CdnError::Credentials { message: message.clone(), retry_after },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(error: &CdnError) -> u64 {
        error.account_pause().unwrap().as_secs()
    }

    #[test]
    fn pauses_double_up_to_their_bounds_and_a_success_begins_anew() {
        let (mut hold, mut now) = (Hold::new(Duration::from_secs(5)), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..5 {
            let error = hold.throttled(now, now);
            pauses.push(seconds(&error));
            now += error.account_pause().unwrap();
        }
        assert_eq!(pauses, [1, 2, 4, 5, 5]);
        hold.succeeded(now);
        assert_eq!(seconds(&hold.refused(now, now, "no".to_owned())), 15);
        now += Duration::from_secs(16);
        assert_eq!(seconds(&hold.refused(now, now, "no".to_owned())), 30);
    }

    #[test]
    fn what_is_refused_together_counts_once_and_an_older_success_changes_nothing() {
        let (mut hold, start) = (Hold::new(Duration::from_secs(5)), Instant::now());
        let later = start + Duration::from_millis(10);
        assert_eq!(seconds(&hold.refused(start, later, "no".to_owned())), 15);
        assert_eq!(seconds(&hold.refused(start, later, "no".to_owned())), 15);
        hold.succeeded(start);
        assert!(hold.check(later).is_err());
        assert!(hold.check(later + Duration::from_secs(15)).is_ok());
    }

    proptest! {
        #[test]
        fn a_pause_holds_every_call_and_always_ends(steps in proptest::collection::vec((0..3u8, 0..40u64), 1..40)) {
            let (mut hold, mut now) = (Hold::new(Duration::from_secs(15)), Instant::now());
            for (step, wait) in steps {
                now += Duration::from_secs(wait);
                let error = match step {
                    0 => {
                        if hold.check(now).is_ok() {
                            hold.succeeded(now);
                        }
                        continue;
                    }
                    1 => hold.throttled(now, now),
                    _ => hold.refused(now, now, "no".to_owned()),
                };
                let pause = error.account_pause().unwrap();
                prop_assert!(pause <= LONGEST_HOLD);
                prop_assert!(hold.check(now).is_err());
                prop_assert!(hold.check(now + pause).is_ok());
            }
        }
    }
}
