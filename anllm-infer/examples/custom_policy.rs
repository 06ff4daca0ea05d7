//! A cache policy of one's own: anchors, and the first tokens of the text for good.
//!
//! A policy is two questions that belong together: what a token sees, and which entries later tokens may still need.
//! Whatever the answers are, `verify` shows whether they fit: decoding with the reduced cache must give the scores of
//! the full forward under the same mask.
//!
//! ```sh
//! cargo run --release -p anllm-infer --example custom_policy
//! ```

use std::path::Path;

use anllm_core::{AnchorMatcher, AnchorPolicy, CachePolicy, FullPolicy, Place, Policy, visible};
use anllm_infer::{Engine, EngineOptions};
use anllm_model::{Checkpoint, Framing};
use burn_flex::Flex;

const TEXT: &str = "Once upon a time there was a boy named Tim. He had a red ball. One day the ball rolled away. Tim ran \
                    after it. He looked under the bed. He looked behind the tree. Then he saw a big dog. The dog had \
                    the ball! Tim was not afraid. He said hello to the dog.";

/// The anchor mask, except that everybody also sees the first `first` tokens.
#[derive(Debug)]
struct WithBeginning {
    first: usize,
}

impl CachePolicy for WithBeginning {
    fn name(&self) -> String {
        format!("anchor and the first {}", self.first)
    }

    fn visible(&self, query: &Place, key: &Place) -> bool {
        let beginning = key.document == query.document && key.index <= query.index && key.position < self.first;
        beginning || visible(query, key)
    }

    fn keeps(&self, entry: &Place, newest: &Place) -> bool {
        // What `visible` will never show again may go: all but the beginning, anchors, and the open segment.
        entry.position < self.first || AnchorPolicy.keeps(entry, newest)
    }
}

/// The same mistake that is easy to make: entries are shown that are no longer there.
#[derive(Debug)]
struct Forgetful(WithBeginning);

impl CachePolicy for Forgetful {
    fn name(&self) -> String {
        format!("{}, forgotten", self.0.name())
    }

    fn visible(&self, query: &Place, key: &Place) -> bool {
        self.0.visible(query, key)
    }

    fn keeps(&self, entry: &Place, newest: &Place) -> bool {
        AnchorPolicy.keeps(entry, newest)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let checkpoint = Checkpoint::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/tiny-ep"))?;
    let tokenizer = checkpoint.tokenizer()?;
    let matcher = AnchorMatcher::resolve(&"ep".parse()?, &tokenizer)?;
    let engine = Engine::<Flex>::load(&checkpoint, matcher, &Default::default(), &EngineOptions::default())?;
    let ids = tokenizer.encode(TEXT, Framing::Framed)?;

    let policies: [Policy; 5] = [
        FullPolicy.into(),
        AnchorPolicy.into(),
        WithBeginning { first: 4 }.into(),
        WithBeginning { first: 16 }.into(),
        Forgetful(WithBeginning { first: 16 }).into(),
    ];
    println!("{:<36}{:>8}{:>10}{:>14}", "policy", "kept", "of", "verified");
    for policy in policies {
        let mut session = engine.session(policy.clone());
        engine.prefill(&mut session, &ids)?;
        let stats = session.stats();
        let verified = engine.verify(&ids, &policy, &[1, 7, usize::MAX])?;
        let outcome = if verified.ok { "yes" } else { "no: it must fail" };
        println!("{:<36}{:>8}{:>10}{:>14}", stats.policy, stats.kept, stats.seen, outcome);
    }
    Ok(())
}
