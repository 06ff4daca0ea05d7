//! Likelihoods through shared beginnings are those of each text alone, under any policy.
#![allow(clippy::unwrap_used)]

use anllm_core::{AnchorMatcher, AnchorPolicy, FullPolicy, Policy, PolicyKind};
use anllm_eval::likelihood::{Encoded, Encoder, score};
use anllm_eval::qa::{AnswerOptions, Prepared, Saving, Settings, Sharing, answer, measure};
use anllm_eval::task::{Pool, Question, Sampler, Scored, Task, records};
use anllm_infer::{Engine, EngineOptions};
use anllm_model::{Checkpoint, Tokenizer};
use burn_flex::Flex;
use std::ops::ControlFlow;
use std::path::Path;

fn model(anchors: &str) -> (Engine<Flex>, Tokenizer) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/tiny/llama-gqa-tied");
    let checkpoint = Checkpoint::open(&path).unwrap();
    let tokenizer = checkpoint.tokenizer().unwrap();
    let matcher = AnchorMatcher::resolve(&anchors.parse().unwrap(), &tokenizer).unwrap();
    let engine = Engine::load(&checkpoint, matcher, &Default::default(), &EngineOptions::default()).unwrap();
    (engine, tokenizer)
}

/// The definition: the whole text under the mask at once, its scores read off.
fn by_definition(engine: &Engine<Flex>, text: &Encoded, policy: &Policy) -> (f64, bool) {
    let logits = engine.dense_logits(text.fed(), &**policy).unwrap();
    let vocabulary = engine.config().vocab_size;
    let mut sum = 0.0;
    let mut greedy = true;
    for at in text.context - 1..text.ids.len() - 1 {
        let row: Vec<f64> = logits[at * vocabulary..(at + 1) * vocabulary].iter().map(|&x| f64::from(x)).collect();
        let next = text.ids[at + 1] as usize;
        let highest = row.iter().copied().fold(f64::MIN, f64::max);
        sum += row[next] - highest - row.iter().map(|x| (x - highest).exp()).sum::<f64>().ln();
        greedy &= row.iter().all(|x| *x <= row[next]);
    }
    (sum, greedy)
}

fn scored(context: &str, continuation: &str) -> Scored {
    Scored { context: context.to_owned(), continuation: continuation.to_owned() }
}

#[test]
fn shared_beginnings_change_nothing() {
    let texts = [
        scored("The tide went out. The boats lay", " on the sand."),
        scored("The tide went out. The boats lay", " on the sand. The gulls"),
        scored("The tide went out. The boats lay", " there"),
        scored("The tide went out. The boats lay", " there"),
        scored("The tide went out. The gulls came.", " A boy"),
        scored("The tide went out. The gulls came. A", " boy ran"),
        scored("A boy", " ran."),
    ];
    // Sinks renumber: their texts cannot lie side by side.
    for policy in ["full", "anchor", "window:8", "sepllm:1+4", "sink:2+6"] {
        let policy = policy.parse::<PolicyKind>().unwrap().policy();
        let (engine, tokenizer) = model("ep");
        let encoder = Encoder::new(&tokenizer, engine.config());
        let encoded: Vec<Encoded> = texts.iter().map(|text| encoder.encode(text).unwrap()).collect();
        let expected: Vec<_> = encoded.iter().map(|text| by_definition(&engine, text, &policy)).collect();
        let check = |shared: usize, some: &[usize]| {
            let some_texts: Vec<&Encoded> = some.iter().map(|&text| &encoded[text]).collect();
            let mut session = engine.session(policy.clone());
            if shared > 0 {
                engine.prefill(&mut session, &some_texts[0].ids[..shared]).unwrap();
            }
            let found = score(&engine, &session, shared, &some_texts).unwrap();
            for (found, &text) in found.iter().zip(some) {
                let (sum, greedy) = expected[text];
                assert!((found.sum - sum).abs() < 1e-4, "{policy:?}, {shared}: {} and {sum}", found.sum);
                assert_eq!(found.greedy, greedy);
            }
            assert_eq!(session.seen(), shared, "the session stays as it was");
        };
        check(0, &[0, 1, 2, 3, 4, 5, 6]);
        let beginning = encoder.beginning("The tide went out. The").unwrap().len();
        for shared in 1..=beginning {
            check(shared, &[5, 0, 2, 1, 4]);
        }
        check(0, &[6]);
    }
}

