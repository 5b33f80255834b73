//! Parameters, wherever a client put them: query string, JSON body or form body, on every method.
//!
//! `gather` (called by `app`) merges them once: where a name stands in both, the query string wins;
//! `domain.0=a&domain.1=b`, `domain[0]=a` and repeated names make a list. [`Params`] then reads a
//! handler's own type from the merged object; unknown parameters are ignored. Values may be text
//! where a number or a boolean is meant, because that is all a query string has.

use crate::error::ApiError;
use overseas_shared::domain::name::shorten;
use poem::{Request, RequestBody, Result};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most values of one name.
const MOST_VALUES: usize = 10_000;

/// The merged parameters of a request.
#[derive(Debug, Clone, Default)]
pub struct RawParams(pub Arc<Map<String, Value>>);

impl RawParams {
    /// A parameter that is one text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }
}

/// Merges query string and body.
///
/// # Errors
/// [`ApiError::BadRequest`] when the body is no JSON object or no form.
pub fn merge(query: &str, content_type: Option<&str>, body: &[u8]) -> Result<RawParams, ApiError> {
    let mut merged = parse_body(content_type, body)?;
    merged.extend(parse_form(query)?);
    Ok(RawParams(Arc::new(merged)))
}

/// A JSON body is told by its first character as well: `curl -d '{..}'` says that it is a form.
fn parse_body(content_type: Option<&str>, body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let Some(first) = body.iter().find(|byte| !byte.is_ascii_whitespace()) else {
        return Ok(Map::new());
    };
    let is_form = content_type.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if is_form && *first != b'{' {
        let text = std::str::from_utf8(body).map_err(|_| bad_body("the form is not UTF-8"))?;
        return parse_form(text);
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(bad_body("it is JSON, but not an object like {\"login_email\": ..}")),
        Err(error) => Err(bad_body(&format!("it is not valid JSON: {error}"))),
    }
}

fn bad_body(reason: &str) -> ApiError {
    ApiError::BadRequest(format!("the body cannot be read: {reason}"))
}

fn parse_form(text: &str) -> Result<Map<String, Value>, ApiError> {
    if text.is_empty() {
        return Ok(Map::new());
    }
    let mut lists: BTreeMap<String, Vec<(usize, String)>> = BTreeMap::new();
    for (key, value) in form_urlencoded::parse(text.as_bytes()).into_owned() {
        let (name, index) = split_index(&key);
        let list = lists.entry(name.to_owned()).or_default();
        if list.len() >= MOST_VALUES {
            return Err(ApiError::TooLarge(format!("{name}: more than {MOST_VALUES} values")));
        }
        let index = index.unwrap_or(list.len());
        list.push((index, value));
    }
    let value = |mut list: Vec<(usize, String)>| {
        list.sort_by_key(|(index, _)| *index);
        if list.len() == 1 {
            return list.pop().map_or(Value::Null, |(_, value)| Value::String(value));
        }
        Value::Array(list.into_iter().map(|(_, value)| Value::String(value)).collect())
    };
    Ok(lists.into_iter().map(|(name, list)| (name, value(list))).collect())
}

/// `domain.3` and `domain[3]` are the fourth value of `domain`.
fn split_index(key: &str) -> (&str, Option<usize>) {
    let dotted = key.rsplit_once('.');
    let bracketed = key.strip_suffix(']').and_then(|key| key.rsplit_once('['));
    match bracketed.or(dotted) {
        Some((name, "")) if key.ends_with("[]") => (name, None),
        Some((name, index)) if !name.is_empty() => match index.parse() {
            Ok(index) => (name, Some(index)),
            Err(_) => (key, None),
        },
        _ => (key, None),
    }
}

/// A handler's parameters.
pub struct Params<T>(pub T);

impl<'a, T: Type + DeserializeOwned> ApiExtractor<'a> for Params<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = |content_type| MetaMediaType { content_type, schema: T::schema_ref() };
        let content = vec![content("application/json"), content("application/x-www-form-urlencoded")];
        Some(MetaRequest { description: None, content, required: false })
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let raw = request.extensions().get::<RawParams>().cloned().unwrap_or_default();
        let value = Value::Object(raw.0.as_ref().clone());
        let read = serde_path_to_error::deserialize(value).map_err(|error| {
            let name = error.path().to_string();
            ApiError::wrong(&name, error.into_inner())
        })?;
        Ok(Self(read))
    }
}

/// A text. A number or a boolean is a slip of the caller's, and would become a name nobody meant.
///
/// # Errors
/// When it is anything else.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Value::Array(_) => Err(D::Error::custom("expected one value")),
        Value::Number(_) | Value::Bool(_) | Value::Object(_) => Err(D::Error::custom("expected text")),
    }
}

