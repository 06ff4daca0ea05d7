//! SentencePiece BPE: spaces are written `▁`, the pair whose union has the best score is merged first, and characters
//! outside the vocabulary become bytes.

use serde_json::{Value as Json, json};

use super::vocabulary::Vocabulary;
use super::{Fallback, Template, Words, assemble, bpe};
use crate::checkpoint::CheckpointError;
use crate::checkpoint::gguf::cursor::DAMAGED;
use crate::checkpoint::gguf::metadata::Metadata;

const SCORES: &str = "tokenizer.ggml.scores";
/// Longer tokens are never the result of a merge; real ones have a few dozen characters at most.
const LONGEST: usize = 512;

pub(super) fn tokenizer_json(
    metadata: &Metadata,
    vocabulary: &Vocabulary<'_>,
    template: &Template<'_>,
) -> Result<Json, CheckpointError> {
    let scores = metadata.floats(SCORES)?.ok_or_else(|| metadata.missing(SCORES))?;
    let tokens = vocabulary.iter().count();
    if scores.len() != tokens {
        return Err(CheckpointError::malformed(
            metadata.path(),
            format!("metadata `{SCORES}` has {} entries for {tokens} tokens", scores.len()),
            DAMAGED,
        ));
    }
    let prefix = metadata.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let pre_tokenizer = json!({
        "type": "Metaspace",
        "replacement": "▁",
        "prepend_scheme": if prefix { "first" } else { "never" },
        "split": false,
    });
    let mut decoders = vec![
        json!({ "type": "Replace", "pattern": { "String": "▁" }, "content": " " }),
        json!({ "type": "ByteFallback" }),
        json!({ "type": "Fuse" }),
    ];
    if prefix {
        decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    let unknown = vocabulary.unknown(metadata)?.map(|token| token.text);
    let merges = merges(vocabulary, &scores);
    Ok(assemble(
        vocabulary,
        Json::Null,
        pre_tokenizer,
        template.post_processor(),
        json!({ "type": "Sequence", "decoders": decoders }),
        bpe(vocabulary, &merges, unknown, Fallback::Bytes, Words::Merged),
    ))
}

/// Every way to make a token of two others, best first: by the token's score, then by the left part's length and the
/// right part's, longer first.
fn merges<'a>(vocabulary: &Vocabulary<'a>, scores: &[f64]) -> Vec<(&'a str, &'a str)> {
    let mut found = Vec::new();
    for ((token, _), score) in vocabulary.iter().zip(scores) {
        if token.text.len() > LONGEST {
            continue;
        }
        let length = token.text.chars().count();
        // The second and later characters are where the right part can start.
        for (left_length, (at, _)) in token.text.char_indices().enumerate().skip(1) {
            let (left, right) = token.text.split_at(at);
            if vocabulary.id(left).is_some() && vocabulary.id(right).is_some() {
                found.push((*score, left_length, length - left_length, left, right));
            }
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then((b.1, b.2).cmp(&(a.1, a.2))));
    found.into_iter().map(|(.., left, right)| (left, right)).collect()
}
