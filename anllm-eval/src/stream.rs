//! Perplexity of a text of any length in one session, by position: what a policy is worth far beyond the context.
//!
//! Nothing here grows with the text: neither its tokens nor their scores are held, and of each stretch a row of numbers
//! remains.

use anllm_core::{CacheStats, Policy};
use anllm_infer::{Engine, InferError};
use anllm_kernels::Kernels;
use burn::tensor::Tensor;
use serde::Serialize;

use crate::perplexity::{EvalError, losses};

/// How to run.
#[derive(Debug, Clone)]
pub struct StreamOptions {
    /// Mask and cache.
    pub policy: Policy,
    /// A token that is read but not scored: an anchor that was put into the text.
    pub unscored: Option<u32>,
    /// Tokens processed at once. It bounds memory; results do not depend on it.
    pub chunk: usize,
    /// Tokens in a row of the report.
    pub bucket: usize,
}

/// The tokens at some positions in a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bucket {
    /// Position of the first of them.
    pub from: usize,
    /// Position behind the last.
    pub to: usize,
    /// Tokens scored.
    pub tokens: usize,
    /// Mean negative log-likelihood, in nats; nothing where no token was scored.
    pub nll: Option<f64>,
    /// `exp(nll)`.
    pub ppl: Option<f64>,
    /// Entries held once the chunk with the last of them was processed.
    pub entries: usize,
    /// Bytes that the cache's buffers then occupied, empty slots included.
    pub allocated_bytes: usize,
}

/// The perplexity of a stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamPerplexity {
    /// `exp(nll)`.
    pub ppl: f64,
    /// Mean negative log-likelihood of a scored token, in nats.
    pub nll: f64,
    /// Tokens scored.
    pub tokens: usize,
    /// Total negative log-likelihood in bits over the bytes of the scored tokens.
    pub bits_per_byte: f64,
    /// Anchors among the tokens fed.
    pub anchors: usize,
    /// Share of the entries not kept at the end, 0 to 1.
    pub kv_reduction: f64,
    /// The cache at the end.
    pub kv: CacheStats,
    /// Bytes that its buffers occupy, empty slots included.
    pub allocated_bytes: usize,
    /// Stretch by stretch.
    pub by_position: Vec<Bucket>,
}

/// Scores the text whose tokens `ids` brings in any portions, all in one session. `bytes_of` gives the bytes a token
/// stands for; `progress` hears of the tokens done, and may break off by an error of its own.
///
/// # Errors
/// When tokens cannot be had, the text has fewer than two, or the model refuses.
pub fn stream_perplexity<B: Kernels, E: From<EvalError>>(
    engine: &Engine<B>,
    ids: impl IntoIterator<Item = Result<Vec<u32>, E>>,
    options: &StreamOptions,
    bytes_of: impl Fn(u32) -> usize,
    mut progress: impl FnMut(&Bucket) -> Result<(), E>,
) -> Result<StreamPerplexity, E> {
    let mut session = engine.session(options.policy.clone());
    let mut sums = Sums::new(options.bucket.max(1));
    // Scores of the last token so far, whose successor is not known yet.
    let mut before: Option<Tensor<B, 3>> = None;
    for chunk in Chunks::new(ids.into_iter(), options.chunk.max(1)) {
        let chunk = chunk?;
        let mut scores = None;
        let scored = engine.score::<InferError>(&mut session, &chunk, chunk.len(), |_, logits| {
            scores = Some(logits);
            Ok(())
        });
        scored.map_err(EvalError::from)?;
        let Some(logits) = scores else { continue };
        let known = chunk.len() - 1;
        let expecting = match before.take() {
            Some(last) if known == 0 => Some(last),
            Some(last) => Some(Tensor::cat(vec![last, logits.clone().narrow(1, 0, known)], 1)),
            None if known == 0 => None,
            None => Some(logits.clone().narrow(1, 0, known)),
        };
        before = Some(logits.narrow(1, known, 1));
        let targets = &chunk[chunk.len() - expecting.as_ref().map_or(0, |scores| scores.dims()[1])..];
        let losses = expecting.map(|scores| losses(scores, targets)).transpose()?.unwrap_or_default();
        let first = session.seen() - chunk.len();
        sums.anchors += (first..).zip(&chunk).filter(|(at, id)| engine.matcher().is_anchor(**id, *at)).count();
        // Only the very first token has no loss.
        let missing = chunk.len() - losses.len();
        let mut losses = losses.into_iter();
        let (entries, allocated) = (session.stats().kept, session.allocated_bytes());
        for (number, &id) in chunk.iter().enumerate() {
            let loss = if number < missing { None } else { losses.next() };
            let loss = loss.filter(|_| options.unscored != Some(id));
            if let Some(full) = sums.add(loss, bytes_of(id), entries, allocated) {
                progress(&full)?;
            }
        }
    }
    sums.finish(session.stats(), session.allocated_bytes()).map_err(E::from)
}

