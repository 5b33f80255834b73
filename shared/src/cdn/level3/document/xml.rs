//! Tells the elements of an XML answer while it arrives, one event in memory at a time.
//!
//! Refused are a document type definition and every entity but the five of XML itself and character
//! references, so nothing is expanded. Called by `document.rs`, which keeps the limits.

use super::{Feed, Visitor, ended_early, unreadable};
use crate::cdn::CdnError;
use crate::cdn::http::{CappedBody, body_error};
use quick_xml::errors::SyntaxError;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// Reads a body to its end.
///
/// # Errors
/// [`CdnError::Unreadable`] for what is not XML, [`CdnError::Transient`] for what ends too early.
pub(super) async fn read<V: Visitor>(body: CappedBody, feed: &mut Feed<'_, V>) -> Result<(), CdnError> {
    let mut reader = Reader::from_reader(body);
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        reader.get_mut().begin_piece();
        let event = reader.read_event_into_async(&mut buffer).await.map_err(|error| xml_error(&error))?;
        if matches!(event, Event::Eof) {
            return if feed.path.is_empty() { Ok(()) } else { Err(ended_early()) };
        }
        feed_event(&event, feed)?;
    }
}

fn xml_error(error: &quick_xml::Error) -> CdnError {
    match error {
        quick_xml::Error::Io(error) => body_error(error),
        quick_xml::Error::Syntax(SyntaxError::InvalidBangMarkup) => unreadable(error.to_string()),
        // All the others say that a tag, comment or the like was open when the body ended.
        quick_xml::Error::Syntax(_) => ended_early(),
        other => unreadable(other.to_string()),
    }
}

fn feed_event<V: Visitor>(event: &Event<'_>, feed: &mut Feed<'_, V>) -> Result<(), CdnError> {
    match event {
        Event::Start(tag) => feed_tag(tag, feed),
        Event::Empty(tag) => feed_tag(tag, feed).and_then(|()| feed.close()),
        Event::End(_) => feed.close(),
        Event::Text(text) => feed.text(text),
        Event::CData(text) => feed.text(text),
        Event::GeneralRef(reference) => match reference.resolve_char_ref() {
            Ok(Some(character)) => feed.text(character.encode_utf8(&mut [0; 4])),
            Ok(None) => match resolve_predefined_entity(reference) {
                Some(text) => feed.text(text),
                None => Err(unreadable("an entity that XML itself does not define")),
            },
            Err(error) => Err(unreadable(error.to_string())),
        },
        Event::DocType(_) => Err(unreadable("it has a document type definition")),
        Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::Eof => Ok(()),
    }
}

fn feed_tag<V: Visitor>(tag: &BytesStart<'_>, feed: &mut Feed<'_, V>) -> Result<(), CdnError> {
    feed.open(tag.local_name().as_ref())?;
    // Looking for doubled names takes time that grows with the square of their number.
    for attribute in tag.attributes().with_checks(false) {
        let attribute = attribute.map_err(|error| unreadable(error.to_string()))?;
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let value =
            attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| unreadable(error.to_string()))?;
        feed.leaf(attribute.key.local_name().as_ref(), &value)?;
    }
    Ok(())
}
