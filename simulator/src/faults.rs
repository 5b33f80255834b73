//! Faults on request: rules that make chosen requests fail, for tests of the client.
//!
//! The first rule in the list that matches a request, has let its `skip` requests pass and has `times` left is applied
//! to it; a request meets one fault at most. Rules stay until their `times` are used up or the list is replaced.
//!
//! Set through the control endpoints or the in-process handle; taken by every simulated server, once a request.

use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::lock::locked;
use crate::operation::Operation;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultKind {
    /// 403, as the vendor answers above its call rate (Level 3 Media Portal API help: there is no 429).
    Forbidden,
    /// The rule's `status` with an error body.
    Status,
    /// The right answer, late by the rule's `delay_ms`.
    Slow,
    /// 200 with bytes that are no XML and no JSON.
    Garbage,
    /// The connection ends in the middle of the declared body.
    Cut,
    /// 200 with a body of the rule's `bytes`: the start of an answer, then padding.
    Huge,
    /// A list of invalidations or of tasks answers as if there were none. Has no meaning for other operations.
    Forget,
    /// 200 with the rule's `code` as the error. For actions of Tencent Cloud CDN and EdgeOne only.
    Error,
    /// A success with empty lists. For actions of Tencent Cloud CDN and EdgeOne only, and of those the reading ones.
    Empty,
}

impl FaultKind {
    /// The name in rules and in the record.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Status => "status",
            Self::Slow => "slow",
            Self::Garbage => "garbage",
            Self::Cut => "cut",
            Self::Huge => "huge",
            Self::Forget => "forget",
            Self::Error => "error",
            Self::Empty => "empty",
        }
    }

    /// Whether it has a meaning for an operation.
    fn applies_to(self, operation: Operation) -> bool {
        match self {
            Self::Forget => operation.lists_tasks(),
            Self::Error => operation.is_tencent_action(),
            Self::Empty => operation.is_tencent_read(),
            _ => true,
        }
    }
}

/// Which operations a rule is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultTarget {
    /// Every one, the edge included: `"*"`.
    #[default]
    #[serde(rename = "*")]
    Any,
    /// This one.
    #[serde(untagged)]
    Only(Operation),
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// The operations.
    #[serde(default)]
    pub operation: FaultTarget,
    /// Only requests for this property or domain (its name in the configuration); absent: all. Where a request names
    /// several domains, one of them is enough.
    #[serde(default)]
    pub property: Option<String>,
    /// What goes wrong.
    pub kind: FaultKind,
    /// The status of `status`, 200 to 599.
    #[serde(default)]
    pub status: Option<u16>,
    /// The vendor's error code of `error`.
    #[serde(default)]
    pub code: Option<String>,
    /// Milliseconds before the answer, for any kind; `slow` needs it.
    #[serde(default)]
    pub delay_ms: u64,
    /// The size of `huge`.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// How often it is applied; absent: until the rules are cleared.
    #[serde(default)]
    pub times: Option<u64>,
    /// How many matching requests pass first.
    #[serde(default)]
    pub skip: u64,
    /// The request takes effect before its answer goes wrong, so that the client cannot know.
    #[serde(default)]
    pub after_effect: bool,
}

/// The longest delay of a rule: an hour.
const MAX_DELAY_MS: u64 = 3_600_000;

impl FaultRule {
    /// A rule for every request, until it is cleared.
    #[must_use]
    pub fn new(kind: FaultKind) -> Self {
        Self {
            operation: FaultTarget::Any,
            property: None,
            kind,
            status: None,
            code: None,
            delay_ms: 0,
            bytes: None,
            times: None,
            skip: 0,
            after_effect: false,
        }
    }

    /// The delay before the answer.
    pub(crate) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }

    fn check(&self) -> Result<(), &'static str> {
        let only = match self.operation {
            FaultTarget::Any => None,
            FaultTarget::Only(operation) => Some(operation),
        };
        match self.kind {
            FaultKind::Status if !self.status.is_some_and(|status| (200..=599).contains(&status)) => {
                Err("status needs a status from 200 to 599")
            }
            FaultKind::Slow if self.delay_ms == 0 => Err("slow needs delay_ms"),
            FaultKind::Huge if self.bytes.is_none() => Err("huge needs bytes"),
            FaultKind::Error if self.code.as_deref().is_none_or(str::is_empty) => Err("error needs a code"),
            kind if only.is_some_and(|operation| !kind.applies_to(operation)) => {
                Err("this kind has no meaning for the operation")
            }
            _ if self.delay_ms > MAX_DELAY_MS => Err("delay_ms is more than an hour"),
            _ => Ok(()),
        }
    }

    fn matches(&self, operation: Operation, properties: &[&str]) -> bool {
        let operation_matches = match self.operation {
            FaultTarget::Any => self.kind.applies_to(operation),
            FaultTarget::Only(only) => only == operation,
        };
        operation_matches && self.property.as_deref().is_none_or(|property| properties.contains(&property))
    }
}

/// A rule that cannot be applied, by its place in the list.
#[derive(Debug, thiserror::Error)]
#[error("fault rule {index}: {problem}")]
pub struct FaultRuleError {
    index: usize,
    problem: &'static str,
}

