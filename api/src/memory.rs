//! What the API remembers of sessions and of where hosts lead, for as long as it is true.
//!
//! True is what was read under the present epoch: everything that ends a session or changes a mapping
//! raises the epoch in its own transaction, and every request reads it. What was remembered under an
//! older one is forgotten. Only what was found is remembered, never that something was not there.
//! Bounded: when it is full it is emptied. Called by `state`.

use overseas_shared::db::mapping::PurgePlace;
use overseas_shared::db::session::{Session, TokenHash};
use overseas_shared::domain::DomainName;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most sessions, and most hosts, that are remembered.
const MOST: usize = 20_000;

/// A user and a host.
pub type Place = (i64, DomainName);

#[derive(Default)]
struct Remembered {
    epoch: i64,
    sessions: HashMap<TokenHash, Session>,
    places: HashMap<Place, Vec<PurgePlace>>,
}

/// The memory of one API process.
#[derive(Default)]
pub struct Memory {
    remembered: Mutex<Remembered>,
    token_uses: Mutex<HashMap<i64, i64>>,
}

impl Memory {
    /// What is remembered, if it is of this epoch or a later one.
    fn at(&self, epoch: i64) -> MutexGuard<'_, Remembered> {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.epoch < epoch {
            *remembered = Remembered { epoch, ..Remembered::default() };
        }
        remembered
    }

    /// A session that was found under this epoch.
    pub fn session(&self, epoch: i64, hash: &TokenHash) -> Option<Session> {
        self.at(epoch).sessions.get(hash).cloned()
    }

    /// Remembers a session that was read after this epoch was.
    pub fn keep_session(&self, epoch: i64, hash: TokenHash, session: &Session) {
        let mut remembered = self.at(epoch);
        if remembered.epoch == epoch {
            if remembered.sessions.len() >= MOST {
                remembered.sessions.clear();
            }
            remembered.sessions.insert(hash, session.clone());
        }
    }

    /// Whether the use of an API token was noted within the last `within` milliseconds; if not, it is now.
    pub fn is_token_noted(&self, token: i64, now: i64, within: i64) -> bool {
        let mut uses = self.token_uses.lock().unwrap_or_else(PoisonError::into_inner);
        if uses.get(&token).is_some_and(|noted| now - noted < within) {
            return true;
        }
        if uses.len() >= MOST {
            uses.clear();
        }
        uses.insert(token, now);
        false
    }

    /// The places of a host that were found under this epoch.
    pub fn places(&self, epoch: i64, place: &Place) -> Option<Vec<PurgePlace>> {
        self.at(epoch).places.get(place).cloned()
    }

    /// Remembers places that were read after this epoch was.
    pub fn keep_places(&self, epoch: i64, place: Place, places: &[PurgePlace]) {
        let mut remembered = self.at(epoch);
        if remembered.epoch == epoch && !places.is_empty() {
            if remembered.places.len() >= MOST {
                remembered.places.clear();
            }
            remembered.places.insert(place, places.to_vec());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        (1, DomainName::parse("a.example.com").unwrap())
    }

    fn found() -> Vec<PurgePlace> {
        vec![PurgePlace { cdn_id: 1, cdn: "level3".to_owned(), property_id: Some(1) }]
    }

    #[test]
    fn a_later_epoch_forgets_what_was_remembered() {
        let memory = Memory::default();
        memory.keep_places(1, place(), &found());
        assert_eq!(memory.places(1, &place()), Some(found()));
        assert_eq!(memory.places(2, &place()), None);
        assert_eq!(memory.places(1, &place()), None);
    }

    #[test]
    fn what_was_read_under_an_older_epoch_is_not_remembered() {
        let memory = Memory::default();
        assert_eq!(memory.places(2, &place()), None);
        memory.keep_places(1, place(), &found());
        assert_eq!(memory.places(2, &place()), None);
    }

    #[test]
    fn that_something_is_missing_is_not_remembered() {
        let memory = Memory::default();
        memory.keep_places(1, place(), &[]);
        assert_eq!(memory.places(1, &place()), None);
    }
}
