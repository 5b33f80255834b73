//! The names of what a request asks for, as fault rules and the record of requests use them.
//!
//! Their serialised forms (`accessGroups`, `invalidate`) are part of the control interface, so they stay
//! as they are. A request has its operation before anything about it is checked; `Unknown` is one too, so
//! that the record misses nothing. Assigned by `level3`, `tencent_api` and `edge`.

use serde::{Deserialize, Serialize};

/// What a request asks for. Actions of Tencent Cloud CDN and of EdgeOne bear the vendor's name and the action's.
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
    /// `DescribeDomains` of Tencent Cloud CDN.
    TencentDescribeDomains,
    /// `PurgeUrlsCache` of Tencent Cloud CDN.
    TencentPurgeUrlsCache,
    /// `PurgePathCache` of Tencent Cloud CDN.
    TencentPurgePathCache,
    /// `PushUrlsCache` of Tencent Cloud CDN.
    TencentPushUrlsCache,
    /// `DescribePurgeTasks` of Tencent Cloud CDN.
    TencentDescribePurgeTasks,
    /// `DescribePushTasks` of Tencent Cloud CDN.
    TencentDescribePushTasks,
    /// `DescribePurgeQuota` of Tencent Cloud CDN.
    TencentDescribePurgeQuota,
    /// `DescribePushQuota` of Tencent Cloud CDN.
    TencentDescribePushQuota,
    /// `DescribeCdnData` of Tencent Cloud CDN.
    TencentDescribeCdnData,
    /// `ListTopData` of Tencent Cloud CDN.
    TencentListTopData,
    /// `DescribeMapInfo` of Tencent Cloud CDN.
    TencentDescribeMapInfo,
    /// `DescribeCdnDomainLogs` of Tencent Cloud CDN.
    TencentDescribeCdnDomainLogs,
    /// The download of a log file of Tencent Cloud CDN.
    TencentLog,
    /// `DescribeZones` of EdgeOne.
    EdgeOneDescribeZones,
    /// `DescribeAccelerationDomains` of EdgeOne.
    EdgeOneDescribeAccelerationDomains,
    /// `CreatePurgeTask` of EdgeOne.
    EdgeOneCreatePurgeTask,
    /// `CreatePrefetchTask` of EdgeOne.
    EdgeOneCreatePrefetchTask,
    /// `DescribePurgeTasks` of EdgeOne.
    EdgeOneDescribePurgeTasks,
    /// `DescribePrefetchTasks` of EdgeOne.
    EdgeOneDescribePrefetchTasks,
    /// `DescribeContentQuota` of EdgeOne.
    EdgeOneDescribeContentQuota,
    /// `DescribeTimingL7AnalysisData` of EdgeOne.
    EdgeOneDescribeTimingL7AnalysisData,
    /// `DescribeTopL7AnalysisData` of EdgeOne.
    EdgeOneDescribeTopL7AnalysisData,
    /// `DownloadL7Logs` of EdgeOne.
    EdgeOneDownloadL7Logs,
    /// The download of a log file of EdgeOne.
    EdgeOneLog,
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

    /// Whether it is an action of Tencent Cloud CDN or EdgeOne, which are answered in the envelope of their common API.
    /// The downloads of their log files are none.
    #[must_use]
    pub fn is_tencent_action(self) -> bool {
        self.is_tencent_read() || self.is_tencent_submit()
    }

    /// Whether it is an action that changes nothing.
    #[must_use]
    pub fn is_tencent_read(self) -> bool {
        matches!(
            self,
            Self::TencentDescribeDomains
                | Self::TencentDescribePurgeQuota
                | Self::TencentDescribePushQuota
                | Self::TencentDescribeCdnData
                | Self::TencentListTopData
                | Self::TencentDescribeMapInfo
                | Self::TencentDescribeCdnDomainLogs
                | Self::EdgeOneDescribeZones
                | Self::EdgeOneDescribeAccelerationDomains
                | Self::EdgeOneDescribeContentQuota
                | Self::EdgeOneDescribeTimingL7AnalysisData
                | Self::EdgeOneDescribeTopL7AnalysisData
                | Self::EdgeOneDownloadL7Logs
        ) || (self.lists_tasks() && self != Self::Invalidations)
    }

    /// Whether it is an action that starts purges or prefetches.
    #[must_use]
    pub fn is_tencent_submit(self) -> bool {
        matches!(
            self,
            Self::TencentPurgeUrlsCache
                | Self::TencentPurgePathCache
                | Self::TencentPushUrlsCache
                | Self::EdgeOneCreatePurgeTask
                | Self::EdgeOneCreatePrefetchTask
        )
    }

    /// Whether it lists what was submitted, at any vendor.
    #[must_use]
    pub fn lists_tasks(self) -> bool {
        matches!(
            self,
            Self::Invalidations
                | Self::TencentDescribePurgeTasks
                | Self::TencentDescribePushTasks
                | Self::EdgeOneDescribePurgeTasks
                | Self::EdgeOneDescribePrefetchTasks
        )
    }
}
