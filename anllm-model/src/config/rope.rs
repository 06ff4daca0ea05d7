//! Rotary embedding settings: the angle each pair of channels turns by per position.
//!
//! Formulae: Su et al., arXiv 2104.09864 (the embedding); Llama 3.1's model card (`llama3`); Peng et al., arXiv
//! 2309.00071 (`yarn`). Settings are named as `transformers` names them.

use std::f64::consts::PI;

use serde_json::Value;

use super::fields::Fields;
use crate::checkpoint::CheckpointError;

/// Rotary embedding settings.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeConfig {
    /// Base of the geometric series of wavelengths.
    pub theta: f64,
    /// How long contexts are reached.
    pub scaling: RopeScaling,
}

/// How the angles are changed to reach contexts longer than those first trained on.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// `default`: not at all.
    None,
    /// `linear`: every angle divided by a factor.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// `llama3`: long wavelengths divided, short ones kept, a smooth passage between.
    Llama3 {
        /// The divisor of long wavelengths.
        factor: f64,
        /// Wavelengths above `original / low_freq_factor` are divided.
        low_freq_factor: f64,
        /// Wavelengths below `original / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// Context of the first training, in tokens.
        original: f64,
    },
    /// `yarn`: as `llama3` in spirit, with the passage given in rotations, and attention made sharper.
    Yarn {
        /// The divisor of long wavelengths.
        factor: f64,
        /// Rotations over the original context above which an angle is kept.
        beta_fast: f64,
        /// Rotations over the original context below which an angle is divided.
        beta_slow: f64,
        /// Context of the first training, in tokens.
        original: f64,
        /// What cosines and sines are multiplied by.
        attention_factor: f64,
        /// Whether the bounds of the passage are rounded outward to whole channels.
        truncate: bool,
    },
}

impl RopeConfig {
    /// Radians per position for each of the `D/2` channel pairs.
    pub fn frequencies(&self, head_dim: usize) -> Vec<f64> {
        let half = head_dim / 2;
        let plain = |i: usize| self.theta.powf(-2.0 * i as f64 / head_dim as f64);
        match &self.scaling {
            RopeScaling::None => (0..half).map(plain).collect(),
            RopeScaling::Linear { factor } => (0..half).map(|i| plain(i) / factor).collect(),
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original } => {
                let scale = |frequency: f64| {
                    let rotations = original * frequency / (2.0 * PI);
                    let kept = ((rotations - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0.0, 1.0);
                    frequency * (kept + (1.0 - kept) / factor)
                };
                (0..half).map(plain).map(scale).collect()
            }
            RopeScaling::Yarn { factor, beta_fast, beta_slow, original, truncate, .. } => {
                // The channel whose angle makes `rotations` turns over the original context.
                let channel = |rotations: f64| {
                    head_dim as f64 * (original / (rotations * 2.0 * PI)).ln() / (2.0 * self.theta.ln())
                };
                let (low, high) = (channel(*beta_fast), channel(*beta_slow));
                let (low, high) = if *truncate { (low.floor(), high.ceil()) } else { (low, high) };
                let (low, high) = (low.max(0.0), high.min(head_dim as f64 - 1.0));
                let width = if low == high { 0.001 } else { high - low };
                let scale = |i: usize| {
                    let divided = ((i as f64 - low) / width).clamp(0.0, 1.0);
                    plain(i) * (1.0 - divided + divided / factor)
                };
                (0..half).map(scale).collect()
            }
        }
    }

    /// What cosines and sines are multiplied by.
    pub fn amplitude(&self) -> f64 {
        match self.scaling {
            RopeScaling::Yarn { attention_factor, .. } => attention_factor,
            _ => 1.0,
        }
    }

