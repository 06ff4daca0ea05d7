//! Prefixes that are read once and continued often: a long document, the demonstrations of a prompt, kept as the entries
//! that its cache kept.
//!
//! ```text
//! text ─► tokens ─► PrefixBuilder ─► LivePrefix ─┐                     ┌─► write_prefix ─► file ─► PrefixFile
//!                                    PrefixFile ─┼─► (MergedPrefix) ───┤
//!                                                ┘                     └─► Engine::resume ─► Session
//! ```
//!
//! All of them are a [`Prefix`]: a head, which says where the entries stand, and the entries of one layer at a time, so
//! that nothing has to be held twice.

mod build;
mod entries;
mod error;
mod file;
mod head;
mod layout;
mod merge;
mod resume;
mod store;
mod verify;

pub use build::{LivePrefix, PrefixBuilder};
pub use entries::{EntryType, EntryTypeError};
pub use error::PrefixError;
pub use file::{PrefixFile, write_prefix};
pub use head::{Geometry, Identity, PartRecord, PrefixHead, PrefixRecord};
pub use merge::MergedPrefix;
pub use resume::Resumed;
pub use store::{PrefixStore, StoreStats};
pub use verify::Demonstration;

/// Keys and values of one layer, `[S, K, D]` each, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerEntries {
    /// Turned by their positions.
    pub keys: Vec<f32>,
    /// As they are.
    pub values: Vec<f32>,
}

/// A sequence that was read, as its cache holds it.
pub trait Prefix {
    /// What to call it in messages: its file.
    fn name(&self) -> String;

    /// All but keys and values.
    fn head(&self) -> &PrefixHead;

    /// The entries of one layer, in the order of the head's places.
    ///
    /// # Errors
    /// When they cannot be read, or there is no such layer.
    fn layer(&self, number: usize) -> Result<LayerEntries, PrefixError>;
}
