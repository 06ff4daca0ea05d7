//! `anllm cache info`: what a prefix cache holds.

use anllm_infer::prefix::{Prefix, PrefixFile};

use super::super::prefix;
use super::{about, line};
use crate::args::InfoArgs;
use crate::output::Output;

pub(super) fn run(args: &InfoArgs, output: &Output) -> anyhow::Result<()> {
    let file = PrefixFile::open(&args.file)?;
    if let Some(model) = &args.model {
        prefix::check_model(&file, model)?;
    }
    if output.is_json() {
        return output.json(&about(&file, file.stored(), file.bytes()));
    }
    let head = file.head();
    let mut text = line(&file, file.stored(), file.bytes()) + "\n";
    let identity = &head.record.identity;
    text.push_str(&format!(
        "model {}\ntokenizer {}\nrule {}\n",
        identity.model_hash, identity.tokenizer_hash, identity.anchors_hash
    ));
    for (number, part) in head.record.parts.iter().chain(&head.record.following).enumerate() {
        text.push_str(&format!("text {}: {} tokens, ids {}\n", number + 1, part.tokens, part.ids_hash));
    }
    output.text(&text)
}
