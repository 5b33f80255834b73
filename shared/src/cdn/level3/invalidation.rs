//! Invalidations: from URLs to the vendor's path patterns, and from its answers to progress.
//!
//! One invalidation takes up to 50 paths of one property and has one id, by which it is found in
//! the property's list; the id is opaque and never stands in a URL. Invariant: a path may match more
//! than the URL it is made of, never less. Source of the shapes and of the pattern's characters:
//! Level 3 Media Portal API help. Called by `mod.rs`.

use super::document::{Visitor, fill};
use crate::cdn::{Action, CdnError, OpenRequest, Progress, ProgressReport};
use crate::domain::{PurgeTarget, PurgeUrl};
use quick_xml::escape::partial_escape;
use std::collections::{BTreeMap, HashSet};

/// Most paths that the vendor takes in one request.
pub(super) const PATHS_PER_REQUEST: usize = 50;

/// The paths that are to be invalidated, each once, in the order of the URLs.
///
/// # Errors
/// [`CdnError::Rejected`] when there is none, or more than the vendor takes at a time.
pub(super) fn paths(action: Action, urls: &[PurgeUrl]) -> Result<Vec<String>, CdnError> {
    let mut seen = HashSet::new();
    let paths: Vec<String> =
        urls.iter().map(|url| pattern(action, url)).filter(|path| seen.insert(path.clone())).collect();
    match paths.len() {
        0 => Err(CdnError::Rejected("no URL was given".to_owned())),
        1..=PATHS_PER_REQUEST => Ok(paths),
        count => Err(CdnError::Rejected(format!("{count} paths in one request; the vendor takes {PATHS_PER_REQUEST}"))),
    }
}

fn pattern(action: Action, url: &PurgeUrl) -> String {
    let path = url.path_and_query();
    match (url.target(), action) {
        (PurgeTarget::Wildcard, _) => path,
        (PurgeTarget::Directory, Action::Refresh) => format!("{}*", literal(&path)),
        // A preload takes single objects; the only one that ends in `/` is the root, and a `*`
        // there would invalidate the whole property.
        (PurgeTarget::Object, _) | (PurgeTarget::Directory, Action::Preload) => literal(&path),
    }
}

/// Replaces the characters that begin or end a set or a count in a pattern and so would not match
/// themselves. There is no way to quote them, but `+` (one or more characters within a segment)
/// matches each. A `+` of the URL stays, for it matches itself; `^`, `,` and `-` mean something
/// only within brackets, and a `\` is never part of a URL here.
fn literal(path: &str) -> String {
    path.replace(['[', ']', '{', '}'], "+")
}

/// The body of the request.
pub(super) fn body(paths: &[String]) -> String {
    let mut body = "<paths>".to_owned();
    for path in paths {
        body.push_str("<path>");
        body.push_str(&partial_escape(path.as_str()));
        body.push_str("</path>");
    }
    body.push_str("</paths>");
    body
}

fn is_invalidation(name: &str) -> bool {
    matches!(name, "invalidation" | "invalidations")
}

/// The roots of the answers that tell of invalidations, whole or cut down to a part.
fn is_envelope(name: &str) -> bool {
    is_invalidation(name)
        || matches!(name, "accessgroup" | "service" | "services" | "ni" | "networkidentifier" | "networkidentifiers")
}

#[derive(Debug, Default)]
struct Frame {
    id: Option<String>,
    percent: Option<String>,
}

/// Takes invalidations from an answer, each as an id and its percentage.
#[derive(Debug, Default)]
struct Invalidations {
    recognised: bool,
    open: Vec<Frame>,
    count: usize,
}

impl Invalidations {
    fn open(&mut self, path: &[String]) {
        let Some((name, above)) = path.split_last() else {
            return;
        };
        self.recognised |= above.is_empty() && is_envelope(name);
        if is_invalidation(name) {
            self.open.push(Frame::default());
        }
    }

    /// Gives an invalidation when its element ends; a list of them has no id and gives none.
    fn close(&mut self, path: &[String], text: &str) -> Option<(String, Option<String>)> {
        let (name, above) = path.split_last()?;
        if is_invalidation(name) {
            let frame = self.open.pop()?;
            let id = frame.id?;
            self.count += 1;
            return Some((id, frame.percent));
        }
        if above.last().is_some_and(|parent| is_invalidation(parent)) {
            let frame = self.open.last_mut()?;
            match name.as_str() {
                "id" => fill(&mut frame.id, text),
                "percentcomplete" => fill(&mut frame.percent, text),
                _ => {}
            }
        }
        None
    }
}

/// Takes the new invalidation's id from the answer to a submission.
#[derive(Debug, Default)]
pub(super) struct Submitted {
    elements: Invalidations,
    id: Option<String>,
    others: usize,
}

