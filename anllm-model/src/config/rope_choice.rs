//! Rotary settings over the checkpoint's own: how far a text may go is then somebody's choice, not the training's.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

/// Settings that replace a checkpoint's.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RopeChoice {
    /// Base of the wavelengths.
    pub theta: Option<f64>,
    /// How the angles are changed.
    pub scaling: Option<ScalingChoice>,
}

/// A kind of scaling with its numbers, `linear:4` or `yarn:4,original=2048`.
///
/// `original` is the context of the first training; without it what the checkpoint says of it, or its context. The new
/// context is `factor` times that.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScalingChoice {
    kind: Kind,
    factor: f64,
    original: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    None,
    Linear,
    Yarn,
    Llama3,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Linear => "linear",
            Self::Yarn => "yarn",
            Self::Llama3 => "llama3",
        }
    }
}

impl RopeChoice {
    /// Writes the choice into the content of a `config.json`, from which it is read and checked as any other setting.
    pub(crate) fn write(&self, config: &mut Value, theta: f64, context: usize) {
        let own = config.get("rope_parameters").or(config.get("rope_scaling"));
        let first = own.and_then(|own| own["original_max_position_embeddings"].as_u64()).map(|tokens| tokens as usize);
        let context = first.unwrap_or(context);
        let mut rope = match (&self.scaling, own) {
            (Some(scaling), _) => scaling.parameters(context),
            (None, Some(Value::Object(own))) => Value::Object(own.clone()),
            (None, _) => json!({ "rope_type": "default" }),
        };
        rope["rope_theta"] = json!(self.theta.unwrap_or(theta));
        if let Some(scaling) = &self.scaling {
            config["max_position_embeddings"] = json!(scaling.context(context));
        }
        config["rope_parameters"] = rope;
        if let Value::Object(config) = config {
            config.remove("rope_scaling");
            config.remove("rope_theta");
        }
    }
}

impl ScalingChoice {
    fn original(&self, context: usize) -> usize {
        self.original.unwrap_or(context)
    }

    fn context(&self, context: usize) -> usize {
        // `as` saturates; factors are finite and positive.
        (self.original(context) as f64 * self.factor) as usize
    }

    fn parameters(&self, context: usize) -> Value {
        let (factor, original) = (self.factor, self.original(context));
        match self.kind {
            Kind::None => json!({ "rope_type": "default" }),
            Kind::Linear => json!({ "rope_type": "linear", "factor": factor }),
            Kind::Yarn => {
                json!({ "rope_type": "yarn", "factor": factor, "original_max_position_embeddings": original })
            }
            // The passage between short and long wavelengths is that of Llama 3.1.
            Kind::Llama3 => json!({
                "rope_type": "llama3", "factor": factor, "original_max_position_embeddings": original,
                "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            }),
        }
    }
}

impl fmt::Display for ScalingChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        if self.kind != Kind::None {
            write!(f, ":{}", self.factor)?;
        }
        self.original.map_or(Ok(()), |original| write!(f, ",original={original}"))
    }
}

/// Text that is no rope scaling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScalingError {
    /// No kind has the name.
    #[error("`{0}` is not a rope scaling (expected none, linear:F, yarn:F or llama3:F, each with ,original=N)")]
    Unknown(String),
    /// The factor is missing or wrong.
    #[error("`{kind}`: the factor must be a number greater than 0, found `{found}` (such as `{kind}:4`)")]
    Factor {
        /// The kind.
        kind: &'static str,
        /// What was written.
        found: String,
    },
    /// The original context is wrong, or another setting was given.
    #[error("`{kind}`: expected `original=N`, a number of tokens, found `{found}`")]
    Original {
        /// The kind.
        kind: &'static str,
        /// What was written.
        found: String,
    },
}

impl FromStr for ScalingChoice {
    type Err = ScalingError;

    fn from_str(text: &str) -> Result<Self, ScalingError> {
        let mut parts = text.split(',').map(str::trim);
        let first = parts.next().unwrap_or_default();
        let (name, factor) = first.split_once(':').map_or((first, None), |(name, factor)| (name, Some(factor)));
        let kind = [Kind::None, Kind::Linear, Kind::Yarn, Kind::Llama3].into_iter().find(|kind| kind.name() == name);
        let kind = kind.ok_or_else(|| ScalingError::Unknown(text.to_owned()))?;
        let factor = match (kind, factor) {
            (Kind::None, None) => 1.0,
            (Kind::None, Some(_)) => return Err(ScalingError::Unknown(text.to_owned())),
            (_, found) => {
                let factor = found.and_then(|found| found.trim().parse::<f64>().ok());
                let wrong = || ScalingError::Factor { kind: kind.name(), found: found.unwrap_or_default().to_owned() };
                factor.filter(|factor| factor.is_finite() && *factor > 0.0).ok_or_else(wrong)?
            }
        };
        let mut original = None;
        for part in parts {
            let tokens = part.strip_prefix("original=").and_then(|tokens| tokens.parse().ok()).filter(|n| *n > 0);
            let wrong = || ScalingError::Original { kind: kind.name(), found: part.to_owned() };
            original = Some(tokens.ok_or_else(wrong)?);
        }
        Ok(Self { kind, factor, original })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_or_refused_with_the_reason() {
        for text in ["none", "linear:4", "yarn:2.5", "llama3:8,original=8192"] {
            assert_eq!(text.parse::<ScalingChoice>().unwrap().to_string(), text);
        }
        for (text, expected) in [
            ("dynamic:2", "`dynamic:2` is not a rope scaling"),
            ("linear", "such as `linear:4`"),
            ("linear:0", "greater than 0, found `0`"),
            ("yarn:-1", "found `-1`"),
            ("yarn:inf", "found `inf`"),
            ("yarn:4,original=0", "expected `original=N`"),
            ("yarn:4,beta=3", "found `beta=3`"),
            ("none:4", "`none:4` is not"),
        ] {
            let message = text.parse::<ScalingChoice>().unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