/// A rule and what it has done, as `GET /_control/faults` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FaultState {
    /// The rule; `times` and `skip` are what is left of them.
    #[serde(flatten)]
    pub rule: FaultRule,
    /// How often it was applied.
    pub applied: u64,
}

/// The rules in force.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Vec<FaultState>>);

impl Faults {
    /// Replaces all rules, or none of them if one is wrong.
    pub(crate) fn set(&self, rules: Vec<FaultRule>) -> Result<(), FaultRuleError> {
        for (index, rule) in rules.iter().enumerate() {
            rule.check().map_err(|problem| FaultRuleError { index, problem })?;
        }
        let states = rules.into_iter().map(|rule| FaultState { rule, applied: 0 });
        *locked(&self.0) = states.collect();
        Ok(())
    }

    pub(crate) fn list(&self) -> Vec<FaultState> {
        locked(&self.0).clone()
    }

    /// The fault of one request, which is thereby used once.
    pub(crate) fn take(&self, operation: Operation, property: Option<&str>) -> Option<FaultRule> {
        self.take_for(operation, property.as_slice())
    }

    /// The same for a request that names several properties.
    pub(crate) fn take_for(&self, operation: Operation, properties: &[&str]) -> Option<FaultRule> {
        let mut states = locked(&self.0);
        for state in states.iter_mut() {
            let rule = &mut state.rule;
            if !rule.matches(operation, properties) || rule.times == Some(0) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            rule.times = rule.times.map(|times| times - 1);
            state.applied += 1;
            return Some(state.rule.clone());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(json: &str) -> Faults {
        let faults = Faults::default();
        faults.set(serde_json::from_str(json).unwrap()).unwrap();
        faults
    }

    fn refused(json: &str) -> bool {
        match serde_json::from_str(json) {
            Ok(rules) => Faults::default().set(rules).is_err(),
            Err(_) => true,
        }
    }

    #[test]
    fn skip_lets_requests_pass_and_times_ends_the_rule() {
        let faults = faults(r#"[{"operation":"key","kind":"forbidden","skip":2,"times":2}]"#);
        let hits: Vec<bool> = (0..6).map(|_| faults.take(Operation::Key, None).is_some()).collect();
        assert_eq!(hits, [false, false, true, true, false, false]);
        assert_eq!(faults.list()[0].applied, 2);
    }

    #[test]
    fn a_rule_is_for_its_operation_and_its_property() {
        let faults = faults(r#"[{"operation":"invalidate","property":"p","kind":"garbage"}]"#);
        assert!(faults.take(Operation::Invalidations, Some("p")).is_none());
        assert!(faults.take(Operation::Invalidate, Some("q")).is_none());
        assert!(faults.take(Operation::Invalidate, None).is_none());
        assert!(faults.take(Operation::Invalidate, Some("p")).is_some());
    }

    #[test]
    fn the_first_rule_that_applies_wins() {
        let faults = faults(
            r#"[{"operation":"edge","kind":"cut","times":1},{"operation":"*","kind":"forget"},{"operation":"*","kind":"status","status":500}]"#,
        );
        let kind = |operation| faults.take(operation, None).unwrap().kind;
        assert_eq!(kind(Operation::Edge), FaultKind::Cut);
        assert_eq!(kind(Operation::Edge), FaultKind::Status);
        assert_eq!(kind(Operation::Invalidations), FaultKind::Forget);
    }

    #[test]
    fn kinds_for_actions_leave_the_other_operations_alone() {
        let faults = faults(r#"[{"kind":"error","code":"InternalError","times":1},{"kind":"empty","property":"b"}]"#);
        assert!(faults.take(Operation::Invalidate, None).is_none());
        assert!(faults.take(Operation::TencentLog, None).is_none());
        assert_eq!(faults.take(Operation::EdgeOneCreatePurgeTask, None).unwrap().kind, FaultKind::Error);
        assert!(faults.take(Operation::TencentPushUrlsCache, Some("b")).is_none());
        assert!(faults.take_for(Operation::TencentDescribeCdnData, &["a", "c"]).is_none());
        assert_eq!(faults.take_for(Operation::TencentDescribeCdnData, &["a", "b"]).unwrap().kind, FaultKind::Empty);
    }

    #[test]
    fn rules_without_meaning_are_refused() {
        for rule in [
            r#"{"kind":"status"}"#,
            r#"{"kind":"status","status":199}"#,
            r#"{"kind":"slow"}"#,
            r#"{"kind":"huge"}"#,
            r#"{"kind":"forget","operation":"key"}"#,
            r#"{"kind":"cut","operation":"nothing"}"#,
            r#"{"kind":"error"}"#,
            r#"{"kind":"error","code":"InternalError","operation":"invalidate"}"#,
            r#"{"kind":"error","code":"InternalError","operation":"tencentLog"}"#,
            r#"{"kind":"empty","operation":"tencentPurgeUrlsCache"}"#,
            r#"{"kind":"forget","operation":"tencentDescribeDomains"}"#,
            r#"{"kind":"cut","delay_ms":3600001}"#,
            r#"{"kind":"cut","time":1}"#,
        ] {
            assert!(refused(&format!("[{rule}]")), "{rule}");
        }
    }
}
