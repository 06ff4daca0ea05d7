//! How much memory a run will take, told before it starts.

use anllm_model::ModelConfig;
use serde::Serialize;

use crate::config::{Compute, MaskMode, TrainConfig};
use crate::lora::adapter_parameters;

/// Bytes of a 32-bit float.
const F32: f64 = 4.0;

// What one block keeps for its backward pass, in numbers of whole tensors: fitted to the peaks that runs of different
// shapes log (`peak_memory_bytes`) on the CPU backend. They change with the operations in `anllm_model::decoder`
// and `anllm_kernels`.
/// Of the width of the model, `[B, T, C]`.
const STREAMS: f64 = 5.3;
/// Of the width of all query, key and value heads, `[B, T, (H+2K)·D]`.
const HEADS: f64 = 1.4;
/// Of attention scores, `[B, H, T, T]`, while the mask closes: other masks need no scores to be kept.
const SCORES: f64 = 3.2;
/// Of the width of the MLP, `[B, T, M]`.
const INNER: f64 = 3.2;
/// What a block's backward pass takes beside what was kept for it, as a share of that.
const BACKWARD: f64 = 0.3;
/// Tensors of the size of a chunk of logits that its loss takes.
const LOGITS: f64 = 4.0;

/// Bytes that a training run needs, by what they are for. The program itself (some 25 MB) and the text, which is mapped
/// from its file, are not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MemoryEstimate {
    /// All weights, frozen ones and adapters included.
    pub weights: usize,
    /// A gradient for each parameter that learns.
    pub gradients: usize,
    /// AdamW's two moments for each of them.
    pub moments: usize,
    /// What is kept between forward and backward pass, of the rows that go through at once.
    pub activations: usize,
    /// The larger of what comes and goes: one block's backward pass, or a chunk of logits with its loss.
    pub working: usize,
    /// What writing a model takes, when no pass runs: the largest matrix, and with adapters a merged copy of the weights.
    pub saving: usize,
}

impl MemoryEstimate {
    /// Of a run under `config` on `model`, of which `trained` parameters learn.
    pub fn of(config: &TrainConfig, model: &ModelConfig, trained: usize) -> Self {
        let (context, width) = (config.data.context as f64, model.hidden_size as f64);
        let tokens = config.train.rows_at_once.min(config.train.rows_per_step) as f64 * context;
        let layers = model.layers as f64;
        let scores = if config.train.mask == MaskMode::Anneal { SCORES } else { 0.0 };
        let per_token = STREAMS * width
            + HEADS * ((model.heads + 2 * model.kv_heads) * model.head_dim) as f64
            + scores * model.heads as f64 * context
            + INNER * model.intermediate_size as f64;
        let element = if config.train.compute == Compute::Bf16 { F32 / 2.0 } else { F32 };
        let block = element * tokens * per_token;
        // Between the passes: everything, or the input of each block, which is then computed again.
        let (activations, backward) = match config.train.gradient_checkpointing {
            false => (layers * block, BACKWARD * block),
            true => (element * layers * tokens * width, (1.0 + BACKWARD) * block),
        };
        let vocabulary = F32 * model.vocab_size as f64;
        let logits = LOGITS * (vocabulary * tokens).min((config.train.logits_mb << 20) as f64);
        let adapters = config.lora.as_ref().map(|lora| adapter_parameters(model, lora));
        let all = F32 * model.parameters() as f64;
        Self {
            weights: (all + F32 * adapters.unwrap_or(0) as f64) as usize,
            gradients: (F32 * trained as f64) as usize,
            moments: (2.0 * F32 * trained as f64) as usize,
            activations: activations as usize,
            working: backward.max(logits) as usize,
            saving: (2.0 * vocabulary * width + adapters.map_or(0.0, |_| all)) as usize,
        }
    }

    /// The most that is taken at a time.
    pub fn peak(&self) -> usize {
        self.weights + self.gradients + self.moments + self.saving.max(self.activations + self.working)
    }
}
