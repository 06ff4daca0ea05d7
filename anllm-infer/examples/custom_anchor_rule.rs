//! Anchor rules: as a line of text, and from code of one's own that picks tokens of the vocabulary.
//!
//! ```sh
//! cargo run --release -p anllm-infer --example custom_anchor_rule
//! ```

use std::path::Path;

use anllm_core::{AnchorMatcher, AnchorPolicy, AnchorRule, Vocabulary};
use anllm_infer::{Engine, EngineOptions};
use anllm_model::{Checkpoint, Framing, Tokenizer};
use burn_flex::Flex;

const TEXT: &str = "Once upon a time there was a boy named Tim. He had a ball, a kite, and a very old cat. \"Where is my \
                    ball?\" said Tim. The cat did not know! Tim looked under the bed, but it was not there.";

/// Every token that ends in punctuation, whichever: no list of texts names them all, and the vocabulary is asked
/// instead.
fn punctuation(tokenizer: &Tokenizer) -> AnchorRule {
    let ends_so = |id: &u32| {
        let last = tokenizer.text(*id).and_then(|text| text.chars().last());
        last.is_some_and(|c| c.is_ascii_punctuation() && c != '\'')
    };
    let size = u32::try_from(tokenizer.size()).unwrap_or(u32::MAX);
    AnchorRule::Ids((0..size).filter(ends_so).collect())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let checkpoint = Checkpoint::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/tiny-ep"))?;
    let tokenizer = checkpoint.tokenizer()?;
    let ids = tokenizer.encode(TEXT, Framing::Framed)?;

    let rules: [(&str, AnchorRule); 4] = [
        ("ep", "ep".parse()?),
        ("endswith:.|!|?", "endswith:.|!|?".parse()?),
        ("every:8", "every:8".parse()?),
        ("all punctuation", punctuation(&tokenizer)),
    ];
    for (name, rule) in rules {
        // A rule becomes a question that can be asked of every token; it is data, and `convert` writes it to the
        // checkpoint.
        let matcher = AnchorMatcher::resolve(&rule, &tokenizer)?;
        let engine = Engine::<Flex>::load(&checkpoint, matcher, &Default::default(), &EngineOptions::default())?;
        let mut session = engine.session(AnchorPolicy);
        engine.prefill(&mut session, &ids)?;
        let stats = session.stats();
        println!("{name:<18}{:>4} of {} tokens kept, at most {} at a time", stats.kept, stats.seen, stats.peak);

        let segments = engine.matcher().segments(&ids);
        let mut line = String::new();
        for (place, id) in segments.places().iter().zip(&ids) {
            line.push_str(&tokenizer.text(*id).unwrap_or_default());
            line.push_str(if place.anchor { "│" } else { "" });
        }
        println!("  {}\n", line.trim());
    }
    Ok(())
}
