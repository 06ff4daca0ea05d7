//! Reading a prefix: a session that remembers what a file about it has to say.

use anllm_core::Policy;
use anllm_kernels::Kernels;

use super::error::PrefixError;
use super::head::{Geometry, Identity, PartRecord, PrefixHead, PrefixRecord, short};
use super::resume::Resumed;
use super::{LayerEntries, Prefix};
use crate::engine::{Engine, Session, read};
use crate::error::InferError;

/// Reads a text of any length, piece by piece.
#[derive(Debug)]
pub struct PrefixBuilder<'a, B: Kernels> {
    engine: &'a Engine<B>,
    session: Session<B>,
    recent: Vec<u32>,
    /// What was read before, by a prefix that is continued.
    parts: Vec<PartRecord>,
    following: Option<PartRecord>,
    /// Of the tokens read since.
    tokens: usize,
    lead: usize,
    ids: blake3::Hasher,
}

impl<'a, B: Kernels> PrefixBuilder<'a, B> {
    /// Starts a text under `policy`, of which the first `lead` tokens are not the text's own (begin-of-sequence).
    pub fn new(engine: &'a Engine<B>, policy: impl Into<Policy>, lead: usize) -> Self {
        Self {
            session: engine.session(policy),
            engine,
            recent: Vec::new(),
            parts: Vec::new(),
            following: None,
            tokens: 0,
            lead,
            ids: blake3::Hasher::new(),
        }
    }

    /// Goes on with the text of a prefix.
    ///
    /// # Errors
    /// As [`Engine::resume`].
    pub fn resume(engine: &'a Engine<B>, prefix: &dyn Prefix, identity: &Identity) -> Result<Self, PrefixError> {
        let Resumed { session, recent } = engine.resume(prefix, identity)?;
        let PrefixRecord { mut parts, following, .. } = prefix.head().record.clone();
        // One text goes on as one text; behind joined ones, another begins.
        let before = match (following, parts.len()) {
            (Some(following), _) => Some(following),
            (None, 1) => parts.pop(),
            (None, _) => None,
        };
        let mut ids = blake3::Hasher::new();
        let (tokens, lead) = before.as_ref().map_or((0, 0), |part| (part.tokens, part.lead));
        if let Some(part) = &before {
            ids.update(part.ids_hash.as_bytes());
        }
        Ok(Self { engine, session, recent, parts, following: None, tokens, lead, ids })
    }

    /// Reads the next tokens.
    ///
    /// # Errors
    /// When there are none, one is unknown, or the context ends.
    pub fn push(&mut self, ids: &[u32]) -> Result<(), InferError> {
        self.engine.prefill(&mut self.session, ids)?;
        self.tokens += ids.len();
        for id in ids {
            self.ids.update(&id.to_le_bytes());
        }
        self.recent.extend_from_slice(&ids[ids.len().saturating_sub(PrefixHead::RECENT)..]);
        self.recent.drain(..self.recent.len().saturating_sub(PrefixHead::RECENT));
        Ok(())
    }

    /// The session so far.
    pub fn session(&self) -> &Session<B> {
        &self.session
    }

    /// What was read, ready to be written, joined or continued. `identity` is that of what the engine runs.
    ///
    /// # Errors
    /// When nothing was read.
    pub fn finish(self, identity: Identity) -> Result<LivePrefix<B>, InferError> {
        let Self { engine, session, recent, mut parts, mut following, tokens, lead, ids } = self;
        let (cache, tracker) = session.parts();
        let ledger = cache.ledger();
        if ledger.entries().is_empty() {
            return Err(InferError::EmptyPrompt);
        }
        if tokens > 0 {
            let part = PartRecord { tokens, lead, ids_hash: short(&ids) };
            match parts.is_empty() {
                true => parts.push(part),
                false => following = Some(part),
            }
        }
        let record = PrefixRecord {
            policy: session.stats().policy,
            tokens: ledger.seen(),
            peak: ledger.peak(),
            settled: ledger.settled(),
            identity,
            geometry: Geometry::of(engine.config()),
            tracker: *tracker,
            blank_tail: false,
            parts,
            following,
        };
        let frequencies = engine.decoder().frequencies.clone();
        let head = PrefixHead { record, places: ledger.entries().to_vec(), recent, frequencies };
        Ok(LivePrefix { head, session })
    }
}

/// A prefix on the device.
#[derive(Debug)]
pub struct LivePrefix<B: Kernels> {
    head: PrefixHead,
    session: Session<B>,
}

impl<B: Kernels> LivePrefix<B> {
    /// The session, to go on with.
    pub fn session(&self) -> &Session<B> {
        &self.session
    }

    /// Token ids behind the last anchor; `None` where they are more than are remembered.
    pub fn tail(&self) -> Option<&[u32]> {
        let PrefixHead { places, recent, .. } = &self.head;
        let tail = places.iter().rev().take_while(|place| !place.anchor).count();
        recent.get(recent.len().checked_sub(tail)?..)
    }

    /// Says that nobody misses the tokens behind the last anchor: joined with others, it loses them.
    #[must_use]
    pub fn with_blank_tail(mut self) -> Self {
        self.head.record.blank_tail = true;
        self
    }
}

impl<B: Kernels> Prefix for LivePrefix<B> {
    fn name(&self) -> String {
        "the prefix".to_owned()
    }

    fn head(&self) -> &PrefixHead {
        &self.head
    }

    fn layer(&self, number: usize) -> Result<LayerEntries, PrefixError> {
        let (cache, _) = self.session.parts();
        let missing = || PrefixError::damaged(&self.name(), format!("there is no layer {number}"));
        let [keys, values] = cache.entries(number).ok_or_else(missing)?;
        Ok(LayerEntries { keys: read(keys)?, values: read(values)? })
    }
}
