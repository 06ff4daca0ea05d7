//! The proof that joined prefixes are what they stand for: the masked full forward of all texts in a row, under
//! [`ApartPolicy`], against the continuation of the caches that were filled alone and then joined.

use anllm_core::{ApartPolicy, Part, Place, Policy, SegmentTracker, Shift};
use anllm_kernels::Kernels;

use super::error::PrefixError;
use super::head::Identity;
use super::merge::MergedPrefix;
use super::{LivePrefix, Prefix, PrefixBuilder};
use crate::engine::Engine;
use crate::error::InferError;
use crate::verify::{Reference, Verification};

/// A text that is read alone: its tokens, and how many of them lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demonstration {
    /// The tokens.
    pub ids: Vec<u32>,
    /// Those that are not the text's own: begin-of-sequence.
    pub lead: usize,
}

impl<B: Kernels> Engine<B> {
    /// Reads each demonstration alone under `policy`, joins them, and continues with `following` in chunks of several
    /// sizes; compares the scores with those of one full forward pass over everything.
    ///
    /// # Errors
    /// When a text is empty, together they are too long, or they cannot be joined.
    pub fn verify_merged(
        &self,
        demonstrations: &[Demonstration],
        following: &[u32],
        policy: &Policy,
        chunk_sizes: &[usize],
    ) -> Result<Verification, PrefixError> {
        if following.is_empty() {
            return Err(InferError::EmptyPrompt.into());
        }
        let identity = Identity::unknown(self.matcher());
        let mut live: Vec<LivePrefix<B>> = Vec::with_capacity(demonstrations.len());
        for Demonstration { ids, lead } in demonstrations {
            let mut builder = PrefixBuilder::new(self, policy.clone(), *lead);
            builder.push(ids)?;
            // Tokens behind the last anchor are hidden on both sides.
            live.push(builder.finish(identity.clone())?.with_blank_tail());
        }
        let parts: Vec<&dyn Prefix> = live.iter().map(|prefix| prefix as &dyn Prefix).collect();
        let merged = MergedPrefix::new(&parts)?;

        let (ids, places, apart) = self.row(demonstrations, following, policy);
        let start = ids.len() - following.len();
        let session = self.resume(&merged, &identity)?.session;
        self.check(&session, following)?;
        self.check_ids(&ids)?;
        let reference = Reference::new(self, &ids, &places, &apart).from(start);
        let mut rows = Vec::with_capacity(chunk_sizes.len());
        for &chunk in chunk_sizes {
            let mut session = session.clone();
            rows.push(reference.compare(following, chunk, |ids| session.forward(self.decoder(), ids))?);
        }
        let anchors = places.iter().filter(|place| place.anchor).count();
        Ok(Verification::of(rows, self.coarsest_dtype(), following.len(), anchors))
    }

    /// Everything in one row: the tokens, where they stand, and what they see.
    fn row(
        &self,
        demonstrations: &[Demonstration],
        following: &[u32],
        policy: &Policy,
    ) -> (Vec<u32>, Vec<Place>, ApartPolicy) {
        let (mut ids, mut places, mut parts) = (Vec::new(), Vec::<Place>::new(), Vec::new());
        for demonstration in demonstrations {
            let lead = if places.is_empty() { 0 } else { demonstration.lead };
            let shift = places.last().map_or(Shift::default(), |last| Shift::behind(last, lead));
            let alone = self.matcher().segments(&demonstration.ids);
            parts.push(Part { tokens: ids.len()..ids.len() + demonstration.ids.len(), lead: demonstration.lead });
            places.extend(alone.places().iter().map(|place| shift.apply(place)));
            ids.extend(&demonstration.ids);
        }
        let mut tracker = places.last().map_or(SegmentTracker::default(), SegmentTracker::after);
        for &id in following {
            places.push(tracker.push(self.matcher().is_anchor(id, tracker.position())));
            ids.push(id);
        }
        (ids, places, ApartPolicy::new(policy.clone(), parts))
    }
}
