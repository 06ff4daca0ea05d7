//! Bad input gets the right status, in OpenAI's form, and the server goes on.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anllm_serve::{ApiKeys, Options};
use common::{MODEL, Serving, best};
use serde_json::{Value, json};

const PATH: &str = "/v1/completions";

fn with(field: &str, value: Value) -> Value {
    let mut body = best("Once", 4);
    body[field] = value;
    body
}

#[test]
fn settings_out_of_range_are_named() {
    let serving = Serving::start();
    for (field, value) in [
        ("temperature", json!(-1)),
        ("temperature", json!("warm")),
        ("temperature", json!(1e39)),
        ("top_p", json!(0)),
        ("top_p", json!(1.5)),
        ("min_p", json!(-0.1)),
        ("repeat_penalty", json!(0)),
        ("presence_penalty", json!(3)),
        ("frequency_penalty", json!(-2.5)),
        ("logit_bias", json!({ "x": 1 })),
        ("logit_bias", json!({ "1": 101 })),
        ("max_tokens", json!(-1)),
        ("max_tokens", json!(1.5)),
        ("n", json!(0)),
        ("n", json!(17)),
        ("logprobs", json!(21)),
        ("stop", json!(7)),
        ("stop", json!(vec!["a"; 17])),
        ("stop", json!("a".repeat(2000))),
        ("stream", json!("yes")),
        ("stream_options", json!({ "include_usage": true })),
        ("suffix", json!("end")),
        ("best_of", json!(3)),
        ("seed", json!(0.5)),
        ("cache", json!("quantum")),
        ("cache", json!("random:4")),
        ("prompt", json!([[]])),
        ("prompt", json!([])),
        ("prompt", json!([-1])),
        ("prompt", json!([100_000])),
        ("prompt", json!(null)),
        ("prompt", json!("word ".repeat(5000))),
        ("prompt", json!("x".repeat(3_000_000))),
        ("prompt", json!(vec!["a"; 500])),
    ] {
        let body = with(field, value.clone());
        let error = serving.refused(serving.post(PATH, &body), 400);
        let shown: String = value.to_string().chars().take(40).collect();
        // Of a list, the place in it is named too.
        assert!(error["param"].as_str().unwrap().starts_with(field), "{field} {shown}: {error}");
    }
    let error = serving.refused(serving.post(PATH, &with("prompt", json!("word ".repeat(5000)))), 400);
    assert_eq!(error["code"], "context_length_exceeded");
    assert_eq!(serving.answer(PATH, &best("Once", 4))["usage"]["completion_tokens"], 4, "it goes on");
}

#[test]
fn conversations_are_judged_too() {
    let serving = Serving::start();
    let chat = |change: Value| {
        let mut body = json!({ "messages": [{ "role": "user", "content": "Hi" }] });
        change.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        serving.post("/v1/chat/completions", &body)
    };
    for (change, param) in [
        (json!({ "messages": [] }), "messages"),
        (json!({ "messages": "Hi" }), "messages"),
        (json!({ "messages": [["user", "Hi"]] }), "messages[0]"),
        (json!({ "messages": [{ "role": "user", "content": 7 }] }), "messages[0].content"),
        (
            json!({ "messages": [{ "role": "user", "content": [{ "type": "image_url" }] }] }),
            "messages[0].content[0].type",
        ),
        (json!({ "top_logprobs": 3 }), "top_logprobs"),
        (json!({ "logprobs": true, "top_logprobs": 30 }), "top_logprobs"),
        (json!({ "tools": [{}] }), "tools"),
        (json!({ "response_format": { "type": "json_object" } }), "response_format"),
    ] {
        let error = serving.refused(chat(change.clone()), 400);
        assert_eq!(error["param"], param, "{change}: {error}");
    }
}

#[test]
fn bodies_that_are_no_requests_are_refused() {
    let serving = Serving::start();
    let send = |body: Vec<u8>, kind: &str| {
        serving.client.post(serving.url(PATH)).header("content-type", kind).body(body).send().unwrap()
    };
    let json = "application/json";
    for body in ["", "{", "[]", "null", "7", "{\"prompt\": \"a\"", "{\"prompt\": \"a\", \"temperature\": NaN}", "{} {}"]
    {
        serving.refused(send(body.into(), json), 400);
    }
    serving.refused(send(b"{\"prompt\": \"\xff\xfe\"}".to_vec(), json), 400);
    let deep = [b"{\"prompt\": ".to_vec(), vec![b'['; 1_000_000]].concat();
    serving.refused(send(deep, json), 400);
    let error = serving.refused(send(b"prompt=a".to_vec(), "application/x-www-form-urlencoded"), 415);
    assert_eq!(error["code"], "unsupported_media_type");
    // 100 MB, which nobody keeps.
    let start = Instant::now();
    let error = serving.refused(send(vec![b' '; 100 << 20], json), 413);
    assert_eq!(error["code"], "body_too_large");
    assert!(start.elapsed() < Duration::from_secs(20));
    serving.answer(PATH, &best("Once", 4));
}

