//! Several sessions in one pass.

use std::ops::Range;

use anllm_core::Place;
use anllm_kernels::Kernels;
use anllm_model::decoder::RaggedRow;
use burn::tensor::{Int, Tensor, TensorData};

use super::{Engine, Session, groups, read};
use crate::error::InferError;

/// Which of a feed's tokens get scores of their successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// None: more of the same text follows.
    Nothing,
    /// The last.
    Last,
    /// All.
    Every,
}

/// The next tokens of one session among several.
#[derive(Debug)]
pub struct Feed<'a, B: Kernels> {
    /// The sequence they continue.
    pub session: &'a mut Session<B>,
    /// `T` ids, at least one.
    pub ids: &'a [u32],
    /// Whose scores are computed.
    pub wanted: Wanted,
}

impl<B: Kernels> Feed<'_, B> {
    /// The tokens whose scores are wanted, counted from the feed's first.
    fn scored(&self) -> Range<usize> {
        match self.wanted {
            Wanted::Nothing => self.ids.len()..self.ids.len(),
            Wanted::Last => self.ids.len() - 1..self.ids.len(),
            Wanted::Every => 0..self.ids.len(),
        }
    }
}

/// Scores of what several sessions were fed.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    vocab: usize,
    /// `[N, V]`, feed after feed.
    values: Vec<f32>,
    /// Scored tokens of each feed.
    counts: Vec<usize>,
}

impl Scores {
    /// All of them, feed after feed.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// The scores of more feeds, behind these.
    fn append(&mut self, more: Self) {
        match self.counts.is_empty() {
            true => *self = more,
            false => {
                self.values.extend(more.values);
                self.counts.extend(more.counts);
            }
        }
    }

    /// The scores of each feed, in the order of the feeds: `[n, V]`, row-major, `n` what was wanted.
    pub fn each_mut(&mut self) -> Vec<&mut [f32]> {
        let mut rest = &mut self.values[..];
        let mut each = Vec::with_capacity(self.counts.len());
        for count in &self.counts {
            let (own, later) = rest.split_at_mut(count * self.vocab);
            each.push(own);
            rest = later;
        }
        each
    }
}

impl<B: Kernels> Engine<B> {
    /// Processes the next tokens of several sessions together: prompts in part or in whole beside single tokens that were
    /// just made. Weights are read once for all of them; those of a model so small that they stay in the processor's
    /// caches are read once for every few, and these go side by side.
    ///
    /// # Errors
    /// When a feed has no ids, one is unknown, or its context ends: then no session has changed.
    pub fn feed(&self, feeds: &mut [Feed<'_, B>]) -> Result<Scores, InferError> {
        for feed in &*feeds {
            self.check(feed.session, feed.ids)?;
        }
        let lengths: Vec<usize> = feeds.iter().map(|feed| feed.ids.len()).collect();
        let groups = groups::split(feeds, &groups::sizes(&lengths, self.groups));
        let mut joined = Scores { vocab: self.decoder.vocab_size(), values: Vec::new(), counts: Vec::new() };
        for scores in B::each(groups, |feeds| self.pass(feeds)) {
            joined.append(scores?);
        }
        Ok(joined)
    }

    /// One pass of some sessions through all layers.
    fn pass(&self, feeds: &mut [Feed<'_, B>]) -> Result<Scores, InferError> {
        let vocab = self.decoder.vocab_size();
        let counts: Vec<usize> = feeds.iter().map(|feed| feed.scored().len()).collect();
        let wanted = wanted(feeds);
        let places: Vec<Vec<Place>> = feeds.iter_mut().map(|feed| feed.session.place(feed.ids)).collect();
        let rows = feeds.iter_mut().zip(&places);
        let mut rows: Vec<_> =
            rows.map(|(feed, places)| RaggedRow { ids: feed.ids, places, cache: feed.session.cache_mut() }).collect();
        let hidden = self.decoder.forward_ragged(&mut rows);
        Ok(Scores { vocab, values: self.scores(hidden, &wanted)?, counts })
    }

    /// Scores `[n, V]` of the tokens `wanted` of `hidden`, `[1, ΣT, C]`: only they need the head, the widest matrix of
    /// the model.
    fn scores(&self, hidden: Tensor<B, 3>, wanted: &[usize]) -> Result<Vec<f32>, InferError> {
        let [_, tokens, _] = hidden.dims();
        let chosen = match wanted {
            [] => return Ok(Vec::new()),
            all if all.len() == tokens => hidden,
            &[one] => hidden.narrow(1, one, 1),
            some => {
                let places: Vec<i32> = some.iter().map(|&place| place as i32).collect();
                let places = TensorData::new(places, [some.len()]);
                let places = Tensor::<B, 1, Int>::from_data(places, &hidden.device());
                hidden.select(1, places)
            }
        };
        read(self.decoder.logits(chosen))
    }
}

/// Which of the feeds' tokens, one after another, are scored.
fn wanted<B: Kernels>(feeds: &[Feed<'_, B>]) -> Vec<usize> {
    let mut start = 0;
    let mut wanted = Vec::new();
    for feed in feeds {
        wanted.extend(feed.scored().map(|token| start + token));
        start += feed.ids.len();
    }
    wanted
}
