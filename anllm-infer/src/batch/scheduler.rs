//! The loop: admit, share the step's tokens out, go one step, let go of who is done.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;

use anllm_core::Policy;
use anllm_kernels::Kernels;
use anllm_model::Tokenizer;
use rayon::prelude::*;

use super::event::{Event, Listener, RequestId};
use super::limits::{BatchError, Limits};
use super::prefixes::Prefixes;
use super::row::{Row, Waiting};
use super::status::Status;
use crate::engine::{Engine, Feed, Session};
use crate::error::InferError;
use crate::generate::{Chosen, Request, StopReason};
use crate::prefix::Resumed;

/// Requests over one engine. Nothing runs by itself: [`step`](Self::step) goes on by one pass.
#[derive(Debug)]
pub struct Scheduler<'a, B: Kernels> {
    pub(super) engine: &'a Engine<B>,
    tokenizer: &'a Tokenizer,
    limits: Limits,
    /// What stands before every sequence.
    behind: Option<Resumed<B>>,
    pub(super) waiting: VecDeque<Waiting<'a>>,
    /// In the order of admission.
    pub(super) rows: Vec<Row<'a, B>>,
    pub(super) listeners: BTreeMap<RequestId, Listener<'a>>,
    pub(super) prefixes: Prefixes<B>,
    submitted: u64,
}

/// What came of one row's scores.
pub(super) type Drawn = Result<Option<Chosen>, InferError>;

impl<'a, B: Kernels> Scheduler<'a, B> {
    /// A scheduler without requests. Limits below 1 count as 1.
    pub fn new(engine: &'a Engine<B>, tokenizer: &'a Tokenizer, limits: Limits) -> Self {
        let limits = Limits { rows: limits.rows.max(1), step_tokens: limits.step_tokens.max(1), ..limits };
        Self {
            engine,
            tokenizer,
            limits,
            behind: None,
            waiting: VecDeque::new(),
            rows: Vec::new(),
            listeners: BTreeMap::new(),
            prefixes: Prefixes::new(limits.prefix_bytes, 0),
            submitted: 0,
        }
    }

    /// The same where every sequence goes on from `prefix`, under its policy. Each request has a cache of its own, the
    /// prefix's entries among what it holds.
    #[must_use]
    pub fn behind(self, prefix: Resumed<B>) -> Self {
        let prefixes = Prefixes::new(self.limits.prefix_bytes, prefix.session.seen());
        Self { behind: Some(prefix), prefixes, ..self }
    }

    /// A sequence before its first token.
    pub(super) fn session(&self, policy: &Policy) -> Session<B> {
        match &self.behind {
            Some(prefix) => prefix.session.clone(),
            None => self.engine.session(policy.clone()),
        }
    }

    /// Takes a request. `call` is given its events, during later calls, and may break it off.
    ///
    /// # Errors
    /// When the request is wrong, or so large that it could never be admitted.
    pub fn submit(
        &mut self,
        request: Request,
        mut call: impl FnMut(Event<'_>) -> ControlFlow<()> + 'a,
    ) -> Result<RequestId, BatchError> {
        self.submit_choices(request, 1, move |_, event| call(event))
    }

    /// Takes a request for several continuations of one prompt, which is read once. Number `n` draws with the request's
    /// seed plus `n`; `call` is given that number with each event.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub fn submit_choices(
        &mut self,
        mut request: Request,
        choices: usize,
        call: impl FnMut(usize, Event<'_>) -> ControlFlow<()> + 'a,
    ) -> Result<RequestId, BatchError> {
        let rows = self.limits.rows;
        if choices == 0 || choices > rows {
            return Err(BatchError::Rows { choices, rows });
        }
        if let Some(prefix) = &self.behind {
            let (asked, prefixes) = (request.policy.name(), prefix.session.policy().name());
            if asked != prefixes {
                return Err(BatchError::Policy { asked, prefixes });
            }
            request.before.clone_from(&prefix.recent);
        }
        let session = self.session(&request.policy);
        let continuation = self.engine.start(self.tokenizer, request, &session)?;
        let prompt = continuation.history();
        let more = continuation.most_to_come() - prompt.len();
        let most_entries = self.engine.most_entries(&session, prompt, more);
        let (needed, budget) = (session.bytes_for(most_entries).saturating_mul(choices), self.limits.cache_bytes);
        if needed > budget {
            return Err(BatchError::Cache { needed, budget });
        }
        let id = RequestId(self.submitted);
        self.submitted += 1;
        self.listeners.insert(id, Listener { call: Box::new(call), open: choices });
        self.waiting.push_back(Waiting { id, choices, continuation, most_entries });
        Ok(id)
    }

    /// Ends a request, waiting or running: its continuations finish as they are, interrupted. Whether there was one.
    pub fn cancel(&mut self, id: RequestId) -> bool {
        let known = self.listeners.contains_key(&id);
        self.end(|of, _| (of == id).then_some(StopReason::Interrupted));
        known
    }

    /// Whether nothing is left to do.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.rows.is_empty()
    }

