//! At most so many calls to one account at a time, over all workers.
//!
//! Each of an account's slots is a lease in the database. A worker takes slots as it needs them, keeps
//! them while it is busy, renews them, and gives them back when they have been idle for a moment, so
//! that a call usually costs no query; what a dead worker held is free when its lease ends.
//! After a while a busy worker gives a slot back for a moment, so that others get their turn.

use async_trait::async_trait;
use overseas_shared::cdn::{CallGate, CdnError, Permit};
use overseas_shared::clock::Clock;
use overseas_shared::db::{Database, lease};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// A slot's lease lasts this long without being renewed.
const LEASE: i64 = 9_000;
/// Leases are renewed this often.
const RENEWAL: Duration = Duration::from_secs(3);
/// An idle slot is kept this long.
const IDLE: i64 = 1_000;
/// A slot is given back after this long even by a busy worker.
const TURN: i64 = 10_000;
/// A slot that was given back in this way is left to others for this long.
const REST: i64 = 300;
/// How long to wait before looking again for a slot that another worker holds.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// One slot as this worker sees it.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// Whether this worker holds the lease.
    held: bool,
    /// Whether a call uses it.
    busy: bool,
    /// When it was taken.
    taken_at: i64,
    /// When it was last used.
    used_at: i64,
    /// When the lease ends.
    until: i64,
    /// Not to be taken before this.
    rests_until: i64,
}

#[derive(Default)]
struct AccountSlots {
    slots: Mutex<Vec<Slot>>,
    freed: Notify,
}

/// The gate that all workers share.
pub struct SharedGate {
    db: Database,
    clock: Clock,
    owner: String,
    accounts: Mutex<HashMap<String, Arc<AccountSlots>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lease_name(cdn: &str, slot: usize) -> String {
    format!("call/{cdn}/{slot}")
}

/// Gives the slot back to this worker's own pool.
struct BusySlot {
    account: Arc<AccountSlots>,
    index: usize,
    clock: Clock,
}

impl Drop for BusySlot {
    fn drop(&mut self) {
        if let Some(slot) = locked(&self.account.slots).get_mut(self.index) {
            slot.busy = false;
            slot.used_at = self.clock.now();
        }
        self.account.freed.notify_one();
    }
}

impl SharedGate {
    /// A gate for the worker `owner`, with a task that renews and gives back its slots until `stop`.
    #[must_use]
    pub fn start(db: Database, clock: Clock, owner: String, stop: CancellationToken) -> Arc<Self> {
        let gate = Arc::new(Self { db, clock, owner, accounts: Mutex::default() });
        let keeper = Arc::downgrade(&gate);
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(500));
            let mut renewed = tokio::time::Instant::now();
            loop {
                tokio::select! {
                    () = stop.cancelled() => {}
                    _ = tick.tick() => {}
                }
                // Calls in hand still need their slots after the stop, so only the gate's end ends this.
                let Some(gate) = keeper.upgrade() else { return };
                gate.give_back_idle().await;
                if renewed.elapsed() >= RENEWAL {
                    gate.renew().await;
                    renewed = tokio::time::Instant::now();
                }
                if stop.is_cancelled() {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
        });
        gate
    }

    fn account(&self, cdn: &str, limit: u32) -> Arc<AccountSlots> {
        let account = Arc::clone(locked(&self.accounts).entry(cdn.to_owned()).or_default());
        let wanted = usize::try_from(limit.max(1)).unwrap_or(1);
        let mut slots = locked(&account.slots);
        if slots.len() < wanted {
            slots.resize(wanted, Slot::default());
        }
        drop(slots);
        account
    }

    /// A slot that is held and idle, now busy.
    fn reuse(&self, account: &AccountSlots) -> Option<usize> {
        let now = self.clock.now();
        let mut slots = locked(&account.slots);
        let index = slots
            .iter()
            .position(|slot| slot.held && !slot.busy && slot.until > now + LEASE / 3 && now - slot.taken_at < TURN)?;
        slots[index].busy = true;
        Some(index)
    }

