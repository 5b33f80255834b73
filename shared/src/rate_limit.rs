//! How often a caller may call: a token bucket for each caller, in Redis or in this process.
//!
//! In Redis all API processes share one bucket. A busy caller's process takes several calls out of it at
//! once and gives them out from memory, so that not every request costs a trip; what it does not use within
//! a second is lost. When Redis is away, each process counts by itself: a limit is no reason to refuse work.
//! Called by the API for every request.

use crate::clock::Clock;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Callers that are remembered before those who have been quiet are forgotten.
const MOST_CALLERS: usize = 20_000;
/// Calls that are taken out of the shared bucket at once, at most, and not more than a part of it.
const MOST_AT_ONCE: u32 = 50;
const PART_AT_ONCE: u32 = 40;
/// How long calls that were taken are good, and how long a refusal is repeated without asking, in milliseconds.
const GOOD_FOR: i64 = 1_000;
/// Longer than this a request does not wait for Redis.
const PATIENCE: Duration = Duration::from_millis(100);
/// After a failure Redis is left alone for this many milliseconds.
const REDIS_PAUSE: i64 = 1_000;

/// The limit of one caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Calls that may come at once after a pause.
    pub burst: u32,
    /// Calls a second that may follow.
    pub per_second: u32,
}

/// What a caller is told of its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether this call may go on.
    pub allowed: bool,
    /// Calls that may still come at once. With several API processes what is known here, which may be less.
    pub remaining: u32,
    /// Milliseconds until the bucket is full again.
    pub full_in: i64,
    /// Milliseconds until the next call is worth making; 0 when this one was allowed.
    pub retry_in: i64,
}

/// What this process knows of a caller.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// Calls in the bucket, in thousandths; with Redis, calls that were taken out of the shared one.
    level: i64,
    /// When `level` was true, UTC milliseconds.
    at: i64,
    /// With Redis: how many calls were taken last.
    taken: u32,
    /// With Redis: what was left in the shared bucket.
    left: u32,
    /// Refused until then, UTC milliseconds.
    refused_until: i64,
}

/// The buckets of all callers.
pub struct RateLimiter {
    limit: Limit,
    clock: Clock,
    known: Mutex<HashMap<String, Known>>,
    shared: Option<Shared>,
}

struct Shared {
    connection: ConnectionManager,
    prefix: String,
    script: redis::Script,
    away_until: Mutex<i64>,
}

/// Takes up to ARGV[1] calls out of the bucket; answers how many it got, what is left, and in how many
/// milliseconds there is one. Levels are in thousandths of a call. Redis' own clock counts.
const TAKE: &str = "
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local wanted, burst, rate = tonumber(ARGV[1]), tonumber(ARGV[2]) * 1000, tonumber(ARGV[3])
local state = redis.call('HMGET', KEYS[1], 'level', 'at')
local level, at = tonumber(state[1]) or burst, tonumber(state[2]) or ms
level = math.min(burst, level + math.max(0, ms - at) * rate)
local got = math.min(wanted, math.floor(level / 1000))
level = level - got * 1000
redis.call('HSET', KEYS[1], 'level', level, 'at', ms)
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - level) / rate) + 1000)
local wait = 0
if got == 0 then wait = math.ceil((1000 - level) / rate) end
return {got, math.floor(level / 1000), wait}
";

impl RateLimiter {
    /// Buckets in Redis if `url` names one, otherwise in this process. Redis need not answer yet.
    ///
    /// # Errors
    /// [`redis::RedisError`] when the address cannot be read.
    pub fn open(url: &str, prefix: &str, limit: Limit, clock: Clock) -> Result<Self, redis::RedisError> {
        let shared = if url == "memory" {
            None
        } else {
            let timing = ConnectionManagerConfig::new()
                .set_response_timeout(Some(PATIENCE))
                .set_connection_timeout(Some(Duration::from_secs(2)))
                .set_max_delay(Duration::from_secs(2));
            let connection = redis::Client::open(url)?.get_connection_manager_lazy(timing)?;
            let script = redis::Script::new(TAKE);
            Some(Shared { connection, prefix: format!("{prefix}:rate"), script, away_until: Mutex::new(0) })
        };
        let limit = Limit { burst: limit.burst.max(1), per_second: limit.per_second.max(1) };
        Ok(Self { limit, clock, known: Mutex::default(), shared })
    }

