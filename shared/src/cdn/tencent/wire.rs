//! Requests and answers of the CDN's actions, as far as we use them.
//!
//! Names and types are those of the API's schema, version 2018-06-06. What may be `null` or missing is an `Option`, and a
//! list that is left out is empty. Called by the other files of this folder.

use super::cloud::{Page, list};
use serde::{Deserialize, Serialize};

/// A request without parameters.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Nothing {}

/// `DescribeDomains`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DomainsIn<'a> {
    pub(super) offset: usize,
    pub(super) limit: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) filters: Vec<DomainFilter<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DomainFilter<'a> {
    pub(super) name: &'a str,
    pub(super) value: Vec<&'a str>,
    pub(super) fuzzy: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DomainsOut {
    #[serde(deserialize_with = "list")]
    pub(super) domains: Vec<Domain>,
    pub(super) total_number: Option<usize>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Domain {
    pub(super) domain: String,
    #[serde(default)]
    pub(super) status: Option<String>,
    #[serde(default)]
    pub(super) area: Option<String>,
    #[serde(default)]
    pub(super) product: Option<String>,
}

impl Page for DomainsIn<'_> {
    type Answer = DomainsOut;
    type Item = Domain;

    fn begin_at(&mut self, offset: usize) {
        self.offset = offset;
    }

    fn items(answer: DomainsOut) -> (Vec<Domain>, Option<usize>) {
        (answer.domains, answer.total_number)
    }
}

/// `PurgeUrlsCache`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PurgeUrlsIn<'a> {
    pub(super) urls: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url_encode: Option<bool>,
}

/// `PurgePathCache`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PurgePathsIn<'a> {
    pub(super) paths: Vec<&'a str>,
    pub(super) flush_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url_encode: Option<bool>,
}

/// `PushUrlsCache`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PushUrlsIn<'a> {
    pub(super) urls: Vec<&'a str>,
    pub(super) area: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url_encode: Option<bool>,
}

/// What each of the three answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SubmitOut {
    #[serde(default)]
    pub(super) task_id: Option<String>,
}

/// `DescribePurgeTasks` and `DescribePushTasks`: by id, or by time and keyword.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TasksIn<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) task_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start_time: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end_time: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) keyword: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) purge_type: Option<&'a str>,
    pub(super) offset: usize,
    pub(super) limit: usize,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TasksOut {
    #[serde(alias = "PushLogs", rename = "PurgeLogs", deserialize_with = "list")]
    pub(super) rows: Vec<TaskRow>,
    #[serde(default)]
    pub(super) total_count: Option<usize>,
}

/// One URL of a task, in one area.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TaskRow {
    #[serde(default)]
    pub(super) task_id: String,
    #[serde(default)]
    pub(super) url: String,
    #[serde(default)]
    pub(super) status: Option<String>,
    #[serde(default)]
    pub(super) percent: Option<f64>,
    #[serde(default)]
    pub(super) area: Option<String>,
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
        (answer.rows, answer.total_count)
    }
}

/// `DescribePurgeQuota`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PurgeQuotaOut {
    #[serde(deserialize_with = "list")]
    pub(super) url_purge: Vec<QuotaRow>,
    #[serde(deserialize_with = "list")]
    pub(super) path_purge: Vec<QuotaRow>,
}

/// `DescribePushQuota`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PushQuotaOut {
    #[serde(deserialize_with = "list")]
    pub(super) url_push: Vec<QuotaRow>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct QuotaRow {
    #[serde(default)]
    pub(super) area: Option<String>,
    pub(super) batch: u64,
    pub(super) total: u64,
    pub(super) available: i64,
}

/// `DescribeCdnData`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DataIn<'a> {
    pub(super) start_time: &'a str,
    pub(super) end_time: &'a str,
    pub(super) metric: &'a str,
    pub(super) domains: [&'a str; 1],
    pub(super) interval: &'a str,
    pub(super) area: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) product: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DataOut {
    #[serde(deserialize_with = "list")]
    pub(super) data: Vec<ResourceData>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ResourceData {
    #[serde(default, deserialize_with = "list")]
    pub(super) cdn_data: Vec<MetricData>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MetricData {
    #[serde(default)]
    pub(super) metric: Option<String>,
    #[serde(default, deserialize_with = "list")]
    pub(super) detail_data: Vec<Point>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Point {
    pub(super) time: String,
    #[serde(default)]
    pub(super) value: Option<f64>,
}

/// `ListTopData`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TopIn<'a> {
    pub(super) start_time: &'a str,
    pub(super) end_time: &'a str,
    pub(super) metric: &'a str,
    pub(super) filter: &'a str,
    pub(super) domains: [&'a str; 1],
    pub(super) area: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) area_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) product: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TopOut {
    #[serde(deserialize_with = "list")]
    pub(super) data: Vec<TopData>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TopData {
    #[serde(default, deserialize_with = "list")]
    pub(super) detail_data: Vec<TopRow>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TopRow {
    pub(super) name: String,
    #[serde(default)]
    pub(super) value: Option<f64>,
}

/// `DescribeMapInfo`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MapIn<'a> {
    pub(super) name: &'a str,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MapOut {
    #[serde(deserialize_with = "list")]
    pub(super) map_info_list: Vec<MapRow>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MapRow {
    pub(super) id: i64,
    pub(super) name: String,
}

/// `DescribeCdnDomainLogs`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LogsIn<'a> {
    pub(super) domain: &'a str,
    pub(super) start_time: &'a str,
    pub(super) end_time: &'a str,
    pub(super) offset: usize,
    pub(super) limit: usize,
    pub(super) area: &'a str,
    pub(super) log_type: &'a str,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LogsOut {
    #[serde(deserialize_with = "list")]
    pub(super) domain_logs: Vec<LogRow>,
    #[serde(default)]
    pub(super) total_count: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LogRow {
    pub(super) start_time: String,
    pub(super) log_path: String,
    pub(super) log_name: String,
    #[serde(default)]
    pub(super) area: Option<String>,
    #[serde(default)]
    pub(super) file_size: Option<u64>,
}

impl Page for LogsIn<'_> {
    type Answer = LogsOut;
    type Item = LogRow;

    fn begin_at(&mut self, offset: usize) {
        self.offset = offset;
    }

    fn items(answer: LogsOut) -> (Vec<LogRow>, Option<usize>) {
        (answer.domain_logs, answer.total_count)
    }
}