/// A text that may be all digits, which JSON may write as a number.
///
/// # Errors
/// When it is anything else.
pub fn loose_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Number(number) => Ok(Some(number.to_string())),
        other => text(other).map_err(D::Error::custom),
    }
}

/// A password: text that is not trimmed.
///
/// # Errors
/// When it is not text.
pub fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(D::Error::custom("expected text")),
    }
}

/// A whole number, also as text.
///
/// # Errors
/// When it is none.
pub fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let wrong = |shown: &str| D::Error::custom(format!("`{}` is not a whole number", shorten(shown)));
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::Number(number) => number.as_i64().map(Some).ok_or_else(|| wrong(&number.to_string())),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => text.trim().parse().map(Some).map_err(|_| wrong(&text)),
        other => Err(wrong(&other.to_string())),
    }
}

/// `true` or `false`, also as text, in any case.
///
/// # Errors
/// When it is neither.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let word = match &value {
        Value::Null => return Ok(None),
        Value::Bool(flag) => return Ok(Some(*flag)),
        Value::String(text) => text.trim().to_lowercase(),
        other => other.to_string(),
    };
    match word.as_str() {
        "" => Ok(None),
        "true" | "1" => Ok(Some(true)),
        "false" | "0" => Ok(Some(false)),
        other => Err(D::Error::custom(format!("`{}` is neither true nor false", shorten(other)))),
    }
}

/// One text or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OneOrMany(pub Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let item = |value: Value| match value {
            Value::String(text) => Ok(text),
            _ => Err(D::Error::custom("expected text or a list of texts")),
        };
        match Value::deserialize(deserializer)? {
            Value::Null => Ok(Self::default()),
            Value::Array(items) => Ok(Self(items.into_iter().map(item).collect::<Result<_, _>>()?)),
            // A list that a query string or form wrote with indexes arrives as an array; an object is not one.
            single => Ok(Self(vec![item(single)?])),
        }
    }
}

impl Type for OneOrMany {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "text_or_list".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        let text = || MetaSchemaRef::Inline(Box::new(MetaSchema::new("string")));
        let mut list = MetaSchema::new("array");
        list.items = Some(Box::new(text()));
        let mut either = MetaSchema::ANY;
        either.one_of = vec![text(), MetaSchemaRef::Inline(Box::new(list))];
        MetaSchemaRef::Inline(Box::new(either))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for OneOrMany {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        serde_json::from_value(value.unwrap_or_default()).map_err(|error| ParseError::custom(error.to_string()))
    }
}

impl ToJSON for OneOrMany {
    fn to_json(&self) -> Option<Value> {
        serde_json::to_value(&self.0).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn merged(query: &str, content_type: Option<&str>, body: &str) -> Value {
        Value::Object(merge(query, content_type, body.as_bytes()).unwrap().0.as_ref().clone())
    }

    #[test]
    fn the_query_string_wins_over_the_body() {
        let both = merged("a=1", Some("application/json"), r#"{"a": 2, "b": 3}"#);
        assert_eq!(both, json!({"a": "1", "b": 3}));
    }

    #[test]
    fn lists_are_written_in_four_ways() {
        for query in [
            "domain=a&domain=b",
            "domain.0=a&domain.1=b",
            "domain.1=b&domain.0=a",
            "domain[0]=a&domain[1]=b",
            "domain[]=a&domain[]=b",
        ] {
            assert_eq!(merged(query, None, ""), json!({"domain": ["a", "b"]}), "{query}");
        }
        assert_eq!(merged("domain.10=b&domain.9=a", None, ""), json!({"domain": ["a", "b"]}));
        assert_eq!(merged("domain=a", None, ""), json!({"domain": "a"}));
        assert_eq!(merged("a.b=1&.5=2", None, ""), json!({"a.b": "1", ".5": "2"}));
    }

    #[test]
    fn a_body_is_json_or_a_form() {
        let form = Some("application/x-www-form-urlencoded");
        assert_eq!(merged("", form, "a=1&b=x%20y+z"), json!({"a": "1", "b": "x y z"}));
        assert_eq!(merged("", form, r#" {"a": 1}"#), json!({"a": 1}));
        assert_eq!(merged("", None, r#"{"a": 1}"#), json!({"a": 1}));
        assert_eq!(merged("", None, "null"), json!({}));
        for bad in ["{", "[1]", "a=1", "\"x\""] {
            assert!(merge("", Some("application/json"), bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(query in "\\PC{0,60}", body in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = merge(&query, None, &body);
            let _ = merge(&query, Some("application/x-www-form-urlencoded"), &body);
        }
    }
}
