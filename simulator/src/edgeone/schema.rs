//! What the actions of EdgeOne take, as the vendor's published description of version 2022-09-01 has it.
//!
//! Every documented parameter is here, so that a client which uses one is not refused for it; whether an action makes
//! anything of it, stands with the action. `simulator/tests/sdk` compares this with the vendor's own description.
//! Called by `tencent_api`.

use crate::operation::Operation;
use crate::tencent_api::{Action, Field, Kind, optional, required};

const OFFSET: Field = optional("Offset", Kind::Integer);
const LIMIT: Field = optional("Limit", Kind::Integer);
const START: Field = required("StartTime", Kind::Text);
const END: Field = required("EndTime", Kind::Text);
const ORDER: Field = optional("Order", Kind::Text);
const DIRECTION: Field = optional("Direction", Kind::Text);
const ZONE: Field = required("ZoneId", Kind::Text);
const FILTERS: Field = optional("Filters", Kind::Objects(ADVANCED_FILTER));
const CONDITIONS: Field = optional("Filters", Kind::Objects(CONDITION));
const INTERVAL: Field = optional("Interval", Kind::Text);
const AREA: Field = optional("Area", Kind::Text);

const ADVANCED_FILTER: &[Field] =
    &[required("Name", Kind::Text), required("Values", Kind::Texts), optional("Fuzzy", Kind::Flag)];
const CONDITION: &[Field] =
    &[required("Key", Kind::Text), required("Operator", Kind::Text), required("Value", Kind::Texts)];
const HEADER: &[Field] = &[required("Name", Kind::Text), required("Value", Kind::Text)];
const ZONES: &[Field] = &[OFFSET, LIMIT, FILTERS, ORDER, DIRECTION];
const DOMAINS: &[Field] = &[ZONE, OFFSET, LIMIT, FILTERS, ORDER, DIRECTION, optional("Match", Kind::Text)];
const PURGE: &[Field] = &[
    ZONE,
    required("Type", Kind::Text),
    optional("Method", Kind::Text),
    optional("Targets", Kind::Texts),
    optional("EncodeUrl", Kind::Flag),
    optional("CacheTag", Kind::Object(&[required("Domains", Kind::Texts)])),
];
const PREFETCH: &[Field] = &[
    ZONE,
    optional("Targets", Kind::Texts),
    optional("Mode", Kind::Text),
    optional("EncodeUrl", Kind::Flag),
    optional("Headers", Kind::Objects(HEADER)),
    optional("PrefetchMediaSegments", Kind::Text),
];
const TASKS: &[Field] = &[
    optional("ZoneId", Kind::Text),
    optional("StartTime", Kind::Text),
    optional("EndTime", Kind::Text),
    OFFSET,
    LIMIT,
    FILTERS,
];
const TIMING: &[Field] =
    &[START, END, required("MetricNames", Kind::Texts), optional("ZoneIds", Kind::Texts), INTERVAL, CONDITIONS, AREA];
const TOP: &[Field] = &[
    START,
    END,
    required("MetricName", Kind::Text),
    required("ZoneIds", Kind::Texts),
    LIMIT,
    CONDITIONS,
    INTERVAL,
    AREA,
];
const LOGS: &[Field] = &[START, END, required("ZoneIds", Kind::Texts), optional("Domains", Kind::Texts), LIMIT, OFFSET];

const fn action(name: &'static str, operation: Operation, fields: &'static [Field]) -> Action {
    Action { name, operation, fields }
}

/// The actions.
pub(crate) const ACTIONS: &[Action] = &[
    action("DescribeZones", Operation::EdgeOneDescribeZones, ZONES),
    action("DescribeAccelerationDomains", Operation::EdgeOneDescribeAccelerationDomains, DOMAINS),
    action("CreatePurgeTask", Operation::EdgeOneCreatePurgeTask, PURGE),
    action("CreatePrefetchTask", Operation::EdgeOneCreatePrefetchTask, PREFETCH),
    action("DescribePurgeTasks", Operation::EdgeOneDescribePurgeTasks, TASKS),
    action("DescribePrefetchTasks", Operation::EdgeOneDescribePrefetchTasks, TASKS),
    action("DescribeContentQuota", Operation::EdgeOneDescribeContentQuota, &[ZONE]),
    action("DescribeTimingL7AnalysisData", Operation::EdgeOneDescribeTimingL7AnalysisData, TIMING),
    action("DescribeTopL7AnalysisData", Operation::EdgeOneDescribeTopL7AnalysisData, TOP),
    action("DownloadL7Logs", Operation::EdgeOneDownloadL7Logs, LOGS),
];
