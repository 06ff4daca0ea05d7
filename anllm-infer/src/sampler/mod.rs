//! Choosing the next token from its scores: repeat penalty, presence and frequency penalties, bias, temperature, top-k,
//! top-p, min-p, in that order; then one draw. Temperature 0 takes the best token. `transformers` applies those that it
//! has in the same order.

mod bias;
mod filter;
mod logprobs;
mod penalty;
mod presence;

pub use logprobs::{Logprob, TokenLogprobs};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use presence::Made;

/// How the next token is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// Scores are divided by it; 0 takes the best token and draws nothing.
    pub temperature: f32,
    /// Only the `k` best stay; 0 keeps all.
    pub top_k: usize,
    /// The fewest best whose probabilities reach this sum stay; 1 keeps all.
    pub top_p: f32,
    /// Tokens below this share of the best one's probability go; 0 keeps all.
    pub min_p: f32,
    /// Scores of tokens among the last `repeat_window` are made worse by this factor; 1 does nothing.
    pub repeat_penalty: f32,
    /// How many tokens the repeat penalty looks back over.
    pub repeat_window: usize,
    /// A token that was made before loses this much of its score; 0 does nothing.
    pub presence_penalty: f32,
    /// A token loses this much of its score each time it was made; 0 does nothing.
    pub frequency_penalty: f32,
    /// What is added to the scores of these tokens.
    pub bias: Vec<(u32, f32)>,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repeat_penalty: 1.0,
            repeat_window: 64,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            bias: Vec::new(),
            seed: 0,
        }
    }
}

/// A setting out of range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{name} must be {expected}, found {found}")]
pub struct SamplingError {
    name: &'static str,
    expected: &'static str,
    found: f32,
}

/// Settings with the state of the random generator, and what was drawn so far.
#[derive(Debug)]
pub struct Sampler {
    settings: Sampling,
    random: StdRng,
    made: Made,
}

impl Sampler {
    /// Checks the settings and seeds the generator.
    ///
    /// # Errors
    /// Names the setting that is out of range.
    pub fn new(settings: Sampling) -> Result<Self, SamplingError> {
        let check = |ok: bool, name, expected, found| match ok {
            true => Ok(()),
            false => Err(SamplingError { name, expected, found }),
        };
        let Sampling { temperature, top_p, min_p, repeat_penalty, seed, .. } = settings;
        check(temperature >= 0.0 && temperature.is_finite(), "temperature", "0 or more", temperature)?;
        check(top_p > 0.0 && top_p <= 1.0, "top-p", "above 0 and at most 1", top_p)?;
        check((0.0..=1.0).contains(&min_p), "min-p", "from 0 to 1", min_p)?;
        check(repeat_penalty > 0.0 && repeat_penalty.is_finite(), "repeat-penalty", "above 0", repeat_penalty)?;
        let finite = |name, found: f32| check(found.is_finite(), name, "a finite number", found);
        finite("presence-penalty", settings.presence_penalty)?;
        finite("frequency-penalty", settings.frequency_penalty)?;
        settings.bias.iter().try_for_each(|(_, bias)| finite("logit-bias", *bias))?;
        Ok(Self { settings, random: StdRng::seed_from_u64(seed), made: Made::default() })
    }

    /// The next token, given the scores `[V]` and the tokens so far; `None` when no score is a number.
    pub fn sample(&mut self, logits: &mut [f32], history: &[u32]) -> Option<u32> {
        let recent = &history[history.len().saturating_sub(self.settings.repeat_window)..];
        penalty::repeat(logits, recent, self.settings.repeat_penalty);
        self.made.penalize(logits, self.settings.presence_penalty, self.settings.frequency_penalty);
        bias::bias(logits, &self.settings.bias);
        let drawn = self.draw(logits);
        self.made.count(drawn?);
        drawn
    }

    /// One token of scores as they are.
    fn draw(&mut self, logits: &[f32]) -> Option<u32> {
        if self.settings.temperature == 0.0 {
            return best(logits);
        }
        let candidates = filter::candidates(logits, &self.settings);
        let mut left = self.random.random::<f32>() * candidates.iter().map(|c| c.probability).sum::<f32>();
        for candidate in &candidates {
            left -= candidate.probability;
            if left <= 0.0 {
                return Some(candidate.id);
            }
        }
        // Rounding may leave a crumb: it belongs to the last.
        candidates.last().map(|c| c.id)
    }
}

