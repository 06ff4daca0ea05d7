//! The models that are part of the program, so that it writes text without a download.

use std::path::Path;

use anllm_infer::Sampling;
use anllm_model::checkpoint::EmbeddedFiles;
use anllm_model::{Checkpoint, CheckpointError};

macro_rules! files {
    ($folder:literal) => {
        EmbeddedFiles {
            config: include_str!(concat!("../../assets/", $folder, "/config.json")),
            tokenizer: include_str!(concat!("../../assets/", $folder, "/tokenizer.json")),
            weights: include_bytes!(concat!("../../assets/", $folder, "/model.safetensors")),
        }
    };
}

/// The model that `--model` means when it is not given, by name.
pub(crate) const DEFAULT: &str = "bundled:ep";

/// How a story begins when nobody says.
pub(crate) const PROMPT: &str = "Once upon a time";

/// The files of a bundled model; `None` where `path` is not the name of one.
fn files(path: &Path) -> Option<EmbeddedFiles> {
    match path.to_str()? {
        "bundled:ep" => Some(files!("tiny-ep")),
        "bundled:ac" => Some(files!("tiny-ac")),
        _ => None,
    }
}

/// Whether `path` is the name of a bundled model.
pub(crate) fn names(path: &Path) -> bool {
    files(path).is_some()
}

/// How text is drawn when nobody says: a bundled model is so small that its best token, taken always, soon repeats
/// itself.
pub(crate) fn sampling(path: &Path) -> Sampling {
    match names(path) {
        true => Sampling { temperature: 0.6, top_p: 0.9, repeat_penalty: 1.1, ..Sampling::default() },
        false => Sampling::default(),
    }
}

/// Opens a bundled model; `None` where `path` is not the name of one.
pub(crate) fn open(path: &Path) -> Option<Result<Checkpoint, CheckpointError>> {
    files(path).map(|files| Checkpoint::embedded(path, files))
}
