//! Requests side by side get what each gets alone, whatever comes, goes and ends in between.
#![allow(clippy::unwrap_used)]

mod common;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anllm_core::{AnchorPolicy, FullPolicy};
use anllm_infer::prefix::{PrefixStore, Resumed};
use anllm_infer::{
    BatchError, Event, Generation, InferError, Limits, Request, RequestId, Sampling, Scheduler, Status, StopReason,
    TokenLogprobs,
};
use burn::tensor::DType;
use common::{alone, load, load_holding, policies, prompt, request, same};
use proptest::prelude::*;

/// What the listeners of a test heard, by request.
#[derive(Default)]
struct Heard {
    pieces: RefCell<BTreeMap<usize, Vec<String>>>,
    finished: RefCell<BTreeMap<usize, Vec<Generation>>>,
}

impl Heard {
    /// A listener for request `number` that breaks off after `most` pieces.
    fn listener(&self, number: usize, most: usize) -> impl FnMut(Event<'_>) -> ControlFlow<()> + '_ {
        move |event| {
            match event {
                Event::Piece(piece) => {
                    let mut pieces = self.pieces.borrow_mut();
                    let pieces = pieces.entry(number).or_default();
                    pieces.push(piece.text.to_owned());
                    if pieces.len() == most {
                        return ControlFlow::Break(());
                    }
                }
                Event::Finished(generation) => {
                    self.finished.borrow_mut().entry(number).or_default().push(generation);
                }
                Event::Failed(error) => panic!("request {number}: {error}"),
            }
            ControlFlow::Continue(())
        }
    }

    /// The one outcome of request `number`.
    fn outcome(&self, number: usize) -> Generation {
        let finished = self.finished.borrow();
        let [one] = &finished.get(&number).map_or(&[][..], Vec::as_slice) else {
            panic!("request {number} finished {:?} times", finished.get(&number).map(Vec::len));
        };
        one.clone()
    }

    fn shown(&self, number: usize) -> Vec<String> {
        self.pieces.borrow().get(&number).cloned().unwrap_or_default()
    }
}

#[test]
fn thirty_two_mixed_requests_equal_thirty_two_single_ones_under_every_policy() {
    let (engine, tokenizer) = load("llama-gqa-tied");
    for policy in policies() {
        let heard = Heard::default();
        let mut scheduler =
            Scheduler::new(&engine, &tokenizer, Limits { rows: 12, step_tokens: 40, ..Limits::default() });
        for number in 0..32 {
            scheduler.submit(request(number, policy.clone()), heard.listener(number, usize::MAX)).unwrap();
        }
        scheduler.run().unwrap();
        assert_eq!(scheduler.status(), Status::default());
        let mut reasons = Vec::new();
        for number in 0..32 {
            let (expected, shown) = alone(&engine, &tokenizer, request(number, policy.clone()));
            same(&heard.outcome(number), &expected);
            assert_eq!(heard.shown(number), shown);
            reasons.push(expected.stop_reason);
        }
        // The mixture is one: they did not all run into the same end.
        for reason in [StopReason::Length, StopReason::Stop] {
            assert!(reasons.contains(&reason), "{reasons:?}");
        }
    }
}

#[test]
fn policies_mix_and_rows_prune_at_different_times() {
    for (name, entries) in [("qwen3", DType::F32), ("llama-gqa-tied", DType::F16), ("llama-gqa-tied", DType::BF16)] {
        let (engine, tokenizer) = load_holding(name, entries);
        let heard = Heard::default();
        let mut scheduler = Scheduler::new(&engine, &tokenizer, Limits::default());
        let all = policies();
        let policy = |number: usize| all[number % all.len()].clone();
        for number in 0..16 {
            scheduler.submit(request(number, policy(number)), heard.listener(number, usize::MAX)).unwrap();
        }
        scheduler.run().unwrap();
        for number in 0..16 {
            same(&heard.outcome(number), &alone(&engine, &tokenizer, request(number, policy(number))).0);
        }
    }
}

/// What a test does to a scheduler between two steps.
#[derive(Debug, Clone)]
enum Act {
    Submit { policy: usize, breaks_off_after: Option<usize>, late: bool },
    Cancel(usize),
    Steps(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let submit = (0usize..64, prop::option::weighted(0.2, 1usize..6), prop::bool::weighted(0.1))
        .prop_map(|(policy, breaks_off_after, late)| Act::Submit { policy, breaks_off_after, late });
    prop_oneof![5 => submit, 1 => (0usize..32).prop_map(Act::Cancel), 3 => (1usize..9).prop_map(Act::Steps)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_comes_and_goes_each_request_gets_its_own(
        acts in prop::collection::vec(act(), 1..40),
        rows in 1usize..7,
        step_tokens in 1usize..50,
        budget in prop::option::of(2usize..12),
        prefix_bytes in prop::sample::select(vec![0, 40_000, 1 << 30]),
        first in 0usize..100,
    ) {
        let (engine, tokenizer) = load("llama-gqa-tied");
        let all = policies();
        // Enough for the largest request, and not for many.
        let largest = engine.session(FullPolicy).bytes_for(128);
        let limits = Limits { rows, step_tokens, cache_bytes: budget.map_or(usize::MAX, |budget| largest * budget / 2), prefix_bytes };
        let heard = Heard::default();
        let mut scheduler = Scheduler::new(&engine, &tokenizer, limits);
        let mut submitted: Vec<(RequestId, Request, bool)> = Vec::new();
        let step = |scheduler: &mut Scheduler<'_, _>| {
            scheduler.step().unwrap();
            let status = scheduler.status();
            assert!(status.reading + status.writing <= rows, "{status:?}");
            assert!(status.cache_bytes <= status.reserved_bytes, "{status:?}");
            assert!(status.reserved_bytes <= limits.cache_bytes, "{status:?}");
            assert!(status.prefixes.bytes <= prefix_bytes, "{status:?}");
        };
        for act in acts {
            match act {
                Act::Submit { policy, breaks_off_after, late } => {
                    let number = submitted.len();
                    let deadline = late.then(Instant::now);
                    let request = Request { deadline, ..request(first + number, all[policy % all.len()].clone()) };
                    let most = breaks_off_after.unwrap_or(usize::MAX);
                    let id = scheduler.submit(request.clone(), heard.listener(number, most)).unwrap();
                    submitted.push((id, request, breaks_off_after.is_some() || late));
                }
                Act::Cancel(which) => {
                    if let Some((id, _, may_end_early)) = submitted.get_mut(which) {
                        *may_end_early |= scheduler.cancel(*id);
                    }
                }
                Act::Steps(count) => (0..count).for_each(|_| step(&mut scheduler)),
            }
        }
        while !scheduler.is_idle() {
            step(&mut scheduler);
        }
        prop_assert_eq!(Status { prefixes: Default::default(), ..scheduler.status() }, Status::default());
        for (number, (_, request, may_end_early)) in submitted.into_iter().enumerate() {
            let (expected, shown) = alone(&engine, &tokenizer, Request { deadline: None, ..request });
            let found = heard.outcome(number);
            if matches!(found.stop_reason, StopReason::Interrupted | StopReason::Deadline) {
                prop_assert!(may_end_early);
                prop_assert!(expected.tokens.starts_with(&found.tokens));
                prop_assert!(expected.text.starts_with(&heard.shown(number).concat()));
            } else {
                same(&found, &expected);
                prop_assert_eq!(heard.shown(number), shown);
            }
        }
    }
}

#[test]
fn requests_that_could_never_run_are_refused_at_once() {
    let (engine, tokenizer) = load("llama-gqa-tied");
    let bytes = engine.session(FullPolicy).bytes_for(64);
    let limits = Limits { rows: 3, cache_bytes: bytes, ..Limits::default() };
    let mut scheduler = Scheduler::new(&engine, &tokenizer, limits);
    let mut refused = |request, choices| {
        let result = scheduler.submit_choices(request, choices, |_, _| panic!("nobody listens to a refused request"));
        result.unwrap_err()
    };
    let long = Request { max_new_tokens: 40, ..Request::new(prompt(30, 1), FullPolicy) };
    let error = refused(long.clone(), 1);
    assert!(matches!(error, BatchError::Cache { needed, budget } if needed == 2 * bytes && budget == bytes), "{error}");
    assert!(error.to_string().contains("hint: "), "{error}");
    let short = Request { max_new_tokens: 4, ..long.clone() };
    assert!(matches!(refused(short.clone(), 2), BatchError::Cache { .. }), "two caches do not fit");
    assert!(matches!(refused(short.clone(), 4), BatchError::Rows { choices: 4, rows: 3 }));
    assert!(matches!(refused(short.clone(), 0), BatchError::Rows { choices: 0, .. }));
    let of = |prompt| Request { prompt, ..short.clone() };
    assert!(matches!(refused(of(vec![]), 1), BatchError::Request(InferError::EmptyPrompt)));
    assert!(matches!(refused(of(vec![9_999]), 1), BatchError::Request(InferError::UnknownToken { .. })));
    assert!(matches!(refused(of(vec![5; 999]), 1), BatchError::Request(InferError::TooLong { .. })));
    let biased = Sampling { bias: vec![(9_999, 1.0)], ..Sampling::default() };
    let biased = Request { sampling: biased, ..short.clone() };
    assert!(matches!(refused(biased, 1), BatchError::Request(InferError::UnknownToken { id: 9_999, .. })));
    let hot = Request { sampling: Sampling { temperature: -1.0, ..Sampling::default() }, ..short.clone() };
    assert!(matches!(refused(hot, 1), BatchError::Request(InferError::Sampling(_))));
    assert!(scheduler.is_idle());

    // Under the anchor policy the same prompt leaves room, since most of it is dropped.
    scheduler.submit(Request { policy: AnchorPolicy.into(), ..long }, |_| ControlFlow::Continue(())).unwrap();
    scheduler.run().unwrap();
}

#[test]
fn requests_wait_for_room_and_memory_comes_back() {
    let (engine, tokenizer) = load("llama-gqa-tied");
    let one = engine.session(FullPolicy).bytes_for(64);
    let limits = Limits { rows: 8, step_tokens: 16, cache_bytes: 2 * one, ..Limits::default() };
    let heard = Heard::default();
    let mut scheduler = Scheduler::new(&engine, &tokenizer, limits);
    let request = |number: usize| Request {
        max_new_tokens: 3 + number,
        ignore_eos: true,
        ..Request::new(prompt(20 + number, number as u64), FullPolicy)
    };
    for number in 0..6 {
        scheduler.submit(request(number), heard.listener(number, usize::MAX)).unwrap();
    }
    scheduler.step().unwrap();
    let status = scheduler.status();
    assert_eq!((status.waiting, status.reading + status.writing), (4, 2), "{status:?}");
    assert_eq!(status.reserved_bytes, 2 * one);
    scheduler.run().unwrap();
    assert_eq!(scheduler.status(), Status::default());
    for number in 0..6 {
        same(&heard.outcome(number), &alone(&engine, &tokenizer, request(number)).0);
    }
}

#[test]
fn a_long_prompt_does_not_hold_up_those_who_write() {
    let (engine, tokenizer) = load("llama-gqa-tied");
    let heard = Heard::default();
    let mut scheduler = Scheduler::new(&engine, &tokenizer, Limits { step_tokens: 8, ..Limits::default() });
    let writer = Request { max_new_tokens: 30, ignore_eos: true, ..Request::new(prompt(3, 1), FullPolicy) };
    scheduler.submit(writer, heard.listener(0, usize::MAX)).unwrap();
    scheduler.step().unwrap();
    let reader = Request { max_new_tokens: 1, ..Request::new(prompt(100, 2), FullPolicy) };
    scheduler.submit(reader, heard.listener(1, usize::MAX)).unwrap();
    for step in 1..10 {
        scheduler.step().unwrap();
        assert_eq!((heard.shown(0).len(), heard.shown(1).len()), (step + 1, 0));
    }
    assert_eq!(scheduler.status().reading, 1, "7 tokens of the prompt a step");
}

#[test]
fn choices_read_the_prompt_once_and_draw_with_seeds_of_their_own() {
    let (engine, tokenizer) = load("llama-gqa-tied");
    let sampling = Sampling { temperature: 1.0, seed: 40, ..Sampling::default() };
    let request =
        Request { sampling, max_new_tokens: 12, prompt_logprobs: Some(1), ..Request::new(prompt(30, 5), AnchorPolicy) };
    let found = RefCell::new(BTreeMap::new());
    let mut scheduler = Scheduler::new(&engine, &tokenizer, Limits { rows: 4, ..Limits::default() });
    let listener = |choice, event: Event<'_>| {
        if let Event::Finished(generation) = event {
            assert!(found.borrow_mut().insert(choice, generation).is_none());
        }
        ControlFlow::Continue(())
    };
    scheduler.submit_choices(request.clone(), 4, listener).unwrap();
    scheduler.step().unwrap();
    assert_eq!((scheduler.status().reading, scheduler.status().writing), (0, 4));
    scheduler.run().unwrap();
    let found = found.borrow();
    assert_eq!(found.len(), 4);
    for (&choice, generation) in &*found {
        let mut request = request.clone();
        request.sampling.seed += choice as u64;
        same(generation, &alone(&engine, &tokenizer, request).0);
    }
    assert_ne!(found[&0].tokens, found[&1].tokens);
}

#[test]
fn equal_beginnings_are_read_once() {
    let (engine, tokenizer) = load("llama-gqa-tied");
    let system = prompt(40, 1);
    let question = |number: u64| {
        let ids = system.iter().copied().chain(prompt(5 + number as usize, 100 + number)).collect();
        Request { max_new_tokens: 6, ignore_eos: true, ..Request::new(ids, AnchorPolicy) }
    };
    for policy in policies() {
        let heard = Heard::default();
        let limits = Limits { prefix_bytes: 1 << 20, step_tokens: 16, ..Limits::default() };
        let mut scheduler = Scheduler::new(&engine, &tokenizer, limits);
        let mut ask = |number: usize, request: Request| {
            scheduler.submit(request.clone(), heard.listener(number, usize::MAX)).unwrap();
            scheduler.run().unwrap();
            let found = heard.outcome(number);
            same(&found, &alone(&engine, &tokenizer, request).0);
            (found, scheduler.status().prefixes)
        };
        let request = |number| Request { policy: policy.clone(), ..question(number) };
        // The first two show where questions part, and the third begins there.
        assert_eq!(ask(0, request(0)).0.cached_tokens, 0);
        assert_eq!(ask(1, request(1)).0.cached_tokens, 0);
        let (third, stats) = ask(2, request(2));
        assert_eq!((third.cached_tokens, stats.hits, stats.tokens_saved), (40, 1, 40));
        // A conversation goes on behind its own answer.
        let mut next = request(2);
        next.prompt.extend(&third.tokens);
        next.prompt.extend(prompt(4, 9));
        assert_eq!(ask(3, next.clone()).0.cached_tokens, 47 + 5, "all but the last token, which was never read");
        // Scores of the prompt need the prompt to be read.
        assert_eq!(ask(4, Request { prompt_logprobs: Some(0), ..next }).0.cached_tokens, 0);
    }
}

#[test]
fn behind_a_prefix_requests_get_what_they_would_with_it_in_their_prompt() {
    let (engine, tokenizer) = load("llama-gqa-tied");
    let before = prompt(23, 7);
    let shared = prompt(20, 8);
    for policy in policies() {
        let mut session = engine.session(policy.clone());
        engine.prefill(&mut session, &before).unwrap();
        let heard = Heard::default();
        let limits = Limits { prefix_bytes: 1 << 20, ..Limits::default() };
        let prefix = Resumed { session, recent: before.clone() };
        let mut scheduler = Scheduler::new(&engine, &tokenizer, limits).behind(prefix);
        for number in 0..4 {
            let own: Vec<u32> = shared.iter().copied().chain(prompt(4, 50 + number as u64)).collect();
            let request = Request { max_new_tokens: 8, ignore_eos: true, ..Request::new(own.clone(), policy.clone()) };
            scheduler.submit(request.clone(), heard.listener(number, usize::MAX)).unwrap();
            scheduler.run().unwrap();
            let whole = Request { prompt: [&before[..], &own[..]].concat(), ..request };
            let (found, expected) = (heard.outcome(number), alone(&engine, &tokenizer, whole).0);
            assert_eq!((&found.tokens, &found.kv), (&expected.tokens, &expected.kv), "{}", policy.name());
            // The third begins where the first two parted.
            assert_eq!(found.cached_tokens, if number < 2 { 0 } else { shared.len() }, "{}", policy.name());
        }
    }
}

#[test]
fn behind_a_prefix_there_is_one_policy() {
    let (engine, tokenizer) = load("llama-gqa-tied");
    let mut session = engine.session(AnchorPolicy);
    engine.prefill(&mut session, &prompt(9, 1)).unwrap();
    let mut scheduler = Scheduler::new(&engine, &tokenizer, Limits::default()).behind(Resumed::new(session));
    let refused = scheduler.submit(Request::new(prompt(4, 2), FullPolicy), |_| ControlFlow::Continue(()));
    assert!(matches!(refused, Err(BatchError::Policy { asked, .. }) if asked == "full"));
}

#[test]
fn a_store_forgets_what_was_not_used_for_longest() {
    let (engine, _) = load("llama-gqa-tied");
    let full = anllm_core::Policy::from(FullPolicy);
    let session = |ids: &[u32]| {
        let mut session = engine.session(FullPolicy);
        engine.prefill(&mut session, ids).unwrap();
        session
    };
    let texts: Vec<Vec<u32>> = (0..3).map(|n| prompt(20, n)).collect();
    let each = session(&texts[0]).allocated_bytes() + 80;
    let mut store = PrefixStore::new(2 * each + 1);
    let longer = |ids: &[u32]| [ids, &[5]].concat();
    store.insert(&full, &texts[0], session(&texts[0]));
    store.insert(&full, &texts[1], session(&texts[1]));
    assert_eq!(
        store.longest(&full, &longer(&texts[0])).map(|(known, session)| (known, session.seen())),
        Some((20, 20))
    );
    assert!(store.longest(&full, &texts[0]).is_none(), "somebody wants the last token's scores");
    assert!(store.longest(&AnchorPolicy.into(), &longer(&texts[0])).is_none(), "another policy holds other entries");
    store.insert(&full, &texts[2], session(&texts[2]));
    assert_eq!((store.stats().sequences, store.stats().bytes), (2, 2 * each));
    assert!(store.longest(&full, &longer(&texts[1])).is_none(), "the second was used before the first");
    assert!(store.longest(&full, &longer(&texts[0])).is_some() && store.longest(&full, &longer(&texts[2])).is_some());
    assert_eq!(store.parting(&full, &[&texts[2][..7], &[3, 3]].concat()), 7);
    store.insert(&full, &prompt(200, 1), session(&prompt(200, 1)));
    assert_eq!(store.stats().sequences, 2, "what is larger than the budget is not kept, and evicts nothing");
    store.shrink_to(0);
    assert_eq!((store.stats().sequences, store.stats().bytes), (0, 0));
}

#[test]
fn who_is_cancelled_hears_of_it_once_and_others_go_on() {
    let (engine, tokenizer) = load("llama-gqa-tied");
    let ends = RefCell::new(Vec::new());
    let mut scheduler = Scheduler::new(&engine, &tokenizer, Limits { rows: 2, step_tokens: 4, ..Limits::default() });
    let listener = |name: &'static str| {
        let ends = &ends;
        move |choice: usize, event: Event<'_>| {
            if let Event::Finished(generation) = event {
                ends.borrow_mut().push((name, choice, generation.stop_reason, generation.tokens.len()));
            }
            ControlFlow::Continue(())
        }
    };
    let request = Request { max_new_tokens: 5, ignore_eos: true, ..Request::new(prompt(9, 3), FullPolicy) };
    let late = Request { deadline: Some(Instant::now()), ..request.clone() };
    let in_time = Request { deadline: Some(Instant::now() + Duration::from_secs(3600)), ..request.clone() };
    let reading = scheduler.submit_choices(request.clone(), 2, listener("reading")).unwrap();
    let waiting = scheduler.submit_choices(request, 2, listener("waiting")).unwrap();
    scheduler.submit_choices(late, 1, listener("late")).unwrap();
    scheduler.submit_choices(in_time, 1, listener("in time")).unwrap();
    scheduler.step().unwrap();
    assert!(scheduler.cancel(reading) && scheduler.cancel(waiting));
    assert!(!scheduler.cancel(waiting), "it is not there any more");
    scheduler.run().unwrap();
    drop(scheduler);
    let mut ends = ends.into_inner();
    ends.sort_by_key(|(name, choice, ..)| (*name, *choice));
    let interrupted = |name, choice| (name, choice, StopReason::Interrupted, 0);
    let expected = [
        ("in time", 0, StopReason::Length, 5),
        ("late", 0, StopReason::Deadline, 0),
        interrupted("reading", 0),
        interrupted("reading", 1),
        interrupted("waiting", 0),
        interrupted("waiting", 1),
    ];
    assert_eq!(ends, expected);
}

#[test]
fn probabilities_of_the_prompt_are_those_of_the_full_forward() {
    let (engine, tokenizer) = load("llama-gqa-tied");
    for policy in policies() {
        let request =
            Request { max_new_tokens: 0, prompt_logprobs: Some(3), ..Request::new(prompt(150, 8), policy.clone()) };
        let (found, _) = alone(&engine, &tokenizer, request.clone());
        let logits = engine.dense_logits(&request.prompt, &*policy).unwrap();
        let vocab = engine.config().vocab_size;
        assert_eq!((found.prompt_logprobs.len(), found.tokens.len()), (150, 0));
        assert!(found.prompt_logprobs[0].is_none(), "nothing comes before the first token");
        for (position, found) in found.prompt_logprobs.iter().enumerate().skip(1) {
            let scores = &logits[(position - 1) * vocab..position * vocab];
            let expected = TokenLogprobs::of(scores, request.prompt[position], 3);
            let found = found.as_ref().unwrap();
            assert_eq!(found.token.id, expected.token.id);
            assert!((found.token.logprob - expected.token.logprob).abs() < 1e-4, "{found:?} {expected:?}");
        }
    }
}
