//! Anchors in a text that comes piece by piece, for documents that are too long to hold.

use super::insert::AnchorInserter;

/// Marks a text whose end is not known yet. Give it the pieces as they come, and [`finish`](Self::finish) it: the
/// results in order are the whole text with its anchors.
#[derive(Debug)]
pub struct PieceInserter<'a> {
    inserter: &'a AnchorInserter,
    /// Text that sentences may still go on in.
    open: String,
}

impl<'a> PieceInserter<'a> {
    /// How much text must stand behind the start of a sentence, in bytes, so that no text to come can move that start:
    /// splitters look at a few words.
    const SETTLED: usize = 512;

    /// Marks as `inserter` does.
    pub fn new(inserter: &'a AnchorInserter) -> Self {
        Self { inserter, open: String::new() }
    }

    /// Takes the next piece, and returns the marked text up to the last sentence that is sure to have ended.
    pub fn push(&mut self, piece: &str) -> String {
        self.open.push_str(piece);
        let Some(at) = self.inserter.settled(&self.open, Self::SETTLED) else {
            return String::new();
        };
        let rest = self.open.split_off(at);
        let sure = std::mem::replace(&mut self.open, rest);
        self.inserter.insert_all(&sure)
    }

    /// The rest, whose last sentence the inserter marks or leaves open as it would at the end of any text.
    pub fn finish(self) -> String {
        self.inserter.insert(&self.open)
    }
}
