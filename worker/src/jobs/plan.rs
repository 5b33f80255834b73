//! Which URLs go together in one request to the vendor. Pure.
//!
//! Tasks of one property share a request as long as their URLs fit; a task that does not fit into one
//! request is cut into pieces, and so is one whose URLs the vendor takes in calls of different kinds. A URL that
//! several tasks of a request ask for is sent once: they all were still queued, so one purge serves them all.
//! Called by the submit job.

use overseas_shared::cdn::QuotaKind;
use overseas_shared::db::submission::Share;
use overseas_shared::domain::PurgeUrl;
use std::collections::{BTreeMap, BTreeSet};

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
    /// Since when the vendor may have more of it without our knowing; UTC milliseconds.
    pub tried_at: Option<i64>,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Group {
    /// The property.
    pub property_id: i64,
    /// What the URLs are to the vendor.
    pub kind: QuotaKind,
    /// What of which tasks goes with it.
    pub shares: Vec<Share>,
    /// The URLs, each once.
    pub urls: Vec<PurgeUrl>,
}

impl Group {
    fn new(property_id: i64, kind: QuotaKind) -> Self {
        Self { property_id, kind, shares: Vec::new(), urls: Vec::new() }
    }

    /// The tasks that it serves.
    pub fn task_ids(&self) -> impl Iterator<Item = &str> {
        self.shares.iter().map(|share| share.task_id.as_str())
    }

    /// The same as one request for each task, for when the vendor refuses them together.
    #[must_use]
    pub fn apart(&self, pending: &[Pending]) -> Vec<Self> {
        self.shares.iter().map(|share| self.of(std::slice::from_ref(share), pending)).collect()
    }

    /// The same as two requests, for when it is too large for the vendor; one URL stays one.
    #[must_use]
    pub fn halves(&self, pending: &[Pending]) -> Vec<Self> {
        if let [share] = self.shares.as_slice() {
            let half = share.url_count / 2;
            let front = Share { url_count: half, ..share.clone() };
            let back = Share { first_url: share.first_url + half, url_count: share.url_count - half, ..share.clone() };
            return [front, back]
                .iter()
                .filter(|share| share.url_count > 0)
                .map(|share| self.of(std::slice::from_ref(share), pending))
                .collect();
        }
        let (front, back) = self.shares.split_at(self.shares.len() / 2);
        [front, back].into_iter().map(|shares| self.of(shares, pending)).collect()
    }

    /// Some of its shares as a request of their own.
    fn of(&self, shares: &[Share], pending: &[Pending]) -> Self {
        let mut group = Self::new(self.property_id, self.kind);
        let mut known = BTreeSet::new();
        for share in shares {
            if let Some(task) = pending.iter().find(|task| task.task_id == share.task_id) {
                group.add(task, share.first_url, share.url_count, &mut known);
            }
        }
        group
    }

    fn add(&mut self, task: &Pending, first: u32, count: u32, known: &mut BTreeSet<String>) {
        for url in task.part(first, count) {
            if known.insert(url.as_str().to_owned()) {
                self.urls.push(url.clone());
            }
        }
        let task_id = task.task_id.clone();
        self.shares.push(Share { task_id, first_url: first, url_count: count, failure: None });
    }
}

/// A stretch of a task's URLs that are of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The kind.
    pub kind: QuotaKind,
    /// The first URL, counted from 0.
    pub first: u32,
    /// How many.
    pub count: u32,
}

impl Pending {
    /// Some of the task's URLs.
    #[must_use]
    pub fn part(&self, first: u32, count: u32) -> &[PurgeUrl] {
        self.urls.get(first as usize..(first + count) as usize).unwrap_or_default()
    }

    /// What the vendor does not have yet, in pieces of one kind and at most `most` URLs of that kind.
    pub fn pieces(&self, kind: impl Fn(&PurgeUrl) -> QuotaKind, most: impl Fn(QuotaKind) -> usize) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut from = 0;
        let total = u32::try_from(self.urls.len()).unwrap_or(u32::MAX);
        for (first, count) in self.handed_over.iter().copied().chain(std::iter::once((total, 0))) {
            let to = first.min(total);
            let gap = if from < to { self.part(from, to - from) } else { &[] };
            for run in gap.chunk_by(|one, other| kind(one) == kind(other)) {
                let kind = kind(&run[0]);
                for part in run.chunks(most(kind).max(1)) {
                    let count = u32::try_from(part.len()).unwrap_or(u32::MAX);
                    pieces.push(Piece { kind, first: from, count });
                    from += count;
                }
            }
            from = from.max(first.saturating_add(count));
        }
        pieces
    }
}

