//! Text as it comes, broken off by the reader: here after the second sentence. And the session goes on from there.
//!
//! ```sh
//! cargo run --release -p anllm-infer --example stream
//! ```

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use anllm_core::{AnchorMatcher, AnchorPolicy};
use anllm_infer::{Engine, EngineOptions, Request, Sampling};
use anllm_model::{Checkpoint, Framing};
use burn_flex::Flex;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let checkpoint = Checkpoint::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/tiny-ep"))?;
    let tokenizer = checkpoint.tokenizer()?;
    let matcher = AnchorMatcher::resolve(&"ep".parse()?, &tokenizer)?;
    let engine = Engine::<Flex>::load(&checkpoint, matcher, &Default::default(), &EngineOptions::default())?;

    let request = |prompt: Vec<u32>, max_new_tokens: usize| Request {
        max_new_tokens,
        sampling: Sampling { temperature: 0.6, top_p: 0.9, repeat_penalty: 1.1, seed: 6, ..Sampling::default() },
        ..Request::new(prompt, AnchorPolicy)
    };
    let mut out = std::io::stdout();
    let mut session = engine.session(AnchorPolicy);

    // Each piece is shown as soon as it is certain: half a character or half a stop text is held back.
    let mut sentences = 0;
    print!("The little dog");
    let start = tokenizer.encode("The little dog", Framing::Framed)?;
    let first = engine.generate_in(&mut session, &tokenizer, request(start, 200), |piece, _| {
        let _ = write!(out, "{}", piece.text).and_then(|()| out.flush());
        sentences += piece.text.matches('.').count();
        if sentences == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let kv = &first.kv;
    println!(
        "\n[{:?}: wrote {} tokens; the cache holds {} of {}]",
        first.stop_reason,
        first.tokens.len(),
        kv.kept,
        kv.seen
    );

    // The session has read all of that but the last token, and goes on behind it: nothing is read twice.
    let mut more: Vec<u32> = first.tokens.last().copied().into_iter().collect();
    more.extend(tokenizer.encode(" But the cat", Framing::Bare)?);
    let read = more.len();
    print!(" But the cat");
    let second = engine.generate_in(&mut session, &tokenizer, request(more, 30), |piece, _| {
        let _ = write!(out, "{}", piece.text).and_then(|()| out.flush());
        ControlFlow::Continue(())
    })?;
    let kv = &second.kv;
    println!(
        "\n[read {read} tokens more and wrote {}; the cache holds {} of {}]",
        second.tokens.len(),
        kv.kept,
        kv.seen
    );
    Ok(())
}
