//! Clients that go away, servers that stop, and requests beside each other.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anllm_infer::Limits;
use anllm_serve::{Ended, Options, Server};
use common::{Serving, best, text};
use serde_json::{Value, json};

const PATH: &str = "/v1/completions";

fn long(stream: bool) -> Value {
    let mut body = best("Once upon a time", 500);
    body["ignore_eos"] = json!(true);
    body["stream"] = json!(stream);
    body
}

/// A request that has begun to be answered, with the connection it comes on.
fn begun(serving: &Serving, body: &Value) -> TcpStream {
    let body = body.to_string();
    let mut stream = TcpStream::connect(serving.address).unwrap();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    stream
}

#[test]
fn many_at_once_get_what_each_gets_alone() {
    let batch = Limits { rows: 8, step_tokens: 32, ..Options::default().batch };
    let serving = Serving::with(Options { batch, ..Options::default() });
    let prompts: Vec<String> =
        (0..24).map(|n| format!("{} girl number {n} saw a", ["A", "The", "One"][n % 3])).collect();
    let alone: Vec<String> = prompts
        .iter()
        .map(|prompt| serving.answer(PATH, &best(prompt, 30))["choices"][0]["text"].as_str().unwrap().to_owned())
        .collect();
    std::thread::scope(|scope| {
        for (prompt, alone) in prompts.iter().zip(&alone) {
            let serving = &serving;
            scope.spawn(move || {
                let mut body = best(prompt, 30);
                body["stream"] = json!(true);
                assert_eq!(text(&serving.stream(PATH, &body)), *alone, "{prompt}");
            });
        }
    });
    serving.wait_until_idle();
    assert_eq!(serving.metric("anllm_cache_bytes"), 0.0);
}

#[test]
fn who_hangs_up_takes_no_more_time() {
    let serving = Serving::start();
    for stream in [true, false] {
        let mut connection = begun(&serving, &long(stream));
        if stream {
            let mut some = [0; 400];
            connection.read_exact(&mut some).unwrap();
        } else {
            while serving.metric("anllm_writing") == 0.0 {}
        }
        let made = serving.metric("anllm_new_tokens_total");
        drop(connection);
        serving.wait_until_idle();
        assert_eq!(serving.metric("anllm_new_tokens_total"), made, "nobody was there to be told of a whole answer");
    }
    serving.answer(PATH, &best("Once", 4));
}

#[test]
fn who_reads_nothing_holds_nobody_up() {
    let serving = Serving::with(Options { write_time: Duration::from_millis(500), ..Options::default() });
    let mut body = long(true);
    // Much to tell, which nobody reads.
    body["logprobs"] = json!(20);
    body["trace"] = json!(true);
    body["n"] = json!(4);
    body["max_tokens"] = json!(300);
    let slow: Vec<TcpStream> = (0..2).map(|_| begun(&serving, &body)).collect();
    while serving.metric("anllm_writing") == 0.0 {}
    let start = Instant::now();
    serving.answer(PATH, &best("Once", 20));
    assert!(start.elapsed() < Duration::from_secs(20));
    serving.wait_until_idle();
    for _ in 0..100 {
        if serving.metric("anllm_connections") <= 1.0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(slow);
    serving.answer(PATH, &best("Once", 4));
}

#[test]
fn what_runs_is_finished_before_the_end() {
    let serving = Serving::start();
    let mut connection = begun(&serving, &long(true));
    let mut some = [0; 400];
    connection.read_exact(&mut some).unwrap();
    let (address, stopper) = (serving.address, serving.stopper.clone());
    stopper.stop();
    let mut rest = String::new();
    connection.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("\"finish_reason\":\"length\"") && rest.contains("data: [DONE]"), "{rest}");
    assert_eq!(serving.stop(), Ended::Finished);
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[test]
fn what_takes_longer_than_the_grace_period_is_told_so() {
    let serving = Serving::with(Options { grace: Duration::ZERO, ..Options::default() });
    let mut connection = begun(&serving, &long(true));
    let mut some = [0; 400];
    connection.read_exact(&mut some).unwrap();
    let ended = serving.stop();
    let mut rest = String::new();
    connection.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("shutting_down") && rest.contains("data: [DONE]"), "{rest}");
    assert_eq!(ended, Ended::CutOff);
}

#[test]
fn while_the_model_is_loaded_clients_are_asked_to_wait() {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind(Options { address, ..Options::default() }).unwrap();
    let url = format!("http://{}", server.address());
    let client = reqwest::blocking::Client::new();
    for path in ["/health", "/v1/models"] {
        let response = client.get(format!("{url}{path}")).send().unwrap();
        assert_eq!(response.status().as_u16(), 503);
        assert!(response.headers().contains_key("retry-after"));
        assert_eq!(response.json::<Value>().unwrap()["error"]["code"], "loading");
    }
    let response = client.post(format!("{url}{PATH}")).json(&best("Once", 4)).send().unwrap();
    assert_eq!(response.status().as_u16(), 503);
    server.stopper().stop();
}

#[test]
fn a_taken_address_is_named() {
    let serving = Serving::start();
    let error = Server::bind(Options { address: serving.address, ..Options::default() }).unwrap_err().to_string();
    assert!(error.contains(&serving.address.to_string()) && error.contains("hint: "), "{error}");
}

#[test]
fn metrics_count_what_happened() {
    let serving = Serving::start();
    let usage = serving.answer(PATH, &best("Once upon a time. There was", 12))["usage"].clone();
    serving.refused(serving.post(PATH, &json!({})), 400);
    assert_eq!(serving.metric("anllm_new_tokens_total"), 12.0);
    assert_eq!(serving.metric("anllm_prompt_tokens_total"), usage["prompt_tokens"].as_f64().unwrap());
    assert_eq!(serving.metric("anllm_entries_seen_total"), usage["kv"]["seen"].as_f64().unwrap());
    assert_eq!(serving.metric("anllm_entries_kept_total"), usage["kv"]["kept"].as_f64().unwrap());
    assert_eq!(serving.metric("anllm_requests_total{route=\"/v1/completions\",status=\"200\"}"), 1.0);
    assert_eq!(serving.metric("anllm_requests_total{route=\"/v1/completions\",status=\"400\"}"), 1.0);
    assert_eq!(serving.metric("anllm_request_seconds_count"), 1.0);
    assert!(serving.get("/metrics").text().unwrap().ends_with("# EOF\n"));
}
