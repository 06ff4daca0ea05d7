//! The proof that a reduced cache changes nothing: the masked full forward of a text against the same text through
//! the cache, in chunks of several sizes. It runs on any checkpoint, so that users can hold it against their own.

use anllm_core::{CachePolicy, Place, Segments};
use anllm_model::KvCache;
use burn::tensor::backend::Backend;
use burn::tensor::DType;
use serde::Serialize;

use crate::engine::{Engine, read};
use crate::error::InferError;

/// How far two computations of the same scores lie apart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChunkDifference {
    /// Tokens processed at once.
    pub chunk: usize,
    /// Largest difference of any score.
    pub max_abs_diff: f64,
    /// That difference over the largest score.
    pub max_rel_diff: f64,
    /// How many positions' best tokens differ.
    pub different_best: usize,
}

/// The outcome of a verification.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// Whether every difference is within tolerance.
    pub ok: bool,
    /// Largest difference of any score, over all chunk sizes.
    pub max_abs_diff: f64,
    /// That difference over the largest score.
    pub max_rel_diff: f64,
    /// The largest `max_rel_diff` that passes.
    pub tolerance: f64,
    /// Tokens compared.
    pub tokens: usize,
    /// Anchors among them.
    pub anchors: usize,
    /// Each chunk size's outcome.
    pub chunks: Vec<ChunkDifference>,
}

/// One side of a comparison: where tokens stand, and what they see.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The place of every token.
    pub places: &'a [Place],
    /// Mask and cache policy.
    pub policy: &'static dyn CachePolicy,
}

/// Two sides that should agree. [`Engine::verify`] takes the same for both; a test may put a wrong rule on one of them
/// and see that the difference is found.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'a> {
    /// Computed at once, under the dense mask.
    pub reference: Side<'a>,
    /// Computed in chunks, through the cache.
    pub cached: Side<'a>,
}

impl<B: Backend> Engine<B> {
    /// Compares the masked full forward of `ids` with the cache of `policy`, for each chunk size.
    ///
    /// # Errors
    /// When the text is empty or too long.
    pub fn verify(
        &self,
        ids: &[u32],
        policy: &'static dyn CachePolicy,
        chunk_sizes: &[usize],
    ) -> Result<Verification, InferError> {
        let segments: Segments = self.matcher().segments(ids);
        let side = Side { places: segments.places(), policy };
        self.compare(ids, &Comparison { reference: side, cached: side }, chunk_sizes)
    }

    /// Compares two sides.
    ///
    /// # Errors
    /// When the text is empty or too long.
    pub fn compare(
        &self,
        ids: &[u32],
        comparison: &Comparison<'_>,
        chunk_sizes: &[usize],
    ) -> Result<Verification, InferError> {
        let limit = self.config().max_positions;
        if ids.is_empty() {
            return Err(InferError::EmptyPrompt);
        }
        if ids.len() > limit {
            return Err(InferError::TooLong { tokens: ids.len(), limit });
        }
        self.check_ids(ids)?;
        let Comparison { reference, cached } = comparison;
        let reference = self.decoder().forward(ids, reference.places, reference.policy);
        let mut chunks = Vec::with_capacity(chunk_sizes.len());
        for &chunk in chunk_sizes {
            let mut difference = Difference::default();
            let mut cache = KvCache::new(self.config(), cached.policy, self.decoder().dtype());
            let mut start = 0;
            for (ids, places) in ids.chunks(chunk.max(1)).zip(cached.places.chunks(chunk.max(1))) {
                let hidden = self.decoder().forward_cached(ids, places, &mut cache);
                // Scores are made chunk by chunk on both sides: those of a whole text may not fit in memory.
                let expected = reference.clone().narrow(1, start, ids.len());
                let expected = read(self.decoder().logits(expected))?;
                difference.add(&expected, &read(self.decoder().logits(hidden))?, self.decoder().vocab_size());
                start += ids.len();
            }
            chunks.push(difference.of_chunk(chunk));
        }
        let worst = |f: fn(&ChunkDifference) -> f64| chunks.iter().map(f).fold(0.0, f64::max);
        let tolerance = tolerance(self.decoder().dtype());
        let (max_abs_diff, max_rel_diff) = (worst(|c| c.max_abs_diff), worst(|c| c.max_rel_diff));
        let anchors = comparison.reference.places.iter().filter(|p| p.anchor).count();
        Ok(Verification {
            ok: max_rel_diff <= tolerance,
            max_abs_diff,
            max_rel_diff,
            tolerance,
            tokens: ids.len(),
            anchors,
            chunks,
        })
    }
}

/// What rounding alone may do, as a share of the largest score: sums are taken in another order, nothing else differs.
fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 2e-2,
        DType::BF16 => 1e-1,
        _ => 1e-4,
    }
}

#[derive(Default)]
struct Difference {
    largest: f64,
    scale: f64,
    different_best: usize,
}

impl Difference {
    /// Both `[T, V]`, row-major. A score that is no number differs without bound.
    fn add(&mut self, expected: &[f32], found: &[f32], vocab: usize) {
        for (e, f) in expected.iter().zip(found) {
            let gap = f64::from((e - f).abs());
            self.largest = self.largest.max(if gap.is_nan() { f64::INFINITY } else { gap });
            self.scale = self.scale.max(f64::from(e.abs()));
        }
        let best = |row: &[f32]| row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(id, _)| id);
        let rows = expected.chunks(vocab).zip(found.chunks(vocab));
        self.different_best += rows.filter(|(e, f)| best(e) != best(f)).count();
    }

    fn of_chunk(&self, chunk: usize) -> ChunkDifference {
        ChunkDifference {
            chunk,
            max_abs_diff: self.largest,
            max_rel_diff: self.largest / self.scale.max(f64::MIN_POSITIVE),
            different_best: self.different_best,
        }
    }
}
