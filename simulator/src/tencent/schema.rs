//! What the actions of Tencent Cloud CDN take, as the vendor's published description of version 2018-06-06 has it.
//!
//! Every documented parameter is here, so that a client which uses one is not refused for it; whether an action makes
//! anything of it, stands with the action. `simulator/tests/sdk` compares this with the vendor's own description.
//! Called by `tencent_api`.

use crate::operation::Operation;
use crate::tencent_api::{Action, Field, Kind, optional, required};

const AREA: Field = optional("Area", Kind::Text);
const OFFSET: Field = optional("Offset", Kind::Integer);
const LIMIT: Field = optional("Limit", Kind::Integer);
const URL_ENCODE: Field = optional("UrlEncode", Kind::Flag);
const START: Field = optional("StartTime", Kind::Text);
const END: Field = optional("EndTime", Kind::Text);

const FILTER: &[Field] = &[required("Name", Kind::Text), required("Value", Kind::Texts), optional("Fuzzy", Kind::Flag)];
const HEADER: &[Field] = &[required("Name", Kind::Text), required("Value", Kind::Text)];
const DOMAINS: &[Field] = &[OFFSET, LIMIT, optional("Filters", Kind::Objects(FILTER))];
const PURGE_URLS: &[Field] = &[required("Urls", Kind::Texts), AREA, URL_ENCODE];
const PURGE_PATHS: &[Field] = &[required("Paths", Kind::Texts), required("FlushType", Kind::Text), URL_ENCODE, AREA];
const PUSH_URLS: &[Field] = &[
    required("Urls", Kind::Texts),
    optional("UserAgent", Kind::Text),
    AREA,
    optional("Layer", Kind::Text),
    optional("ParseM3U8", Kind::Flag),
    optional("DisableRange", Kind::Flag),
    optional("Headers", Kind::Objects(HEADER)),
    URL_ENCODE,
];
const PURGE_TASKS: &[Field] = &[
    optional("PurgeType", Kind::Text),
    START,
    END,
    optional("TaskId", Kind::Text),
    OFFSET,
    LIMIT,
    optional("Keyword", Kind::Text),
    optional("Status", Kind::Text),
    AREA,
];
const PUSH_TASKS: &[Field] = &[
    START,
    END,
    optional("TaskId", Kind::Text),
    optional("Keyword", Kind::Text),
    OFFSET,
    LIMIT,
    AREA,
    optional("Status", Kind::Text),
];
const CDN_DATA: &[Field] = &[
    required("StartTime", Kind::Text),
    required("EndTime", Kind::Text),
    required("Metric", Kind::Text),
    optional("Domains", Kind::Texts),
    optional("Project", Kind::Integer),
    optional("Interval", Kind::Text),
    optional("Detail", Kind::Flag),
    optional("Isp", Kind::Integer),
    optional("District", Kind::Integer),
    optional("Protocol", Kind::Text),
    optional("DataSource", Kind::Text),
    optional("IpProtocol", Kind::Text),
    AREA,
    optional("AreaType", Kind::Text),
    optional("Product", Kind::Text),
    optional("TimeZone", Kind::Text),
];
const TOP_DATA: &[Field] = &[
    required("StartTime", Kind::Text),
    required("EndTime", Kind::Text),
    required("Metric", Kind::Text),
    required("Filter", Kind::Text),
    optional("Domains", Kind::Texts),
    optional("Project", Kind::Integer),
    optional("Detail", Kind::Flag),
    optional("Code", Kind::Text),
    AREA,
    optional("AreaType", Kind::Text),
    optional("Product", Kind::Text),
    LIMIT,
];
const LOGS: &[Field] = &[
    required("Domain", Kind::Text),
    required("StartTime", Kind::Text),
    required("EndTime", Kind::Text),
    OFFSET,
    LIMIT,
    AREA,
    optional("LogType", Kind::Text),
];

const fn action(name: &'static str, operation: Operation, fields: &'static [Field]) -> Action {
    Action { name, operation, fields }
}

/// The actions.
pub(crate) const ACTIONS: &[Action] = &[
    action("DescribeDomains", Operation::TencentDescribeDomains, DOMAINS),
    action("PurgeUrlsCache", Operation::TencentPurgeUrlsCache, PURGE_URLS),
    action("PurgePathCache", Operation::TencentPurgePathCache, PURGE_PATHS),
    action("PushUrlsCache", Operation::TencentPushUrlsCache, PUSH_URLS),
    action("DescribePurgeTasks", Operation::TencentDescribePurgeTasks, PURGE_TASKS),
    action("DescribePushTasks", Operation::TencentDescribePushTasks, PUSH_TASKS),
    action("DescribePurgeQuota", Operation::TencentDescribePurgeQuota, &[]),
    action("DescribePushQuota", Operation::TencentDescribePushQuota, &[]),
    action("DescribeCdnData", Operation::TencentDescribeCdnData, CDN_DATA),
    action("ListTopData", Operation::TencentListTopData, TOP_DATA),
    action("DescribeMapInfo", Operation::TencentDescribeMapInfo, &[required("Name", Kind::Text)]),
    action("DescribeCdnDomainLogs", Operation::TencentDescribeCdnDomainLogs, LOGS),
];
