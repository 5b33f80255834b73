//! A small writer of XML: every name is the program's own, every value is escaped.
//!
//! Names are not checked and elements are not matched: the caller closes what it opens. Called by
//! `answers` for the bodies of answers and by the parent module for errors.

use quick_xml::escape::escape;

#[derive(Default)]
pub(super) struct Xml(String);

impl Xml {
    pub(super) fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.start(name, attributes);
        self.0.push('>');
    }

    pub(super) fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.start(name, attributes);
        self.0.push_str("/>");
    }

    pub(super) fn close(&mut self, name: &str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    /// An element with nothing but text.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.open(name, &[]);
        self.0.push_str(&escape(text));
        self.close(name);
    }

    pub(super) fn finish(self) -> String {
        self.0
    }

    fn start(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.0.push('<');
        self.0.push_str(name);
        for (key, value) in attributes {
            self.0.push(' ');
            self.0.push_str(key);
            self.0.push_str("=\"");
            self.0.push_str(&escape(*value));
            self.0.push('"');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped() {
        let mut xml = Xml::default();
        xml.open("a", &[("b", "<\"&'>")]);
        xml.text("c", "1 < 2 & 3");
        xml.empty("d", &[]);
        xml.close("a");
        let expected = "<a b=\"&lt;&quot;&amp;&apos;&gt;\"><c>1 &lt; 2 &amp; 3</c><d/></a>";
        assert_eq!(xml.finish(), expected);
    }
}