    /// Takes the lease of a slot that this worker does not hold.
    async fn take(&self, cdn: &str, account: &AccountSlots) -> Result<Option<usize>, CdnError> {
        let now = self.clock.now();
        let wanted: Vec<usize> = {
            let mut slots = locked(&account.slots);
            let free = |slot: &Slot| !slot.held && !slot.busy && slot.rests_until <= now;
            let wanted: Vec<usize> = (0..slots.len()).filter(|index| free(&slots[*index])).collect();
            for index in &wanted {
                slots[*index].busy = true;
            }
            wanted
        };
        let mut taken = None;
        for index in wanted {
            let mut got = false;
            if taken.is_none() {
                let until = now + LEASE;
                let outcome = lease::take(&self.db, &lease_name(cdn, index), &self.owner, now, until).await;
                got = match outcome {
                    Ok(got) => got,
                    Err(error) => {
                        locked(&account.slots)[index].busy = false;
                        tracing::debug!(cdn, %error, "a call slot could not be taken");
                        continue;
                    }
                };
            }
            let mut slots = locked(&account.slots);
            if got {
                let rests_until = slots[index].rests_until;
                slots[index] =
                    Slot { held: true, busy: true, taken_at: now, used_at: now, until: now + LEASE, rests_until };
                taken = Some(index);
            } else {
                slots[index].busy = false;
            }
        }
        Ok(taken)
    }

    async fn renew(&self) {
        let accounts: Vec<(String, Arc<AccountSlots>)> =
            locked(&self.accounts).iter().map(|(name, slots)| (name.clone(), Arc::clone(slots))).collect();
        for (cdn, account) in accounts {
            let held: Vec<usize> = {
                let slots = locked(&account.slots);
                (0..slots.len()).filter(|index| slots[*index].held).collect()
            };
            let names: Vec<String> = held.iter().map(|index| lease_name(&cdn, *index)).collect();
            let until = self.clock.now() + LEASE;
            match lease::renew(&self.db, &names, &self.owner, until).await {
                Ok(renewed) if renewed == names.len() as u64 => {
                    let mut slots = locked(&account.slots);
                    for index in held {
                        slots[index].until = until;
                    }
                }
                // Some lease is gone or the database is away: none is used again until it was taken anew.
                _ => {
                    let mut slots = locked(&account.slots);
                    for index in held {
                        slots[index].held = false;
                    }
                }
            }
        }
    }

    async fn give_back_idle(&self) {
        let now = self.clock.now();
        self.give_back(|slot| now - slot.used_at >= IDLE || now - slot.taken_at >= TURN, now + REST).await;
    }

    async fn give_back(&self, which: impl Fn(&Slot) -> bool, rests_until: i64) {
        let accounts: Vec<(String, Arc<AccountSlots>)> =
            locked(&self.accounts).iter().map(|(name, slots)| (name.clone(), Arc::clone(slots))).collect();
        for (cdn, account) in accounts {
            let given: Vec<usize> = {
                let mut slots = locked(&account.slots);
                let given: Vec<usize> = (0..slots.len())
                    .filter(|index| slots[*index].held && !slots[*index].busy && which(&slots[*index]))
                    .collect();
                for index in &given {
                    let turn_is_over = self.clock.now() - slots[*index].used_at < IDLE;
                    slots[*index].held = false;
                    slots[*index].rests_until = if turn_is_over { rests_until } else { 0 };
                }
                given
            };
            for index in given {
                if let Err(error) = lease::release(&self.db, &lease_name(&cdn, index), &self.owner).await {
                    tracing::debug!(cdn, %error, "a call slot could not be given back and runs out by itself");
                }
            }
        }
    }

    /// Gives all idle slots back, at the stop.
    pub async fn release_all(&self) {
        self.give_back(|_| true, 0).await;
    }
}

#[async_trait]
impl CallGate for SharedGate {
    async fn enter(&self, cdn: &str, limit: u32) -> Result<Permit, CdnError> {
        let account = self.account(cdn, limit);
        loop {
            let freed = account.freed.notified();
            let index = match self.reuse(&account) {
                Some(index) => Some(index),
                None => self.take(cdn, &account).await?,
            };
            if let Some(index) = index {
                let clock = self.clock.clone();
                return Ok(Permit::new(BusySlot { account: Arc::clone(&account), index, clock }));
            }
            tokio::select! {
                () = freed => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }
}