/// The first of the highest scores, NaN aside.
fn best(logits: &[f32]) -> Option<u32> {
    let mut best: Option<(usize, f32)> = None;
    for (id, &score) in logits.iter().enumerate() {
        if !score.is_nan() && best.is_none_or(|(_, highest)| score > highest) {
            best = Some((id, score));
        }
    }
    best.map(|(id, _)| id as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(settings: Sampling, logits: &[f32]) -> u32 {
        Sampler::new(settings).unwrap().sample(&mut logits.to_vec(), &[]).unwrap()
    }

    #[test]
    fn temperature_zero_takes_the_first_of_the_best() {
        assert_eq!(sample(Sampling::default(), &[0.0, 3.0, 3.0, f32::NAN]), 1);
        assert_eq!(Sampler::new(Sampling::default()).unwrap().sample(&mut [f32::NAN], &[]), None);
    }

    #[test]
    fn the_same_seed_draws_the_same_tokens() {
        let logits: Vec<f32> = (0..50).map(|i| (i % 7) as f32).collect();
        let draw = |seed| {
            let mut sampler = Sampler::new(Sampling { temperature: 1.0, seed, ..Default::default() }).unwrap();
            (0..20).filter_map(|_| sampler.sample(&mut logits.clone(), &[])).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let mut sampler = Sampler::new(Sampling { temperature: 1.0, ..Default::default() }).unwrap();
        let draws = (0..4000).filter(|_| sampler.sample(&mut [0.0, 3f32.ln()], &[]) == Some(1)).count();
        assert!((2850..3150).contains(&draws), "expected about 3000 of 4000, found {draws}");
    }

    #[test]
    fn the_repeat_penalty_can_unseat_the_best() {
        let mut sampler =
            Sampler::new(Sampling { repeat_penalty: 2.0, repeat_window: 2, ..Default::default() }).unwrap();
        assert_eq!(sampler.sample(&mut [1.0, 1.5, -1.0], &[1]), Some(0));
        assert_eq!(sampler.sample(&mut [1.0, 1.5, -1.0], &[1, 2, 2]), Some(1), "beyond the window");
    }

    #[test]
    fn what_was_made_loses_score_and_the_prompt_does_not_count() {
        let draws = |settings: Sampling, count: usize| {
            let mut sampler = Sampler::new(settings).unwrap();
            (0..count).filter_map(|_| sampler.sample(&mut [2.0, 1.5, 0.0], &[0, 0, 0])).collect::<Vec<_>>()
        };
        assert_eq!(draws(Sampling { presence_penalty: 1.0, ..Default::default() }, 3), [0, 1, 0], "once for all times");
        let found = draws(Sampling { frequency_penalty: 1.0, ..Default::default() }, 5);
        assert_eq!(found, [0, 1, 0, 1, 0], "more each time");
    }

    #[test]
    fn a_bias_forbids_and_forces() {
        let draw = |bias: &[(u32, f32)]| {
            let settings = Sampling { bias: bias.to_vec(), repeat_penalty: 5.0, ..Default::default() };
            sample(settings, &[1.0, 3.0, 2.0])
        };
        assert_eq!(draw(&[(1, -100.0)]), 2);
        assert_eq!(draw(&[(0, 100.0)]), 0);
        assert_eq!(draw(&[(7, 100.0)]), 1, "nothing there to change");
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let error = |s: Sampling| Sampler::new(s).unwrap_err().to_string();
        assert!(error(Sampling { top_p: 0.0, ..Default::default() }).contains("top-p"));
        assert!(error(Sampling { min_p: 1.5, ..Default::default() }).contains("min-p"));
        assert!(error(Sampling { temperature: -1.0, ..Default::default() }).contains("temperature"));
        assert!(error(Sampling { repeat_penalty: 0.0, ..Default::default() }).contains("repeat-penalty"));
        let bias = vec![(3, f32::INFINITY)];
        assert!(error(Sampling { bias, ..Default::default() }).contains("logit-bias"));
    }

    proptest! {
        #[test]
        fn never_draws_what_was_filtered(
            logits in prop::collection::vec(-9f32..9.0, 1..40),
            top_k in 0usize..5,
            top_p in 0.05f32..1.0,
            min_p in 0f32..0.5,
            seed in any::<u64>(),
        ) {
            let settings = Sampling { temperature: 0.7, top_k, top_p, min_p, seed, ..Default::default() };
            let kept: Vec<u32> = filter::candidates(&logits, &settings).iter().map(|c| c.id).collect();
            prop_assert!(!kept.is_empty() && (top_k == 0 || kept.len() <= top_k));
            prop_assert!(kept.contains(&best(&logits).unwrap()));
            prop_assert!(kept.contains(&sample(settings, &logits)));
        }
    }
}
