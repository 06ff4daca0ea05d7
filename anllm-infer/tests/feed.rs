//! Several sessions in one pass give what each gives alone.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use anllm_core::{AnchorMatcher, AnchorPolicy, AnchorRule, FullPolicy, Policy};
use anllm_infer::{Engine, EngineOptions, Feed, InferError, Session, Wanted};
use anllm_model::Checkpoint;
use burn_flex::Flex;
use proptest::prelude::*;

fn engine(name: &str) -> Engine<Flex> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/tiny").join(name);
    let checkpoint = Checkpoint::open(&folder).unwrap();
    let matcher = AnchorMatcher::resolve(&AnchorRule::Ids(vec![7, 19, 30]), &checkpoint.tokenizer().unwrap()).unwrap();
    Engine::load(&checkpoint, matcher, &Default::default(), &EngineOptions::default()).unwrap()
}

fn policy(number: usize) -> Policy {
    if number.is_multiple_of(2) { AnchorPolicy.into() } else { FullPolicy.into() }
}

/// The scores of every token of `ids`, `[T, V]`, alone.
fn alone(engine: &Engine<Flex>, policy: Policy, ids: &[u32]) -> Vec<f32> {
    let mut session = engine.session(policy);
    let feed = Feed { session: &mut session, ids, wanted: Wanted::Every };
    engine.feed(&mut [feed]).unwrap().into_values()
}

fn close(found: &[f32], expected: &[f32]) {
    let gap = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(found.len() == expected.len() && gap < 1e-4, "{gap}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Sequences of several lengths and policies go forward in chunks of any size beside each other, so that prompts
    /// meet single tokens and each prunes in its own moment.
    #[test]
    fn any_chunks_side_by_side_give_what_each_sequence_gives_alone(
        texts in prop::collection::vec(prop::collection::vec(0u32..60, 1..40), 1..20),
        sizes in prop::collection::vec(1usize..9, 1..12),
        architecture in prop::sample::select(vec!["llama-gqa-tied", "qwen3"]),
    ) {
        let engine = engine(architecture);
        let mut sessions: Vec<Session<Flex>> = (0..texts.len()).map(|n| engine.session(policy(n))).collect();
        let mut found: Vec<Vec<f32>> = vec![Vec::new(); texts.len()];
        let mut sizes = sizes.iter().cycle();
        while sessions.iter().zip(&texts).any(|(session, text)| session.seen() < text.len()) {
            let mut feeds = Vec::new();
            let mut fed = Vec::new();
            for (number, (session, text)) in sessions.iter_mut().zip(&texts).enumerate() {
                let rest = &text[session.seen()..];
                let size = rest.len().min(*sizes.next().unwrap());
                if size > 0 {
                    feeds.push(Feed { session, ids: &rest[..size], wanted: Wanted::Every });
                    fed.push(number);
                }
            }
            let mut scores = engine.feed(&mut feeds).unwrap();
            for (number, scores) in fed.into_iter().zip(scores.each_mut()) {
                found[number].extend_from_slice(scores);
            }
        }
        for (number, (text, found)) in texts.iter().zip(&found).enumerate() {
            close(found, &alone(&engine, policy(number), text));
            let mut reference = engine.session(policy(number));
            engine.prefill(&mut reference, text).unwrap();
            prop_assert_eq!(sessions[number].stats(), reference.stats());
            prop_assert_eq!(sessions[number].allocated_bytes(), reference.allocated_bytes());
        }
    }
}

#[test]
fn only_what_is_wanted_is_scored() {
    let engine = engine("llama-gqa-tied");
    let texts: [&[u32]; 4] = [&[5, 7, 9], &[8], &[3, 4, 5, 6], &[9, 9]];
    let wanted = [Wanted::Last, Wanted::Nothing, Wanted::Every, Wanted::Last];
    let mut sessions: Vec<_> = texts.iter().map(|_| engine.session(AnchorPolicy)).collect();
    let feeds = sessions.iter_mut().zip(texts).zip(wanted);
    let mut feeds: Vec<_> = feeds.map(|((session, ids), wanted)| Feed { session, ids, wanted }).collect();
    let mut scores = engine.feed(&mut feeds).unwrap();
    let vocab = engine.config().vocab_size;
    let scores = scores.each_mut();
    assert_eq!(scores.iter().map(|s| s.len() / vocab).collect::<Vec<_>>(), [1, 0, 4, 1]);
    for (number, text) in texts.iter().enumerate() {
        let alone = alone(&engine, AnchorPolicy.into(), text);
        close(scores[number], &alone[alone.len() - scores[number].len()..]);
    }
}

#[test]
fn a_feed_that_is_refused_changes_no_session() {
    let engine = engine("llama-gqa-tied");
    let (mut good, mut bad) = (engine.session(AnchorPolicy), engine.session(AnchorPolicy));
    let mut feed = |ids: &[u32]| {
        let feeds = [(&mut good, &[5][..]), (&mut bad, ids)];
        engine.feed(&mut feeds.map(|(session, ids)| Feed { session, ids, wanted: Wanted::Last })).unwrap_err()
    };
    assert!(matches!(feed(&[]), InferError::EmptyPrompt));
    assert!(matches!(feed(&[100_000]), InferError::UnknownToken { id: 100_000, .. }));
    assert!(matches!(feed(&[5; 10_000]), InferError::TooLong { tokens: 10_000, .. }));
    assert_eq!((good.seen(), bad.seen()), (0, 0));
}
