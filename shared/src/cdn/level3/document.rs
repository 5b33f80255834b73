//! Reads an answer, XML or JSON, as one stream of elements; never the whole of it at once.
//!
//! Attributes are told as if they were child elements, and so are the members of a JSON object, the
//! items of an array each under the array's name. So `<ni id="a"/>`, `<ni><id>a</id></ni>` and
//! `{"ni":[{"id":"a"}]}` are one form, and a [`Visitor`] knows only that one. Names come in lower
//! case and without a prefix. Memory is bounded by [`Limits`] and by what the visitor keeps; a
//! document type definition is refused, so no entity is ever expanded but the five of XML itself.

mod json;
mod xml;

use crate::cdn::CdnError;
use crate::cdn::http::CappedBody;

/// Bytes of a string that is kept to be used again.
const SPARE_CAPACITY: usize = 256;

/// How large an answer may be. Each limit is far above any true answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Bytes of a body that is read piece by piece.
    pub(super) total: u64,
    /// Bytes of a JSON body, which is held in memory.
    pub(super) json: u64,
    /// Bytes of one tag with its attributes, comment or stretch of text.
    pub(super) piece: usize,
    /// Bytes of one element's text.
    pub(super) text: usize,
    /// Elements within elements.
    pub(super) depth: usize,
    /// Items that a visitor may count.
    pub(super) items: usize,
}

impl Limits {
    pub(super) const DEFAULT: Self =
        Self { total: 64 << 20, json: 16 << 20, piece: 128 << 10, text: 64 << 10, depth: 64, items: 100_000 };
}

/// Takes what it knows from the stream of elements and lets the rest pass.
pub(super) trait Visitor: Send {
    /// An element begins; its name is the last of `path`, which begins at the root.
    fn open(&mut self, _path: &[String]) {}

    /// An element ends. `text` is that of an element without children, trimmed.
    fn close(&mut self, path: &[String], text: &str);

    /// A list without items, which JSON has, stands in the element at `path` under this name.
    fn empty_list(&mut self, _path: &[String], _name: &str) {}

    /// Whether an HTTP error with this body is an answer all the same, and says that there is nothing.
    fn takes_refusal(&mut self, _body: &[u8]) -> bool {
        false
    }

    /// How many items of a list it has seen, to be held against [`Limits::items`].
    fn items(&self) -> usize {
        0
    }
}

/// Keeps the first text that is not empty, because an answer may say a thing twice.
pub(super) fn fill(slot: &mut Option<String>, text: &str) {
    if slot.is_none() && !text.is_empty() {
        *slot = Some(text.to_owned());
    }
}

/// Reads a body to its end.
///
/// # Errors
/// [`CdnError::Unreadable`] for what is neither XML nor JSON or passes a limit,
/// [`CdnError::Transient`] for a body that ends too early. The visitor keeps what it has seen so far.
pub(super) async fn read(mut body: CappedBody, limits: Limits, visitor: &mut impl Visitor) -> Result<(), CdnError> {
    let mut feed = Feed { visitor, limits, path: Vec::new(), texts: Vec::new(), spare: Vec::new() };
    match body.peek_first().await? {
        None => Err(unreadable("it is empty")),
        Some(b'{' | b'[') => json::read(&body.read_all(limits.json).await?, &mut feed),
        // The second is the first byte of a UTF-8 byte order mark.
        Some(b'<' | 0xEF) => xml::read(body, &mut feed).await,
        Some(_) => Err(unreadable("it is neither XML nor JSON")),
    }
}

pub(super) fn unreadable(why: impl Into<String>) -> CdnError {
    CdnError::Unreadable(why.into())
}

pub(super) fn ended_early() -> CdnError {
    CdnError::Transient("the answer ends before its last element does".to_owned())
}

/// Passes elements on to the visitor and keeps the limits.
pub(super) struct Feed<'v, V> {
    visitor: &'v mut V,
    limits: Limits,
    pub(super) path: Vec<String>,
    texts: Vec<String>,
    /// Strings that are no longer needed: a long answer has hundreds of thousands of elements.
    spare: Vec<String>,
}

