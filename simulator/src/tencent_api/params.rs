//! The parameters of an action, from a JSON body or from a query, checked against what the action is documented to
//! take.
//!
//! A parameter that is not documented is an error (`UnknownParameter`), as is one that is missing or of another type.
//! In a query, lists and objects are numbered: `Urls.0=..`, `Filters.0.Name=..`; their values are text and become what
//! the parameter's type says. After this, the getters cannot meet a wrong type. Called by `TencentApi` for every
//! action.

use serde_json::{Map, Value};
use url::form_urlencoded;

use super::answer::ApiError;

/// The type of a parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Text,
    Integer,
    Flag,
    Texts,
    Object(&'static [Field]),
    Objects(&'static [Field]),
}

/// One documented parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    name: &'static str,
    kind: Kind,
    required: bool,
}

pub(crate) const fn required(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: true }
}

pub(crate) const fn optional(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: false }
}

/// Parameters that were checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Params(Map<String, Value>);

impl Params {
    /// Reads a JSON body; an empty one has no parameters.
    pub(crate) fn from_body(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
        if body.is_empty() {
            return Ok(Map::new());
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(members),
            _ => Err(ApiError::invalid("The body is no JSON object")),
        }
    }

    /// Reads a query; all values are text still, and lists are objects with numbers for names.
    pub(crate) fn from_query(query: &str) -> Result<Map<String, Value>, ApiError> {
        let mut members = Map::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let mut place = &mut members;
            let mut parts: Vec<&str> = name.split('.').collect();
            let last = parts.pop().unwrap_or_default();
            for part in parts {
                let inner = place.entry(part).or_insert_with(|| Value::Object(Map::new()));
                let Value::Object(inner) = inner else {
                    return Err(ApiError::invalid(format!("{name} is a value and a list")));
                };
                place = inner;
            }
            place.insert(last.to_owned(), Value::String(value.into_owned()));
        }
        Ok(members)
    }

    /// Checks what was read; `from_text` when it comes from a query.
    pub(crate) fn check(given: &Map<String, Value>, fields: &[Field], from_text: bool) -> Result<Self, ApiError> {
        checked(given, fields, from_text, "").map(Self)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        self.0.get(name).and_then(Value::as_i64)
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    pub(crate) fn texts(&self, name: &str) -> Vec<&str> {
        let list = self.0.get(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    pub(crate) fn objects(&self, name: &str) -> Vec<Params> {
        let list = self.0.get(name).and_then(Value::as_array);
        let objects = list.into_iter().flatten().filter_map(Value::as_object);
        objects.map(|object| Params(object.clone())).collect()
    }

    /// `Offset` and `Limit`, the latter within what is allowed.
    pub(crate) fn page(&self, default: i64, most: i64) -> Result<(usize, usize), ApiError> {
        let (offset, limit) = (self.integer("Offset").unwrap_or(0), self.integer("Limit").unwrap_or(default));
        if offset < 0 || limit < 1 || limit > most {
            return Err(ApiError::invalid(format!("Offset begins at 0, Limit is 1 to {most}")));
        }
        Ok((usize::try_from(offset).unwrap_or(usize::MAX), usize::try_from(limit).unwrap_or(usize::MAX)))
    }
}

fn checked(
    given: &Map<String, Value>,
    fields: &[Field],
    from_text: bool,
    within: &str,
) -> Result<Map<String, Value>, ApiError> {
    let mut taken = Map::new();
    for (name, value) in given {
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            let message = format!("The parameter `{within}{name}` is not recognized.");
            return Err(ApiError::new("UnknownParameter", message));
        };
        // What is null was not given.
        if !value.is_null() {
            taken.insert(name.clone(), converted(value, field.kind, from_text, &format!("{within}{name}"))?);
        }
    }
    match fields.iter().find(|field| field.required && !taken.contains_key(field.name)) {
        Some(field) => Err(ApiError::missing(&format!("{within}{}", field.name))),
        None => Ok(taken),
    }
}

fn converted(value: &Value, kind: Kind, from_text: bool, name: &str) -> Result<Value, ApiError> {
    let wrong = || ApiError::invalid(format!("The value of the parameter `{name}` is not of the documented type."));
    let list = || if from_text { numbered(value) } else { value.as_array().cloned() }.ok_or_else(wrong);
    let within = format!("{name}.");
    match kind {
        Kind::Text => value.as_str().map(Value::from).ok_or_else(wrong),
        Kind::Integer if from_text => {
            let number = value.as_str().and_then(|text| text.parse::<i64>().ok());
            number.map(Value::from).ok_or_else(wrong)
        }
        Kind::Integer => value.as_i64().map(Value::from).ok_or_else(wrong),
        Kind::Flag if from_text => match value.as_str() {
            Some("true" | "True" | "1") => Ok(true.into()),
            Some("false" | "False" | "0") => Ok(false.into()),
            _ => Err(wrong()),
        },
        Kind::Flag => value.as_bool().map(Value::from).ok_or_else(wrong),
        Kind::Texts => {
            let list = list()?;
            if list.iter().all(Value::is_string) { Ok(list.into()) } else { Err(wrong()) }
        }
        Kind::Object(fields) => {
            let object = value.as_object().ok_or_else(wrong)?;
            checked(object, fields, from_text, &within).map(Value::Object)
        }
        Kind::Objects(fields) => {
            let object = |item: Value| -> Result<Value, ApiError> {
                let object = item.as_object().ok_or_else(wrong)?;
                checked(object, fields, from_text, &within).map(Value::Object)
            };
            list()?.into_iter().map(object).collect::<Result<Vec<_>, _>>().map(Value::from)
        }
    }
}

/// The list that an object with the names 0, 1, 2.. stands for.
fn numbered(value: &Value) -> Option<Vec<Value>> {
    let object = value.as_object()?;
    (0..object.len()).map(|number| object.get(&number.to_string()).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIELDS: &[Field] = &[
        required("Name", Kind::Text),
        optional("Limit", Kind::Integer),
        optional("Detail", Kind::Flag),
        optional("Urls", Kind::Texts),
        optional("Filters", Kind::Objects(&[required("Name", Kind::Text), optional("Value", Kind::Texts)])),
    ];

    fn code(body: &Value) -> String {
        let given = body.as_object().unwrap();
        Params::check(given, FIELDS, false).map_or_else(|error| error.code, |_| String::new())
    }

    #[test]
    fn what_is_not_documented_missing_or_of_another_type_is_refused() {
        for (body, expected) in [
            (json!({ "Name": "a" }), ""),
            (json!({ "Name": "a", "Limit": null }), ""),
            (json!({ "Name": "a", "Nothing": 1 }), "UnknownParameter"),
            (json!({ "Name": "a", "Filters": [{ "Name": "x", "Values": [] }] }), "UnknownParameter"),
            (json!({}), "MissingParameter"),
            (json!({ "Name": null }), "MissingParameter"),
            (json!({ "Name": "a", "Filters": [{}] }), "MissingParameter"),
            (json!({ "Name": 1 }), "InvalidParameter"),
            (json!({ "Name": "a", "Limit": "1" }), "InvalidParameter"),
            (json!({ "Name": "a", "Limit": 1.5 }), "InvalidParameter"),
            (json!({ "Name": "a", "Detail": 1 }), "InvalidParameter"),
            (json!({ "Name": "a", "Urls": "x" }), "InvalidParameter"),
            (json!({ "Name": "a", "Urls": [1] }), "InvalidParameter"),
        ] {
            assert_eq!(code(&body), expected, "{body}");
        }
        assert!(Params::from_body(b"[]").is_err() && Params::from_body(b"{").is_err());
        assert_eq!(Params::from_body(b"").unwrap(), Map::new());
    }

    #[test]
    fn a_query_says_the_same_as_a_body() {
        let query = "Name=a%20b&Limit=5&Detail=True&Urls.0=x&Urls.1=y&Filters.0.Name=n&Filters.0.Value.0=v";
        let of_query = Params::check(&Params::from_query(query).unwrap(), FIELDS, true).unwrap();
        let body = br#"{"Name":"a b","Limit":5,"Detail":true,"Urls":["x","y"],"Filters":[{"Name":"n","Value":["v"]}]}"#;
        assert_eq!(of_query, Params::check(&Params::from_body(body).unwrap(), FIELDS, false).unwrap());
        assert!(Params::check(&Params::from_query("Name=a&Urls.1=x").unwrap(), FIELDS, true).is_err());
        assert!(Params::from_query("Name=a&Name.0=b").is_err());
    }
}
