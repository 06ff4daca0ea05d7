//! What a caller adds to the scores of tokens by name. It comes behind the penalties, so that a large bias forbids or
//! forces a token whatever they say.

pub(super) fn bias(logits: &mut [f32], bias: &[(u32, f32)]) {
    for &(id, bias) in bias {
        if let Some(score) = logits.get_mut(id as usize) {
            *score += bias;
        }
    }
}
