//! Pre-tokenizers by name. A byte-level BPE vocabulary only encodes as its model was trained when text is split into
//! words the same way; GGUF files do not state how, only a name for it that llama.cpp knows.

use serde_json::{Value as Json, json};

use super::Words;
use crate::checkpoint::CheckpointError;
use crate::checkpoint::gguf::metadata::Metadata;

pub(super) const KEY: &str = "tokenizer.ggml.pre";
/// What a file without a name means.
pub(super) const UNSTATED: &str = "default";

/// GPT-2: contractions; a word, number or other run with at most one space before it; spaces.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// Llama 3: any one character before a word, numbers in threes, line ends kept with what is before them.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen 2: as Llama 3 with single digits.
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Mistral's Tekken: words end where lower case turns into upper case.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// GPT-4o: as Tekken with contractions kept on their word and numbers in threes.
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Seed-Coder: as Qwen 2 with line ends apart from punctuation.
const SEED_CODER: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+";

/// How one name splits text: at the matches of each pattern in turn, what is between matches being words too.
pub(super) struct PreTokenizer {
    names: &'static [&'static str],
    patterns: &'static [&'static str],
    unicode: Unicode,
    pub(super) words: Words,
    /// Whether texts begin with bos where the file does not say.
    pub(super) adds_bos: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unicode {
    /// Text is taken as it is.
    AsIs,
    /// Text is composed first (NFC).
    Composed,
}

const TABLE: [PreTokenizer; 11] = [
    PreTokenizer {
        names: &["default"],
        patterns: &[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
        unicode: Unicode::AsIs,
        words: Words::Merged,
        adds_bos: false,
    },
    PreTokenizer {
        names: &["gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling", "exaone4", "mellum"],
        patterns: &[GPT2],
        unicode: Unicode::AsIs,
        words: Words::Merged,
        adds_bos: false,
    },
    PreTokenizer {
        names: &["smollm", "starcoder", "refact", "codeshell", "minerva-7b"],
        patterns: &[r"\p{N}", GPT2],
        unicode: Unicode::AsIs,
        words: Words::Merged,
        adds_bos: false,
    },
    PreTokenizer {
        names: &["llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "midm-2.0"],
        patterns: &[LLAMA3],
        unicode: Unicode::AsIs,
        words: Words::Whole,
        adds_bos: true,
    },
    PreTokenizer {
        names: &["dbrx", "smaug-bpe"],
        patterns: &[LLAMA3],
        unicode: Unicode::AsIs,
        words: Words::Merged,
        adds_bos: false,
    },
    PreTokenizer {
        names: &["qwen2"],
        patterns: &[QWEN2],
        unicode: Unicode::Composed,
        words: Words::Merged,
        adds_bos: false,
    },
    PreTokenizer {
        names: &["deepseek-r1-qwen", "megrez"],
        patterns: &[QWEN2],
        unicode: Unicode::AsIs,
        words: Words::Merged,
        adds_bos: false,
    },
    PreTokenizer {
        names: &["tekken"],
        patterns: &[TEKKEN],
        unicode: Unicode::AsIs,
        words: Words::Whole,
        adds_bos: true,
    },
    PreTokenizer {
        names: &["gpt-4o", "llama4", "kanana2"],
        patterns: &[GPT4O],
        unicode: Unicode::AsIs,
        words: Words::Merged,
        adds_bos: false,
    },
    PreTokenizer {
        names: &["deepseek-coder"],
        patterns: &["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-\u{d7ff}]+", r"\p{N}"],
        unicode: Unicode::AsIs,
        words: Words::Merged,
        adds_bos: false,
    },
    PreTokenizer {
        names: &["seed-coder"],
        patterns: &[SEED_CODER],
        unicode: Unicode::AsIs,
        words: Words::Merged,
        adds_bos: false,
    },
];

impl PreTokenizer {
    /// The one that the file names.
    pub(super) fn find(metadata: &Metadata) -> Result<Self, CheckpointError> {
        let name = metadata.text(KEY)?.unwrap_or_else(|| {
            tracing::warn!(
                file = %metadata.path().display(),
                "`{KEY}` is missing: words are split the default way, which may not be the model's"
            );
            UNSTATED
        });
        TABLE.into_iter().find(|pre| pre.names.contains(&name)).ok_or_else(|| {
            let known: Vec<&str> = TABLE.iter().flat_map(|pre| pre.names).copied().collect();
            CheckpointError::unsupported(
                metadata.path(),
                format!("the pre-tokenizer `{name}`"),
                format!("known are {}; or give a tokenizer.json of your own", known.join(", ")),
            )
        })
    }

    /// The `normalizer` of tokenizer.json.
    pub(super) fn normalizer(&self) -> Json {
        match self.unicode {
            Unicode::AsIs => Json::Null,
            Unicode::Composed => json!({ "type": "NFC" }),
        }
    }

    /// The `pre_tokenizer` of tokenizer.json.
    pub(super) fn pre_tokenizer(&self) -> Json {
        let split = |pattern: &&str| json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false });
        let bytes = json!({
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false,
        });
        let steps: Vec<Json> = self.patterns.iter().map(split).chain([bytes]).collect();
        json!({ "type": "Sequence", "pretokenizers": steps })
    }
}
