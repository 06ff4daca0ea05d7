//! Which tokens may be drawn, and how likely each is.

use super::Sampling;

/// A token that may be drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) id: u32,
    /// Relative to the others; the sum need not be 1.
    pub(super) probability: f32,
}

/// The tokens left by top-k, top-p and min-p after temperature, best first. At least one stays if any score is a
/// number.
pub(super) fn candidates(logits: &[f32], settings: &Sampling) -> Vec<Candidate> {
    let numbers = logits.iter().enumerate().filter(|(_, score)| !score.is_nan());
    let mut scored: Vec<(u32, f32)> = numbers.map(|(id, &score)| (id as u32, score)).collect();
    // Ties go to the smaller id, so that a seed means the same everywhere.
    let better = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if settings.top_k > 0 && settings.top_k < scored.len() {
        scored.select_nth_unstable_by(settings.top_k - 1, better);
        scored.truncate(settings.top_k);
    }
    scored.sort_unstable_by(better);

    let highest = scored.first().map_or(0.0, |(_, score)| *score);
    let weight = |score: f32| ((score - highest) / settings.temperature).exp();
    let mut kept: Vec<Candidate> =
        scored.iter().map(|&(id, score)| Candidate { id, probability: weight(score) }).collect();

    let total: f32 = kept.iter().map(|c| c.probability).sum();
    if settings.top_p < 1.0 {
        let mut sum = 0.0;
        let enough = kept.iter().position(|c| {
            sum += c.probability;
            sum >= settings.top_p * total
        });
        kept.truncate(enough.map_or(kept.len(), |last| last + 1));
    }
    // The best one's weight is 1, so that the share is the weight itself.
    let share = kept.iter().position(|c| c.probability < settings.min_p);
    kept.truncate(share.unwrap_or(kept.len()).max(1));
    kept
}
