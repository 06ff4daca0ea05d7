//! Completions over HTTP are what the engine makes, told in OpenAI's form.

#![allow(clippy::unwrap_used)]

mod common;

use std::ops::ControlFlow;

use anllm_core::PolicyKind;
use anllm_infer::{Generation, Request, Sampling};
use anllm_model::Framing;
use common::{Serving, Teller, best, text};
use serde_json::{Value, json};

const PROMPT: &str = "Once upon a time, there was a little boy named Tim. He had a";

/// What the engine makes of a request by itself.
fn alone(change: impl FnOnce(&mut Request, &Teller)) -> Generation {
    let teller = Teller::open();
    let engine = teller.engine();
    let prompt = teller.tokenizer.encode(PROMPT, Framing::Framed).unwrap();
    let mut request = Request { max_new_tokens: 40, ..Request::new(prompt, PolicyKind::Anchor) };
    change(&mut request, &teller);
    engine.generate(&teller.tokenizer, request, |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn a_completion_is_what_the_engine_makes_and_a_stream_is_the_same_in_pieces() {
    let serving = Serving::start();
    let expected = alone(|_, _| {});
    let answer = serving.answer("/v1/completions", &best(PROMPT, 40));
    let choice = &answer["choices"][0];
    assert_eq!(choice["text"], expected.text);
    assert_eq!((&choice["finish_reason"], &choice["index"]), (&json!("length"), &json!(0)));
    assert_eq!((&answer["object"], &answer["model"]), (&json!("text_completion"), &json!("tiny")));
    let usage = &answer["usage"];
    assert_eq!(usage["completion_tokens"], 40);
    assert_eq!(usage["total_tokens"].as_u64().unwrap(), usage["prompt_tokens"].as_u64().unwrap() + 40);
    assert_eq!(usage["kv"], serde_json::to_value(&expected.kv).unwrap());
    assert!(usage["kv"]["kept"].as_u64() < usage["kv"]["seen"].as_u64());

    let mut body = best(PROMPT, 40);
    body["stream"] = json!(true);
    body["stream_options"] = json!({ "include_usage": true });
    let events = serving.stream("/v1/completions", &body);
    assert_eq!(text(&events), expected.text);
    let (last, rest) = events.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["kv"], usage["kv"]);
    assert_eq!(rest.last().unwrap()["choices"][0]["finish_reason"], "length");
    assert!(rest.len() >= 2, "in pieces: {}", rest.len());
    assert!(rest.iter().all(|event| event["usage"].is_null() && event["id"] == last["id"]));
}

#[test]
fn every_form_of_prompt_is_read() {
    let serving = Serving::start();
    let teller = Teller::open();
    let ids = teller.tokenizer.encode(PROMPT, Framing::Framed).unwrap();
    let expected = serving.answer("/v1/completions", &best(PROMPT, 8))["choices"][0]["text"].clone();
    for prompt in [json!([PROMPT]), json!(ids), json!([ids])] {
        let mut body = best("", 8);
        body["prompt"] = prompt;
        assert_eq!(serving.answer("/v1/completions", &body)["choices"][0]["text"], expected);
    }
    let mut body = best("", 8);
    body["prompt"] = json!(["Lily saw a", PROMPT]);
    body["n"] = json!(2);
    let answer = serving.answer("/v1/completions", &body);
    let choices = answer["choices"].as_array().unwrap();
    assert_eq!(choices.iter().map(|c| c["index"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!((&choices[2]["text"], &choices[3]["text"]), (&expected, &expected));
    assert_eq!(choices[0]["text"], choices[1]["text"]);
}

#[test]
fn settings_reach_the_engine() {
    let serving = Serving::start();
    let sampling = Sampling {
        temperature: 0.8,
        top_p: 0.9,
        top_k: 50,
        presence_penalty: 0.5,
        frequency_penalty: 0.25,
        repeat_penalty: 1.1,
        min_p: 0.01,
        bias: vec![(5, -100.0)],
        seed: 11,
        ..Sampling::default()
    };
    let expected = alone(|request, _| request.sampling = sampling);
    let body = json!({
        "prompt": PROMPT, "max_tokens": 40, "temperature": 0.8, "top_p": 0.9, "top_k": 50, "presence_penalty": 0.5,
        "frequency_penalty": 0.25, "repeat_penalty": 1.1, "min_p": 0.01, "logit_bias": { "5": -100 }, "seed": 11,
    });
    assert_eq!(serving.answer("/v1/completions", &body)["choices"][0]["text"], expected.text);

    let whole = alone(|_, _| {}).text;
    let word = whole.split_whitespace().nth(4).unwrap();
    let mut body = best(PROMPT, 40);
    body["stop"] = json!([word, "never there"]);
    let choice = serving.answer("/v1/completions", &body)["choices"][0].clone();
    assert_eq!(choice["text"], whole[..whole.find(word).unwrap()]);
    assert_eq!(choice["finish_reason"], "stop");

    let expected = alone(|request, _| request.policy = PolicyKind::Full.into());
    let mut body = best(PROMPT, 40);
    body["cache"] = json!("full");
    let answer = serving.answer("/v1/completions", &body);
    assert_eq!(answer["choices"][0]["text"], expected.text);
    assert_eq!(answer["usage"]["kv"]["policy"], "full");
    assert_eq!(answer["usage"]["kv"]["kept"], answer["usage"]["kv"]["seen"]);
}

#[test]
fn logprobs_are_the_models_and_echo_tells_those_of_the_prompt() {
    let serving = Serving::start();
    let expected = alone(|request, _| {
        (request.logprobs, request.prompt_logprobs, request.max_new_tokens) = (Some(2), Some(2), 1);
    });
    let mut body = best(PROMPT, 1);
    body["logprobs"] = json!(2);
    body["echo"] = json!(true);
    let choice = serving.answer("/v1/completions", &body)["choices"][0].clone();
    assert_eq!(choice["text"].as_str().unwrap(), format!("{PROMPT}{}", expected.text));
    let told = &choice["logprobs"];
    let prompt = expected.prompt_logprobs.iter().map(|known| known.as_ref().map(|known| known.token.logprob));
    let all: Vec<Option<f32>> = prompt.chain(expected.logprobs.iter().map(|known| Some(known.token.logprob))).collect();
    let found: Vec<Option<f64>> = told["token_logprobs"].as_array().unwrap().iter().map(Value::as_f64).collect();
    assert_eq!(found.len(), all.len());
    assert_eq!(found[0], None, "nothing is known of the first");
    for (found, expected) in found.iter().zip(&all).skip(1) {
        assert!((found.unwrap() - f64::from(expected.unwrap())).abs() < 1e-4);
    }
    let tokens: Vec<&str> = told["tokens"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
    let offsets: Vec<u64> = told["text_offset"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap()).collect();
    let text: Vec<char> = choice["text"].as_str().unwrap().chars().collect();
    for (token, offset) in tokens.iter().zip(&offsets).filter(|(token, _)| !token.starts_with('<')) {
        let there: String = text[*offset as usize..].iter().take(token.chars().count()).collect();
        assert_eq!(there, *token);
    }
    for top in told["top_logprobs"].as_array().unwrap().iter().skip(1) {
        assert!((2..=3).contains(&top.as_object().unwrap().len()), "two, and the token that is there: {top}");
    }
    // The same, and nothing made.
    body["max_tokens"] = json!(0);
    let choice = serving.answer("/v1/completions", &body)["choices"][0].clone();
    assert_eq!((choice["text"].as_str().unwrap(), choice["finish_reason"].as_str().unwrap()), (PROMPT, "length"));
    assert_eq!(choice["logprobs"]["tokens"].as_array().unwrap().len(), tokens.len() - 1);
}

#[test]
fn a_trace_tells_what_the_cache_does() {
    let serving = Serving::start();
    let mut body = best(PROMPT, 40);
    body["trace"] = json!(true);
    let answer = serving.answer("/v1/completions", &body);
    let rows = answer["choices"][0]["trace"].as_array().unwrap().clone();
    let kv = &answer["usage"]["kv"];
    // The last token was written and not read.
    let last = &rows[rows.len() - 2];
    assert_eq!((&last["held"], &last["bytes"], &last["full_bytes"]), (&kv["kept"], &kv["bytes"], &kv["full_bytes"]));
    let anchors: Vec<&str> =
        rows.iter().filter(|row| row["anchor"] == true).map(|row| row["text"].as_str().unwrap()).collect();
    assert!(anchors.contains(&"."), "{anchors:?}");
    assert!(rows.iter().any(|row| !row["dropped"].as_array().unwrap().is_empty()));
    body["stream"] = json!(true);
    let events = serving.stream("/v1/completions", &body);
    let told = events.iter().filter_map(|event| event["choices"][0]["trace"].as_array());
    assert_eq!(told.flatten().cloned().collect::<Vec<_>>(), rows);
    let made: String = rows[rows.len() - 40..].iter().map(|row| row["text"].as_str().unwrap()).collect();
    assert!(made.starts_with(&text(&events)), "{made}");
}
