//! What an invalidation request says: the paths of its body and the switches of its query (Level 3 Media Portal API help,
//! invalidations).
//!
//! Stricter than the vendor may have been: an element that is not `path`, a switch that is neither true nor false, or an
//! address without `@` is refused, so that a client's slip shows in its tests. Unknown query parameters are let pass.

use poem::http::{HeaderMap, header};
use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, Event};
use serde::Deserialize;
use url::form_urlencoded;

/// The most paths of a request.
const MAX_PATHS: usize = 50;
/// The most characters of `notification`.
const MAX_NOTIFICATION: usize = 250;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonBody {
    paths: Vec<String>,
}

/// The paths of a body, in the form that its Content-Type names.
pub(super) fn parse_paths(headers: &HeaderMap, body: &[u8]) -> Result<Vec<String>, String> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.unwrap_or("").split(';').next().unwrap_or("").trim();
    match media_type.to_ascii_lowercase().as_str() {
        "text/xml" | "application/xml" => {
            let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
            parse_xml(text)
        }
        "text/json" | "application/json" => {
            let parsed: Result<JsonBody, _> = serde_json::from_slice(body);
            parsed.map(|body| body.paths).map_err(|error| error.to_string())
        }
        other => Err(format!("The Content-Type {other:?} is neither XML nor JSON")),
    }
}

/// The rules for the paths of one request.
pub(super) fn check_paths(paths: &[String]) -> Result<(), String> {
    if paths.is_empty() || paths.len() > MAX_PATHS {
        return Err(format!("{} paths: there must be 1 to {MAX_PATHS}", paths.len()));
    }
    let bad = |path: &&String| !path.starts_with('/') || path.contains(char::is_control);
    match paths.iter().find(bad) {
        Some(path) => Err(format!("The path {path:?} does not begin with a slash or is not printable")),
        None => Ok(()),
    }
}

/// The rules for the query.
pub(super) fn check_query(query: &str) -> Result<(), String> {
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let good = match name.as_ref() {
            "force" | "ignoreCase" => matches!(value.as_ref(), "true" | "1" | "false" | "0"),
            "notification" => {
                value.chars().count() <= MAX_NOTIFICATION
                    && value.split(',').all(|address| address.trim().contains('@'))
            }
            _ => true,
        };
        if !good {
            return Err(format!("The parameter {name} has a bad value: {value}"));
        }
    }
    Ok(())
}

/// Where a reader stands in `<paths><path>..</path></paths>`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    InPaths,
    InPath,
    After,
}

fn parse_xml(text: &str) -> Result<Vec<String>, String> {
    let mut reader = Reader::from_str(text);
    let mut place = Place::Before;
    let mut paths = Vec::new();
    let mut path = String::new();
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        match (event, place) {
            (Event::Start(tag), Place::Before) if tag.name().as_ref() == "paths" => place = Place::InPaths,
            (Event::Empty(tag), Place::Before) if tag.name().as_ref() == "paths" => place = Place::After,
            (Event::Start(tag), Place::InPaths) if tag.name().as_ref() == "path" => place = Place::InPath,
            (Event::Empty(tag), Place::InPaths) if tag.name().as_ref() == "path" => paths.push(String::new()),
            (Event::End(_), Place::InPath) => {
                paths.push(std::mem::take(&mut path));
                place = Place::InPaths;
            }
            (Event::End(_), Place::InPaths) => place = Place::After,
            (Event::Text(text), Place::InPath) => path.push_str(&text.xml10_content()),
            (Event::CData(text), Place::InPath) => path.push_str(&text.xml10_content()),
            (Event::GeneralRef(reference), Place::InPath) => push_reference(&mut path, &reference)?,
            (Event::Text(text), _) if text.xml10_content().trim().is_empty() => {}
            (Event::Comment(_), _) | (Event::Decl(_), Place::Before) => {}
            (Event::Eof, Place::After) => return Ok(paths),
            _ => return Err("The body is not <paths><path>..</path></paths>".to_owned()),
        }
    }
}

fn push_reference(path: &mut String, reference: &BytesRef<'_>) -> Result<(), String> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
        path.push(character);
        return Ok(());
    }
    let name = reference.xml10_content();
    let text = resolve_xml_entity(&name).ok_or_else(|| format!("The entity {name} is not known"))?;
    path.push_str(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    fn parse(content_type: &str, body: &str) -> Result<Vec<String>, String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
        parse_paths(&headers, body.as_bytes())
    }

    #[test]
    fn both_forms_of_body_are_read() {
        let xml = "<?xml version=\"1.0\"?>\n<paths>\n <path>/a&amp;b?c=&#60;&quot;</path><path><![CDATA[/d<&]]></path>\n</paths>";
        assert_eq!(parse("text/xml; charset=utf-8", xml).unwrap(), ["/a&b?c=<\"", "/d<&"]);
        let json = r#"{"paths":["/a","/b/*"]}"#;
        assert_eq!(parse("application/json", json).unwrap(), ["/a", "/b/*"]);
        assert_eq!(parse("TEXT/JSON", json).unwrap(), ["/a", "/b/*"]);
        assert_eq!(parse("text/xml", "<paths/>").unwrap().len(), 0);
    }

    #[test]
    fn a_body_of_another_form_is_refused() {
        for (content_type, body) in [
            ("text/plain", "<paths><path>/a</path></paths>"),
            ("text/xml", r#"{"paths":["/a"]}"#),
            ("application/json", "<paths><path>/a</path></paths>"),
            ("text/xml", ""),
            ("text/xml", "<paths><path>/a</path>"),
            ("text/xml", "<paths><path>/a</paths></path>"),
            ("text/xml", "<paths><url>/a</url></paths>"),
            ("text/xml", "<paths><path>/a<b/></path></paths>"),
            ("text/xml", "<paths>/a</paths>"),
            ("text/xml", "<paths></paths><paths></paths>"),
            ("text/xml", "<!DOCTYPE p [<!ENTITY e \"x\">]><paths><path>/&e;</path></paths>"),
            ("text/xml", "<paths><path>/&e;</path></paths>"),
            ("text/json", r#"{"paths":"/a"}"#),
            ("text/json", r#"{"path":["/a"]}"#),
        ] {
            assert!(parse(content_type, body).is_err(), "{content_type} {body}");
        }
    }

    #[test]
    fn one_to_fifty_paths_that_begin_with_a_slash() {
        let paths = |count: usize| vec!["/a".to_owned(); count];
        assert!(check_paths(&paths(0)).is_err());
        assert!(check_paths(&paths(1)).is_ok());
        assert!(check_paths(&paths(50)).is_ok());
        assert!(check_paths(&paths(51)).is_err());
        for bad in ["", "a", "http://x/a", "/a\u{1}", "/a\n"] {
            assert!(check_paths(&[bad.to_owned()]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_query_is_checked() {
        for good in ["", "force=true&ignoreCase=0", "force=1", "notification=a@b.c,d%40e.f", "other=1"] {
            assert!(check_query(good).is_ok(), "{good}");
        }
        let long = format!("notification=a@b.c{}", "x".repeat(246));
        for bad in ["force=yes", "force=", "ignoreCase=2", "notification=nobody", "notification=", &long] {
            assert!(check_query(bad).is_err(), "{bad}");
        }
    }
}