#[test]
fn paths_methods_and_models_that_are_not_there() {
    let serving = Serving::start();
    assert_eq!(serving.refused(serving.get("/v1/nothing"), 404)["code"], "not_found");
    assert_eq!(serving.refused(serving.get("/../Cargo.toml"), 404)["code"], "not_found");
    assert_eq!(serving.refused(serving.get("/page/..%2f..%2fCargo.toml"), 404)["code"], "not_found");
    let response = serving.get(PATH);
    assert_eq!(response.headers()["allow"], "POST");
    assert_eq!(serving.refused(response, 405)["code"], "method_not_allowed");
    serving.refused(serving.post("/v1/models", &json!({})), 405);
    let error = serving.refused(serving.post(PATH, &with("model", json!("other"))), 404);
    assert_eq!((&error["code"], &error["param"]), (&json!("model_not_found"), &json!("model")));
    serving.refused(serving.get("/v1/models/other"), 404);
    assert_eq!(serving.get("/v1/models").json::<Value>().unwrap()["data"][0]["id"], MODEL);
    assert_eq!(serving.get(&format!("/v1/models/{MODEL}")).json::<Value>().unwrap()["object"], "model");
}

#[test]
fn without_a_key_nothing_is_told() {
    let serving = Serving::with(Options { keys: ApiKeys::parse("# a key\nright\n"), ..Options::default() });
    let ask = |authorization: Option<&str>| {
        let request = serving.client.get(serving.url("/v1/models"));
        match authorization {
            Some(value) => request.header("authorization", value).send().unwrap(),
            None => request.send().unwrap(),
        }
    };
    for wrong in
        [None, Some("Bearer wrong"), Some("Bearer "), Some("right"), Some("Basic right"), Some("Bearer right2")]
    {
        let response = ask(wrong);
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        assert_eq!(serving.refused(response, 401)["code"], "invalid_api_key");
    }
    assert!(ask(Some("Bearer right")).status().is_success());
    assert!(ask(Some("bearer right")).status().is_success());
    for path in [PATH, "/v1/chat/completions", "/tokenize", "/detokenize"] {
        serving.refused(serving.post(path, &json!({})), 401);
    }
    serving.refused(serving.get("/metrics"), 401);
    for open in ["/health", "/", "/openapi.json", "/page/main.js"] {
        assert!(serving.get(open).status().is_success(), "{open}");
    }
}

#[test]
fn browsers_are_told_nothing_unless_asked() {
    let from = |serving: &Serving, origin: &str| {
        let request = serving.client.get(serving.url("/v1/models")).header("origin", origin);
        request.send().unwrap().headers().get("access-control-allow-origin").map(|v| v.to_str().unwrap().to_owned())
    };
    let closed = Serving::start();
    assert_eq!(from(&closed, "https://example.org"), None);
    let open = Serving::with(Options { cors: vec!["https://example.org".into()], ..Options::default() });
    assert_eq!(from(&open, "https://example.org").as_deref(), Some("https://example.org"));
    assert_eq!(from(&open, "https://example.com"), None);
    let page = closed.get("/");
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
}

#[test]
fn a_full_queue_sends_away_and_says_when_to_come_back() {
    let batch = anllm_infer::Limits { rows: 1, ..Options::default().batch };
    let serving = Serving::with(Options { batch, queue: 1, ..Options::default() });
    std::thread::scope(|scope| {
        let long = || {
            serving.answer(PATH, &{
                let mut body = best("Once upon a time", 400);
                body["ignore_eos"] = json!(true);
                body
            })
        };
        let running: Vec<_> = (0..2).map(|_| scope.spawn(long)).collect();
        while serving.metric("anllm_writing") + serving.metric("anllm_waiting") + serving.metric("anllm_reading") < 2.0
        {
            std::thread::yield_now();
        }
        let response = serving.post(PATH, &best("Once", 4));
        assert!(response.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 0);
        assert_eq!(serving.refused(response, 429)["code"], "rate_limit_exceeded");
        running.into_iter().for_each(|running| _ = running.join().unwrap());
    });
    serving.answer(PATH, &best("Once", 4));
}

#[test]
fn time_ends() {
    let serving = Serving::with(Options { request_time: Duration::from_millis(1), ..Options::default() });
    let mut body = best("Once upon a time", 500);
    body["ignore_eos"] = json!(true);
    assert_eq!(serving.refused(serving.post(PATH, &body), 504)["code"], "timeout");
    body["stream"] = json!(true);
    let told = common::events(&serving.post(PATH, &body).text().unwrap());
    assert_eq!(told.last().unwrap()["error"]["code"], "timeout");
}

#[test]
fn heads_and_bodies_that_never_end_are_given_up() {
    let short = Duration::from_millis(300);
    let serving = Serving::with(Options { body_time: short, head_time: short, ..Options::default() });
    let head = "POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\n";
    let answer = serving.raw(format!("{head}connection: close\r\n\r\n{{\"prompt\":").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("body_timeout"), "{answer}");
    assert_eq!(serving.raw(head.as_bytes()), "", "it closes");
    let answer = serving.raw(b"POST /v1/completions HTTP/1.1\r\nhost: a\r\nx: ");
    assert_eq!(answer, "");
    let answer = serving.raw(b"\x16\x03\x01\x00nonsense\r\n\r\n");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    let long = format!("GET /health HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(1 << 20));
    let mut stream = TcpStream::connect(serving.address).unwrap();
    let _ = stream.write_all(long.as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    serving.answer(PATH, &best("Once", 4));
}