impl Visitor for Submitted {
    fn open(&mut self, path: &[String]) {
        self.elements.open(path);
    }

    fn close(&mut self, path: &[String], text: &str) {
        if let Some((id, _)) = self.elements.close(path, text) {
            self.others += usize::from(self.id.as_ref().is_some_and(|first| *first != id));
            fill(&mut self.id, &id);
        }
    }

    fn items(&self) -> usize {
        self.elements.count
    }
}

impl Submitted {
    /// The id. The vendor is only known to give one for all paths of a request.
    ///
    /// # Errors
    /// [`CdnError::Unreadable`] when there is none.
    pub(super) fn finish(self) -> Result<String, CdnError> {
        let id = self.id.ok_or_else(|| CdnError::Unreadable("it has no invalidation with an id".to_owned()))?;
        if self.others > 0 {
            tracing::warn!(first = id, others = self.others, "several ids for one request; following the first");
        }
        Ok(id)
    }
}

/// The list of a property holds its last 100 requests (Level 3 Media Portal API help).
const LIST_LENGTH: usize = 100;

/// Takes the progress of some invalidations from a property's list.
#[derive(Debug)]
pub(super) struct Listed {
    elements: Invalidations,
    wanted: HashSet<String>,
    found: BTreeMap<String, u8>,
    /// All ids of the list, up to the length at which the vendor drops the oldest.
    ids: HashSet<String>,
}

impl Listed {
    pub(super) fn new(requests: &[OpenRequest]) -> Self {
        let wanted = requests.iter().map(|request| request.vendor_id.clone()).collect();
        let elements = Invalidations::default();
        Self { elements, wanted, found: BTreeMap::new(), ids: HashSet::new() }
    }

    /// Those that were asked for and are listed.
    ///
    /// # Errors
    /// [`CdnError::Unreadable`] for an answer about something else: taken for an empty list, it
    /// would let every task look as if the vendor had dropped it.
    pub(super) fn finish(self) -> Result<ProgressReport, CdnError> {
        if !self.elements.recognised && self.elements.count == 0 {
            return Err(CdnError::Unreadable("it is not about invalidations".to_owned()));
        }
        let listed = self
            .found
            .into_iter()
            .map(|(vendor_id, percent)| Progress { vendor_id, percent, failure: None, failed_urls: Vec::new() })
            .collect();
        Ok(ProgressReport { listed, is_full: self.ids.len() >= LIST_LENGTH })
    }
}

impl Visitor for Listed {
    fn open(&mut self, path: &[String]) {
        self.elements.open(path);
    }

    fn close(&mut self, path: &[String], text: &str) {
        let Some((id, told)) = self.elements.close(path, text) else {
            return;
        };
        if self.ids.len() < LIST_LENGTH {
            self.ids.insert(id.clone());
        }
        if self.wanted.contains(&id) {
            let percent = told.as_deref().and_then(percent).unwrap_or_else(|| {
                tracing::debug!(id, told, "no percentage that can be read; taken for 0");
                0
            });
            // Listed once for each path, it is as far as its slowest.
            self.found.entry(id).and_modify(|least| *least = percent.min(*least)).or_insert(percent);
        }
    }

    fn items(&self) -> usize {
        self.elements.count
    }
}

