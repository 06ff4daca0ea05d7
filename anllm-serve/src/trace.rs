//! What the cache does with each token, told along with the text. Policy, anchors and ids decide it, so that it is
//! worked out beside the model, the same way as the model's own cache.

use std::sync::Arc;

use anllm_core::{Ledger, Policy, SegmentTracker, Step};
use anllm_model::TextStream;
use serde::Serialize;
use utoipa::ToSchema;

use crate::model::Model;
use crate::wire::ApiError;

/// A token, and the cache after it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Row {
    /// Counts tokens from 0.
    pub(crate) step: usize,
    /// The token.
    pub(crate) id: u32,
    /// The text that it completes; special tokens as the vocabulary writes them.
    pub(crate) text: String,
    /// Whether it is an anchor.
    pub(crate) anchor: bool,
    /// Number of anchors before it.
    pub(crate) segment: usize,
    /// Entries held after it.
    pub(crate) held: usize,
    /// Steps of the tokens whose entries it made useless.
    pub(crate) dropped: Vec<usize>,
    /// Bytes of the entries held.
    pub(crate) bytes: usize,
    /// Bytes of a full cache.
    pub(crate) full_bytes: usize,
}

/// Follows one sequence.
pub(crate) struct Tracer<'m> {
    model: &'m Model,
    policy: Policy,
    ledger: Ledger,
    tracker: SegmentTracker,
    stream: TextStream<'m>,
}

impl<'m> Tracer<'m> {
    pub(crate) fn new(model: &'m Arc<Model>, policy: Policy) -> Result<Self, ApiError> {
        let stream = model.tokenizer.stream(&[]).map_err(|e| ApiError::internal(e.to_string()))?;
        Ok(Self { model, policy, ledger: Ledger::default(), tracker: SegmentTracker::default(), stream })
    }

    /// The next token.
    pub(crate) fn enter(&mut self, id: u32) -> Result<Row, ApiError> {
        let Model { tokenizer, matcher, bytes_per_entry, .. } = self.model;
        let mut text = self.stream.push(id).map_err(|e| ApiError::internal(e.to_string()))?;
        if tokenizer.is_special(id) {
            text.push_str(&tokenizer.token(id).unwrap_or_default());
        }
        let place = self.tracker.push(matcher.is_anchor(id, self.tracker.position()));
        let Step { place, held, dropped } = Step::of(&mut self.ledger, &*self.policy, place);
        Ok(Row {
            step: place.index,
            id,
            text,
            anchor: place.anchor,
            segment: place.segment,
            held,
            dropped,
            bytes: held * bytes_per_entry,
            full_bytes: (place.index + 1) * bytes_per_entry,
        })
    }
}
