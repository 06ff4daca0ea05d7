//! A server with the bundled story teller, on a port of its own.

// Each test file is a program of its own and uses a part of this.
#![allow(dead_code, clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use anllm_core::{AnchorMatcher, PolicyKind};
use anllm_infer::{ChatFormat, Engine, EngineOptions, Sampling};
use anllm_model::{Checkpoint, Tokenizer};
use anllm_serve::{Ended, Model, Options, Server, Stopper};
use burn_flex::Flex;
use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use serde_json::{Value, json};

/// The model's name.
pub(crate) const MODEL: &str = "tiny";

/// The bundled story teller.
pub(crate) struct Teller {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) matcher: AnchorMatcher,
}

impl Teller {
    pub(crate) fn open() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/tiny-ep");
        let checkpoint = Checkpoint::open(&folder).unwrap();
        let tokenizer = checkpoint.tokenizer().unwrap();
        let matcher = AnchorMatcher::resolve(checkpoint.config().anchors.as_ref().unwrap(), &tokenizer).unwrap();
        Self { checkpoint, tokenizer, matcher }
    }

    pub(crate) fn engine(&self) -> Engine<Flex> {
        let options = EngineOptions::default();
        Engine::load(&self.checkpoint, self.matcher.clone(), &Default::default(), &options).unwrap()
    }

    pub(crate) fn model(self) -> Model {
        let config = self.checkpoint.config().clone();
        Model {
            name: MODEL.to_owned(),
            bytes_per_entry: config.kv_elements() * 4,
            tokenizer: self.tokenizer,
            format: ChatFormat::Continuation,
            policy: PolicyKind::Anchor,
            matcher: self.matcher,
            config,
            sampling: Sampling { temperature: 1.0, ..Sampling::default() },
            seed: None,
            inserter: None,
            prefix_tokens: 0,
        }
    }
}

/// A server that runs until this is dropped.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    pub(crate) stopper: Stopper,
    pub(crate) client: Client,
    thread: Option<JoinHandle<Ended>>,
}

impl Serving {
    pub(crate) fn start() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        let options = Options { address: SocketAddr::from(([127, 0, 0, 1], 0)), ..options };
        let server = Server::bind(options).unwrap();
        let (address, stopper) = (server.address(), server.stopper());
        let thread = std::thread::spawn(move || {
            let teller = Teller::open();
            let engine = teller.engine();
            server.run(&engine, teller.model()).unwrap()
        });
        let client = Client::builder().timeout(Duration::from_secs(120)).build().unwrap();
        let serving = Self { address, stopper, client, thread: Some(thread) };
        serving.wait_until_loaded();
        serving
    }

    fn wait_until_loaded(&self) {
        for _ in 0..600 {
            if self.get("/health").status() == StatusCode::OK {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server does not become ready");
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().unwrap()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Response {
        self.client.post(self.url(path)).json(body).send().unwrap()
    }

    /// The answer to a request that must succeed.
    #[track_caller]
    pub(crate) fn answer(&self, path: &str, body: &Value) -> Value {
        let response = self.post(path, body);
        let status = response.status();
        let answer: Value = response.json().unwrap();
        assert_eq!(status, StatusCode::OK, "{body}: {answer}");
        answer
    }

    /// The events of a stream that must succeed, without the last, which must be `[DONE]`.
    #[track_caller]
    pub(crate) fn stream(&self, path: &str, body: &Value) -> Vec<Value> {
        let response = self.post(path, body);
        assert_eq!(response.status(), StatusCode::OK, "{body}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        events(&response.text().unwrap())
    }

    /// The error of a request that must be refused, which has OpenAI's form.
    #[track_caller]
    pub(crate) fn refused(&self, response: Response, status: u16) -> Value {
        let found = response.status();
        let kind = response.headers().get("content-type").cloned();
        let text = response.text().unwrap();
        assert_eq!(found.as_u16(), status, "{text}");
        assert_eq!(kind.unwrap(), "application/json", "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        let error = &answer["error"];
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{text}");
        assert!(error["type"].is_string() && error.get("param").is_some() && error.get("code").is_some(), "{text}");
        error.clone()
    }

    /// Sends these bytes, and returns what comes back until the server closes.
    pub(crate) fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is an end too.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A number of `/metrics`.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text().unwrap();
        let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Waits until the engine has nothing to do.
    pub(crate) fn wait_until_idle(&self) {
        for _ in 0..500 {
            let busy: f64 =
                ["anllm_waiting", "anllm_reading", "anllm_writing"].map(|name| self.metric(name)).iter().sum();
            if busy == 0.0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the engine goes on");
    }

    /// Stops it, and says how it ended.
    pub(crate) fn stop(mut self) -> Ended {
        self.stopper.stop();
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stopper.cut();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The events of a stream, which must end in `[DONE]`.
#[track_caller]
pub(crate) fn events(text: &str) -> Vec<Value> {
    let mut data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(data.pop(), Some("[DONE]"), "{text}");
    data.into_iter().map(|data| serde_json::from_str(data).unwrap()).collect()
}

/// A request for so many of the best tokens behind `prompt`.
pub(crate) fn best(prompt: &str, tokens: usize) -> Value {
    json!({ "model": MODEL, "prompt": prompt, "max_tokens": tokens, "temperature": 0 })
}

/// The text of all chunks of a completion.
pub(crate) fn text(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect()
}
