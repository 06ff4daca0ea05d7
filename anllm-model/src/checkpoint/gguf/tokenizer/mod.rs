//! A Hugging Face tokenizer from what a GGUF file says of its own: vocabulary, merges or scores, special tokens, and
//! the name of the pre-tokenizer.
//!
//! - `byte_level`: byte-level BPE (`tokenizer.ggml.model` = `gpt2`), split as `pre` says;
//! - `sentencepiece`: SentencePiece BPE with byte fallback (`llama`).

mod byte_level;
mod pre;
mod sentencepiece;
mod vocabulary;

use serde_json::{Map, Value as Json, json};

use self::pre::PreTokenizer;
use self::vocabulary::{Kind, Vocabulary};
use super::metadata::{Metadata, Value};
use crate::checkpoint::CheckpointError;

/// What [`pre_tokenizer`] says where text is not split: SentencePiece merges across words.
const SENTENCEPIECE: &str = "sentencepiece";

/// The two kinds of tokenizer.
enum Model {
    ByteLevel(PreTokenizer),
    SentencePiece,
}

impl Model {
    fn read(metadata: &Metadata) -> Result<Self, CheckpointError> {
        let key = "tokenizer.ggml.model";
        match metadata.text(key)?.ok_or_else(|| metadata.missing(key))? {
            "gpt2" => Ok(Self::ByteLevel(PreTokenizer::find(metadata)?)),
            "llama" => Ok(Self::SentencePiece),
            other => Err(CheckpointError::unsupported(
                metadata.path(),
                format!("a tokenizer of model `{other}`"),
                "supported are `gpt2` (byte-level BPE) and `llama` (SentencePiece BPE); \
                 or give a tokenizer.json of your own",
            )),
        }
    }

    /// Whether texts begin with bos where the file does not say.
    fn adds_bos(&self) -> bool {
        match self {
            Self::ByteLevel(pre) => pre.adds_bos,
            Self::SentencePiece => true,
        }
    }
}

/// The name of the pre-tokenizer, without checking that it is known.
pub(super) fn pre_tokenizer(metadata: &Metadata) -> &str {
    match metadata.get("tokenizer.ggml.model").and_then(Value::as_str) {
        Some("llama") => SENTENCEPIECE,
        Some(_) => metadata.get(pre::KEY).and_then(Value::as_str).unwrap_or(pre::UNSTATED),
        None => "none",
    }
}

pub(super) fn tokenizer_json(metadata: &Metadata) -> Result<Json, CheckpointError> {
    let model = Model::read(metadata)?;
    let vocabulary = Vocabulary::read(metadata)?;
    let template = Template::read(metadata, &model, &vocabulary)?;
    match &model {
        Model::ByteLevel(pre) => byte_level::tokenizer_json(metadata, &vocabulary, pre, &template),
        Model::SentencePiece => sentencepiece::tokenizer_json(metadata, &vocabulary, &template),
    }
}

pub(super) fn tokenizer_config_json(metadata: &Metadata, context: u64) -> Result<Json, CheckpointError> {
    let model = Model::read(metadata)?;
    let vocabulary = Vocabulary::read(metadata)?;
    let template = Template::read(metadata, &model, &vocabulary)?;
    let mut map = Map::new();
    // The class that takes everything from tokenizer.json; model-specific classes bring their own pre-tokenizers.
    map.insert("tokenizer_class".into(), "PreTrainedTokenizerFast".into());
    map.insert("model_max_length".into(), context.into());
    map.insert("clean_up_tokenization_spaces".into(), false.into());
    map.insert("add_bos_token".into(), template.bos.is_some().into());
    map.insert("add_eos_token".into(), template.eos.is_some().into());
    for (name, key) in [("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")] {
        if let Some(token) = vocabulary.special(metadata, key)? {
            map.insert(format!("{name}_token"), token.text.into());
        }
    }
    if let Some(template) = metadata.text("tokenizer.chat_template")? {
        map.insert("chat_template".into(), template.into());
    }
    Ok(Json::Object(map))
}

/// A token as its id and text.
#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    id: u64,
    text: &'a str,
}

