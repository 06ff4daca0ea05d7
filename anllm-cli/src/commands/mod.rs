//! One file for each command: resolve the arguments, run, show.

mod added;
pub(crate) mod anchors;
mod aside;
pub(crate) mod attention;
pub(crate) mod bench;
pub(crate) mod cache;
pub(crate) mod chat;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod devices;
pub(crate) mod eval;
pub(crate) mod generate;
pub(crate) mod inspect;
mod interrupt;
pub(crate) mod logits;
pub(crate) mod man;
mod memory;
mod prefix;
pub(crate) mod report;
pub(crate) mod serve;
mod setup;
mod stream;
mod template;
mod text_pieces;
mod trace;
pub(crate) mod train;
pub(crate) mod verify;
