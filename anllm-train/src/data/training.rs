//! All rows of a run: those to learn from, and those held out.

use std::sync::Arc;

use anllm_core::AnchorMatcher;

use super::cut::Rows;
use super::order::{Order, Share};
use super::tokens::TokenFile;
use crate::engine::TrainingRow;
use crate::error::TrainError;

/// One source's rows.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) file: Arc<TokenFile>,
    pub(crate) rows: Rows,
    pub(crate) weight: f64,
}

/// All rows of a run.
#[derive(Debug)]
pub struct TrainingData {
    training: Vec<Part>,
    validation: Vec<Part>,
    matcher: AnchorMatcher,
}

impl TrainingData {
    pub(crate) fn new(training: Vec<Part>, validation: Vec<Part>, matcher: AnchorMatcher) -> Self {
        Self { training, validation, matcher }
    }

    /// The order in which rows are drawn.
    pub fn order(&self, seed: u64) -> Order {
        Order::new(seed, self.training.iter().map(|p| Share { rows: p.rows.len(), weight: p.weight }).collect())
    }

    /// Row `row` of source `source`.
    pub fn row(&self, source: usize, row: usize) -> TrainingRow {
        let part = &self.training[source];
        part.rows.read(&part.file, &self.matcher, row)
    }

    /// Number of tokens of row `row` of source `source`.
    pub fn row_length(&self, source: usize, row: usize) -> usize {
        self.training[source].rows.length(row)
    }

    /// At most `limit` rows for validation, spread over all there are.
    pub fn validation(&self, limit: usize) -> Vec<TrainingRow> {
        let all: usize = self.validation.iter().map(|p| p.rows.len()).sum();
        let step = all.div_ceil(limit.max(1)).max(1);
        let rows = self.validation.iter().flat_map(|p| (0..p.rows.len()).map(move |n| (p, n)));
        rows.step_by(step).map(|(part, n)| part.rows.read(&part.file, &self.matcher, n)).collect()
    }

    /// Number of training rows.
    pub fn rows(&self) -> usize {
        self.training.iter().map(|p| p.rows.len()).sum()
    }

    /// Number of tokens of the training text.
    pub fn tokens(&self) -> usize {
        self.training.iter().map(|p| p.file.tokens()).sum()
    }

    /// Looks for an anchor in the first rows of each source: without any, training would teach nothing about them.
    pub(crate) fn check_anchors(&self) -> Result<(), TrainError> {
        const LOOK: usize = 1000;
        let mut tokens = 0;
        for part in &self.training {
            for number in 0..part.rows.len().min(LOOK) {
                let row = part.rows.read(&part.file, &self.matcher, number);
                tokens += row.ids.len();
                if !row.segments.anchors().is_empty() {
                    return Ok(());
                }
            }
        }
        Err(TrainError::NoAnchors { rule: self.matcher.rule().to_string(), tokens })
    }
}
