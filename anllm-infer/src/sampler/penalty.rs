//! The repeat penalty (Keskar et al., arXiv 1909.05858): scores of recent tokens are divided by the factor where they
//! are positive and multiplied where they are negative, so that a factor above 1 always makes them worse.

pub(super) fn repeat(logits: &mut [f32], recent: &[u32], factor: f32) {
    if factor == 1.0 {
        return;
    }
    let mut done = Vec::with_capacity(recent.len());
    for &id in recent {
        // Once for each token, however often it appeared.
        if done.contains(&id) {
            continue;
        }
        done.push(id);
        if let Some(score) = logits.get_mut(id as usize) {
            *score = if *score > 0.0 { *score / factor } else { *score * factor };
        }
    }
}
