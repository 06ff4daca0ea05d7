//! Weights that nobody trained yet: the source of a checkpoint that starts from a configuration alone.

use std::path::{Path, PathBuf};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::error::CheckpointError;
use super::keys::expected_tensors;
use super::source::{TensorInfo, TensorSource};
use crate::config::ModelConfig;

/// Random weights, the same for the same seed: normal with standard deviation 0.02, divided by `√(2·layers)` where a
/// projection adds to the residual stream (GPT-2, Radford et al. 2019, section 2.3); norms 1, biases 0.
#[derive(Debug)]
pub struct RandomWeights {
    path: PathBuf,
    tensors: Vec<TensorInfo>,
    seed: u64,
    layers: usize,
}

/// Standard deviation of a weight.
const DEVIATION: f32 = 0.02;

impl RandomWeights {
    /// Weights for a decoder of this configuration. `path` is for messages.
    pub fn new(path: &Path, config: &ModelConfig, seed: u64) -> Self {
        let tensors = expected_tensors(config)
            .into_iter()
            .map(|t| TensorInfo {
                bytes: 4 * t.shape.iter().product::<usize>() as u64,
                name: t.name,
                shape: t.shape,
                dtype: "F32".to_owned(),
            })
            .collect();
        Self { path: path.to_owned(), tensors, seed, layers: config.layers }
    }
}

impl TensorSource for RandomWeights {
    fn path(&self) -> &Path {
        &self.path
    }

    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read_f32(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let index = self.tensors.iter().position(|t| t.name == name);
        let Some(index) = index else {
            return Err(CheckpointError::malformed(
                &self.path,
                format!("a decoder of this configuration has no tensor `{name}`"),
                "this is an error of the program that asked",
            ));
        };
        let count = self.tensors[index].shape.iter().product();
        if name.ends_with(".bias") {
            return Ok(vec![0.0; count]);
        }
        if name.ends_with("norm.weight") {
            return Ok(vec![1.0; count]);
        }
        let adds = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
        let scale = if adds { DEVIATION / (2.0 * self.layers as f32).sqrt() } else { DEVIATION };
        // Each tensor has a stream of its own, so that its values depend on nothing but the seed and its place.
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(index as u64);
        Ok(std::iter::from_fn(|| Some(normal_pair(&mut random))).flatten().take(count).map(|x| x * scale).collect())
    }
}

/// Two independent standard normal values (Box and Muller 1958).
fn normal_pair(random: &mut ChaCha8Rng) -> [f32; 2] {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    let angle = std::f64::consts::TAU * random.random::<f64>();
    [(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn weights_depend_on_the_seed_alone_and_have_the_promised_spread() {
        let json = json!({
            "model_type": "llama", "vocab_size": 100, "hidden_size": 32, "intermediate_size": 64,
            "num_hidden_layers": 8, "num_attention_heads": 2, "tie_word_embeddings": true,
        });
        let config = ModelConfig::from_json(Path::new("config.json"), &json).unwrap();
        let read = |seed, name: &str| RandomWeights::new(Path::new("here"), &config, seed).read_f32(name).unwrap();
        let spread = |v: &[f32]| (v.iter().map(|x| x * x).sum::<f32>() / v.len() as f32).sqrt();
        let embedding = read(1, "model.embed_tokens.weight");
        assert_eq!(embedding, read(1, "model.embed_tokens.weight"));
        assert_ne!(embedding, read(2, "model.embed_tokens.weight"));
        assert!((spread(&embedding) - 0.02).abs() < 0.002);
        assert!((spread(&read(1, "model.layers.0.mlp.down_proj.weight")) - 0.005).abs() < 0.0005);
        assert_eq!(read(1, "model.norm.weight"), vec![1.0; 32]);
        assert!(RandomWeights::new(Path::new("here"), &config, 1).read_f32("lm_head.weight").is_err());
    }
}
