//! A prompt and its continuation, with the cache's account.
//!
//! ```sh
//! cargo run --release -p anllm-infer --example generate -- "Once upon a time"
//! ```

use std::ops::ControlFlow;
use std::path::Path;

use anllm_core::{AnchorMatcher, AnchorPolicy};
use anllm_infer::{Engine, EngineOptions, Request, Sampling};
use anllm_model::{Checkpoint, Framing};
use burn_flex::Flex;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let prompt = std::env::args().nth(1).unwrap_or_else(|| "Once upon a time".to_owned());

    // A folder as Hugging Face writes it, or a GGUF file. This one records its anchor rule.
    let checkpoint = Checkpoint::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/tiny-ep"))?;
    let tokenizer = checkpoint.tokenizer()?;
    let rule = checkpoint.config().anchors.clone().ok_or("the checkpoint names no anchor rule")?;
    let matcher = AnchorMatcher::resolve(&rule, &tokenizer)?;

    // `Flex` is the CPU; any Burn backend with kernels does.
    let engine = Engine::<Flex>::load(&checkpoint, matcher, &Default::default(), &EngineOptions::default())?;
    let request = Request {
        max_new_tokens: 100,
        sampling: Sampling { temperature: 0.6, top_p: 0.9, repeat_penalty: 1.1, seed: 6, ..Sampling::default() },
        ..Request::new(tokenizer.encode(&prompt, Framing::Framed)?, AnchorPolicy)
    };
    let story = engine.generate(&tokenizer, request, |_| ControlFlow::Continue(()))?;

    println!("{prompt}{}", story.text);
    println!();
    println!("{} new tokens, ended by {:?}", story.tokens.len(), story.stop_reason);
    println!(
        "anchors {rule}: {} tokens seen, {} entries kept, {:.1} % saved",
        story.kv.seen,
        story.kv.kept,
        100.0 * story.kv.reduction()
    );
    Ok(())
}
