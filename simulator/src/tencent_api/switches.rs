//! What tests may change of Tencent Cloud CDN and EdgeOne while the simulator runs.
//!
//! Begins as the configuration says and can be set back to it. The texts are looked for in URLs when they are submitted
//! and when they are listed, so they work on tasks that are under way too. Changed through `Control`, read once a
//! request.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::config::{Config, check_delay_minutes};
use crate::lock::locked;

/// What is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TencentState {
    /// URLs with one of these texts end as `fail` (purge) or `invalid` (prefetch) at Tencent Cloud CDN; EdgeOne refuses
    /// them as they are submitted.
    pub refuse_urls: Vec<String>,
    /// URLs with one of these texts end as failed: at Tencent Cloud CDN the same as `refuse_urls`, at EdgeOne `failed`.
    pub fail_urls: Vec<String>,
    /// The status that all tasks are listed with, whatever their age.
    pub task_state: Option<String>,
    /// Statistics of Tencent Cloud CDN younger than this are answered as 0.
    pub tencent_delay_minutes: u32,
    /// Statistics of EdgeOne younger than this are answered as 0.
    pub edgeone_delay_minutes: u32,
}

pub(crate) type Switches = TencentState;

impl TencentState {
    /// Whether a URL ends badly.
    pub(crate) fn fails(&self, url: &str) -> bool {
        self.refuses(url) || self.fail_urls.iter().any(|text| url.contains(text))
    }

    /// Whether a URL is not taken by EdgeOne.
    pub(crate) fn refuses(&self, url: &str) -> bool {
        self.refuse_urls.iter().any(|text| url.contains(text))
    }
}

/// A change; what is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TencentChange {
    /// See [`TencentState::refuse_urls`].
    pub refuse_urls: Option<Vec<String>>,
    /// See [`TencentState::fail_urls`].
    pub fail_urls: Option<Vec<String>>,
    /// See [`TencentState::task_state`]; an empty text ends it.
    pub task_state: Option<String>,
    /// See [`TencentState::tencent_delay_minutes`].
    pub tencent_delay_minutes: Option<u32>,
    /// See [`TencentState::edgeone_delay_minutes`].
    pub edgeone_delay_minutes: Option<u32>,
}

/// A change that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TencentChangeError(String);

/// The switches, shared by the control endpoints and the two services.
pub(crate) struct SwitchBoard {
    configured: Switches,
    state: Mutex<Switches>,
}

impl SwitchBoard {
    pub(crate) fn new(config: &Config) -> Self {
        let configured = Switches {
            tencent_delay_minutes: config.tencent.as_ref().map_or(0, |account| account.usage_delay_minutes),
            edgeone_delay_minutes: config.edgeone.as_ref().map_or(0, |account| account.usage_delay_minutes),
            ..Switches::default()
        };
        Self { state: Mutex::new(configured.clone()), configured }
    }

    /// Makes a change, or none of it.
    pub(crate) fn change(&self, change: TencentChange) -> Result<(), TencentChangeError> {
        for minutes in change.tencent_delay_minutes.into_iter().chain(change.edgeone_delay_minutes) {
            check_delay_minutes(minutes).map_err(TencentChangeError)?;
        }
        let texts = change.refuse_urls.iter().chain(&change.fail_urls).flatten();
        if texts.clone().any(String::is_empty) {
            return Err(TencentChangeError("an empty text is in every URL".to_owned()));
        }
        let mut state = locked(&self.state);
        if let Some(texts) = change.refuse_urls {
            state.refuse_urls = texts;
        }
        if let Some(texts) = change.fail_urls {
            state.fail_urls = texts;
        }
        if let Some(word) = change.task_state {
            state.task_state = Some(word).filter(|word| !word.is_empty());
        }
        state.tencent_delay_minutes = change.tencent_delay_minutes.unwrap_or(state.tencent_delay_minutes);
        state.edgeone_delay_minutes = change.edgeone_delay_minutes.unwrap_or(state.edgeone_delay_minutes);
        Ok(())
    }

    /// Back to what the configuration says.
    pub(crate) fn reset(&self) {
        self.configured.clone_into(&mut locked(&self.state));
    }

    pub(crate) fn state(&self) -> Switches {
        locked(&self.state).clone()
    }
}
