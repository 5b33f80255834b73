//! Tells the elements of a JSON answer while it is parsed; no tree of values is built.
//!
//! A member of an object is an element of that name, and so is each item of an array under the
//! array's name; the root has none. An array without items is told on its own. Called by `document.rs`,
//! which keeps the limits.

use super::{Feed, Visitor, ended_early, unreadable};
use crate::cdn::CdnError;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess};
use std::fmt;

/// Parses a whole body.
///
/// # Errors
/// [`CdnError::Unreadable`] for what is not JSON, [`CdnError::Transient`] for what ends too early.
pub(super) fn read<V: Visitor>(bytes: &[u8], feed: &mut Feed<'_, V>) -> Result<(), CdnError> {
    let mut failure = None;
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let node = Node { feed, name: None, failure: &mut failure };
    match node.deserialize(&mut deserializer).and_then(|()| deserializer.end()) {
        Ok(()) => Ok(()),
        Err(error) => {
            Err(failure.unwrap_or_else(|| if error.is_eof() { ended_early() } else { unreadable(error.to_string()) }))
        }
    }
}

/// One JSON value, told to the feed under `name` (the root object has none) while it is parsed.
struct Node<'n, 'v, V> {
    feed: &'n mut Feed<'v, V>,
    name: Option<&'n str>,
    failure: &'n mut Option<CdnError>,
}

impl<V: Visitor> Node<'_, '_, V> {
    /// Keeps our own error aside, because the parser's error type carries only text.
    fn keep<E: serde::de::Error>(&mut self, outcome: Result<(), CdnError>) -> Result<(), E> {
        outcome.map_err(|error| {
            *self.failure = Some(error);
            E::custom("refused")
        })
    }

    fn scalar<E: serde::de::Error>(mut self, text: &str) -> Result<(), E> {
        let Some(name) = self.name else {
            return Ok(());
        };
        let outcome = self.feed.leaf(name, text);
        self.keep(outcome)
    }
}

impl<'de, V: Visitor> DeserializeSeed<'de> for Node<'_, '_, V> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, V: Visitor> serde::de::Visitor<'de> for Node<'_, '_, V> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.scalar(&value.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.scalar(&value.to_string())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.scalar(&value.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.scalar(&value.to_string())
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.scalar(value)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.scalar("")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { feed, name, failure } = self;
        let mut is_empty = true;
        while items.next_element_seed(Node { feed: &mut *feed, name, failure: &mut *failure })?.is_some() {
            is_empty = false;
        }
        if let Some(name) = name.filter(|_| is_empty) {
            feed.empty_list(name);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        if let Some(name) = self.name {
            let outcome = self.feed.open(name);
            self.keep(outcome)?;
        }
        while let Some(key) = members.next_key::<String>()? {
            let name = Some(key.as_str());
            members.next_value_seed(Node { feed: &mut *self.feed, name, failure: &mut *self.failure })?;
        }
        if self.name.is_some() {
            let outcome = self.feed.close();
            self.keep(outcome)?;
        }
        Ok(())
    }
}
