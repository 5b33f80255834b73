//! What the vendor says of the key itself: its group, its role, what credits remain.
//!
//! Source of the shape: Level 3 Media Portal API help. Called by `mod.rs` to prove credentials.

use super::document::{Visitor, fill};
use crate::cdn::{AccountStatus, CdnError};

/// Takes the key's state from an answer.
#[derive(Debug, Default)]
pub(super) struct Key {
    recognised: bool,
    group_id: Option<String>,
    group_name: Option<String>,
    role: Option<String>,
    status: Option<String>,
    credits: Option<String>,
}

impl Visitor for Key {
    fn open(&mut self, path: &[String]) {
        self.recognised |= path.last().is_some_and(|name| name == "apikey");
    }

    fn close(&mut self, path: &[String], text: &str) {
        let [.., parent, name] = path else {
            return;
        };
        match (parent.as_str(), name.as_str()) {
            ("assignedaccessgroup", "id") => fill(&mut self.group_id, text),
            ("assignedaccessgroup", "name") => fill(&mut self.group_name, text),
            ("role", "name") => fill(&mut self.role, text),
            ("apikey", "status") => fill(&mut self.status, text),
            ("apikey", "credits") => fill(&mut self.credits, text),
            _ => {}
        }
    }
}

impl Key {
    /// One line for people, and the credits.
    ///
    /// # Errors
    /// [`CdnError::Unreadable`] for an answer about something else.
    pub(super) fn finish(self) -> Result<AccountStatus, CdnError> {
        if !self.recognised {
            return Err(CdnError::Unreadable("it is not about an API key".to_owned()));
        }
        let group = match (self.group_id, self.group_name) {
            (Some(id), Some(name)) => Some(format!("access group {id} ({name})")),
            (Some(id), None) => Some(format!("access group {id}")),
            (None, _) => None,
        };
        let role = self.role.map(|role| format!("role {role}"));
        let status = format!("key {}", self.status.as_deref().unwrap_or("of unknown state"));
        let parts: Vec<String> = [group, role, Some(status)].into_iter().flatten().collect();
        Ok(AccountStatus {
            summary: crate::cdn::http::clean(&parts.join(", ")),
            credits: self.credits.and_then(|credits| credits.parse().ok()),
            clock_ahead_seconds: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::read_text;
    use super::*;

    #[test]
    fn a_key_is_told_in_one_line() {
        let text = r#"<apikey id="55555"><apiCorrelationId>CDNPortal-1</apiCorrelationId>
            <assignedAccessGroup id="12345" name="My Access Group"/><contact id="2345" name="ops@example.com"/>
            <role id="30" name="Reporting"/><status>Active</status><credits>702</credits></apikey>"#;
        let mut key = Key::default();
        read_text(text, &mut key).unwrap();
        let status = key.finish().unwrap();
        assert_eq!(status.summary, "access group 12345 (My Access Group), role Reporting, key Active");
        assert_eq!(status.credits, Some(702));
    }

    #[test]
    fn what_is_missing_is_left_out_but_another_page_is_refused() {
        let status = |text: &str| {
            let mut key = Key::default();
            read_text(text, &mut key).unwrap();
            key.finish()
        };
        let bare = status("<ApiKey><credits>many</credits></ApiKey>").unwrap();
        assert_eq!((bare.summary.as_str(), bare.credits), ("key of unknown state", None));
        assert!(matches!(status("<html/>"), Err(CdnError::Unreadable(_))));
    }
}
