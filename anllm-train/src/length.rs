//! How long a run is: named in steps, tokens or rounds through the text, and always counted in steps.

use crate::config::{TrainConfig, TrainSection};
use crate::data::TrainingData;
use crate::error::TrainError;

/// The length of a run, as its settings name it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Length {
    /// Optimiser steps.
    Steps(usize),
    /// Tokens to learn from, at least.
    Tokens(usize),
    /// As many rows as the training text has, so many times.
    Epochs(f64),
}

impl Length {
    /// The one length of `train`.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub(crate) fn of(train: &TrainSection) -> Result<Self, TrainError> {
        let epochs = train.epochs.unwrap_or(0.0);
        if !(epochs.is_finite() && epochs >= 0.0) {
            return Err(TrainError::settings(format!("train.epochs is {epochs}"), "expected a number above 0"));
        }
        let steps = train.steps.filter(|n| *n > 0).map(Self::Steps);
        let tokens = train.tokens.filter(|n| *n > 0).map(Self::Tokens);
        let epochs = Some(epochs).filter(|n| *n > 0.0).map(Self::Epochs);
        let given: Vec<Self> = [steps, tokens, epochs].into_iter().flatten().collect();
        match given.as_slice() {
            [one] => Ok(*one),
            [] => Err(TrainError::settings(
                "the configuration does not say how long to train",
                "set one of train.steps, train.tokens and train.epochs",
            )),
            many => Err(TrainError::settings(
                format!(
                    "the configuration says {} times how long to train: {}",
                    many.len(),
                    many.iter().map(Self::setting).collect::<Vec<_>>().join(", ")
                ),
                "keep one of them; 0 takes one back, as in --set train.steps=0",
            )),
        }
    }

    fn setting(&self) -> String {
        match self {
            Self::Steps(n) => format!("train.steps = {n}"),
            Self::Tokens(n) => format!("train.tokens = {n}"),
            Self::Epochs(n) => format!("train.epochs = {n}"),
        }
    }

    /// In steps of `rows_per_step` rows of `data`.
    fn steps(self, data: &TrainingData, seed: u64, rows_per_step: usize) -> usize {
        match self {
            Self::Steps(steps) => steps,
            Self::Epochs(epochs) => ((epochs * data.rows() as f64) / rows_per_step as f64).ceil().max(1.0) as usize,
            Self::Tokens(tokens) => {
                let mut order = data.order(seed);
                let (mut steps, mut left) = (0, tokens);
                while left > 0 {
                    let draws = (0..rows_per_step).filter_map(|_| order.draw());
                    let learned: usize = draws.map(|draw| data.row_length(draw.source, draw.row)).sum();
                    left = left.saturating_sub(learned.max(1));
                    steps += 1;
                }
                steps
            }
        }
    }
}

/// `config` with its length in steps: what a run is saved as, and can be started from again.
///
/// # Errors
/// When it names no length, or several.
pub fn resolved(config: &TrainConfig, data: &TrainingData) -> Result<TrainConfig, TrainError> {
    let length = Length::of(&config.train)?;
    let steps = length.steps(data, config.seed, config.train.rows_per_step);
    let mut config = config.clone();
    config.train = TrainSection { steps: Some(steps), tokens: None, epochs: None, ..config.train };
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_length_is_taken() {
        let of = |steps, tokens, epochs| {
            Length::of(&TrainSection { steps, tokens, epochs, ..Default::default() }).map_err(|e| e.to_string())
        };
        assert_eq!(of(Some(3), None, None), Ok(Length::Steps(3)));
        assert_eq!(of(Some(0), Some(1000), None), Ok(Length::Tokens(1000)));
        assert_eq!(of(None, None, Some(0.5)), Ok(Length::Epochs(0.5)));
        assert!(of(None, None, None).unwrap_err().contains("one of train.steps, train.tokens and train.epochs"));
        let two = of(Some(3), None, Some(2.0)).unwrap_err();
        assert!(two.contains("train.steps = 3, train.epochs = 2") && two.contains("hint: keep one"), "{two}");
        assert!(of(None, None, Some(-1.0)).unwrap_err().contains("train.epochs is -1"));
    }
}
