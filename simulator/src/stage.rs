//! What all simulated servers share: one clock, one list of faults, one record of requests, one set of usage data,
//! one folder of access logs, one set of switches.
//!
//! There is one stage for each simulator, so that requests to the vendor and to the edge are numbered in
//! one order and a move of the time is seen by both. Made by `server`, and handed to the vendors, the
//! edge and the control endpoints.

use std::sync::Arc;

use crate::clock::{Clock, SimulatorClock};
use crate::config::Config;
use crate::faults::Faults;
use crate::logs::LogShelf;
use crate::record::Recorder;
use crate::tencent_api::SwitchBoard;
use crate::usage::UsageBook;

pub(crate) struct Stage {
    pub(crate) clock: SimulatorClock,
    pub(crate) faults: Faults,
    pub(crate) record: Arc<Recorder>,
    pub(crate) usage: UsageBook,
    pub(crate) logs: LogShelf,
    pub(crate) switches: SwitchBoard,
}

impl Stage {
    pub(crate) fn new(clock: Arc<dyn Clock>, config: &Config) -> Self {
        Self {
            clock: SimulatorClock::new(clock),
            faults: Faults::default(),
            record: Recorder::new(config.record_limit),
            usage: UsageBook::new(config),
            logs: LogShelf::new(config),
            switches: SwitchBoard::new(config),
        }
    }
}
