//! URLs that a vendor refused or failed while others of the same request went well, and what a task says of them.
//!
//! One request to a vendor serves several tasks, so a bad URL may not fail the tasks that it is not part of. Pure; called
//! by the vendors' clients, the submit job and the queries that write progress.

use std::collections::BTreeMap;

/// Most URLs that a message names.
const MOST_NAMED: usize = 10;

/// A URL that the vendor did not take, or did not finish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlFailure {
    /// As it was submitted.
    pub url: String,
    /// Why, in the vendor's words.
    pub reason: String,
}

/// What a task with these URLs says of the failures; `None` if they are none of its own.
#[must_use]
pub fn failures_among<'a>(urls: impl ExactSizeIterator<Item = &'a str>, failures: &[UrlFailure]) -> Option<String> {
    let total = urls.len();
    let reasons: BTreeMap<&str, &str> =
        failures.iter().map(|failure| (sent(&failure.url), failure.reason.as_str())).collect();
    let failed: Vec<(&str, &str)> =
        urls.filter_map(|url| reasons.get(sent(url)).map(|reason| (url, *reason))).collect();
    if failed.is_empty() {
        return None;
    }
    let named: Vec<String> = failed.iter().take(MOST_NAMED).map(|(url, reason)| format!("{url} ({reason})")).collect();
    let more = failed.len().saturating_sub(MOST_NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    Some(format!("the CDN failed {} of {total} URLs: {}{more}", failed.len(), named.join("; ")))
}

/// A directory is written with or without the `*` after its slash.
fn sent(url: &str) -> &str {
    url.strip_suffix('*').filter(|rest| rest.ends_with('/')).unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_speaks_of_its_own_urls_only() {
        let failure = |url: &str| UrlFailure { url: url.to_owned(), reason: "404".to_owned() };
        let failures: Vec<UrlFailure> = (0..12).map(|number| failure(&format!("http://a/{number}"))).collect();
        assert_eq!(failures_among(["http://a/x"].into_iter(), &failures), None);
        let one = failures_among(["http://a/x", "http://a/3"].into_iter(), &failures).unwrap();
        assert_eq!(one, "the CDN failed 1 of 2 URLs: http://a/3 (404)");
        let all: Vec<&str> = failures.iter().map(|failure| failure.url.as_str()).collect();
        let message = failures_among(all.into_iter(), &failures).unwrap();
        assert!(message.starts_with("the CDN failed 12 of 12 URLs: http://a/0 (404); "), "{message}");
        assert!(message.ends_with("; and 2 more"), "{message}");
    }
}
