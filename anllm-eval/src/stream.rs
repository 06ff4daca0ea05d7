//! Perplexity of a text of any length in one session, by position: what a policy is worth far beyond the context.
//!
//! Nothing here grows with the text: neither its tokens nor their scores are held, and of each stretch a row of numbers
//! remains.

use anllm_core::{CacheStats, Policy};
use anllm_infer::{Engine, InferError};
use anllm_kernels::Kernels;
use burn::tensor::Tensor;
use serde::Serialize;

use crate::groups::{ByDistance, Stretch};
use crate::perplexity::{EvalError, losses};
use crate::totals::{Loss, Quality, Totals};

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
    /// How well they were predicted.
    #[serde(flatten)]
    pub loss: Loss,
    /// Entries held once the chunk with the last of them was processed.
    pub entries: usize,
    /// Bytes that the cache's buffers then occupied, empty slots included.
    pub allocated_bytes: usize,
}

/// The perplexity of a stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamPerplexity {
    /// Over all scored tokens.
    #[serde(flatten)]
    pub quality: Quality,
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
    /// By the distance from the last anchor.
    pub by_distance: Vec<Stretch<Loss>>,
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
        // Only the very first token has no loss.
        let missing = chunk.len() - losses.len();
        let mut losses = losses.into_iter();
        let (entries, allocated) = (session.stats().kept, session.allocated_bytes());
        for (number, &id) in chunk.iter().enumerate() {
            let loss = if number < missing { None } else { losses.next() };
            let loss = loss.filter(|_| options.unscored != Some(id));
            let anchor = engine.matcher().is_anchor(id, first + number);
            if let Some(full) = sums.add(&Token { loss, bytes: bytes_of(id), anchor }, entries, allocated) {
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
    total: Totals,
    open: Totals,
    by_distance: ByDistance<Totals>,
    anchors: usize,
    last_anchor: Option<usize>,
    rows: Vec<Bucket>,
}

/// A token of the stream.
struct Token {
    /// What it cost; nothing where it is not scored.
    loss: Option<f64>,
    bytes: usize,
    anchor: bool,
}

impl Sums {
    fn new(bucket: usize) -> Self {
        Self {
            bucket,
            seen: 0,
            total: Totals::default(),
            open: Totals::default(),
            by_distance: ByDistance::default(),
            anchors: 0,
            last_anchor: None,
            rows: Vec::new(),
        }
    }

    /// Counts a token, and returns the stretch that it completes.
    fn add(&mut self, token: &Token, entries: usize, allocated: usize) -> Option<Bucket> {
        if let Some(loss) = token.loss {
            let distance = self.last_anchor.map(|anchor| self.seen - anchor);
            for account in [&mut self.total, &mut self.open, self.by_distance.at(distance)] {
                account.add(loss, token.bytes);
            }
        }
        if token.anchor {
            self.last_anchor = Some(self.seen);
            self.anchors += 1;
        }
        self.seen += 1;
        self.seen.is_multiple_of(self.bucket).then(|| self.close(entries, allocated))
    }

    fn close(&mut self, entries: usize, allocated_bytes: usize) -> Bucket {
        let loss = std::mem::take(&mut self.open).loss();
        let from = (self.seen - 1) / self.bucket * self.bucket;
        let row = Bucket { from, to: self.seen, loss, entries, allocated_bytes };
        self.rows.push(row.clone());
        row
    }

    fn finish(mut self, kv: CacheStats, allocated_bytes: usize) -> Result<StreamPerplexity, EvalError> {
        let quality = self.total.quality().ok_or(EvalError::TooShort(self.seen))?;
        if !self.seen.is_multiple_of(self.bucket) {
            self.close(kv.kept, allocated_bytes);
        }
        Ok(StreamPerplexity {
            quality,
            anchors: self.anchors,
            kv_reduction: kv.reduction(),
            kv,
            allocated_bytes,
            by_position: self.rows,
            by_distance: self.by_distance.report(Totals::loss),
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
        let mut add = |loss, anchor, entries| sums.add(&Token { loss, bytes: 2, anchor }, entries, 10 * entries);
        assert!(add(None, true, 1).is_none());
        let first = add(Some(1.0), false, 2).unwrap();
        assert_eq!((first.from, first.to, first.loss.tokens, first.loss.nll), (0, 2, 1, Some(1.0)));
        add(Some(4.0), false, 3);
        let kv = CacheStats { policy: String::new(), seen: 3, kept: 3, peak: 3, bytes: 0, full_bytes: 0 };
        let total = sums.finish(kv, 30).unwrap();
        assert_eq!((total.quality.tokens, total.quality.nll, total.by_position.len()), (2, 2.5, 2));
        assert_eq!((total.by_position[1].from, total.by_position[1].to), (2, 3));
        let near: Vec<_> = total.by_distance.iter().map(|group| (group.from, group.of.nll)).collect();
        assert_eq!(near, [(None, None), (Some(1), Some(1.0)), (Some(2), Some(4.0))]);
        assert_eq!(total.anchors, 1);
    }
}