/// Portions of any size to chunks of one size; the last may be shorter.
struct Chunks<I> {
    portions: I,
    held: Vec<u32>,
    size: usize,
}

impl<I> Chunks<I> {
    fn new(portions: I, size: usize) -> Self {
        Self { portions, held: Vec::new(), size }
    }
}

impl<E, I: Iterator<Item = Result<Vec<u32>, E>>> Iterator for Chunks<I> {
    type Item = Result<Vec<u32>, E>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.held.len() < self.size {
            match self.portions.next() {
                Some(Ok(portion)) => self.held.extend(portion),
                Some(Err(error)) => return Some(Err(error)),
                None if self.held.is_empty() => return None,
                None => break,
            }
        }
        let rest = self.held.split_off(self.size.min(self.held.len()));
        Some(Ok(std::mem::replace(&mut self.held, rest)))
    }
}

/// What has been counted, over all and in the stretch that is open.
struct Sums {
    bucket: usize,
    seen: usize,
    nll: f64,
    tokens: usize,
    bytes: usize,
    anchors: usize,
    open: (f64, usize),
    rows: Vec<Bucket>,
}

impl Sums {
    fn new(bucket: usize) -> Self {
        Self { bucket, seen: 0, nll: 0.0, tokens: 0, bytes: 0, anchors: 0, open: (0.0, 0), rows: Vec::new() }
    }

    /// Counts a token, and returns the stretch that it completes.
    fn add(&mut self, loss: Option<f64>, bytes: usize, entries: usize, allocated: usize) -> Option<Bucket> {
        self.seen += 1;
        if let Some(loss) = loss {
            self.nll += loss;
            self.tokens += 1;
            self.bytes += bytes;
            self.open.0 += loss;
            self.open.1 += 1;
        }
        self.seen.is_multiple_of(self.bucket).then(|| self.close(entries, allocated))
    }

    fn close(&mut self, entries: usize, allocated_bytes: usize) -> Bucket {
        let (nll, tokens) = std::mem::take(&mut self.open);
        let nll = (tokens > 0).then(|| nll / tokens as f64);
        let from = (self.seen - 1) / self.bucket * self.bucket;
        let row = Bucket { from, to: self.seen, tokens, nll, ppl: nll.map(f64::exp), entries, allocated_bytes };
        self.rows.push(row.clone());
        row
    }

    fn finish(mut self, kv: CacheStats, allocated_bytes: usize) -> Result<StreamPerplexity, EvalError> {
        if self.tokens == 0 {
            return Err(EvalError::TooShort(self.seen));
        }
        if !self.seen.is_multiple_of(self.bucket) {
            self.close(kv.kept, allocated_bytes);
        }
        let nll = self.nll / self.tokens as f64;
        Ok(StreamPerplexity {
            ppl: nll.exp(),
            nll,
            tokens: self.tokens,
            bits_per_byte: self.nll / std::f64::consts::LN_2 / self.bytes.max(1) as f64,
            anchors: self.anchors,
            kv_reduction: kv.reduction(),
            kv,
            allocated_bytes,
            by_position: self.rows,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_become_chunks_of_one_size() {
        let portions = [vec![1], vec![], vec![2, 3, 4, 5, 6, 7], vec![8]].map(Ok::<_, ()>);
        let chunks: Vec<_> = Chunks::new(portions.into_iter(), 3).collect();
        assert_eq!(chunks, [Ok(vec![1, 2, 3]), Ok(vec![4, 5, 6]), Ok(vec![7, 8])]);
        let failing = [Ok(vec![1]), Err("gone")];
        assert_eq!(Chunks::new(failing.into_iter(), 3).next(), Some(Err("gone")));
    }

    #[test]
    fn stretches_add_up() {
        let mut sums = Sums::new(2);
        assert!(sums.add(None, 1, 1, 10).is_none());
        let first = sums.add(Some(1.0), 1, 2, 20).unwrap();
        assert_eq!((first.from, first.to, first.tokens, first.nll), (0, 2, 1, Some(1.0)));
        sums.add(Some(4.0), 3, 3, 30);
        let kv = CacheStats { policy: String::new(), seen: 3, kept: 3, peak: 3, bytes: 0, full_bytes: 0 };
        let total = sums.finish(kv, 30).unwrap();
        assert_eq!((total.tokens, total.nll, total.by_position.len()), (2, 2.5, 2));
        assert_eq!((total.by_position[1].from, total.by_position[1].to), (2, 3));
    }
}