/// Groups what is pending into requests, in the order of the tasks. `kind` says what a URL counts as, `most` how many URLs
/// of a kind a property's request takes; what it has no answer for stays out.
#[must_use]
pub fn plan(
    pending: &[Pending],
    kind: impl Fn(&PurgeUrl) -> QuotaKind + Copy,
    most: impl Fn(i64, QuotaKind) -> Option<usize>,
) -> Vec<Group> {
    let mut groups = Vec::new();
    let properties: BTreeSet<i64> = pending.iter().map(|task| task.property_id).collect();
    for property_id in properties {
        let mut open: BTreeMap<QuotaKind, (Group, BTreeSet<String>)> = BTreeMap::new();
        for task in pending.iter().filter(|task| task.property_id == property_id) {
            for piece in task.pieces(kind, |kind| most(property_id, kind).unwrap_or(usize::MAX)) {
                let Some(most) = most(property_id, piece.kind) else { continue };
                let fresh = || (Group::new(property_id, piece.kind), BTreeSet::new());
                let (group, known) = open.entry(piece.kind).or_insert_with(fresh);
                let is_full = group.urls.len() + piece.count as usize > most.max(1) && !group.shares.is_empty();
                // A task is in a request at most once: its rows there have one key.
                if is_full || group.task_ids().any(|id| id == task.task_id) {
                    groups.push(std::mem::replace(group, Group::new(property_id, piece.kind)));
                    known.clear();
                }
                group.add(task, piece.first, piece.count, known);
            }
        }
        groups.extend(open.into_values().map(|(group, _)| group).filter(|group| !group.shares.is_empty()));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::{Group, Pending};
    use overseas_shared::cdn::{Action, QuotaKind};
    use overseas_shared::domain::PurgeUrl;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn task(id: usize, property_id: i64, urls: &[u16], handed_over: &[(u32, u32)]) -> Pending {
        let url = |n: &u16| PurgeUrl::parse(&format!("http://a.example.com/{n}")).unwrap();
        Pending {
            task_id: format!("t{id}"),
            property_id,
            urls: urls.iter().map(url).collect(),
            handed_over: handed_over.to_vec(),
            tried_at: None,
        }
    }

    fn plan(pending: &[Pending], most: usize) -> Vec<Group> {
        super::plan(pending, |url| QuotaKind::of(Action::Refresh, url), |_, _| Some(most))
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

    #[test]
    fn directories_go_apart_from_objects() {
        let urls =
            ["/a", "/d/", "/b", "/e/*"].map(|path| PurgeUrl::parse(&format!("http://a.example.com{path}")).unwrap());
        let mut mixed = task(1, 1, &[], &[]);
        mixed.urls = urls.to_vec();
        let groups = plan(&[mixed, task(2, 1, &[7], &[])], 50);
        let shown: Vec<(QuotaKind, Vec<&str>)> = groups
            .iter()
            .map(|group| {
                (group.kind, group.urls.iter().map(|url| &url.as_str()["http://a.example.com".len()..]).collect())
            })
            .collect();
        let (urls, directories) = (QuotaKind::RefreshUrl, QuotaKind::RefreshDirectory);
        let expected =
            [(urls, vec!["/a"]), (directories, vec!["/d/"]), (urls, vec!["/b", "/7"]), (directories, vec!["/e/*"])];
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_the_vendor_takes_no_more_of_stays_out_and_the_rest_goes() {
        let mut mixed = task(1, 1, &[], &[]);
        mixed.urls =
            ["/a", "/d/"].map(|path| PurgeUrl::parse(&format!("http://a.example.com{path}")).unwrap()).to_vec();
        let objects = |_: i64, kind| (kind == QuotaKind::RefreshUrl).then_some(5);
        let groups = super::plan(&[mixed], |url| QuotaKind::of(Action::Refresh, url), objects);
        let shares: Vec<_> =
            groups.iter().flat_map(|group| &group.shares).map(|s| (s.first_url, s.url_count)).collect();
        assert_eq!(shares, [(0, 1)]);
    }

    #[test]
    fn what_is_too_large_is_halved_down_to_single_urls() {
        let tasks = [task(1, 1, &[1, 2, 3], &[]), task(2, 1, &[3, 4], &[])];
        let mut waiting = plan(&tasks, 50);
        let mut single = Vec::new();
        while let Some(group) = waiting.pop() {
            if group.urls.len() > 1 { waiting.extend(group.halves(&tasks)) } else { single.extend(group.shares) }
        }
        let mut parts: Vec<_> = single.iter().map(|s| (s.task_id.as_str(), s.first_url, s.url_count)).collect();
        parts.sort_unstable();
        assert_eq!(parts, [("t1", 0, 1), ("t1", 1, 1), ("t1", 2, 1), ("t2", 0, 1), ("t2", 1, 1)]);
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