    /// The limit that every caller has.
    #[must_use]
    pub const fn limit(&self) -> Limit {
        self.limit
    }

    /// Counts one call of this caller.
    pub async fn take(&self, caller: &str) -> Verdict {
        let now = self.clock.now();
        let Some(shared) = &self.shared else { return self.take_here(caller, now) };
        if let Some(verdict) = self.take_known(caller, now) {
            return verdict;
        }
        if now < *shared.away_until.lock().unwrap_or_else(PoisonError::into_inner) {
            return self.take_here(caller, now);
        }
        let wanted = self.next_share(caller, now);
        match self.take_shared(shared, caller, wanted).await {
            Ok((got, left, wait)) => self.note(caller, now, wanted, got, left, wait),
            Err(reason) => {
                tracing::warn!(reason, "Redis is away; calls are counted by each process for itself");
                *shared.away_until.lock().unwrap_or_else(PoisonError::into_inner) = now + REDIS_PAUSE;
                self.take_here(caller, now)
            }
        }
    }

    async fn take_shared(&self, shared: &Shared, caller: &str, wanted: u32) -> Result<(u32, u32, i64), String> {
        let mut connection = shared.connection.clone();
        let mut call = shared.script.key(format!("{}:{caller}", shared.prefix));
        call.arg(wanted).arg(self.limit.burst).arg(self.limit.per_second);
        let answer = tokio::time::timeout(PATIENCE, call.invoke_async(&mut connection)).await;
        answer.map_err(|_| "no answer in time".to_owned())?.map_err(|error: redis::RedisError| error.to_string())
    }

    /// A bucket of this process alone.
    fn take_here(&self, caller: &str, now: i64) -> Verdict {
        let (burst, rate) = (i64::from(self.limit.burst) * 1000, i64::from(self.limit.per_second));
        let mut known = self.known(now);
        let full = Known { level: burst, at: now, taken: 0, left: 0, refused_until: 0 };
        let bucket = known.entry(caller.to_owned()).or_insert(full);
        // One that was counted in Redis until now starts full.
        if bucket.taken > 0 {
            *bucket = full;
        }
        bucket.level = burst.min(bucket.level.saturating_add((now - bucket.at).max(0).saturating_mul(rate)));
        bucket.at = now;
        let allowed = bucket.level >= 1000;
        if allowed {
            bucket.level -= 1000;
        }
        Verdict {
            allowed,
            remaining: u32::try_from(bucket.level / 1000).unwrap_or(0),
            full_in: (burst - bucket.level + rate - 1) / rate,
            retry_in: if allowed { 0 } else { (1000 - bucket.level + rate - 1) / rate },
        }
    }

    /// What can be decided without asking Redis: calls that were taken before, or a refusal that still holds.
    fn take_known(&self, caller: &str, now: i64) -> Option<Verdict> {
        let mut known = self.known(now);
        let bucket = known.get_mut(caller)?;
        if bucket.refused_until > now {
            return Some(self.verdict(false, 0, bucket.refused_until - now));
        }
        if bucket.taken == 0 || bucket.level < 1000 || now - bucket.at >= GOOD_FOR {
            return None;
        }
        bucket.level -= 1000;
        let held = u32::try_from(bucket.level / 1000).unwrap_or(0);
        Some(self.verdict(true, bucket.left.saturating_add(held), 0))
    }