    /// The account as things stand.
    pub fn status(&self) -> Status {
        let writing = self.rows.iter().filter(|row| row.continuation.is_writing()).count();
        Status {
            waiting: self.waiting.len(),
            reading: self.rows.len() - writing,
            writing,
            cache_bytes: self.rows.iter().map(|row| row.session.allocated_bytes()).sum(),
            reserved_bytes: self.reserved_bytes(),
            prefixes: self.prefixes.stats(),
        }
    }

    /// Goes on until nothing is left to do.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn run(&mut self) -> Result<(), InferError> {
        while !self.is_idle() {
            self.step()?;
        }
        Ok(())
    }

    /// One pass over the weights for all that are admitted; none where there is nothing to do.
    ///
    /// # Errors
    /// When the device fails. Then all admitted requests have failed; those that wait go on waiting.
    pub fn step(&mut self) -> Result<(), InferError> {
        self.end(|_, continuation| continuation.is_late().then_some(StopReason::Deadline));
        self.admit();
        if self.rows.is_empty() {
            return Ok(());
        }
        let drawn = match self.pass() {
            Ok(drawn) => drawn,
            Err(error) => {
                for row in std::mem::take(&mut self.rows) {
                    self.let_go(row, Err(InferError::Device(error.to_string())));
                }
                return Err(error);
            }
        };
        self.accept(drawn);
        Ok(())
    }

    /// Lets waiting requests in, first come first served: a large one is not overtaken for ever by small ones.
    fn admit(&mut self) {
        while let Some(first) = self.waiting.front() {
            let taken: usize = self.rows.iter().map(|row| 1 + row.branches).sum();
            let session = self.session(&first.continuation.request().policy);
            let needed = session.bytes_for(first.most_entries).saturating_mul(first.choices);
            let fits = taken + first.choices <= self.limits.rows
                && self.reserved_bytes().saturating_add(needed) <= self.limits.cache_bytes;
            let Some(Waiting { id, choices, mut continuation, most_entries }) =
                fits.then(|| self.waiting.pop_front()).flatten()
            else {
                return;
            };
            let (session, keep_at) = self.prefixes.start(&mut continuation, session);
            let branches = choices - 1;
            self.rows.push(Row { id, choice: 0, branches, session, continuation, most_entries, keep_at });
        }
    }

    fn reserved_bytes(&self) -> usize {
        self.rows.iter().map(Row::reserved_bytes).fold(0, usize::saturating_add)
    }

    /// How many tokens each row may process: one where it is writing; prompts share what is left, the oldest first.
    fn shares(&self) -> Vec<usize> {
        let writing = self.rows.iter().filter(|row| row.continuation.is_writing()).count();
        let mut left = self.limits.step_tokens.saturating_sub(writing).max(1);
        let share = |row: &Row<'_, B>| match row.continuation.is_writing() {
            true => 1,
            false => {
                let share = left.min(row.readable());
                left -= share;
                share
            }
        };
        self.rows.iter().map(share).collect()
    }

    /// The forward pass, and what is drawn from it: rows that have read their prompts, by number.
    fn pass(&mut self) -> Result<Vec<(usize, Drawn)>, InferError> {
        let vocab = self.engine.decoder().vocab_size();
        let shares = self.shares();
        let mut fed = Vec::with_capacity(self.rows.len());
        let mut feeds = Vec::with_capacity(self.rows.len());
        for (number, (row, share)) in self.rows.iter_mut().zip(shares).enumerate().filter(|(_, (_, share))| *share > 0)
        {
            let (ids, wanted) = row.continuation.next(share);
            fed.push((number, ids.len()));
            feeds.push(Feed { session: &mut row.session, ids, wanted });
        }
        let mut scores = self.engine.feed(&mut feeds)?;

        let mut ready = Vec::new();
        let mut drawn = Vec::new();
        let mut branched = Vec::new();
        for ((number, tokens), scores) in fed.into_iter().zip(scores.each_mut()) {
            let row = &mut self.rows[number];
            self.prefixes.pass_by(row);
            let Some(scores) = row.continuation.processed(tokens, scores, vocab) else { continue };
            let branches = std::mem::take(&mut row.branches);
            let row = &self.rows[number];
            for choice in 1..=branches {
                let seed = row.continuation.request().sampling.seed.wrapping_add(choice as u64);
                let mut continuation = row.continuation.sibling(self.tokenizer, seed)?;
                drawn.push((self.rows.len() + branched.len(), continuation.choose(&mut scores.to_vec())));
                branched.push(Row { choice, session: row.session.clone(), continuation, ..*row });
            }
            ready.push((number, scores));
        }
        // Sampling goes through the whole vocabulary, texts through the tokenizer, and rows have nothing to do with each
        // other.
        let mut ready = ready.into_iter().peekable();
        let chooses = self.rows.iter_mut().enumerate().filter_map(|(number, row)| {
            let (number, scores) = ready.next_if(|(next, _)| *next == number)?;
            Some((number, &mut row.continuation, scores))
        });
        let chooses: Vec<_> = chooses.collect();
        let chosen =
            chooses.into_par_iter().map(|(number, continuation, scores)| (number, continuation.choose(scores)));
        drawn.par_extend(chosen);
        self.rows.extend(branched);
        Ok(drawn)
    }
}