    /// Reads `rope_parameters` (transformers 5), or `rope_theta` with `rope_scaling` (before).
    pub(super) fn read(config: &Fields<'_>, max_positions: usize) -> Result<Self, CheckpointError> {
        const THETA: f64 = 10_000.0;
        let (prefix, object) = match (config.get("rope_parameters"), config.get("rope_scaling")) {
            (Some(object), _) => ("rope_parameters.", object),
            (None, Some(object)) => ("rope_scaling.", object),
            (None, None) => {
                return Ok(Self {
                    theta: checked_theta(config, config.number("rope_theta")?.unwrap_or(THETA))?,
                    scaling: RopeScaling::None,
                });
            }
        };
        let rope = Fields::new(config.path, prefix, object)?;
        let theta = match rope.number("rope_theta")? {
            Some(theta) => theta,
            None => config.number("rope_theta")?.unwrap_or(THETA),
        };
        if let Some(share) = rope.number("partial_rotary_factor")?.filter(|f| *f != 1.0) {
            return Err(CheckpointError::unsupported(
                config.path,
                format!("`partial_rotary_factor` is {share}: only part of each head would turn"),
                "only models whose rotary embedding covers the whole head are supported",
            ));
        }
        let kind = rope.text("rope_type")?.or(rope.text("type")?).unwrap_or("default");
        Ok(Self {
            theta: checked_theta(config, theta)?,
            scaling: RopeScaling::read(kind, &rope, config, max_positions)?,
        })
    }
}

fn checked_theta(config: &Fields<'_>, theta: f64) -> Result<f64, CheckpointError> {
    match theta > 1.0 {
        true => Ok(theta),
        false => Err(config.error(&format!("`rope_theta` must be greater than 1, found {theta}"))),
    }
}

impl RopeScaling {
    /// The name `config.json` uses.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "default",
            Self::Linear { .. } => "linear",
            Self::Llama3 { .. } => "llama3",
            Self::Yarn { .. } => "yarn",
        }
    }

    fn read(kind: &str, rope: &Fields<'_>, config: &Fields<'_>, max_positions: usize) -> Result<Self, CheckpointError> {
        let positive = |key: &str| match rope.required_number(key)? {
            value if value > 0.0 => Ok(value),
            value => Err(rope.error(&format!("`{key}` must be greater than 0, found {value}"))),
        };
        match kind {
            "default" => Ok(Self::None),
            "linear" => Ok(Self::Linear { factor: positive("factor")? }),
            "llama3" => {
                let (low, high) = (positive("low_freq_factor")?, positive("high_freq_factor")?);
                if high <= low {
                    return Err(rope
                        .error(&format!("`high_freq_factor` must exceed `low_freq_factor`, found {high} and {low}")));
                }
                Ok(Self::Llama3 {
                    factor: positive("factor")?,
                    low_freq_factor: low,
                    high_freq_factor: high,
                    original: positive("original_max_position_embeddings")?,
                })
            }
            "yarn" => {
                let factor = positive("factor")?;
                if let Some(key) = ["mscale", "mscale_all_dim"].into_iter().find(|key| rope.get(key).is_some()) {
                    return Err(CheckpointError::unsupported(
                        config.path,
                        format!("the yarn setting `{key}` (DeepSeek's attention scaling)"),
                        "yarn is supported with `factor`, `beta_fast`, `beta_slow`, `attention_factor`, `truncate`",
                    ));
                }
                let sharper = if factor > 1.0 { 0.1 * factor.ln() + 1.0 } else { 1.0 };
                Ok(Self::Yarn {
                    factor,
                    beta_fast: rope.number("beta_fast")?.unwrap_or(32.0),
                    beta_slow: rope.number("beta_slow")?.unwrap_or(1.0),
                    original: rope.number("original_max_position_embeddings")?.unwrap_or(max_positions as f64),
                    attention_factor: rope.number("attention_factor")?.unwrap_or(sharper),
                    truncate: rope.flag("truncate")?.unwrap_or(true),
                })
            }
            other => Err(CheckpointError::unsupported(
                config.path,
                format!("the rope type `{other}`"),
                "supported: default, linear, llama3, yarn",
            )),
        }
    }

    /// The settings as `config.json` writes them, without `rope_theta`.
    pub fn to_json(&self) -> Value {
        match self {
            Self::None => serde_json::json!({ "rope_type": "default" }),
            Self::Linear { factor } => serde_json::json!({ "rope_type": "linear", "factor": factor }),
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original } => serde_json::json!({
                "rope_type": "llama3", "factor": factor, "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor, "original_max_position_embeddings": original,
            }),
            Self::Yarn { factor, beta_fast, beta_slow, original, attention_factor, truncate } => serde_json::json!({
                "rope_type": "yarn", "factor": factor, "beta_fast": beta_fast, "beta_slow": beta_slow,
                "original_max_position_embeddings": original, "attention_factor": attention_factor,
                "truncate": truncate,
            }),
        }
    }
}
