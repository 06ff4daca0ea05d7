//! Byte-level BPE: text is split into words, each word's bytes are spelled with 256 printable characters, and merges
//! join those in order of rank.

use serde_json::{Value as Json, json};

use super::pre::PreTokenizer;
use super::vocabulary::Vocabulary;
use super::{Fallback, Template, assemble, bpe};
use crate::checkpoint::CheckpointError;
use crate::checkpoint::gguf::cursor::DAMAGED;
use crate::checkpoint::gguf::metadata::Metadata;

const MERGES: &str = "tokenizer.ggml.merges";

pub(super) fn tokenizer_json(
    metadata: &Metadata,
    vocabulary: &Vocabulary<'_>,
    pre: &PreTokenizer,
    template: &Template<'_>,
) -> Result<Json, CheckpointError> {
    let merges = merges(metadata, vocabulary)?;
    let byte_level = |trim_offsets: bool| {
        json!({
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": trim_offsets, "use_regex": false,
        })
    };
    let post_processor = match template.post_processor() {
        None => byte_level(false),
        Some(template) => json!({ "type": "Sequence", "processors": [byte_level(false), template] }),
    };
    Ok(assemble(
        vocabulary,
        pre.normalizer(),
        pre.pre_tokenizer(),
        Some(post_processor),
        byte_level(true),
        bpe(vocabulary, &merges, None, Fallback::Never, pre.words),
    ))
}

/// The merges, best first, as pairs. Both parts and what they make must be tokens.
fn merges<'a>(metadata: &'a Metadata, vocabulary: &Vocabulary<'_>) -> Result<Vec<(&'a str, &'a str)>, CheckpointError> {
    let lines = metadata.texts(MERGES)?.ok_or_else(|| metadata.missing(MERGES))?;
    let mut joined = String::new();
    lines
        .iter()
        .enumerate()
        .map(|(rank, line)| {
            let pair = line.split_once(' ').filter(|(left, right)| {
                joined.clear();
                joined.push_str(left);
                joined.push_str(right);
                [left, right, joined.as_str()].into_iter().all(|part| vocabulary.id(part).is_some())
            });
            pair.ok_or_else(|| {
                CheckpointError::malformed(
                    metadata.path(),
                    format!("metadata `{MERGES}` has {line:?} at rank {rank}, not two tokens that make a third"),
                    DAMAGED,
                )
            })
        })
        .collect()
}
