//! The names of what a request asks for, as fault rules and the record of requests use them.
//!
//! Their serialised forms (`accessGroups`, `invalidate`) are part of the control interface, so they stay
//! as they are. A request has its operation before anything about it is checked; `Unknown` is one too, so
//! that the record misses nothing. Assigned by `level3` and `edge`.

use serde::{Deserialize, Serialize};

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// `GET /key/v1.0`.
    Key,
    /// `GET /accessGroups/v1.0`.
    AccessGroups,
    /// `GET /services/cdn/v1.0/<scope>`.
    Services,
    /// `GET /usage/cdn/v1.0/<scope>`.
    Usage,
    /// `POST /invalidations/v1.0/<scope>`.
    Invalidate,
    /// `GET /invalidations/v1.0/<scope>`.
    Invalidations,
    /// A fetch from the edge server.
    Edge,
    /// A path that the vendor does not have.
    Unknown,
}

impl Operation {
    /// Whether the request goes to the edge server and not to the vendor's API.
    #[must_use]
    pub fn is_edge(self) -> bool {
        self == Self::Edge
    }
}
