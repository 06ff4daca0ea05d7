//! `anllm serve` as a program: what it says, what it refuses, and how it ends.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use common::{ANY, Copy, anllm, fixture, object, on_model, plain};
use serde_json::{Value, json};

/// A server that is killed when nobody wants it any more.
struct Server {
    process: Child,
    told: Value,
}

impl Server {
    fn start(model: &std::path::Path, options: &[&str]) -> Self {
        let mut command = plain();
        command.args(["serve", "--json", "--port", "0", "--model"]).arg(model).args(options);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let server = Self { process, told: serde_json::from_str(&line).unwrap() };
        // The address is told once requests are taken.
        let health = server.health();
        assert!(health.starts_with("HTTP/1.1 200"), "{health}");
        server
    }

    fn health(&self) -> String {
        let mut connection = TcpStream::connect(self.address()).unwrap();
        connection.write_all(b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        rest(connection)
    }

    fn address(&self) -> &str {
        self.told["url"].as_str().unwrap().strip_prefix("http://").unwrap()
    }

    /// Begins a request for so many tokens.
    fn ask(&self, tokens: usize, stream: bool) -> TcpStream {
        let body = json!({
            "prompt": "The tide went out. The boats", "max_tokens": tokens, "temperature": 0, "ignore_eos": true,
            "stream": stream,
        });
        let body = body.to_string();
        let mut connection = TcpStream::connect(self.address()).unwrap();
        let head = "POST /v1/completions HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json";
        connection.write_all(format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        connection
    }

    #[cfg(unix)]
    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn rest(mut connection: TcpStream) -> String {
    let mut text = String::new();
    connection.read_to_string(&mut text).unwrap();
    text
}

#[cfg(unix)]
#[test]
fn a_signal_lets_what_runs_be_finished() {
    let mut server = Server::start(&fixture(ANY), &["--anchors", "ep"]);
    for key in ["url", "model", "cache", "anchors", "load_s"] {
        assert!(server.told.get(key).is_some(), "{key}: {}", server.told);
    }
    assert_eq!((&server.told["model"], &server.told["cache"]), (&json!("llama-gqa-tied"), &json!("anchor")));
    let mut running = server.ask(100, true);
    let mut some = [0; 200];
    running.read_exact(&mut some).unwrap();
    server.signal("-TERM");
    assert!(rest(running).ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"));
    assert_eq!(server.process.wait().unwrap().code(), Some(0));
    let mut log = String::new();
    server.process.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.contains("new_tokens=100"), "{log}");
    assert!(!log.contains("boats"), "no text that anybody wrote is in the log: {log}");
}

#[cfg(unix)]
#[test]
fn a_second_signal_cuts_off() {
    // A window is never full, so that no machine is done before the second comes.
    let options = ["--log-format", "json", "--log-text", "--max-new-tokens", "100000", "--cache", "window:64"];
    let mut server = Server::start(&fixture(ANY), &options);
    // The log has the whole answer, which is more than a pipe holds: a server whose log nobody reads waits.
    let log = server.process.stderr.take().unwrap();
    let log = std::thread::spawn(|| std::io::read_to_string(log).unwrap());
    let mut running = server.ask(50_000, true);
    let mut some = [0; 200];
    running.read_exact(&mut some).unwrap();
    server.signal("-INT");
    server.signal("-INT");
    let told = rest(running);
    let code = server.process.wait().unwrap().code();
    // The system may make one of two signals.
    assert!(code == Some(130) && told.contains("shutting_down") || code == Some(0), "{code:?}: {told}");
    let log = log.join().unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["text"].as_str().is_some_and(|text| text.contains("boats"))), "{log}");
}

#[test]
fn a_model_that_is_removed_goes_on_serving() {
    let copy = Copy::of(ANY);
    let server = Server::start(&copy.path(), &[]);
    let before = rest(server.ask(8, false));
    assert!(before.starts_with("HTTP/1.1 200"), "{before}");
    std::fs::remove_dir_all(copy.path()).unwrap();
    let after = rest(server.ask(9, false));
    assert!(after.starts_with("HTTP/1.1 200"), "{after}");
}

#[test]
fn every_prompt_goes_on_from_a_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shots.prefix");
    let file = file.to_str().unwrap();
    on_model("cache build", &fixture(ANY))
        .args(["--anchors", "ep", "--prompt", "Mist lay. Rain fell.", "--to", file])
        .assert()
        .success();
    let server = Server::start(&fixture(ANY), &["--prefix-cache", file]);
    assert!(server.told["prefix_tokens"].as_u64().unwrap() > 3, "{}", server.told);
    let answer = rest(server.ask(8, false));
    let answer: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let expected = object(on_model("generate", &fixture(ANY)).args([
        "--prefix-cache",
        file,
        "--prompt",
        "The tide went out. The boats",
        "--temperature",
        "0",
        "--ignore-eos",
        "-n",
        "8",
    ]));
    assert_eq!(answer["choices"][0]["text"], expected["text"]);
    let mut told = String::new();
    let body = r#"{"prompt": "a", "max_tokens": 1, "cache": "full"}"#;
    let mut other = TcpStream::connect(server.address()).unwrap();
    let head = "POST /v1/completions HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json";
    other.write_all(format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    other.read_to_string(&mut told).unwrap();
    assert!(told.starts_with("HTTP/1.1 400") && told.contains("the prefix that it would go on from"), "{told}");
}

#[test]
fn what_cannot_be_served_is_refused_at_once() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("keys");
    std::fs::write(&empty, "# none\n").unwrap();
    let empty = empty.to_str().unwrap();
    for (options, expected) in [
        (vec!["--port", &port], "cannot listen on 127.0.0.1"),
        (vec!["--port", "0", "--api-key-file", empty], "there is no key in it"),
        (vec!["--port", "0", "--api-key-file", "gone"], "gone"),
        (vec!["--port", "0", "--cors-origin", "example"], "is not an origin"),
        (vec!["--port", "0", "--temperature", "-1"], "--temperature"),
        (vec!["--port", "0", "--model", "gone"], "gone"),
        (vec!["--port", "0", "--chat-template", "gone"], "gone"),
        (vec!["--port", "0", "--add-anchors"], "--add-anchors"),
    ] {
        let out = anllm(["serve"]).args(&options).assert().code(1).get_output().clone();
        let told = String::from_utf8(out.stderr).unwrap();
        assert!(told.contains(expected) && told.contains("hint: "), "{options:?}: {told}");
    }
    for options in [["--port", "70000"], ["--host", "nowhere"], ["--cache-bytes", "lots"], ["--batch", "0"]] {
        anllm(["serve"]).args(options).assert().code(2);
    }
}
