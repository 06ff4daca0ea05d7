//! Rows of tokens, and how they become a padded batch.

use anllm_core::{Place, SegmentTracker, Segments};
use anllm_kernels::{Kernels, product};
use anllm_model::Decoder;
use anllm_model::decoder::{Batch, Row, Sight};
use burn::tensor::{DType, FloatDType, Tensor, TensorData};

/// One row of training text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainingRow {
    /// `T` token ids.
    pub ids: Vec<u32>,
    /// Where each of them stands: segments, documents, positions.
    pub segments: Segments,
    /// Whether the loss asks for the token, `T` of them. The first token of a document is never asked for.
    pub targets: Vec<bool>,
}

impl TrainingRow {
    /// Indices of the tokens that the loss asks for: those wanted whose predecessor is in the same document.
    pub fn asked(&self) -> impl Iterator<Item = usize> + '_ {
        let places = self.segments.places();
        (1..self.ids.len()).filter(move |&i| self.targets[i] && places[i].document == places[i - 1].document)
    }
}

/// What the loss asks of one position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Question {
    /// Where the asking hidden state is, out of `B·T`.
    pub(crate) position: usize,
    /// The token it should predict.
    pub(crate) answer: u32,
    /// Whether that token is an anchor.
    pub(crate) anchor: bool,
    /// Whether that token is the first after an anchor: the one that has to rely on anchors most.
    pub(crate) after_anchor: bool,
}

/// Rows padded to the same length, with what the loss asks of them.
#[derive(Debug)]
pub struct Prepared {
    ids: Vec<Vec<u32>>,
    places: Vec<Vec<Place>>,
    questions: Vec<Question>,
}

impl Prepared {
    /// Pads `rows` on the right, to the longest. Padding is a document of its own: nobody sees it, nothing is asked.
    pub fn new(rows: &[&TrainingRow]) -> Self {
        let width = rows.iter().map(|row| row.ids.len()).max().unwrap_or(0);
        let mut prepared = Self { ids: Vec::new(), places: Vec::new(), questions: Vec::new() };
        for (number, row) in rows.iter().enumerate() {
            let places = row.segments.places();
            prepared.questions.extend(row.asked().map(|i| Question {
                position: number * width + i - 1,
                answer: row.ids[i],
                anchor: places[i].anchor,
                after_anchor: places[i - 1].anchor,
            }));
            let mut ids = row.ids.clone();
            ids.resize(width, 0);
            prepared.ids.push(ids);
            prepared.places.push(padded(places, width));
        }
        prepared
    }

    /// How many tokens the loss asks for.
    pub fn asked(&self) -> usize {
        self.questions.len()
    }

    pub(crate) fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// The gradient of one token's embedding, `[1, C]`: the sum of `slope` `[B, T, C]` over the places where it stands.
    pub(crate) fn of_token<B: Kernels>(&self, token: u32, slope: Tensor<B, 3>) -> Tensor<B, 2> {
        let [rows, tokens, width] = slope.dims();
        let here: Vec<f32> = self.ids.iter().flatten().map(|id| f32::from(*id == token)).collect();
        let here =
            Tensor::<B, 2>::from_data(TensorData::new(here, [1, rows * tokens]), (&slope.device(), slope.dtype()));
        product(here, slope.reshape([rows * tokens, width])).cast(FloatDType::F32)
    }

    /// Puts the rows on the decoder's device.
    pub(crate) fn batch<B: Kernels>(&self, decoder: &Decoder<B>, sight: Sight<'_>, dtype: DType) -> Batch<B> {
        let rows: Vec<Row<'_>> = self.ids.iter().zip(&self.places).map(|(ids, places)| Row { ids, places }).collect();
        Batch::computed_in(dtype, decoder, &rows, sight)
    }
}

fn padded(places: &[Place], width: usize) -> Vec<Place> {
    let documents = places.last().map_or(0, |last| last.document + 1);
    let mut pad = SegmentTracker::default();
    for _ in 0..documents {
        pad.end_document();
    }
    let mut all = places.to_vec();
    all.extend((places.len()..width).map(|index| Place { index, ..pad.push(false) }));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(documents: &[&[bool]]) -> TrainingRow {
        let segments = Segments::from_documents(documents.iter().copied());
        let count = segments.len();
        TrainingRow { ids: (10..10 + count as u32).collect(), segments, targets: vec![true; count] }
    }

    #[test]
    fn nothing_is_asked_across_documents_or_of_padding() {
        let long = row(&[&[false, true, false], &[true, false]]);
        let short = row(&[&[false, false]]);
        let prepared = Prepared::new(&[&long, &short]);
        let asked: Vec<_> = prepared.questions().iter().map(|q| (q.position, q.answer)).collect();
        assert_eq!(asked, [(0, 11), (1, 12), (3, 14), (5, 11)]);
        let flags: Vec<_> = prepared.questions().iter().map(|q| (q.anchor, q.after_anchor)).collect();
        assert_eq!(flags, [(true, false), (false, true), (false, true), (false, false)]);
        let pads: Vec<_> = prepared.places[1][2..].iter().map(|p| (p.index, p.document, p.position)).collect();
        assert_eq!(pads, [(2, 1, 0), (3, 1, 1), (4, 1, 2)]);
    }

    #[test]
    fn tokens_that_are_no_targets_are_not_asked_for() {
        let mut row = row(&[&[false, true, false, false]]);
        row.targets = vec![false, false, true, true];
        assert_eq!(row.asked().collect::<Vec<_>>(), [2, 3]);
    }
}
