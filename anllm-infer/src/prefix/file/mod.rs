//! A prefix in one file: safetensors, so that any tool can look inside, with what it is in the metadata under the key
//! [`KEY`], and a checksum over everything as its last bytes.
//!
//! ```text
//! length of the header │ header │ frequencies │ places │ recent │ layers.0.keys │ layers.0.values │ … │ checksum
//! ```

mod read;
mod write;

pub use read::PrefixFile;
pub use write::write_prefix;

/// Where in the metadata the record is.
const KEY: &str = "anllm.prefix";

/// The format that is written and read.
const VERSION: u64 = 1;
