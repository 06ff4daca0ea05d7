//! Presence and frequency penalties: a token that was made `n` times loses `presence + n · frequency` of its score.
//! The prompt does not count.

use std::collections::BTreeMap;

/// How often each token was made.
#[derive(Debug, Clone, Default)]
pub(super) struct Made(BTreeMap<u32, u32>);

impl Made {
    pub(super) fn count(&mut self, id: u32) {
        *self.0.entry(id).or_default() += 1;
    }

    pub(super) fn penalize(&self, logits: &mut [f32], presence: f32, frequency: f32) {
        if presence == 0.0 && frequency == 0.0 {
            return;
        }
        for (&id, &times) in &self.0 {
            if let Some(score) = logits.get_mut(id as usize) {
                *score -= presence + times as f32 * frequency;
            }
        }
    }
}
