//! The learning rate of each step, as a share of the highest.

use serde::{Deserialize, Serialize};

/// The shape after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// The highest rate to the end.
    #[default]
    Constant,
    /// Straight down.
    Linear,
    /// Half a cosine down.
    Cosine,
    /// Warm-up, stable, decay (Hu et al. 2024): the highest rate, then straight down over the last `decay_ratio`.
    Wsd,
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleConfig {
    /// The shape after warm-up.
    pub decay: Decay,
    /// Steps over which the rate rises from 0.
    pub warmup_steps: usize,
    /// The same as a share of all steps, where `warmup_steps` is 0.
    pub warmup_ratio: f64,
    /// Share of all steps that the `wsd` schedule decays over.
    pub decay_ratio: f64,
    /// The rate at the end, as a share of the highest.
    pub floor: f64,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self { decay: Decay::default(), warmup_steps: 0, warmup_ratio: 0.0, decay_ratio: 0.1, floor: 0.0 }
    }
}

impl ScheduleConfig {
    /// The share of the highest rate that `step`, counted from 0, takes out of `steps`.
    pub fn share(&self, step: usize, steps: usize) -> f64 {
        let warmup = match self.warmup_steps {
            0 => (self.warmup_ratio * steps as f64).ceil() as usize,
            steps => steps,
        };
        if step < warmup {
            return (step + 1) as f64 / warmup as f64;
        }
        let left = |from: usize| (steps.saturating_sub(step)) as f64 / (steps.saturating_sub(from)).max(1) as f64;
        let share = match self.decay {
            Decay::Constant => 1.0,
            Decay::Linear => left(warmup),
            Decay::Cosine => 0.5 - 0.5 * (std::f64::consts::PI * left(warmup)).cos(),
            Decay::Wsd => {
                let from = ((1.0 - self.decay_ratio) * steps as f64) as usize;
                if step < from { 1.0 } else { left(from.max(warmup)) }
            }
        };
        self.floor + (1.0 - self.floor) * share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(config: &ScheduleConfig) -> Vec<f64> {
        (0..10).map(|step| (config.share(step, 10) * 1000.0).round() / 1000.0).collect()
    }

    #[test]
    fn rises_and_falls_as_named() {
        let with = |decay| ScheduleConfig { decay, warmup_steps: 2, decay_ratio: 0.4, ..Default::default() };
        assert_eq!(shares(&with(Decay::Constant)), [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!(shares(&with(Decay::Linear)), [0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]);
        assert_eq!(shares(&with(Decay::Cosine))[5..7], [0.691, 0.5]);
        assert_eq!(shares(&with(Decay::Wsd)), [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]);
        let ratio = ScheduleConfig { warmup_ratio: 0.3, floor: 0.1, decay: Decay::Linear, ..Default::default() };
        assert_eq!(shares(&ratio)[..4], [0.333, 0.667, 1.0, 1.0]);
        assert!(ratio.share(9, 10) > 0.2);
    }
}
