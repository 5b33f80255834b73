//! Answers in the envelope of Tencent Cloud API 3.0: success and failure are both HTTP 200.
//!
//! `{"Response":{...,"RequestId"}}`, or `{"Response":{"Error":{"Code","Message"},"RequestId"}}`. Codes are those of the
//! vendor's lists of error codes; which of them belongs to a case is the vendor's documentation, or else a choice that
//! is written beside it. Used by the actions of both services.

use poem::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::hash::mixed;
use crate::reply::{JSON, Reply};

/// The members of an answer beside the request's id.
pub(crate) type Members = Map<String, Value>;

/// Why an action was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) code: String,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new("InvalidParameter", message)
    }

    pub(crate) fn missing(name: &str) -> Self {
        Self::new("MissingParameter", format!("The request is missing a required parameter `{name}`."))
    }
}

/// The members of a JSON object.
pub(crate) fn members(value: Value) -> Members {
    match value {
        Value::Object(members) => members,
        _ => Members::new(),
    }
}

/// An answer as it goes out.
pub(crate) fn reply(result: Result<Members, ApiError>, request_id: &str) -> Reply {
    let mut members =
        result.unwrap_or_else(|error| members(json!({ "Error": { "Code": error.code, "Message": error.message } })));
    members.insert("RequestId".to_owned(), request_id.into());
    Reply::new(StatusCode::OK, JSON, json!({ "Response": members }).to_string())
}

/// An id that looks like the vendor's, from a number that is not there twice.
pub(crate) fn request_id(number: u64) -> String {
    let (high, low) = (mixed(number), mixed(!number));
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

/// The answer as if there were nothing to list.
pub(crate) fn emptied(mut members: Members) -> Members {
    for (name, value) in &mut members {
        match value {
            Value::Array(list) => list.clear(),
            Value::Number(_) if name.starts_with("Total") => *value = 0.into(),
            _ => {}
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emptied_answer_has_no_rows_and_says_so() {
        let answer = members(json!({ "Data": [1, 2], "TotalCount": 2, "TotalNumber": 7, "Interval": "5min" }));
        assert_eq!(
            Value::Object(emptied(answer)),
            json!({ "Data": [], "TotalCount": 0, "TotalNumber": 0, "Interval": "5min" })
        );
    }

    #[test]
    fn request_ids_have_the_form_of_a_uuid_and_differ() {
        let (first, second) = (request_id(1), request_id(2));
        let lengths = |id: &str| id.split('-').map(str::len).collect::<Vec<_>>();
        assert_eq!(lengths(&first), [8, 4, 4, 4, 12]);
        assert_ne!(first, second);
    }
}
