//! Which URLs go together in one request to the vendor. Pure.
//!
//! Tasks of one property share a request as long as their URLs fit; a task that does not fit into one
//! request is cut into pieces. A URL that several tasks of a request ask for is sent once: they all
//! were still queued, so one purge serves them all. Called by the submit job.

use overseas_shared::db::submission::Share;
use overseas_shared::domain::PurgeUrl;
use std::collections::BTreeSet;

/// What is left to hand over of one task.
#[derive(Debug, Clone)]
pub struct Pending {
    /// The task.
    pub task_id: String,
    /// The property that all the URLs belong to.
    pub property_id: i64,
    /// All URLs of the task.
    pub urls: Vec<PurgeUrl>,
    /// What the vendor has already, as `(first, count)`, by first.
    pub handed_over: Vec<(u32, u32)>,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Group {
    /// The property.
    pub property_id: i64,
    /// What of which tasks goes with it.
    pub shares: Vec<Share>,
    /// The URLs, each once.
    pub urls: Vec<PurgeUrl>,
}

impl Group {
    fn new(property_id: i64) -> Self {
        Self { property_id, shares: Vec::new(), urls: Vec::new() }
    }

    /// The tasks that it serves.
    pub fn task_ids(&self) -> impl Iterator<Item = &str> {
        self.shares.iter().map(|share| share.task_id.as_str())
    }

    /// The same as one request for each task, for when the vendor refuses them together.
    #[must_use]
    pub fn apart(&self, pending: &[Pending]) -> Vec<Self> {
        let alone = |share: &Share| {
            let task = pending.iter().find(|task| task.task_id == share.task_id)?;
            let mut group = Self::new(self.property_id);
            group.add(task, share.first_url, share.url_count, &mut BTreeSet::new());
            Some(group)
        };
        self.shares.iter().filter_map(alone).collect()
    }

    fn add(&mut self, task: &Pending, first: u32, count: u32, known: &mut BTreeSet<String>) {
        let range = first as usize..(first + count) as usize;
        for url in task.urls.get(range).unwrap_or_default() {
            if known.insert(url.as_str().to_owned()) {
                self.urls.push(url.clone());
            }
        }
        self.shares.push(Share { task_id: task.task_id.clone(), first_url: first, url_count: count });
    }
}

/// The parts of `0..total` that are not in `handed_over`, in pieces of at most `most`.
fn missing(total: u32, handed_over: &[(u32, u32)], most: u32) -> Vec<(u32, u32)> {
    let mut pieces = Vec::new();
    let mut from = 0;
    let end = std::iter::once((total, 0));
    for (first, count) in handed_over.iter().copied().chain(end) {
        let to = first.min(total);
        while from < to {
            let size = (to - from).min(most);
            pieces.push((from, size));
            from += size;
        }
        from = from.max(first.saturating_add(count));
    }
    pieces
}

/// Groups what is pending into requests of at most `most` URLs, in the order of the tasks.
#[must_use]
pub fn plan(pending: &[Pending], most: usize) -> Vec<Group> {
    let most = u32::try_from(most.max(1)).unwrap_or(u32::MAX);
    let mut groups = Vec::new();
    let properties: BTreeSet<i64> = pending.iter().map(|task| task.property_id).collect();
    for property_id in properties {
        let mut open = Group::new(property_id);
        let mut known = BTreeSet::new();
        for task in pending.iter().filter(|task| task.property_id == property_id) {
            let total = u32::try_from(task.urls.len()).unwrap_or(u32::MAX);
            for (first, count) in missing(total, &task.handed_over, most) {
                if open.urls.len() + count as usize > most as usize && !open.shares.is_empty() {
                    groups.push(std::mem::replace(&mut open, Group::new(property_id)));
                    known.clear();
                }
                // A task is in a request at most once: its rows there have one key.
                if open.task_ids().any(|id| id == task.task_id) {
                    groups.push(std::mem::replace(&mut open, Group::new(property_id)));
                    known.clear();
                }
                open.add(task, first, count, &mut known);
            }
        }
        if !open.shares.is_empty() {
            groups.push(open);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn task(id: usize, property_id: i64, urls: &[u16], handed_over: &[(u32, u32)]) -> Pending {
        let url = |n: &u16| PurgeUrl::parse(&format!("http://a.example.com/{n}")).unwrap();
        Pending {
            task_id: format!("t{id}"),
            property_id,
            urls: urls.iter().map(url).collect(),
            handed_over: handed_over.to_vec(),
        }
    }

    #[test]
    fn a_thousand_urls_are_twenty_requests() {
        let urls: Vec<u16> = (0..1000).collect();
        let groups = plan(&[task(1, 1, &urls, &[])], 50);
        assert_eq!(groups.len(), 20);
        assert!(groups.iter().all(|group| group.urls.len() == 50));
    }

    #[test]
    fn small_tasks_of_a_property_share_a_request_and_a_url_is_sent_once() {
        let groups = plan(&[task(1, 1, &[1, 2], &[]), task(2, 2, &[1], &[]), task(3, 1, &[2, 3], &[])], 50);
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[0].urls.len(), 3);
        assert_eq!(groups[0].task_ids().collect::<Vec<_>>(), ["t1", "t3"]);
        let apart = groups[0].apart(&[task(1, 1, &[1, 2], &[]), task(3, 1, &[2, 3], &[])]);
        assert_eq!(apart.iter().map(|group| group.urls.len()).collect::<Vec<_>>(), [2, 2]);
    }

    #[test]
    fn what_the_vendor_has_is_not_sent_again() {
        let urls: Vec<u16> = (0..120).collect();
        let groups = plan(&[task(1, 1, &urls, &[(50, 50)])], 50);
        let parts: Vec<_> = groups.iter().flat_map(|group| &group.shares).map(|s| (s.first_url, s.url_count)).collect();
        assert_eq!(parts, [(0, 50), (100, 20)]);
    }

    proptest! {
        #[test]
        fn every_url_goes_out_exactly_where_its_task_says(
            sizes in proptest::collection::vec((1usize..130, 0i64..3, 0u16..40), 0..20),
            most in 1usize..60,
        ) {
            let tasks: Vec<Pending> = sizes.iter().enumerate().map(|(id, (size, property, base))| {
                let urls: Vec<u16> = (0..*size).map(|n| base + u16::try_from(n).unwrap()).collect();
                task(id, *property, &urls, &[])
            }).collect();
            let groups = plan(&tasks, most);
            for group in &groups {
                prop_assert!(group.urls.len() <= most);
                let distinct: BTreeSet<&str> = group.urls.iter().map(PurgeUrl::as_str).collect();
                prop_assert_eq!(distinct.len(), group.urls.len());
            }
            for task in &tasks {
                let mut covered = vec![0; task.urls.len()];
                for group in &groups {
                    for share in group.shares.iter().filter(|share| share.task_id == task.task_id) {
                        prop_assert_eq!(group.property_id, task.property_id);
                        for n in share.first_url..share.first_url + share.url_count {
                            covered[n as usize] += 1;
                            let url = task.urls[n as usize].as_str();
                            prop_assert!(group.urls.iter().any(|sent| sent.as_str() == url));
                        }
                    }
                }
                prop_assert!(covered.iter().all(|times| *times == 1));
            }
        }
    }
}