/// Reads `42`, `42.7` and `42 %` as 42; what lies outside of 0 to 100 is brought to its edge.
fn percent(text: &str) -> Option<u8> {
    let number: f64 = text.trim().trim_end_matches('%').trim_end().parse().ok()?;
    if number.is_nan() {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=100")]
    let whole = number.clamp(0.0, 100.0) as u8;
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::read_text;
    use super::*;
    use proptest::prelude::*;

    fn urls(raw: &[&str]) -> Vec<PurgeUrl> {
        raw.iter().map(|path| PurgeUrl::parse(&format!("http://cdn.example.com{path}")).unwrap()).collect()
    }

    fn refreshed(raw: &str) -> String {
        paths(Action::Refresh, &urls(&[raw])).unwrap().remove(0)
    }

    #[test]
    fn a_path_matches_at_least_what_the_url_means() {
        for (url, expected) in [
            ("/a.html?x=1&y=/", "/a.html?x=1&y=/"),
            ("/images/", "/images/*"),
            ("/images/*.jpg", "/images/*.jpg"),
            ("/a[1]{2}+b^c,d.jpg", "/a+1++2++b^c,d.jpg"),
            ("/a[1]/", "/a+1+/*"),
            ("", "/"),
            ("/", "/*"),
        ] {
            assert_eq!(refreshed(url), expected, "{url}");
        }
        assert_eq!(paths(Action::Preload, &urls(&["/"])).unwrap(), ["/"]);
    }

    #[test]
    fn each_path_is_sent_once_and_at_most_fifty() {
        let many: Vec<String> = (0..51).map(|number| format!("/{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(matches!(paths(Action::Refresh, &urls(&many)), Err(CdnError::Rejected(_))));
        assert_eq!(paths(Action::Refresh, &urls(&many[..50])).unwrap().len(), 50);
        assert_eq!(paths(Action::Refresh, &urls(&["/b", "/a", "/b"])).unwrap(), ["/b", "/a"]);
        assert!(matches!(paths(Action::Refresh, &[]), Err(CdnError::Rejected(_))));
    }

    fn submitted(text: &str) -> Result<String, CdnError> {
        let mut visitor = Submitted::default();
        read_text(text, &mut visitor)?;
        visitor.finish()
    }

    fn listed(text: &str, ids: &[&str]) -> Result<Vec<(String, u8)>, CdnError> {
        let asked = |id: &&str| OpenRequest { vendor_id: (*id).to_owned(), action: Action::Refresh };
        let mut visitor = Listed::new(&ids.iter().map(asked).collect::<Vec<_>>());
        read_text(text, &mut visitor)?;
        let report = visitor.finish()?;
        Ok(report.listed.into_iter().map(|progress| (progress.vendor_id, progress.percent)).collect())
    }

    #[test]
    fn the_first_id_of_the_answer_is_the_requests() {
        for text in [
            r#"<accessGroup id="1"><services><service id="S"><networkIdentifiers><ni id="n"><invalidations>
               <invalidation id="D/1@2" path="/a"/><invalidation path="/b" id="D/1@2"/></invalidations></ni></networkIdentifiers></service></services></accessGroup>"#,
            "<INVALIDATION><ID>D/1@2</ID></INVALIDATION>",
            "<invalidations><invalidation id='D/1@2'/><invalidation id='other'/></invalidations>",
            r#"{"accessGroup":{"id":"1","services":[{"networkIdentifiers":[{"id":"n","invalidations":[{"id":"D/1@2","path":"/a"}]}]}]}}"#,
        ] {
            assert_eq!(submitted(text).unwrap(), "D/1@2", "{text}");
        }
        assert!(matches!(submitted("<accessGroup id='1'/>"), Err(CdnError::Unreadable(_))));
    }

    #[test]
    fn progress_is_read_in_every_form() {
        for text in [
            r#"<invalidations><invalidation id="a" percentComplete="42"><paths><path>/x</path></paths></invalidation><invalidation id="b"/></invalidations>"#,
            r#"<accessGroup id="1"><ni id="n"><Invalidations><Invalidation percentcomplete="100.0" id="a"/><invalidation id="a" percentComplete="42.9%"/></Invalidations></ni></accessGroup>"#,
            "<invalidations><invalidation><id>a</id><percentComplete> 42 </percentComplete></invalidation></invalidations>",
            r#"{"accessGroup":{"services":[{"networkIdentifiers":[{"invalidations":[{"percentComplete":42,"id":"a","paths":["/x"]}]}]}]}}"#,
        ] {
            assert_eq!(listed(text, &["a", "z"]).unwrap(), [("a".to_owned(), 42)], "{text}");
        }
        for (told, expected) in [("", 0), ("soon", 0), ("-5", 0), ("1e9", 100), ("NaN", 0), ("99.9", 99)] {
            let text = format!("<invalidations><invalidation id='a' percentComplete='{told}'/></invalidations>");
            assert_eq!(listed(&text, &["a"]).unwrap(), [("a".to_owned(), expected)], "{told}");
        }
    }

    #[test]
    fn an_empty_list_is_told_from_another_page() {
        for text in [
            "<invalidations/>",
            "<accessGroup id='1'><ni id='n'/></accessGroup>",
            r#"{"invalidations":[],"accessGroup":{}}"#,
        ] {
            assert_eq!(listed(text, &["a"]).unwrap(), [], "{text}");
        }
        assert!(matches!(listed("<html><p/></html>", &["a"]), Err(CdnError::Unreadable(_))));
    }

    #[derive(Default)]
    struct Paths(Vec<String>);

    impl Visitor for Paths {
        fn close(&mut self, path: &[String], text: &str) {
            if path == ["paths", "path"] {
                self.0.push(text.to_owned());
            }
        }
    }

    proptest! {
        #[test]
        fn a_body_says_the_paths_it_was_made_of(paths in proptest::collection::vec("/[^\\s\\p{C}]{0,30}", 1..5)) {
            let mut read = Paths::default();
            read_text(body(&paths), &mut read).unwrap();
            prop_assert_eq!(read.0, paths);
        }

        #[test]
        fn no_percentage_panics(text in "\\PC{0,12}") {
            prop_assert!(percent(&text).is_none_or(|percent| percent <= 100));
        }
    }
}
