//! Rotary embedding scaling: metadata keys, or a tensor of frequency factors, as Hugging Face's `rope_parameters`.

use serde_json::{Value as Json, json};

use super::config::Geometry;
use super::metadata::Metadata;
use super::names::{Architecture, ROPE_FACTORS};
use crate::checkpoint::CheckpointError;

/// `rope_parameters` with `rope_type` and `rope_theta`. Scaling types are passed through by the file's name for them;
/// whoever builds the model decides which it implements.
pub(super) fn parameters(
    metadata: &Metadata,
    geometry: &Geometry,
    factors: Option<&[f32]>,
) -> Result<Json, CheckpointError> {
    let arch = geometry.arch;
    let key = |suffix: &str| format!("{arch}.rope.scaling.{suffix}");
    let kind = metadata.text(&key("type"))?.filter(|kind| *kind != "none");
    let mut factor = metadata.float(&key("factor"))?;
    if factor.is_none() {
        // The key of older files, which knew linear scaling only.
        factor = metadata.float(&format!("{arch}.rope.scale_linear"))?;
    }
    let factor = factor.filter(|factor| *factor != 0.0);

    if let Some(factors) = factors {
        if let Some(kind) = kind {
            return Err(CheckpointError::unsupported(
                metadata.path(),
                format!("frequency factors in `{ROPE_FACTORS}` together with rope scaling `{kind}`"),
                "convert the model again with a current converter",
            ));
        }
        return from_factors(metadata, geometry, factors);
    }
    let mut rope = json!({ "rope_type": "default", "rope_theta": geometry.rope_theta });
    let kind = match (kind, factor) {
        (Some(kind), _) => kind,
        (None, Some(factor)) if factor != 1.0 => "linear",
        (None, _) => return Ok(rope),
    };
    rope["rope_type"] = kind.into();
    if let Some(factor) = factor {
        rope["factor"] = factor.into();
    }
    if let Some(original) = metadata.uint(&key("original_context_length"))? {
        rope["original_max_position_embeddings"] = original.into();
    }
    for (suffix, name) in [
        ("attn_factor", "attention_factor"),
        ("yarn_attn_factor", "attention_factor"),
        ("yarn_beta_fast", "beta_fast"),
        ("yarn_beta_slow", "beta_slow"),
    ] {
        if let Some(number) = metadata.float(&key(suffix))? {
            rope[name] = number.into();
        }
    }
    Ok(rope)
}

/// Llama 3's scaling, in the one parameterisation that its models use.
const LOW_FREQ_FACTOR: f64 = 1.0;
const HIGH_FREQ_FACTOR: f64 = 4.0;
const ORIGINAL_CONTEXT: f64 = 8192.0;

/// Recognises the divisors of the rotary frequencies, one per pair of the head, as those of Llama 3's scaling.
fn from_factors(metadata: &Metadata, geometry: &Geometry, factors: &[f32]) -> Result<Json, CheckpointError> {
    let refuse = |what: String| {
        Err(CheckpointError::unsupported(
            metadata.path(),
            what,
            "only the frequency factors of llama3 rope scaling are supported: convert the model again with a current converter",
        ))
    };
    if factors.len() as u64 != geometry.head_dim / 2 {
        return refuse(format!(
            "tensor `{ROPE_FACTORS}` with {} factors, expected half the head width of {}",
            factors.len(),
            geometry.head_dim
        ));
    }
    if factors.iter().all(|f| *f == 1.0) {
        return Ok(json!({ "rope_type": "default", "rope_theta": geometry.rope_theta }));
    }
    // The slowest frequencies are divided by the whole factor; a file that says otherwise will not match below.
    let factor = factors.iter().copied().fold(0.0, f32::max).round();
    let matches = factors.iter().enumerate().all(|(pair, found)| {
        let expected = llama3_factor(geometry, pair, factor.into());
        (f64::from(*found) - expected).abs() <= 1e-4 * expected
    });
    if geometry.arch != Architecture::Llama || !matches {
        return refuse(format!("tensor `{ROPE_FACTORS}` with frequency factors of an unknown kind"));
    }
    Ok(json!({
        "rope_type": "llama3",
        "rope_theta": geometry.rope_theta,
        "factor": f64::from(factor),
        "low_freq_factor": LOW_FREQ_FACTOR,
        "high_freq_factor": HIGH_FREQ_FACTOR,
        "original_max_position_embeddings": ORIGINAL_CONTEXT as u64,
    }))
}

/// The divisor of pair `pair`: 1 where its wavelength fits the original context `HIGH_FREQ_FACTOR` times, `factor`
/// where it does not fit `LOW_FREQ_FACTOR` times, and between the two the frequency is interpolated.
fn llama3_factor(geometry: &Geometry, pair: usize, factor: f64) -> f64 {
    let exponent = 2.0 * pair as f64 / geometry.head_dim as f64;
    let wavelength = std::f64::consts::TAU * geometry.rope_theta.powf(exponent);
    let fits = ORIGINAL_CONTEXT / wavelength;
    if fits > HIGH_FREQ_FACTOR {
        1.0
    } else if fits < LOW_FREQ_FACTOR {
        factor
    } else {
        let smooth = (fits - LOW_FREQ_FACTOR) / (HIGH_FREQ_FACTOR - LOW_FREQ_FACTOR);
        1.0 / ((1.0 - smooth) / factor + smooth)
    }
}
