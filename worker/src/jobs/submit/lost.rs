//! Requests whose answers were lost: looked for at the vendor before they are made again.
//!
//! A request costs quota and has an id of its own each time, so what the vendor has already is taken over. Whatever
//! holds a URL and was accepted after the task was first tried serves the task, whoever made it: the content that the
//! customer wanted gone was older. Called by the round, before anything is planned; a vendor that cannot be asked puts
//! these tasks off. Vendors for which a repetition does no harm have nothing to look for.

use super::Submit;
use super::round::Round;
use crate::jobs::plan::Pending;
use overseas_shared::cdn::{CdnError, FoundRequest, QuotaKind, directory};
use overseas_shared::db::DbError;
use overseas_shared::db::submission::Share;
use overseas_shared::domain::PurgeUrl;
use std::collections::{BTreeMap, BTreeSet};

impl Submit {
    /// Takes over what the vendor has of tasks that were tried before. Those about which it cannot be asked are put off
    /// and taken out of `pending`.
    pub(super) async fn find_lost(&self, round: &Round<'_>, pending: &mut Vec<Pending>) -> Result<(), DbError> {
        if !self.account.client.capabilities().finds_submitted || round.stop.is_cancelled() {
            return Ok(());
        }
        let mut put_off: BTreeSet<String> = BTreeSet::new();
        for (property_id, (kinds, since)) in self.in_doubt(pending) {
            let Some(property) = round.properties.get(&property_id) else { continue };
            let mut found = Vec::new();
            let mut failure = None;
            for kind in kinds {
                match self.account.client.find_submitted(property, kind, since).await {
                    Ok(requests) => found.extend(requests.into_iter().map(|request| (kind, request))),
                    Err(error) => failure = Some(error),
                }
            }
            let concerned = |task: &&Pending| task.property_id == property_id && task.tried_at.is_some();
            if let Some(error) = failure {
                round.note_pause(&error);
                let ids = pending.iter().filter(concerned).map(|task| task.task_id.as_str());
                put_off.extend(ids.clone().map(str::to_owned));
                round.put_off(ids, Some(&unsure(error)));
                continue;
            }
            self.take_over(round, property_id, pending, &found).await?;
            pending.iter().filter(concerned).for_each(|task| round.is_known_again(&task.task_id));
        }
        pending.retain(|task| !put_off.contains(&task.task_id));
        Ok(())
    }

    /// The properties with tasks that were tried before, the kinds of their URLs, and since when.
    fn in_doubt(&self, pending: &[Pending]) -> BTreeMap<i64, (BTreeSet<QuotaKind>, i64)> {
        let can = self.account.client.capabilities();
        let mut doubtful: BTreeMap<i64, (BTreeSet<QuotaKind>, i64)> = BTreeMap::new();
        for task in pending {
            let Some(tried_at) = task.tried_at else { continue };
            let (kinds, since) = doubtful.entry(task.property_id).or_insert((BTreeSet::new(), tried_at));
            kinds.extend(task.urls.iter().map(|url| can.kind(self.action(), url)));
            *since = tried_at.min(*since);
        }
        doubtful
    }

    async fn take_over(
        &self,
        round: &Round<'_>,
        property_id: i64,
        pending: &mut [Pending],
        found: &[(QuotaKind, FoundRequest)],
    ) -> Result<(), DbError> {
        let can = self.account.client.capabilities();
        for (kind, request) in found {
            let mut shares = Vec::new();
            for task in pending.iter_mut().filter(|task| task.property_id == property_id) {
                let share = served(task, *kind, request, |url| can.kind(self.action(), url));
                if let Some(share) = share {
                    task.handed_over.push((share.first_url, share.url_count));
                    task.handed_over.sort_unstable();
                    shares.push(share);
                }
            }
            if !shares.is_empty() {
                let (vendor_id, tasks) = (request.vendor_id.as_str(), shares.len());
                tracing::info!(
                    cdn = self.account.name,
                    vendor_id,
                    tasks,
                    "a request whose answer was lost is at the vendor"
                );
                self.record(round, property_id, vendor_id, &shares, self.context.clock.now()).await?;
            }
        }
        Ok(())
    }
}

/// A failure to look is one after which nothing more is known than before.
fn unsure(error: CdnError) -> CdnError {
    match error {
        error if error.account_pause().is_some() || error.may_have_acted() => error,
        error => CdnError::Transient(error.to_string()),
    }
}

/// The longest stretch of what is left of a task that a request serves. One stretch, since a task and a request have one
/// row in common; the rest is handed over again.
fn served(
    task: &Pending,
    kind: QuotaKind,
    request: &FoundRequest,
    kind_of: impl Fn(&PurgeUrl) -> QuotaKind,
) -> Option<Share> {
    let tried_at = task.tried_at?.div_euclid(1000);
    if request.accepted_at < tried_at {
        return None;
    }
    let is_in = |url: &PurgeUrl| request.urls.contains(directory(url).unwrap_or(url.as_str()));
    let mut best: Option<Share> = None;
    for piece in task.pieces(kind_of, |_| usize::MAX).into_iter().filter(|piece| piece.kind == kind) {
        let mut first_url = piece.first;
        for run in task.part(piece.first, piece.count).chunk_by(|one, other| is_in(one) == is_in(other)) {
            let url_count = u32::try_from(run.len()).unwrap_or(u32::MAX);
            if is_in(&run[0]) && best.as_ref().is_none_or(|best| url_count > best.url_count) {
                best = Some(Share { task_id: task.task_id.clone(), first_url, url_count, failure: None });
            }
            first_url += url_count;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use overseas_shared::cdn::Action;

    fn task(paths: &[&str], handed_over: &[(u32, u32)]) -> Pending {
        let url = |path: &&str| PurgeUrl::parse(&format!("http://a.example.com{path}")).unwrap();
        Pending {
            task_id: "t".to_owned(),
            property_id: 1,
            urls: paths.iter().map(url).collect(),
            handed_over: handed_over.to_vec(),
            tried_at: Some(1_000_700),
        }
    }

    fn served(task: &Pending, kind: QuotaKind, accepted_at: i64, paths: &[&str]) -> Option<(u32, u32)> {
        let urls = paths.iter().map(|path| format!("http://a.example.com{path}")).collect();
        let request = FoundRequest { vendor_id: "v".to_owned(), accepted_at, urls };
        super::served(task, kind, &request, |url| QuotaKind::of(Action::Refresh, url))
            .map(|share| (share.first_url, share.url_count))
    }

    #[test]
    fn a_request_serves_what_it_holds_and_is_not_older_than_the_try() {
        let (urls, directories) = (QuotaKind::RefreshUrl, QuotaKind::RefreshDirectory);
        let whole = task(&["/a", "/b", "/d/*"], &[]);
        assert_eq!(served(&whole, urls, 1000, &["/a", "/b", "/x"]), Some((0, 2)));
        assert_eq!(served(&whole, urls, 1001, &["/b"]), Some((1, 1)));
        assert_eq!(served(&whole, directories, 1000, &["/d/"]), Some((2, 1)));
        assert_eq!(served(&whole, urls, 999, &["/a", "/b"]), None);
        assert_eq!(served(&whole, urls, 1000, &["/c"]), None);
        let rest = task(&["/a", "/b", "/c", "/e", "/f"], &[(1, 1)]);
        assert_eq!(served(&rest, urls, 1000, &["/a", "/b", "/c", "/e"]), Some((2, 2)));
    }
}