impl<V: Visitor> Feed<'_, V> {
    pub(super) fn open(&mut self, name: &str) -> Result<(), CdnError> {
        if self.path.len() >= self.limits.depth {
            return Err(unreadable(format!("more than {} elements within each other", self.limits.depth)));
        }
        // White space between children is nobody's text, and a long list has much of it.
        if let Some(text) = self.texts.last_mut() {
            text.clear();
        }
        let mut lower = self.spare.pop().unwrap_or_default();
        lower.push_str(name);
        lower.make_ascii_lowercase();
        self.path.push(lower);
        self.texts.push(self.spare.pop().unwrap_or_default());
        self.visitor.open(&self.path);
        Ok(())
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), CdnError> {
        match self.texts.last_mut() {
            None if text.trim().is_empty() => Ok(()),
            None => Err(unreadable("text outside of any element")),
            Some(whole) if whole.len() + text.len() > self.limits.text => {
                Err(unreadable(format!("an element's text is longer than {} bytes", self.limits.text)))
            }
            Some(whole) => {
                whole.push_str(text);
                Ok(())
            }
        }
    }

    pub(super) fn close(&mut self) -> Result<(), CdnError> {
        let text = self.texts.pop().unwrap_or_default();
        self.visitor.close(&self.path, text.trim());
        let name = self.path.pop().unwrap_or_default();
        for mut used in [text, name] {
            if used.capacity() <= SPARE_CAPACITY {
                used.clear();
                self.spare.push(used);
            }
        }
        if self.visitor.items() > self.limits.items {
            return Err(unreadable(format!("a list has more than {} items", self.limits.items)));
        }
        Ok(())
    }

    pub(super) fn empty_list(&mut self, name: &str) {
        self.visitor.empty_list(&self.path, &name.to_ascii_lowercase());
    }

    pub(super) fn leaf(&mut self, name: &str, text: &str) -> Result<(), CdnError> {
        self.open(name)?;
        self.text(text)?;
        self.close()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use bytes::Bytes;
    use futures::FutureExt;
    use proptest::prelude::*;

    /// Reads a document that is all there; such a reader never waits.
    pub(in crate::cdn::level3) fn read_text(
        text: impl AsRef<[u8]>,
        visitor: &mut impl Visitor,
    ) -> Result<(), CdnError> {
        let limits = Limits::DEFAULT;
        let bytes = Bytes::copy_from_slice(text.as_ref());
        let body = CappedBody::from_bytes(bytes, limits.total, limits.piece);
        read(body, limits, visitor).now_or_never().unwrap()
    }

    #[derive(Default)]
    struct Leaves(Vec<String>);

    impl Visitor for Leaves {
        fn close(&mut self, path: &[String], text: &str) {
            if !text.is_empty() {
                self.0.push(format!("{}={text}", path.join("/")));
            }
        }
    }

    fn leaves(text: &str) -> Result<Vec<String>, CdnError> {
        let mut visitor = Leaves::default();
        read_text(text, &mut visitor).map(|()| visitor.0)
    }

    #[test]
    fn attributes_children_and_json_are_one_form() {
        let expected = ["list/ni/id=a&b", "list/ni/id=c"];
        for text in [
            r#"<list><ni id="a&amp;b"/><ni id='c'/></list>"#,
            r#"<?xml version="1.0"?> <x:List xmlns:x="u" xmlns:id="v"><x:NI><ID> a&#38;b </ID></x:NI><ni><id><![CDATA[c]]></id></ni></x:List>"#,
            r#" {"list":{"ni":[{"id":"a&b"},{"id":"c"}]}}"#,
        ] {
            assert_eq!(leaves(text).unwrap(), expected, "{text}");
        }
        assert_eq!(leaves(r#"{"n":[1,true,null,1.5]}"#).unwrap(), ["n=1", "n=true", "n=1.5"]);
    }

    #[test]
    fn definitions_and_unknown_entities_are_refused() {
        let bomb = r#"<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><a>&c;</a>"#;
        let deep = format!("{}x{}", "<a>".repeat(70), "</a>".repeat(70));
        let deep_json = format!("{{\"a\":{}{}}}", "[".repeat(300), "]".repeat(300));
        let long = format!("<a>{}</a>", "x".repeat(65 << 10));
        let cases = [
            bomb,
            "<a>&c;</a>",
            "<a b='&c;'/>",
            "<a></b>",
            "hello",
            "",
            "<a/>x",
            "<a><!x></a>",
            &deep,
            &long,
            &deep_json,
        ];
        for text in cases {
            assert!(matches!(leaves(text), Err(CdnError::Unreadable(_))), "{text}");
        }
    }

    #[test]
    fn a_document_that_ends_early_may_be_whole_the_next_time() {
        for text in ["<a><b>", "<a><b", "<a b=\"x", "{\"a\":", "{\"a\":[{\"b\":1}", "<!-- a", "<a><![CDATA[x"] {
            assert!(matches!(leaves(text), Err(CdnError::Transient(_))), "{text}: {:?}", leaves(text));
        }
    }

    #[test]
    fn white_space_between_many_children_is_no_text() {
        let text = format!("<a>{}</a>", "<b/>\n        ".repeat(20_000));
        assert_eq!(leaves(&text).unwrap().len(), 0);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_text(&bytes, &mut Leaves::default());
        }

        #[test]
        fn no_soup_of_tags_panics(soup in "[<{\\[]([<>/a-cA-C=\"' &;#x0-9!?\\[\\]{}:,-]|CDATA|DOCTYPE){0,60}") {
            let _ = leaves(&soup);
        }
    }
}
