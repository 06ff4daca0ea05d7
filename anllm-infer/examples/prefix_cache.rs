//! A document is read once; questions about it start from what its cache kept.
//!
//! ```sh
//! cargo run --release -p anllm-infer --example prefix_cache -- assets/tiny-ep
//! ```
#![allow(missing_docs)]

use std::path::PathBuf;

use anllm_core::{AnchorMatcher, AnchorPolicy};
use anllm_infer::prefix::{EntryType, Identity, MergedPrefix, Prefix, PrefixBuilder, PrefixFile, write_prefix};
use anllm_infer::{Engine, EngineOptions};
use anllm_model::checkpoint::Existing;
use anllm_model::{Checkpoint, Framing};
use burn_flex::Flex;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("assets/tiny-ep"), PathBuf::from);
    let checkpoint = Checkpoint::open(&model)?;
    let tokenizer = checkpoint.tokenizer()?;
    let rule = checkpoint.config().anchors.clone().unwrap_or(anllm_core::AnchorRule::Endpoint);
    let matcher = AnchorMatcher::resolve(&rule, &tokenizer)?;
    // What a prefix depends on: it is refused by another model, tokenizer or rule.
    let identity = Identity::of(&checkpoint, &tokenizer, &matcher)?;
    let engine = Engine::<Flex>::load(&checkpoint, matcher, &Default::default(), &EngineOptions::default())?;

    // Read once, stored whole or not at all.
    let folder = tempfile::tempdir()?;
    let mut files = Vec::new();
    for (number, text) in
        ["Max was a dog. He had a red ball.", "Sue was a cat. She was afraid of balls."].iter().enumerate()
    {
        let ids = tokenizer.encode(text, Framing::Framed)?;
        let lead = ids.len() - tokenizer.encode(text, Framing::Bare)?.len();
        let mut builder = PrefixBuilder::new(&engine, AnchorPolicy, lead);
        builder.push(&ids)?;
        let file = folder.path().join(number.to_string());
        let bytes = write_prefix(&builder.finish(identity.clone())?, &file, EntryType::F32, Existing::Refuse)?;
        files.push(PrefixFile::open(&file)?);
        println!("{text:?}: {} tokens in {bytes} bytes", ids.len());
    }

    // Two texts that were read alone, side by side; then as many continuations as there are questions.
    let merged = MergedPrefix::new(&[&files[0], &files[1]])?;
    println!("together {} entries for {} tokens", merged.head().places.len(), merged.head().record.tokens);
    let start = engine.resume(&merged, &identity)?;
    for question in [" Max", " Sue"] {
        let mut session = start.session.clone();
        let mut logits = engine.prefill(&mut session, &tokenizer.encode(question, Framing::Bare)?)?;
        let mut text = question.to_owned();
        for _ in 0..12 {
            let best = (0u32..).zip(&logits).max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(id, _)| id);
            text.push_str(&tokenizer.decode(&[best])?);
            logits = engine.prefill(&mut session, &[best])?;
        }
        println!("…{text}");
    }
    Ok(())
}
