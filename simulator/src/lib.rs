//! Stand-in servers that speak CDN vendors' own wire formats, for tests and for the embedded demonstration.
//!
//! A simulator plays two parts on two addresses: the vendor's API, with signatures checked, and the CDN's
//! edge server; and it delivers the vendor's access logs into a folder. It can be told to fail, to move its time on, and to tell what it was asked: see
//! [`Control`], which is also served over HTTP under `/_control/` beside the vendor's API.
//!
//! It shares no code with the clients of these vendors, so that a mistake of theirs cannot hide in it.
//! Facts come from the vendors' help pages; where those are silent, the choice is written beside the code.
//!
//! Each vendor is a folder; what they share (clock, faults, record) is beside them. Tencent Cloud CDN and EdgeOne also
//! share their transport, `tencent_api`. Started by
//! `overseas up` and `overseas simulate`, and by tests; [`start`] has an example.

mod clock;
mod config;
mod control;
mod edge;
mod edgeone;
mod error;
mod faults;
mod hash;
mod level3;
mod lock;
mod logs;
mod operation;
mod record;
mod reply;
mod server;
mod stage;
mod tencent;
mod tencent_api;
mod usage;

pub use clock::{Clock, SystemClock};
pub use config::{
    AccessGroupConfig, Config, DateTo, DistrictForm, EdgeOneConfig, EdgeOneDomain, EdgeOneQuotas, EdgeOneStatus,
    EdgeOneZone, EdgeOneZoneStatus, EmptyList, GoldenUsage, KeyConfig, LogHeader, Product, PropertyConfig,
    ServiceConfig, TaskQuota, TencentArea, TencentConfig, TencentDomain, TencentProduct, TencentQuotas, TencentStatus,
};
pub use control::Control;
pub use edgeone::edgeone_log_lines;
pub use error::SimulatorError;
pub use faults::{FaultKind, FaultRule, FaultRuleError, FaultState, FaultTarget};
pub use logs::{LogDelivery, LogDeliveryError};
pub use operation::Operation;
pub use record::{DuplicatePath, Duplicates, RequestEntry, Requests, Summary};
pub use server::{Simulator, serve, start, start_with_clock};
pub use tencent::tencent_log_lines;
pub use tencent_api::{
    CountryShare, DistrictShare, TencentChange, TencentChangeError, TencentState, edgeone_country_split, edgeone_usage,
    tencent_district_split, tencent_usage,
};
pub use usage::{UsageChange, UsageChangeError, UsageState};
