//! How likely tokens are: logarithms of the softmax over the model's own scores.

use serde::Serialize;

/// A token and the natural logarithm of its probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Logprob {
    /// The token.
    pub id: u32,
    /// `ln p`, at most 0.
    pub logprob: f32,
}

/// How likely a token was, and the likeliest beside it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TokenLogprobs {
    /// The token that stands in the text.
    pub token: Logprob,
    /// The likeliest tokens, best first; that token is among them only where it is one of the best.
    pub top: Vec<Logprob>,
}

impl TokenLogprobs {
    /// Of `id` and the `top` best of scores `[V]`. Scores that are no numbers have no share.
    pub fn of(scores: &[f32], id: u32, top: usize) -> Self {
        let numbers = || scores.iter().enumerate().filter(|(_, score)| !score.is_nan());
        let highest = numbers().fold(f32::NEG_INFINITY, |highest, (_, score)| highest.max(*score));
        let sum: f64 = numbers().map(|(_, score)| f64::from(score - highest).exp()).sum();
        let log_sum = f64::from(highest) + sum.ln();
        let logprob = |id: u32| {
            let score = scores.get(id as usize).copied().unwrap_or(f32::NEG_INFINITY);
            Logprob { id, logprob: (f64::from(score) - log_sum) as f32 }
        };
        let mut best: Vec<(u32, f32)> = numbers().map(|(id, &score)| (id as u32, score)).collect();
        let better = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if top > 0 && top < best.len() {
            best.select_nth_unstable_by(top - 1, better);
        }
        best.truncate(top);
        best.sort_unstable_by(better);
        Self { token: logprob(id), top: best.into_iter().map(|(id, _)| logprob(id)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_the_softmax() {
        let found = TokenLogprobs::of(&[0.0, 3f32.ln(), f32::NAN, 1e4_f32.ln().min(0.0)], 0, 2);
        // Shares 1 : 3 : – : 1.
        assert!((found.token.logprob - 0.2f32.ln()).abs() < 1e-6, "{found:?}");
        assert_eq!(found.top.iter().map(|t| t.id).collect::<Vec<_>>(), [1, 0], "ties go to the smaller id");
        assert!((found.top[0].logprob - 0.6f32.ln()).abs() < 1e-6, "{found:?}");
        assert!(TokenLogprobs::of(&[1.0, 2.0], 1, 0).top.is_empty());
    }

    #[test]
    fn scores_far_apart_do_not_overflow() {
        let found = TokenLogprobs::of(&[1e4, -1e4], 1, 5);
        assert_eq!((found.token.logprob, found.top.len()), (-2e4, 2));
        assert_eq!(found.top[0].logprob, 0.0);
    }
}
