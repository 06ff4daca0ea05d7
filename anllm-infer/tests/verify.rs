//! `verify` passes where the cache is right, and fails where it is not: a check that cannot fail proves nothing.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use anllm_core::{AnchorMatcher, AnchorPolicy, AnchorRule, CachePolicy, FullPolicy, Place, Policy, PolicyKind};
use anllm_infer::{Comparison, Engine, EngineOptions, Side};
use anllm_model::{Checkpoint, Framing};
use burn::tensor::DType;
use burn_flex::Flex;

const TEXT: &str = "The ship left the harbour at dawn. Nobody on the quay waved. A cold wind came from the north, and \
                    the captain counted his crew. He found one man too many. They searched the hold. ";
const CHUNKS: [usize; 4] = [1, 7, 64, usize::MAX];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/tiny").join(name)
}

fn load(name: &str) -> (Engine<Flex>, Vec<u32>) {
    load_with(name, &EngineOptions::default())
}

fn load_with(name: &str, options: &EngineOptions) -> (Engine<Flex>, Vec<u32>) {
    let checkpoint = Checkpoint::open(&fixture(name)).unwrap();
    let tokenizer = checkpoint.tokenizer().unwrap();
    let ids = tokenizer.encode(TEXT, Framing::Framed).unwrap();
    let matcher = AnchorMatcher::resolve(&AnchorRule::Endpoint, &tokenizer).unwrap();
    let engine = Engine::load(&checkpoint, matcher, &Default::default(), options).unwrap();
    (engine, ids)
}

#[test]
fn passes_for_both_policies_and_every_chunking() {
    let (engine, ids) = load("llama-gqa-tied");
    for policy in [Policy::from(AnchorPolicy), FullPolicy.into()] {
        let result = engine.verify(&ids, &policy, &CHUNKS).unwrap();
        assert!(result.ok, "{result:?}");
        assert!(result.max_rel_diff < 1e-5, "{result:?}");
        assert_eq!((result.tokens, result.chunks.len()), (ids.len(), 4));
        assert_eq!(result.anchors, 5);
    }
}

#[test]
fn entries_of_16_bits_pass_within_what_they_round() {
    for (entries, least, most) in [(DType::F16, 1e-6, 2e-3), (DType::BF16, 1e-5, 2e-2)] {
        let options = EngineOptions { entries: Some(entries), ..EngineOptions::default() };
        let (engine, ids) = load_with("llama-gqa-tied", &options);
        for policy in ["full", "anchor", "window:9", "sink:2+7", "anchor:renumber", "anchor:recent=1,renumber"] {
            let policy = policy.parse::<PolicyKind>().unwrap().policy();
            let result = engine.verify(&ids, &policy, &CHUNKS).unwrap();
            assert!(result.ok, "{policy:?}: {result:?}");
            assert!((least..most).contains(&result.max_rel_diff), "{policy:?}: {result:?}");
            let mut session = engine.session(policy);
            engine.prefill(&mut session, &ids).unwrap();
            let stats = session.stats();
            assert_eq!(stats.bytes, stats.kept * engine.config().kv_elements() * 2);
        }
    }
}

/// The reference code's bug: new tokens are numbered by the reduced cache's length.
#[test]
fn fails_when_positions_are_compacted() {
    for entries in [DType::F32, DType::F16] {
        let options = EngineOptions { entries: Some(entries), ..EngineOptions::default() };
        compacted_positions_are_found(&load_with("llama-gqa-tied", &options));
    }
}

