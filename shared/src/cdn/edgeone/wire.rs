//! Requests and answers of EdgeOne's actions, as far as we use them.
//!
//! Names and types are those of the API's schema, version 2022-09-01. Times are ISO 8601 with an offset; what may be
//! `null` or missing is an `Option`. Called by the other files of this folder.

use crate::cdn::tencent::cloud::{Page, list};
use serde::{Deserialize, Serialize};

/// `DescribeZones`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ZonesIn {
    pub(super) offset: usize,
    pub(super) limit: usize,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ZonesOut {
    #[serde(deserialize_with = "list")]
    pub(super) zones: Vec<Zone>,
    #[serde(default)]
    pub(super) total_count: Option<usize>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Zone {
    pub(super) zone_id: String,
    #[serde(default)]
    pub(super) zone_name: String,
}

impl Page for ZonesIn {
    type Answer = ZonesOut;
    type Item = Zone;

    fn begin_at(&mut self, offset: usize) {
        self.offset = offset;
    }

    fn items(answer: ZonesOut) -> (Vec<Zone>, Option<usize>) {
        (answer.zones, answer.total_count)
    }
}

/// `DescribeAccelerationDomains`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DomainsIn<'a> {
    pub(super) zone_id: &'a str,
    pub(super) offset: usize,
    pub(super) limit: usize,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DomainsOut {
    #[serde(deserialize_with = "list")]
    pub(super) acceleration_domains: Vec<Domain>,
    #[serde(default)]
    pub(super) total_count: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Domain {
    pub(super) domain_name: String,
    #[serde(default)]
    pub(super) domain_status: Option<String>,
}

impl Page for DomainsIn<'_> {
    type Answer = DomainsOut;
    type Item = Domain;

    fn begin_at(&mut self, offset: usize) {
        self.offset = offset;
    }

    fn items(answer: DomainsOut) -> (Vec<Domain>, Option<usize>) {
        (answer.acceleration_domains, answer.total_count)
    }
}

/// `CreatePurgeTask`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PurgeIn<'a> {
    pub(super) zone_id: &'a str,
    #[serde(rename = "Type")]
    pub(super) kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) method: Option<&'a str>,
    pub(super) targets: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) encode_url: Option<bool>,
}

/// `CreatePrefetchTask`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PrefetchIn<'a> {
    pub(super) zone_id: &'a str,
    pub(super) targets: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) encode_url: Option<bool>,
}

/// What both answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SubmitOut {
    #[serde(default)]
    pub(super) job_id: Option<String>,
    #[serde(default, deserialize_with = "list")]
    pub(super) failed_list: Vec<Failed>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Failed {
    #[serde(default)]
    pub(super) reason: String,
    #[serde(default, deserialize_with = "list")]
    pub(super) targets: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Filter<'a> {
    pub(super) name: &'a str,
    pub(super) values: [&'a str; 1],
}

/// `DescribePurgeTasks` and `DescribePrefetchTasks`: by job, or by time and domain.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TasksIn<'a> {
    pub(super) zone_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start_time: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end_time: Option<&'a str>,
    pub(super) filters: Vec<Filter<'a>>,
    pub(super) offset: usize,
    pub(super) limit: usize,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TasksOut {
    #[serde(deserialize_with = "list")]
    pub(super) tasks: Vec<TaskRow>,
    #[serde(default)]
    pub(super) total_count: Option<usize>,
}

/// One target of a job.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TaskRow {
    #[serde(default)]
    pub(super) job_id: String,
    #[serde(default)]
    pub(super) target: String,
    #[serde(default)]
    pub(super) status: Option<String>,
    #[serde(default)]
    pub(super) fail_type: Option<String>,
    #[serde(default)]
    pub(super) fail_message: Option<String>,
    #[serde(default)]
    pub(super) create_time: Option<String>,
}

impl Page for TasksIn<'_> {
    type Answer = TasksOut;
    type Item = TaskRow;

    fn begin_at(&mut self, offset: usize) {
        self.offset = offset;
    }

    fn items(answer: TasksOut) -> (Vec<TaskRow>, Option<usize>) {
        (answer.tasks, answer.total_count)
    }
}

/// `DescribeContentQuota`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct QuotaIn<'a> {
    pub(super) zone_id: &'a str,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct QuotaOut {
    #[serde(deserialize_with = "list")]
    pub(super) purge_quota: Vec<QuotaRow>,
    #[serde(deserialize_with = "list")]
    pub(super) prefetch_quota: Vec<QuotaRow>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct QuotaRow {
    pub(super) batch: i64,
    pub(super) daily: i64,
    pub(super) daily_available: i64,
    #[serde(rename = "Type")]
    pub(super) kind: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Condition<'a> {
    pub(super) key: &'a str,
    pub(super) operator: &'a str,
    pub(super) value: [&'a str; 1],
}

/// `DescribeTimingL7AnalysisData`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TimingIn<'a> {
    pub(super) start_time: &'a str,
    pub(super) end_time: &'a str,
    pub(super) metric_names: [&'a str; 2],
    pub(super) zone_ids: [&'a str; 1],
    pub(super) interval: &'a str,
    pub(super) filters: [Condition<'a>; 1],
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TimingOut {
    #[serde(deserialize_with = "list")]
    pub(super) data: Vec<TimingRecord>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TimingRecord {
    #[serde(default, deserialize_with = "list")]
    pub(super) type_value: Vec<TimingSeries>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TimingSeries {
    pub(super) metric_name: String,
    #[serde(default, deserialize_with = "list")]
    pub(super) detail: Vec<TimingPoint>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TimingPoint {
    pub(super) timestamp: i64,
    #[serde(default)]
    pub(super) value: Option<i64>,
}

/// `DescribeTopL7AnalysisData`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TopIn<'a> {
    pub(super) start_time: &'a str,
    pub(super) end_time: &'a str,
    pub(super) metric_name: &'a str,
    pub(super) zone_ids: [&'a str; 1],
    pub(super) limit: usize,
    pub(super) filters: [Condition<'a>; 1],
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TopOut {
    #[serde(deserialize_with = "list")]
    pub(super) data: Vec<TopRecord>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TopRecord {
    #[serde(default, deserialize_with = "list")]
    pub(super) detail_data: Vec<TopRow>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TopRow {
    pub(super) key: String,
    #[serde(default)]
    pub(super) value: Option<i64>,
}

/// `DownloadL7Logs`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LogsIn<'a> {
    pub(super) start_time: &'a str,
    pub(super) end_time: &'a str,
    pub(super) zone_ids: [&'a str; 1],
    pub(super) domains: [&'a str; 1],
    pub(super) offset: usize,
    pub(super) limit: usize,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LogsOut {
    #[serde(deserialize_with = "list")]
    pub(super) data: Vec<LogRow>,
    #[serde(default)]
    pub(super) total_count: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LogRow {
    pub(super) log_packet_name: String,
    pub(super) url: String,
    #[serde(default)]
    pub(super) area: Option<String>,
    #[serde(default)]
    pub(super) log_start_time: Option<String>,
    #[serde(default)]
    pub(super) log_time: Option<i64>,
    #[serde(default)]
    pub(super) size: Option<u64>,
}

impl Page for LogsIn<'_> {
    type Answer = LogsOut;
    type Item = LogRow;

    fn begin_at(&mut self, offset: usize) {
        self.offset = offset;
    }

    fn items(answer: LogsOut) -> (Vec<LogRow>, Option<usize>) {
        (answer.data, answer.total_count)
    }
}
