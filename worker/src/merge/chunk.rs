//! Lines in memory: their text in one buffer and a short entry for each, which is what is sorted.
//!
//! What a chunk takes in memory is what it was made for, also when its lines are short. Called by the merge.

use super::line;
use overseas_shared::cdn::LineLayout;

/// What a line costs beyond its text: its entry and, while sorting, half of another one.
const LINE_COST: usize = 24;

#[derive(Clone, Copy)]
struct Entry {
    key: u64,
    begin: u32,
    length: u32,
}

#[derive(Default)]
pub(super) struct Chunk {
    layout: LineLayout,
    budget: usize,
    text: Vec<u8>,
    entries: Vec<Entry>,
}

impl Chunk {
    /// A chunk that grows to this many bytes; it takes none before.
    pub(super) fn new(budget: usize, layout: LineLayout) -> Self {
        let budget = budget.min(u32::MAX as usize);
        Self { layout, budget, text: Vec::new(), entries: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// One line always fits into an empty chunk.
    pub(super) fn has_room_for(&self, line: &[u8]) -> bool {
        let used = self.text.len() + self.entries.len() * LINE_COST;
        self.is_empty() || used + line.len() + LINE_COST <= self.budget
    }

    pub(super) fn push(&mut self, line: &[u8]) {
        // Below the budget, which fits into 32 bits, but for a single line, which is shorter.
        let (begin, length) = (self.text.len() as u32, line.len() as u32);
        grow(&mut self.text, line.len(), self.budget);
        grow(&mut self.entries, 1, self.budget / LINE_COST);
        self.text.extend_from_slice(line);
        self.entries.push(Entry { key: line::key(self.layout, line), begin, length });
    }

    /// Lines of equal time stay in their order.
    pub(super) fn sort(&mut self) {
        let (layout, text) = (self.layout, &self.text);
        self.entries.sort_by(|a, b| line::compare(layout, (a.key, line_of(text, a)), (b.key, line_of(text, b))));
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().map(|entry| line_of(&self.text, entry))
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.entries.clear();
    }
}

fn line_of<'a>(text: &'a [u8], entry: &Entry) -> &'a [u8] {
    &text[entry.begin as usize..][..entry.length as usize]
}

/// Doubling would take up to twice the budget.
fn grow<T>(vector: &mut Vec<T>, more: usize, most: usize) {
    if vector.capacity() - vector.len() < more {
        let wanted = (vector.capacity() * 2).clamp(1024, most.max(1024)).max(vector.len() + more);
        vector.reserve_exact(wanted - vector.len());
    }
}
