//! Checkpoints in and out: Hugging Face folders and GGUF files, read through one trait, written as folders.

mod aside;
mod error;
mod export;
mod file;
mod fingerprint;
mod grow;
mod hf;
mod keys;
mod load;
mod mapped;
mod merge;
mod open;
mod scratch;
mod source;
mod storage;
mod trained;

pub mod gguf;
pub mod peft;

use std::path::Path;

pub use aside::write_folder;
pub use error::CheckpointError;
pub use export::{Export, ExportReport, StoredType};
pub use file::{Existing, check_target, write_file};
pub use grow::AddedEmbedding;
pub use keys::{EMBEDDING, ExpectedTensor, FINAL_NORM, HEAD, expected_tensors};
pub use load::MatrixForm;
pub use mapped::MappedFile;
pub use open::{Checkpoint, EmbeddedFiles, Format, Settings};
pub use scratch::RandomWeights;
pub use source::{TensorInfo, TensorSource};
pub use trained::TrainedWeights;

/// The content of a JSON file.
pub(crate) fn read_json(path: &Path) -> Result<serde_json::Value, CheckpointError> {
    let text = std::fs::read_to_string(path).map_err(|e| CheckpointError::io(path, "read the file", e))?;
    parse_json(path, &text)
}

/// JSON that was read from a file.
pub(crate) fn parse_json(path: &Path, text: &str) -> Result<serde_json::Value, CheckpointError> {
    serde_json::from_str(text).map_err(|e| {
        CheckpointError::malformed(path, format!("not valid JSON: {e}"), "the file is damaged: download it again")
    })
}
