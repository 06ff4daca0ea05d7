//! The segments of a token sequence: made once, then read by masks, kernels, caches and statistics.

use serde::{Deserialize, Serialize};

/// Where one token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Index in the row, counting from 0 over all documents.
    pub index: usize,
    /// Position in the token's document: what the rotary embedding turns by. Never renumbered.
    pub position: usize,
    /// Number of anchors of the same document strictly before this token. An anchor belongs to the segment it closes.
    pub segment: usize,
    /// Number of the document in the row.
    pub document: usize,
    /// Whether the token is an anchor.
    pub anchor: bool,
}

/// Gives each next token its place. This is the state that decoding carries from token to token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SegmentTracker {
    index: usize,
    position: usize,
    segment: usize,
    document: usize,
}

impl SegmentTracker {
    /// For the token that follows the one at `last`, in the same document.
    pub fn after(last: &Place) -> Self {
        let Place { index, position, segment, document, anchor } = *last;
        Self { index: index + 1, position: position + 1, segment: segment + usize::from(anchor), document }
    }

    /// The position the next token will have in its document.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Places the next token.
    pub fn push(&mut self, anchor: bool) -> Place {
        let Self { index, position, segment, document } = *self;
        self.index += 1;
        self.position += 1;
        self.segment += usize::from(anchor);
        Place { index, position, segment, document, anchor }
    }

    /// Ends the document: the next token has position 0 and sees nothing before itself.
    pub fn end_document(&mut self) {
        self.position = 0;
        self.segment = 0;
        self.document += 1;
    }
}

/// The places of all tokens of one row, in order, with the list of its anchors.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Segments {
    places: Vec<Place>,
    anchors: Vec<usize>,
}

impl Segments {
    /// One document from one flag for each token.
    pub fn from_flags(is_anchor: &[bool]) -> Self {
        Self::from_documents([is_anchor])
    }

    /// One document of `len` tokens from the indices of its anchors. Indices at or beyond `len` are ignored.
    pub fn from_anchors(len: usize, anchors: &[usize]) -> Self {
        let mut flags = vec![false; len];
        for &anchor in anchors {
            if let Some(flag) = flags.get_mut(anchor) {
                *flag = true;
            }
        }
        Self::from_flags(&flags)
    }

    /// Several documents packed in one row. They do not see each other, and each starts at position 0.
    pub fn from_documents<'a>(documents: impl IntoIterator<Item = &'a [bool]>) -> Self {
        let mut tracker = SegmentTracker::default();
        let mut segments = Self::default();
        for (number, flags) in documents.into_iter().enumerate() {
            if number > 0 {
                tracker.end_document();
            }
            segments.extend(flags.iter().map(|&anchor| tracker.push(anchor)));
        }
        segments
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The place of every token, in order.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Row indices of the anchors, ascending.
    pub fn anchors(&self) -> &[usize] {
        &self.anchors
    }

    /// Lengths of the segments, in order; the last may be an open one, the tail.
    pub fn lengths(&self) -> Vec<usize> {
        let same = |a: &Place, b: &Place| (a.document, a.segment) == (b.document, b.segment);
        self.places.chunk_by(same).map(<[Place]>::len).collect()
    }

    /// Whether query `i` sees key `j` under the anchor mask; `false` beyond the row.
    pub fn visible(&self, i: usize, j: usize) -> bool {
        match (self.places.get(i), self.places.get(j)) {
            (Some(query), Some(key)) => crate::visible(query, key),
            _ => false,
        }
    }

    /// How many (query, key) pairs the anchor mask allows: the work that attention has to do.
    ///
    /// For segments of length `l` with `a` anchors of the document before them this is
    /// `Σ l(l+1)/2 + Σ a·(non-anchor tokens of the segment)`.
    pub fn visible_pairs(&self) -> u64 {
        let same = |a: &Place, b: &Place| (a.document, a.segment) == (b.document, b.segment);
        let of_segment = |segment: &[Place]| {
            let len = segment.len() as u64;
            let plain = segment.iter().filter(|p| !p.anchor).count() as u64;
            let earlier = segment.first().map_or(0, |p| p.segment as u64);
            len * (len + 1) / 2 + earlier * plain
        };
        self.places.chunk_by(same).map(of_segment).sum()
    }
}

impl Extend<Place> for Segments {
    fn extend<I: IntoIterator<Item = Place>>(&mut self, places: I) {
        for place in places {
            if place.anchor {
                self.anchors.push(place.index);
            }
            self.places.push(place);
        }
    }
}

impl FromIterator<Place> for Segments {
    fn from_iter<I: IntoIterator<Item = Place>>(places: I) -> Self {
        let mut segments = Self::default();
        segments.extend(places);
        segments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_closes_the_segment_it_belongs_to() {
        let segments = Segments::from_anchors(8, &[3, 6]);
        let ids: Vec<_> = segments.places().iter().map(|p| p.segment).collect();
        assert_eq!(ids, [0, 0, 0, 0, 1, 1, 1, 2]);
        assert_eq!(segments.lengths(), [4, 3, 1]);
    }

    #[test]
    fn documents_restart_positions_and_segments() {
        let segments = Segments::from_documents([&[false, true, false][..], &[true, false][..]]);
        let places: Vec<_> = segments.places().iter().map(|p| (p.index, p.position, p.segment, p.document)).collect();
        assert_eq!(places, [(0, 0, 0, 0), (1, 1, 0, 0), (2, 2, 1, 0), (3, 0, 0, 1), (4, 1, 1, 1)]);
        assert_eq!(segments.anchors(), [1, 3]);
        assert_eq!(segments.lengths(), [2, 1, 1, 1]);
    }

    #[test]
    fn long_segments_leave_a_twenty_second_of_causal_attention() {
        let anchors: Vec<usize> = (23..4096).step_by(24).collect();
        let pairs = Segments::from_anchors(4096, &anchors).visible_pairs();
        let causal = 4096 * 4097 / 2;
        assert_eq!(causal / pairs, 21);
    }
}