/// What is put around every text.
struct Template<'a> {
    bos: Option<Token<'a>>,
    eos: Option<Token<'a>>,
}

impl<'a> Template<'a> {
    fn read(metadata: &Metadata, model: &Model, vocabulary: &Vocabulary<'a>) -> Result<Self, CheckpointError> {
        let token = |name: &str, default: bool| {
            let key = format!("tokenizer.ggml.add_{name}_token");
            let stated = metadata.flag(&key)?;
            match vocabulary.special(metadata, name)? {
                Some(token) if stated.unwrap_or(default) => Ok(Some(token)),
                None if stated == Some(true) => Err(metadata.missing(&format!("tokenizer.ggml.{name}_token_id"))),
                _ => Ok(None),
            }
        };
        Ok(Self { bos: token("bos", model.adds_bos())?, eos: token("eos", false)? })
    }

    /// The post-processor, or `None` where nothing is added.
    fn post_processor(&self) -> Option<Json> {
        let added: Vec<Token<'_>> = self.bos.into_iter().chain(self.eos).collect();
        if added.is_empty() {
            return None;
        }
        let around = |sequence: &str, type_id: u32| -> Vec<Json> {
            let special = |token: &Token<'_>| json!({ "SpecialToken": { "id": token.text, "type_id": type_id } });
            let text = json!({ "Sequence": { "id": sequence, "type_id": type_id } });
            self.bos.iter().map(special).chain([text]).chain(self.eos.iter().map(special)).collect()
        };
        let pair: Vec<Json> = around("A", 0).into_iter().chain(around("B", 1)).collect();
        let specials: Map<String, Json> = added
            .iter()
            .map(|t| (t.text.to_owned(), json!({ "id": t.text, "ids": [t.id], "tokens": [t.text] })))
            .collect();
        Some(json!({
            "type": "TemplateProcessing",
            "single": around("A", 0),
            "pair": pair,
            "special_tokens": specials,
        }))
    }
}

/// The parts that both kinds share, in the order in which the `tokenizers` library writes them.
fn assemble(
    vocabulary: &Vocabulary<'_>,
    normalizer: Json,
    pre_tokenizer: Json,
    post_processor: Option<Json>,
    decoder: Json,
    model: Json,
) -> Json {
    let added: Vec<Json> = vocabulary
        .iter()
        .filter_map(|(token, kind)| {
            let special = match kind {
                Kind::Control | Kind::Unknown => true,
                Kind::UserDefined => false,
                Kind::Normal | Kind::Unused | Kind::Byte => return None,
            };
            Some(json!({
                "id": token.id,
                "content": token.text,
                "single_word": false,
                "lstrip": false,
                "rstrip": false,
                "normalized": false,
                "special": special,
            }))
        })
        .collect();
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": post_processor,
        "decoder": decoder,
        "model": model,
    })
}

/// The BPE model's part.
fn bpe(
    vocabulary: &Vocabulary<'_>,
    merges: &[(&str, &str)],
    unknown: Option<&str>,
    fallback: Fallback,
    words: Words,
) -> Json {
    let tokens: Map<String, Json> = vocabulary.iter().map(|(t, _)| (t.text.to_owned(), t.id.into())).collect();
    let merges: Vec<Json> = merges.iter().map(|(left, right)| json!([left, right])).collect();
    let to_bytes = matches!(fallback, Fallback::Bytes);
    json!({
        "type": "BPE",
        "dropout": null,
        "unk_token": unknown,
        "continuing_subword_prefix": null,
        "end_of_word_suffix": null,
        "fuse_unk": to_bytes,
        "byte_fallback": to_bytes,
        "ignore_merges": matches!(words, Words::Whole),
        "vocab": tokens,
        "merges": merges,
    })
}

/// What becomes of a character that is not in the vocabulary.
#[derive(Clone, Copy)]
enum Fallback {
    /// It cannot happen: the alphabet is the 256 bytes.
    Never,
    /// Its UTF-8 bytes, tokens `<0x00>` to `<0xFF>`.
    Bytes,
}

/// How a word that is itself a token is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    /// By merges, like any other.
    Merged,
    /// As that token, even where no merges lead to it.
    Whole,
}
