//! Conversations: the template's text, the next turn's tokens, and what is read again.

#![allow(clippy::unwrap_used)]

mod common;

use common::Serving;
use serde_json::{Value, json};

fn turn(messages: &Value) -> Value {
    json!({ "model": "tiny", "messages": messages, "max_tokens": 30, "temperature": 0 })
}

fn content(answer: &Value) -> String {
    answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

#[test]
fn a_conversation_goes_on_from_what_its_cache_holds() {
    let serving = Serving::start();
    let first = json!({ "role": "user", "content": "Once upon a time there was a big dog. One day" });
    let answer = serving.answer("/v1/chat/completions", &turn(&json!([first])));
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["choices"][0]["message"]["role"], "assistant");
    assert_eq!(answer["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
    let said = content(&answer);
    let second = json!([first, { "role": "assistant", "content": said }, { "role": "user", "content": "Then Tom" }]);
    let again = serving.answer("/v1/chat/completions", &turn(&second));
    let usage = &again["usage"];
    let (prompt, cached) =
        (usage["prompt_tokens"].as_u64().unwrap(), usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap());
    assert!(cached + 8 > prompt, "the second turn reads what is new: {usage}");
    // Somewhere else, where nothing is kept, the answer is the same.
    let elsewhere = Serving::start();
    assert_eq!(content(&elsewhere.answer("/v1/chat/completions", &turn(&second))), content(&again));
}

#[test]
fn a_stream_has_the_role_first_and_the_same_text() {
    let serving = Serving::start();
    let mut body = turn(&json!([{ "role": "user", "content": [{ "type": "text", "text": "Lily had a" }] }]));
    let whole = content(&serving.answer("/v1/chat/completions", &body));
    body["stream"] = json!(true);
    body["n"] = json!(2);
    let events = serving.stream("/v1/chat/completions", &body);
    for index in 0..2 {
        let of_choice: Vec<&Value> =
            events.iter().map(|event| &event["choices"][0]).filter(|choice| choice["index"] == index).collect();
        assert_eq!(of_choice[0]["delta"], json!({ "role": "assistant", "content": "" }));
        let said: String = of_choice.iter().filter_map(|choice| choice["delta"]["content"].as_str()).collect();
        assert_eq!(said, whole);
        assert_eq!(of_choice.last().unwrap()["finish_reason"], "length");
    }
    assert!(events.iter().all(|event| event["object"] == "chat.completion.chunk" && event.get("usage").is_none()));
}

#[test]
fn logprobs_stand_beside_each_token() {
    let serving = Serving::start();
    let mut body = turn(&json!([{ "role": "user", "content": "Lily had a" }]));
    body["logprobs"] = json!(true);
    body["top_logprobs"] = json!(3);
    let answer = serving.answer("/v1/chat/completions", &body);
    let tokens = answer["choices"][0]["logprobs"]["content"].as_array().unwrap().clone();
    let text: String = tokens.iter().map(|token| token["token"].as_str().unwrap()).collect();
    assert_eq!(text, content(&answer));
    for token in &tokens {
        assert_eq!(token["top_logprobs"].as_array().unwrap().len(), 3);
        // The best token was taken.
        assert_eq!(token["top_logprobs"][0]["token"], token["token"]);
        let bytes: Vec<u8> = token["bytes"].as_array().unwrap().iter().map(|b| b.as_u64().unwrap() as u8).collect();
        assert_eq!(bytes, token["token"].as_str().unwrap().as_bytes());
    }
    body["stream"] = json!(true);
    let events = serving.stream("/v1/chat/completions", &body);
    let streamed = events.iter().filter_map(|event| event["choices"][0]["logprobs"]["content"].as_array());
    assert_eq!(streamed.flatten().cloned().collect::<Vec<_>>(), tokens);
}