#[test]
fn texts_are_cut_where_the_context_alone_would_end() {
    let (engine, tokenizer) = model("none");
    let encoder = Encoder::new(&tokenizer, engine.config());
    let [plain, spaced] = [scored("A boy", " ran"), scored("A boy ", "ran")].map(|text| encoder.encode(&text).unwrap());
    assert_eq!(plain, spaced, "spaces at the context's end belong to the continuation");
    assert_eq!(tokenizer.decode(plain.continuation()).unwrap(), " ran");

    let start = engine.config().bos.or(engine.config().eos.first().copied()).unwrap();
    let alone = encoder.encode(&scored("", "A boy")).unwrap();
    assert_eq!((alone.ids[0], alone.context), (start, 1));

    let limit = engine.config().max_positions;
    let long = encoder.encode(&scored("A boy ran. ".repeat(limit).trim_end(), " There")).unwrap();
    assert_eq!(long.ids.len(), limit + 1, "the last token is never fed");
    assert!(long.cut > 0 && tokenizer.decode(long.continuation()).unwrap() == " There");
    assert!(encoder.encode(&scored("A", &" boy".repeat(2 * limit))).unwrap_err().to_string().contains("context ends"));
    assert!(encoder.encode(&scored("A boy", "")).unwrap_err().to_string().contains("must not be empty"));
}

fn stories() -> (Task, Vec<Question>) {
    let task = Task::builtin("arc_easy").unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/tasks/arc_easy.jsonl");
    let mut questions: Vec<Question> =
        records(&path).unwrap().iter().map(|record| task.question(record).unwrap()).collect();
    // Enough for several batches.
    for copy in 0..3 {
        let mut more = questions[copy].clone();
        more.record.fields.insert("id".into(), copy.into());
        for choice in &mut more.choices {
            choice.context = choice.context.replace("Question:", &format!("Question {copy}:"));
        }
        questions.push(more);
    }
    (task, questions)
}

/// Batches, groups and caches are ways to go about it: answers depend on none of them.
#[test]
fn answers_do_not_depend_on_batches_or_caches() {
    for anchors in ["ep", "every:7"] {
        let (engine, tokenizer) = model(anchors);
        let (task, questions) = stories();
        for (policy, sampler) in [
            (Policy::from(FullPolicy), Sampler::First),
            (AnchorPolicy.into(), Sampler::First),
            (AnchorPolicy.into(), Sampler::Drawn(5)),
        ] {
            let pool = Pool { questions: &questions, source: "here", same: true };
            let settings = Settings { shots: 2, sampler, mark: String::new() };
            let prepared = Prepared::new(&engine, &tokenizer, &task, questions.clone(), pool, &settings).unwrap();
            let encoder = Encoder::new(&tokenizer, engine.config());
            for batch in [1, 100, 100_000] {
                let options = AnswerOptions { policy: policy.clone(), batch, sharing: Sharing::Cached };
                let mut found = Vec::new();
                let flow = answer::<_, anllm_eval::qa::QaError>(
                    &engine,
                    &prepared,
                    &options,
                    |_| true,
                    |answer| {
                        found.push(answer);
                        Ok(ControlFlow::Continue(()))
                    },
                );
                assert!(flow.unwrap().is_continue());
                found.sort_by_key(|answer| answer.question);
                assert_eq!(found.len(), questions.len());
                for (answer, texts) in found.iter().zip(&prepared.texts) {
                    for ((sum, greedy), text) in answer.likelihoods.iter().zip(&answer.greedy).zip(&texts.choices) {
                        let expected = by_definition(&engine, &encoder.encode(text).unwrap(), &policy);
                        assert!((sum - expected.0).abs() < 1e-3, "{policy:?} {batch}: {sum} and {}", expected.0);
                        assert_eq!(*greedy, expected.1);
                    }
                }
            }
            let timing = measure(&engine, &prepared, &policy, 3, |_| {}).unwrap();
            assert_eq!(timing.timed, 3);
            assert!(timing.masked_cached_max_diff < 1e-3 && timing.time_anchor_cache_s > 0.0);
            let saving = Saving::of(&engine, &prepared, &policy);
            assert!(saving.prefix_tokens > 20.0);
            match policy.name().as_str() {
                "full" => assert_eq!(saving.kv_reduction, 0.0),
                _ if anchors == "every:7" => assert!((0.7..0.95).contains(&saving.kv_reduction)),
                _ => {}
            }
        }
    }
}

#[test]
fn an_answering_that_breaks_off_says_so() {
    let (engine, tokenizer) = model("none");
    let (task, questions) = stories();
    let pool = Pool { questions: &questions, source: "here", same: true };
    let settings = Settings { shots: 0, sampler: Sampler::First, mark: String::new() };
    let prepared = Prepared::new(&engine, &tokenizer, &task, questions.clone(), pool, &settings).unwrap();
    let options = AnswerOptions { policy: FullPolicy.into(), batch: 1, sharing: Sharing::Cached };
    let mut asked = Vec::new();
    let flow = answer::<_, anllm_eval::qa::QaError>(
        &engine,
        &prepared,
        &options,
        |question| question != 2,
        |answer| {
            asked.push(answer.question);
            Ok(if asked.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        },
    );
    assert!(flow.unwrap().is_break());
    assert!(asked.len() == 2 && !asked.contains(&2), "{asked:?}");
}
