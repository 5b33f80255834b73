//! The invalidations that the vendor knows, by property (Level 3 Media Portal API help, invalidations).
//!
//! A list holds the last 100 requests of a property and drops a request 24 hours after it completed. The percentage grows
//! evenly from 0 to 100 over the configured time. Ids are unique for ever: where two requests for one property fall into
//! one millisecond, the later one's id takes the next.

use std::collections::VecDeque;
use std::sync::Arc;

/// How many requests a property's list holds.
const LIST_LENGTH: usize = 100;
/// How long a request stays in the list after it completed.
const KEPT_AFTER_COMPLETION_MS: i64 = 24 * 3_600_000;

/// One request as a property's list holds it.
#[derive(Clone, Debug)]
struct Invalidation {
    id: Arc<str>,
    paths: Arc<[String]>,
    started_ms: i64,
}

/// One request as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) id: Arc<str>,
    pub(super) percent: i64,
    pub(super) paths: Arc<[String]>,
}

#[derive(Default)]
struct PropertyLog {
    requests: VecDeque<Invalidation>,
    last_id_ms: i64,
}

/// Who asks for an invalidation, and for what; the parts of its id.
pub(super) struct Order<'o> {
    pub(super) group_id: u64,
    pub(super) actor: &'o str,
    pub(super) property: usize,
    pub(super) property_number: usize,
    pub(super) paths: &'o Arc<[String]>,
}

pub(super) struct Invalidations {
    duration_ms: i64,
    by_property: Vec<PropertyLog>,
}

impl Invalidations {
    pub(super) fn new(properties: usize, seconds: u32) -> Self {
        Self {
            duration_ms: i64::from(seconds) * 1000,
            by_property: (0..properties).map(|_| PropertyLog::default()).collect(),
        }
    }

    /// Registers a request and answers its id, `AG_<ag>/<actor>@<ag>-<number>-<epoch milliseconds>`.
    pub(super) fn register(&mut self, order: &Order<'_>, now_ms: i64) -> Arc<str> {
        let log = &mut self.by_property[order.property];
        log.last_id_ms = now_ms.max(log.last_id_ms + 1);
        let (group, actor, number) = (order.group_id, order.actor, order.property_number);
        let id: Arc<str> = format!("AG_{group}/{actor}@{group}-{number}-{}", log.last_id_ms).into();
        if log.requests.len() == LIST_LENGTH {
            log.requests.pop_front();
        }
        log.requests.push_back(Invalidation {
            id: Arc::clone(&id),
            paths: Arc::clone(order.paths),
            started_ms: now_ms,
        });
        id
    }

    /// A property's list, oldest first.
    pub(super) fn list(&mut self, property: usize, now_ms: i64) -> Vec<Listed> {
        let duration_ms = self.duration_ms;
        let gone = now_ms - duration_ms - KEPT_AFTER_COMPLETION_MS;
        let requests = &mut self.by_property[property].requests;
        requests.retain(|request| request.started_ms > gone);
        let show = |request: &Invalidation| Listed {
            id: Arc::clone(&request.id),
            percent: percent(now_ms - request.started_ms, duration_ms),
            paths: Arc::clone(&request.paths),
        };
        requests.iter().map(show).collect()
    }
}

fn percent(elapsed_ms: i64, duration_ms: i64) -> i64 {
    if elapsed_ms >= duration_ms {
        return 100;
    }
    elapsed_ms.max(0) * 100 / duration_ms
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn register(invalidations: &mut Invalidations, now_ms: i64) -> Arc<str> {
        let paths: Arc<[String]> = Arc::new(["/a".to_owned()]);
        let order = Order { group_id: 12345, actor: "9774", property: 0, property_number: 13776, paths: &paths };
        invalidations.register(&order, now_ms)
    }

    #[test]
    fn ids_have_the_vendors_form_and_are_unique_within_a_millisecond() {
        let mut invalidations = Invalidations::new(1, 10);
        let first = register(&mut invalidations, 1_295_308_738_596);
        assert_eq!(&*first, "AG_12345/9774@12345-13776-1295308738596");
        let ids: HashSet<_> =
            (0..1000).map(|step| register(&mut invalidations, 1_295_308_738_596 + step / 100)).collect();
        assert_eq!(ids.len(), 1000);
        assert!(!ids.contains(&first));
    }

    #[test]
    fn the_percentage_grows_evenly_and_ends_at_100() {
        let mut invalidations = Invalidations::new(1, 10);
        register(&mut invalidations, 1000);
        let percents: Vec<i64> = [0, 1000, 1099, 1100, 6000, 10_999, 11_000, 99_000]
            .map(|now| invalidations.list(0, now)[0].percent)
            .to_vec();
        assert_eq!(percents, [0, 0, 0, 1, 50, 99, 100, 100]);
        let mut at_once = Invalidations::new(1, 0);
        register(&mut at_once, 1000);
        assert_eq!(at_once.list(0, 1000)[0].percent, 100);
    }

    #[test]
    fn the_list_holds_the_last_100_requests() {
        let mut invalidations = Invalidations::new(1, 10);
        let ids: Vec<_> = (0..101).map(|now| register(&mut invalidations, now)).collect();
        let listed = invalidations.list(0, 200);
        assert_eq!(listed.len(), 100);
        assert_eq!(listed[0].id, ids[1]);
        assert_eq!(listed[99].id, ids[100]);
    }

    #[test]
    fn a_request_is_dropped_24_hours_after_it_completed() {
        let mut invalidations = Invalidations::new(1, 10);
        register(&mut invalidations, 0);
        register(&mut invalidations, 5000);
        let day = 24 * 3_600_000;
        assert_eq!(invalidations.list(0, day + 9_999).len(), 2);
        assert_eq!(invalidations.list(0, day + 10_000).len(), 1);
        assert_eq!(invalidations.list(0, day + 15_000).len(), 0);
    }
}
