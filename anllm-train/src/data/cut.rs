//! From documents to rows: where each row begins and ends.

use anllm_core::{AnchorMatcher, Segments};
use serde::{Deserialize, Serialize};

use super::tokens::TokenFile;
use crate::engine::TrainingRow;

/// How documents fill rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filling {
    /// One document, or a part of one, in each row.
    #[default]
    Document,
    /// Rows are filled to the last token. Documents in one row do not see each other, and each starts at position 0.
    Packed,
}

/// A run of tokens of one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    document: u32,
    start: u32,
    length: u32,
}

/// The rows of a token file.
#[derive(Debug)]
pub struct Rows {
    spans: Vec<Span>,
    /// One past the last span of each row.
    ends: Vec<usize>,
}

impl Rows {
    /// Cuts the documents numbered in `documents` into rows of at most `context` tokens. Rows with fewer than two
    /// tokens have nothing to predict and are left out.
    pub fn cut(file: &TokenFile, documents: impl Iterator<Item = usize>, context: usize, filling: Filling) -> Self {
        let mut rows = Self { spans: Vec::new(), ends: Vec::new() };
        let mut room = context;
        for document in documents {
            let length = file.length(document);
            let mut start = 0;
            while start < length {
                let part = room.min(length - start);
                rows.spans.push(Span { document: document as u32, start: start as u32, length: part as u32 });
                (start, room) = (start + part, room - part);
                if room == 0 || (filling == Filling::Document && start == length) {
                    rows.finish();
                    room = context;
                }
            }
        }
        rows.finish();
        rows
    }

    fn finish(&mut self) {
        let begin = self.ends.last().copied().unwrap_or(0);
        if self.spans[begin..].iter().any(|span| span.length > 1) {
            self.ends.push(self.spans.len());
        } else {
            self.spans.truncate(begin);
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Number of tokens of row `number`.
    pub fn length(&self, number: usize) -> usize {
        self.of(number).iter().map(|span| span.length as usize).sum()
    }

    fn of(&self, number: usize) -> &[Span] {
        let begin = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.spans[begin..self.ends[number]]
    }

    /// Row `number`, with its anchors found.
    pub fn read(&self, file: &TokenFile, matcher: &AnchorMatcher, number: usize) -> TrainingRow {
        let parts: Vec<_> = self
            .of(number)
            .iter()
            .map(|s| file.span(s.document as usize, s.start as usize, s.length as usize))
            .collect();
        let flags: Vec<Vec<bool>> = parts
            .iter()
            .map(|part| part.ids.iter().enumerate().map(|(position, &id)| matcher.is_anchor(id, position)).collect())
            .collect();
        TrainingRow {
            ids: parts.iter().flat_map(|part| part.ids.iter().copied()).collect(),
            segments: Segments::from_documents(flags.iter().map(Vec::as_slice)),
            targets: parts.iter().flat_map(|part| part.targets.iter().copied()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::TokenDocument;
    use super::*;

    fn file(folder: &std::path::Path, lengths: &[u32]) -> TokenFile {
        let mut next = 0;
        let mut document = |length: &u32| {
            next += length;
            TokenDocument { ids: (next - length..next).collect(), targets: vec![true; *length as usize] }
        };
        let documents: Vec<_> = lengths.iter().map(&mut document).collect();
        let path = folder.join("t.bin");
        TokenFile::write(&path, &documents).unwrap();
        TokenFile::open(&path).unwrap()
    }

    fn rows(lengths: &[u32], filling: Filling) -> Vec<(Vec<u32>, Vec<usize>)> {
        let folder = tempfile::tempdir().unwrap();
        let file = file(folder.path(), lengths);
        let rows = Rows::cut(&file, 0..file.documents(), 4, filling);
        let of = |row: TrainingRow| (row.ids, row.segments.places().iter().map(|p| p.document).collect());
        (0..rows.len()).map(|n| of(rows.read(&file, &AnchorMatcher::none(), n))).collect()
    }

    #[test]
    fn documents_are_cut_and_leftovers_of_one_token_are_dropped() {
        let found = rows(&[6, 1, 5], Filling::Document);
        let ids: Vec<_> = found.iter().map(|(ids, _)| ids.clone()).collect();
        assert_eq!(ids, [vec![0, 1, 2, 3], vec![4, 5], vec![7, 8, 9, 10]]);
    }

    #[test]
    fn packed_rows_are_full_and_know_their_documents() {
        let found = rows(&[6, 1, 3], Filling::Packed);
        assert_eq!(found[0], (vec![0, 1, 2, 3], vec![0; 4]));
        assert_eq!(found[1], (vec![4, 5, 6, 7], vec![0, 0, 1, 2]));
        assert_eq!(found[2], (vec![8, 9], vec![0, 0]));
    }
}
