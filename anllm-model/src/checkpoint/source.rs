//! Where weights come from: one small trait, implemented by Hugging Face folders and by GGUF files.

use std::path::Path;

use anllm_kernels::PackedMatrix;

use super::error::CheckpointError;
use super::fingerprint::sampled;

/// What a checkpoint says of one tensor, without reading its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// The Hugging Face name, `model.layers.0.self_attn.q_proj.weight`, whatever the file calls it.
    pub name: String,
    /// The shape in Hugging Face order: a linear weight is `[out, in]`.
    pub shape: Vec<usize>,
    /// How the values are stored, by the file's own name: `F32`, `BF16`, `Q4_1`, …
    pub dtype: String,
    /// Bytes in the file.
    pub bytes: u64,
}

/// Named tensors on disk. Values are read one tensor at a time, so that at most one tensor exists twice.
pub trait TensorSource: Send + Sync {
    /// The file or folder, for messages.
    fn path(&self) -> &Path;

    /// Every tensor, in the file's order.
    fn tensors(&self) -> &[TensorInfo];

    /// The values of one tensor, converted to `f32`, row-major, in Hugging Face layout.
    ///
    /// # Errors
    /// When the tensor is not there, or its bytes are cut short or of an unknown type.
    fn read_f32(&self, name: &str) -> Result<Vec<f32>, CheckpointError>;

    /// A matrix as it is stored; none where that is not a way that can be multiplied.
    ///
    /// # Errors
    /// As [`read_f32`](Self::read_f32).
    fn read_packed(&self, name: &str) -> Result<Option<PackedMatrix>, CheckpointError> {
        let _ = name;
        Ok(None)
    }

    /// Bytes that stand for a tensor's values in a hash: all of a small tensor as it is stored, pieces of a large one.
    ///
    /// # Errors
    /// As [`read_f32`](Self::read_f32).
    fn sample(&self, name: &str) -> Result<Vec<u8>, CheckpointError> {
        let values = self.read_f32(name)?;
        Ok(pick(bytemuck::cast_slice(&values)))
    }

    /// The entry named `name`.
    fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors().iter().find(|t| t.name == name)
    }
}

/// The sample of a tensor that is stored in these bytes.
pub(super) fn pick(bytes: &[u8]) -> Vec<u8> {
    let pieces = sampled(bytes.len() as u64).into_iter();
    pieces.flat_map(|piece| bytes[piece.start as usize..piece.end as usize].iter().copied()).collect()
}
