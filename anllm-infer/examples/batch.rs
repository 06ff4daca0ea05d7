//! Several requests at once: `cargo run --release -p anllm-infer --example batch`.
//!
//! Each has its own policy, length and seed; the weights are read once for all of them. Pieces of text come as they are
//! made, mixed.

use std::cell::RefCell;
use std::ops::ControlFlow;

use anllm_core::{AnchorMatcher, AnchorPolicy, FullPolicy, Policy};
use anllm_infer::{Engine, EngineOptions, Event, Limits, Request, Sampling, Scheduler};
use anllm_model::{Checkpoint, Framing};
use burn_flex::Flex;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/tiny-ep");
    let checkpoint = Checkpoint::open(folder.as_ref())?;
    let tokenizer = checkpoint.tokenizer()?;
    let anchors = AnchorMatcher::resolve(&"endswith:.|!|?".parse()?, &tokenizer)?;
    let engine = Engine::<Flex>::load(&checkpoint, anchors, &Default::default(), &EngineOptions::default())?;

    let beginnings: [(&str, Policy); 3] = [
        ("Once upon a time, there was a little cat", AnchorPolicy.into()),
        ("One day, a boy named Tom found a red ball", AnchorPolicy.into()),
        ("Lily had a big secret", FullPolicy.into()),
    ];
    let texts = RefCell::new(beginnings.clone().map(|(text, _)| text.to_owned()));
    let accounts = RefCell::new(Vec::new());
    let mut scheduler = Scheduler::new(&engine, &tokenizer, Limits { rows: 8, ..Limits::default() });
    for (number, (beginning, policy)) in beginnings.into_iter().enumerate() {
        let request = Request {
            max_new_tokens: 40 + 10 * number,
            sampling: Sampling { temperature: 0.6, top_p: 0.9, seed: number as u64, ..Sampling::default() },
            ..Request::new(tokenizer.encode(beginning, Framing::Framed)?, policy)
        };
        let (texts, accounts) = (&texts, &accounts);
        scheduler.submit(request, move |event| {
            match event {
                Event::Piece(piece) => texts.borrow_mut()[number].push_str(piece.text),
                Event::Finished(generation) => accounts.borrow_mut().push((number, generation)),
                Event::Failed(error) => eprintln!("request {number}: {error}"),
            }
            ControlFlow::Continue(())
        })?;
    }
    let mut steps = 0;
    while !scheduler.is_idle() {
        scheduler.step()?;
        steps += 1;
    }
    for (number, generation) in &*accounts.borrow() {
        let kv = &generation.kv;
        println!("{}\n  [{}: {} tokens seen, {} entries kept]\n", texts.borrow()[*number], kv.policy, kv.seen, kv.kept);
    }
    println!("{steps} passes over the weights for all of them");
    Ok(())
}