fn compacted_positions_are_found((engine, ids): &(Engine<Flex>, Vec<u32>)) {
    let segments = engine.matcher().segments(ids);
    let mut kept = 0;
    let compacted: Vec<Place> = segments
        .places()
        .iter()
        .map(|place| {
            let position = kept;
            // After an anchor, only the anchors so far are left.
            kept = if place.anchor { place.segment + 1 } else { kept + 1 };
            Place { position, ..*place }
        })
        .collect();
    let right = Side { places: segments.places(), policy: &AnchorPolicy.into() };
    let wrong = Side { places: &compacted, policy: &AnchorPolicy.into() };
    let result = engine.compare(ids, &Comparison { reference: right, cached: wrong }, &CHUNKS).unwrap();
    assert!(!result.ok, "{result:?}");
    assert!(result.chunks.iter().all(|c| c.max_rel_diff > 2.0 * result.tolerance), "{result:?}");
}

/// Anchors that look back, which the mask forbids.
#[derive(Debug)]
struct AnchorsLookBack;

impl CachePolicy for AnchorsLookBack {
    fn name(&self) -> String {
        "anchors look back".to_owned()
    }
    fn visible(&self, query: &Place, key: &Place) -> bool {
        AnchorPolicy.visible(query, key) || (key.anchor && key.index <= query.index)
    }
    fn keeps(&self, entry: &Place, newest: &Place) -> bool {
        AnchorPolicy.keeps(entry, newest)
    }
}

#[test]
fn fails_when_an_anchor_sees_earlier_anchors() {
    let (engine, ids) = load("llama-gqa-tied");
    let segments = engine.matcher().segments(&ids);
    let right = Side { places: segments.places(), policy: &AnchorPolicy.into() };
    let wrong = Side { places: segments.places(), policy: &AnchorsLookBack.into() };
    let result = engine.compare(&ids, &Comparison { reference: right, cached: wrong }, &CHUNKS).unwrap();
    assert!(!result.ok, "{result:?}");
    assert!(result.chunks.iter().all(|c| c.max_rel_diff > 10.0 * result.tolerance), "{result:?}");
}

/// A cache that prunes when the anchor is predicted, one step early, never holds what the anchor should read.
#[derive(Debug)]
struct PrunesEarly;

impl CachePolicy for PrunesEarly {
    fn name(&self) -> String {
        "prunes early".to_owned()
    }
    fn visible(&self, query: &Place, key: &Place) -> bool {
        AnchorPolicy.visible(query, key)
    }
    fn keeps(&self, entry: &Place, newest: &Place) -> bool {
        entry.anchor || entry.index == newest.index
    }
}

#[test]
fn fails_when_entries_are_dropped_too_early() {
    let (engine, ids) = load("qwen3");
    let segments = engine.matcher().segments(&ids);
    let right = Side { places: segments.places(), policy: &AnchorPolicy.into() };
    let wrong = Side { places: segments.places(), policy: &PrunesEarly.into() };
    let result = engine.compare(&ids, &Comparison { reference: right, cached: wrong }, &[1]).unwrap();
    assert!(!result.ok, "{result:?}");
}

#[test]
fn two_sessions_of_one_engine_do_not_disturb_each_other() {
    let (engine, ids) = load("llama-gqa-tied");
    let alone = engine.prefill(&mut engine.session(AnchorPolicy), &ids).unwrap();
    let (mut first, mut second) = (engine.session(AnchorPolicy), engine.session(FullPolicy));
    let mut last = Vec::new();
    for id in &ids {
        last = engine.prefill(&mut first, &[*id]).unwrap();
        engine.prefill(&mut second, &[*id]).unwrap();
    }
    let gap = alone.iter().zip(&last).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(gap < 1e-4, "{gap}");
    assert_eq!(second.stats().seen, ids.len());
    assert!(first.stats().kept < second.stats().kept);
}

#[test]
fn the_cache_of_a_long_prompt_holds_no_more_than_survives() {
    let (engine, ids) = load("llama-gqa-tied");
    let mut session = engine.session(AnchorPolicy);
    engine.prefill(&mut session, &ids).unwrap();
    let stats = session.stats();
    assert!(stats.kept < 64 && stats.seen > 64, "{stats:?}");
    // The smallest buffers, 64 entries, were enough.
    assert_eq!(session.allocated_bytes(), 64 * stats.full_bytes / stats.seen);
}