    /// Twice as many as last time if those were used up in time, otherwise one.
    fn next_share(&self, caller: &str, now: i64) -> u32 {
        let most = (self.limit.burst / PART_AT_ONCE).clamp(1, MOST_AT_ONCE);
        match self.known(now).get(caller) {
            Some(bucket) if bucket.level < 1000 && now - bucket.at < GOOD_FOR => {
                bucket.taken.saturating_mul(2).clamp(1, most)
            }
            _ => 1,
        }
    }

    fn note(&self, caller: &str, now: i64, wanted: u32, got: u32, left: u32, wait: i64) -> Verdict {
        let mut known = self.known(now);
        let allowed = got > 0;
        let held = got.saturating_sub(1);
        let refused_until = if allowed { 0 } else { now + wait.clamp(1, GOOD_FOR) };
        let before = known.get(caller).filter(|bucket| bucket.taken > 0 && now - bucket.at < GOOD_FOR);
        // Another request of this caller may have asked meanwhile.
        let level = before.map_or(0, |bucket| bucket.level.max(0)) + i64::from(held) * 1000;
        known.insert(caller.to_owned(), Known { level, at: now, taken: wanted, left, refused_until });
        self.verdict(allowed, left.saturating_add(held), wait)
    }

    fn verdict(&self, allowed: bool, remaining: u32, retry_in: i64) -> Verdict {
        let missing = i64::from(self.limit.burst.saturating_sub(remaining)) * 1000;
        Verdict { allowed, remaining, full_in: missing / i64::from(self.limit.per_second), retry_in }
    }

    fn known(&self, now: i64) -> MutexGuard<'_, HashMap<String, Known>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_CALLERS {
            let refilled = 1_000 * i64::from(self.limit.burst) / i64::from(self.limit.per_second) + GOOD_FOR;
            known.retain(|_, bucket| now - bucket.at < refilled);
            if known.len() >= MOST_CALLERS {
                known.clear();
            }
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(clock: &Clock, burst: u32, per_second: u32) -> RateLimiter {
        RateLimiter::open("memory", "test", Limit { burst, per_second }, clock.clone()).unwrap()
    }

    #[tokio::test]
    async fn a_burst_is_allowed_and_then_so_many_a_second() {
        let clock = Clock::system();
        let limiter = limiter(&clock, 5, 2);
        for left in (0..5).rev() {
            let verdict = limiter.take("a").await;
            assert!(verdict.allowed);
            // The clock runs on by itself a little.
            assert!(verdict.remaining.abs_diff(left) <= 1, "{verdict:?}");
        }
        let refused = limiter.take("a").await;
        assert!(!refused.allowed && (1..=500).contains(&refused.retry_in), "{refused:?}");
        assert!(limiter.take("b").await.allowed, "another caller has a bucket of its own");
        clock.advance(refused.retry_in);
        assert!(limiter.take("a").await.allowed);
        assert!(!limiter.take("a").await.allowed);
        clock.advance(3_600_000);
        let full = limiter.take("a").await;
        assert_eq!((full.remaining, full.retry_in), (4, 0), "a bucket does not grow above its burst");
    }

    #[tokio::test]
    async fn a_redis_that_is_away_refuses_nobody_at_once_but_limits_still() {
        let clock = Clock::system();
        let limit = Limit { burst: 3, per_second: 1 };
        let limiter = RateLimiter::open("redis://127.0.0.1:1/0", "test", limit, clock.clone()).unwrap();
        let mut allowed = 0;
        for _ in 0..6 {
            allowed += u32::from(limiter.take("a").await.allowed);
        }
        assert_eq!(allowed, 3);
    }

    #[tokio::test]
    async fn memory_does_not_grow_with_callers() {
        let clock = Clock::system();
        let limiter = limiter(&clock, 5, 5);
        for caller in 0..(MOST_CALLERS * 2) {
            limiter.take(&caller.to_string()).await;
        }
        assert!(limiter.known.lock().unwrap().len() <= MOST_CALLERS);
    }
}
