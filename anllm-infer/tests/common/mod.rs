//! What tests of requests share.
#![allow(dead_code)]

use std::path::Path;

use anllm_core::{AnchorMatcher, AnchorRule, Policy, PolicyKind};
use anllm_infer::{Engine, EngineOptions, Generation, Request, Sampling};
use anllm_model::{Checkpoint, Tokenizer};
use burn::tensor::DType;
use burn_flex::Flex;

/// A tiny model whose anchors are some common tokens, so that random text has many.
pub(crate) fn load(name: &str) -> (Engine<Flex>, Tokenizer) {
    load_holding(name, DType::F32)
}

/// The same with caches of `entries`.
pub(crate) fn load_holding(name: &str, entries: DType) -> (Engine<Flex>, Tokenizer) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/tiny").join(name);
    let checkpoint = Checkpoint::open(&folder).unwrap();
    let tokenizer = checkpoint.tokenizer().unwrap();
    let anchors: Vec<u32> = (0..292).step_by(9).collect();
    let matcher = AnchorMatcher::resolve(&AnchorRule::Ids(anchors), &tokenizer).unwrap();
    let options = EngineOptions { prefill_chunk: 24, entries: Some(entries), ..EngineOptions::default() };
    (Engine::load(&checkpoint, matcher, &Default::default(), &options).unwrap(), tokenizer)
}

/// Every policy that exists.
pub(crate) fn policies() -> Vec<Policy> {
    let names = [
        "full",
        "anchor",
        "window:9",
        "sink:2+7",
        "sepllm:2+6",
        "anchor:recent=1",
        "anchor:renumber",
        "anchor:keep=2..5",
        "anchor:recent=1,renumber",
        "random:12",
    ];
    names.into_iter().map(|name| name.parse::<PolicyKind>().unwrap().policy()).collect()
}

/// `length` tokens that look like nothing in particular.
pub(crate) fn prompt(length: usize, seed: u64) -> Vec<u32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        3 + (state >> 33) as u32 % 280
    };
    (0..length).map(|_| next()).collect()
}

/// Request number `n` of a mixture: short and long, best and drawn, with and without stops, penalties, probabilities.
pub(crate) fn request(number: usize, policy: Policy) -> Request {
    let n = number;
    let sampling = Sampling {
        temperature: if n.is_multiple_of(3) { 0.0 } else { 0.9 },
        top_k: if n.is_multiple_of(4) { 20 } else { 0 },
        top_p: if n.is_multiple_of(5) { 0.8 } else { 1.0 },
        repeat_penalty: if n.is_multiple_of(2) { 1.2 } else { 1.0 },
        presence_penalty: if n % 6 == 1 { 0.5 } else { 0.0 },
        frequency_penalty: if n % 7 == 2 { 0.3 } else { 0.0 },
        bias: if n % 8 == 3 { vec![(40, 3.0), (41, -50.0)] } else { Vec::new() },
        seed: n as u64,
        ..Sampling::default()
    };
    Request {
        max_new_tokens: n * 5 % 31,
        sampling,
        stop: if n.is_multiple_of(2) { ["e", "st", "an"].map(str::to_owned).to_vec() } else { Vec::new() },
        stop_tokens: if n % 5 == 2 { (100..140).collect() } else { Vec::new() },
        ignore_eos: n % 4 == 1,
        logprobs: (n % 3 == 1).then_some(n % 4),
        prompt_logprobs: (n % 7 == 3).then_some(2),
        ..Request::new(prompt(1 + n * 13 % 90, n as u64), policy)
    }
}

/// What a request gets alone, and the texts it was shown. A batch says nothing while it reads a prompt.
pub(crate) fn alone(engine: &Engine<Flex>, tokenizer: &Tokenizer, request: Request) -> (Generation, Vec<String>) {
    let mut shown = Vec::new();
    let mut session = engine.session(request.policy.clone());
    let generation = engine.generate_in(&mut session, tokenizer, request, |piece, _| {
        if piece.token.is_some() || !piece.text.is_empty() {
            shown.push(piece.text.to_owned());
        }
        std::ops::ControlFlow::Continue(())
    });
    (generation.unwrap(), shown)
}

/// Two outcomes are the same, their times aside and their probabilities to rounding.
pub(crate) fn same(found: &Generation, expected: &Generation) {
    assert_eq!(found.tokens, expected.tokens);
    assert_eq!((&found.text, found.stop_reason), (&expected.text, expected.stop_reason));
    assert_eq!(found.kv, expected.kv);
    let probabilities = |generation: &Generation| -> Vec<_> {
        let prompt = generation.prompt_logprobs.iter().flatten();
        prompt.chain(&generation.logprobs).cloned().collect()
    };
    assert_eq!(found.prompt_logprobs.len(), expected.prompt_logprobs.len());
    let (found, expected) = (probabilities(found), probabilities(expected));
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!((found.token.id, found.top.len()), (expected.token.id, expected.top.len()));
        let each = |all: &anllm_infer::TokenLogprobs| -> Vec<f32> {
            std::iter::once(&all.token).chain(&all.top).map(|one| one.logprob).collect()
        };
        for (a, b) in each(found).into_iter().zip(each(expected)) {
            assert!((a - b).abs() < 1e-4, "{a} instead of {b}");
        }
    }
}
