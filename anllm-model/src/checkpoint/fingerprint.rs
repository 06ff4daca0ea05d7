//! What tells one model from another, for files that belong to a model.

use std::ops::Range;

use serde_json::json;

use super::error::CheckpointError;
use super::keys::expected_tensors;
use super::open::Checkpoint;

/// A tensor of at most this many bytes is hashed whole.
const WHOLE: u64 = 64 << 10;
/// Of a larger one, this many pieces, evenly spread, the first bytes and the last among them.
const PIECES: u64 = 16;
/// Bytes of a piece.
const PIECE: u64 = WHOLE / PIECES;

/// Which bytes stand for a tensor that is stored in `len` of them.
pub(super) fn sampled(len: u64) -> Vec<Range<u64>> {
    if len <= WHOLE {
        return std::iter::once(0..len).collect();
    }
    let start = |piece: u64| (len - PIECE) / (PIECES - 1) * piece;
    let mut pieces: Vec<_> = (0..PIECES - 1).map(|piece| start(piece)..start(piece) + PIECE).collect();
    pieces.push(len - PIECE..len);
    pieces
}

impl Checkpoint {
    /// A hash of the settings that the decoder computes with, and of every tensor's name, shape, type and stored bytes:
    /// all of a small tensor, 16 pieces of a large one. That takes milliseconds where reading all of a large model
    /// takes as long as loading it. Training changes every number of what it trains, and `<AC>` has the last row of its
    /// matrices, whose end is among the pieces; a change of a few numbers in the middle of a matrix goes unseen.
    ///
    /// It does not depend on the tokenizer, the anchor rule, or how tensors are spread over files; a checkpoint that was
    /// converted to another type is another model, since it computes other numbers.
    ///
    /// # Errors
    /// When the weights cannot be read.
    pub fn fingerprint(&self) -> Result<String, CheckpointError> {
        let config = self.config();
        let settings = json!({
            "format": 1,
            "architecture": config.architecture.model_type(),
            "vocab_size": config.vocab_size,
            "hidden_size": config.hidden_size,
            "intermediate_size": config.intermediate_size,
            "layers": config.layers,
            "heads": config.heads,
            "kv_heads": config.kv_heads,
            "head_dim": config.head_dim,
            "norm_eps": config.norm_eps,
            "rope_theta": config.rope.theta,
            "rope": config.rope.scaling.to_json(),
            "qk_norm": config.qk_norm,
        });
        let mut hasher = blake3::Hasher::new();
        hasher.update(settings.to_string().as_bytes());
        for tensor in expected_tensors(config) {
            let dtype = self.source().info(&tensor.name).map(|info| info.dtype.clone());
            let tells = json!([tensor.name, tensor.shape, dtype]);
            hasher.update(tells.to_string().as_bytes());
            hasher.update(&self.source().sample(&tensor.name)?);
        }
        Ok(hasher.finalize().to_hex()[..32].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_begin_and_end_with_the_tensor() {
        assert_eq!(sampled(10).first(), Some(&(0..10)));
        assert_eq!(sampled(WHOLE).first(), Some(&(0..WHOLE)));
        for len in [WHOLE + 1, 1_000_003, 3 << 30] {
            let pieces = sampled(len);
            assert_eq!(pieces.len() as u64, PIECES);
            assert_eq!((pieces[0].start, pieces[15].end), (0, len));
            assert!(pieces.iter().all(|piece| piece.end - piece.start == PIECE && piece.end <= len));
            assert!(pieces.is_sorted_by(|a, b| a.start < b.start));
        }
    }
}
