//! Streaming clients, as many as wanted, each asking again as soon as it is answered. Every answer is compared with the
//! one that its prompt got alone.
//!
//! ```sh
//! anllm serve --port 8080 &
//! cargo run --release -p anllm-serve --example load -- --clients 64 --seconds 120 --pid $!
//! ```
//!
//! Prints one JSON object: what was answered, wrong answers and errors, tokens per second, and percentiles of the time to
//! the first piece, between pieces, and of whole requests, in milliseconds; with `--pid` the server's memory over time.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

/// Prompts of different lengths, so that requests part ways.
const BEGINNINGS: [&str; 8] = [
    "Once upon a time",
    "Lily had a big red ball. One day",
    "The dog ran to the park. He saw a cat. The cat was small and grey. The dog",
    "Tom and Sue played in the garden. It was a sunny day. They found a box under a tree. In the box",
    "One day, a bird",
    "Ben was sad. His mom said, \"Do not cry, Ben.\" Then",
    "There was a little fish who lived in a pond",
    "Mia liked to draw. She drew a house. She drew a tree. She drew the sun. Her dad",
];

#[derive(Clone)]
struct Settings {
    url: String,
    clients: usize,
    seconds: u64,
    tokens: usize,
    cache: Option<String>,
    pid: Option<u32>,
}

/// What one request came to.
struct Answered {
    prompt: usize,
    text: String,
    first: Duration,
    gaps: Vec<Duration>,
    whole: Duration,
}

#[derive(Default)]
struct Tally {
    requests: usize,
    wrong: usize,
    errors: BTreeMap<String, usize>,
    sent_away: usize,
    tokens: usize,
    first: Vec<Duration>,
    gaps: Vec<Duration>,
    whole: Vec<Duration>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let settings = settings()?;
    // One thread: the machine is the server's.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(settings))
}

fn settings() -> Result<Settings, Box<dyn Error>> {
    let mut settings = Settings {
        url: "http://127.0.0.1:8080".to_owned(),
        clients: 16,
        seconds: 20,
        tokens: 64,
        cache: None,
        pid: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(option) = words.next() {
        let value = words.next().ok_or_else(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--url" => settings.url = value,
            "--clients" => settings.clients = value.parse()?,
            "--seconds" => settings.seconds = value.parse()?,
            "--tokens" => settings.tokens = value.parse()?,
            "--cache" => settings.cache = Some(value),
            "--pid" => settings.pid = Some(value.parse()?),
            _ => return Err(format!("{option} is not known").into()),
        }
    }
    Ok(settings)
}

async fn run(settings: Settings) -> Result<(), Box<dyn Error>> {
    let client = Client::builder().pool_max_idle_per_host(settings.clients).build()?;
    let mut alone = Vec::new();
    for prompt in 0..settings.clients.max(BEGINNINGS.len()) {
        alone.push(ask(&client, &settings, prompt).await.map_err(|e| format!("alone: {e}"))?.text);
    }
    let alone = Arc::new(alone);
    let (begin, end) = (Instant::now(), Instant::now() + Duration::from_secs(settings.seconds));
    let mut clients = Vec::new();
    for number in 0..settings.clients {
        let (client, settings, alone) = (client.clone(), settings.clone(), Arc::clone(&alone));
        clients.push(tokio::spawn(async move { one(&client, &settings, &alone, number, end).await }));
    }
    let memory = settings.pid.map(|pid| tokio::spawn(async move { watch(pid, end).await }));
    let mut tally = Tally::default();
    for client in clients {
        tally.add(client.await?);
    }
    let seconds = begin.elapsed().as_secs_f64();
    let memory = match memory {
        Some(memory) => memory.await?,
        None => Vec::new(),
    };
    println!("{}", tally.report(&settings, seconds, &memory));
    Ok(())
}

/// One client: asks until the time is over.
async fn one(client: &Client, settings: &Settings, alone: &[String], number: usize, end: Instant) -> Tally {
    let mut tally = Tally::default();
    let mut prompt = number;
    while Instant::now() < end {
        prompt = (prompt + 1) % alone.len();
        match ask(client, settings, prompt).await {
            Ok(answered) => {
                tally.requests += 1;
                tally.wrong += usize::from(answered.text != alone[answered.prompt]);
                // Ends of text are passed over: every answer has as many as were asked for.
                tally.tokens += settings.tokens;
                tally.first.push(answered.first);
                tally.gaps.extend(answered.gaps);
                tally.whole.push(answered.whole);
            }
            Err(Failure::SentAway(seconds)) => {
                tally.sent_away += 1;
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            }
            Err(Failure::Other(error)) => *tally.errors.entry(error).or_default() += 1,
        }
    }
    tally
}

enum Failure {
    /// 429: the queue is full for so many seconds.
    SentAway(u64),
    Other(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SentAway(seconds) => write!(f, "the queue is full, for {seconds} s"),
            Self::Other(error) => f.write_str(error),
        }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        Self::Other(format!("{error:?}"))
    }
}

/// Asks for the best tokens behind a prompt, as a stream.
async fn ask(client: &Client, settings: &Settings, prompt: usize) -> Result<Answered, Failure> {
    let text = format!("{} {prompt}", BEGINNINGS[prompt % BEGINNINGS.len()]);
    let mut body = json!({
        "prompt": text, "max_tokens": settings.tokens, "temperature": 0, "repeat_penalty": 1, "ignore_eos": true,
        "stream": true,
    });
    if let Some(cache) = &settings.cache {
        body["cache"] = json!(cache);
    }
    let begin = Instant::now();
    let mut response = client.post(format!("{}/v1/completions", settings.url)).json(&body).send().await?;
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        let seconds = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        return Err(Failure::SentAway(seconds.unwrap_or(1)));
    }
    if response.status() != StatusCode::OK {
        return Err(Failure::Other(format!("{}: {}", response.status(), response.text().await?)));
    }
    let mut answered =
        Answered { prompt, text: String::new(), first: Duration::ZERO, gaps: Vec::new(), whole: Duration::ZERO };
    let (mut held, mut last, mut done) = (Vec::new(), None::<Instant>, false);
    while let Some(bytes) = response.chunk().await? {
        held.extend_from_slice(&bytes);
        while let Some(at) = held.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = held.drain(..at + 2).collect();
            let Some(data) = event.strip_prefix(b"data: ") else { continue };
            if data.starts_with(b"[DONE]") {
                done = true;
                continue;
            }
            let chunk: Value = serde_json::from_slice(data).map_err(|e| Failure::Other(e.to_string()))?;
            if let Some(error) = chunk.get("error") {
                return Err(Failure::Other(error.to_string()));
            }
            let Some(piece) = chunk["choices"][0]["text"].as_str().filter(|piece| !piece.is_empty()) else { continue };
            answered.text.push_str(piece);
            let now = Instant::now();
            match last {
                None => answered.first = now - begin,
                Some(last) => answered.gaps.push(now - last),
            }
            last = Some(now);
        }
    }
    answered.whole = begin.elapsed();
    if done { Ok(answered) } else { Err(Failure::Other("the stream ended early".to_owned())) }
}

/// The process's resident memory every five seconds, in MB.
async fn watch(pid: u32, end: Instant) -> Vec<u64> {
    let mut seen = Vec::new();
    while Instant::now() < end {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        seen.push(kilobytes.unwrap_or(0) / 1000);
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    seen
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.wrong += other.wrong;
        self.sent_away += other.sent_away;
        self.tokens += other.tokens;
        self.first.extend(other.first);
        self.gaps.extend(other.gaps);
        self.whole.extend(other.whole);
        for (error, count) in other.errors {
            *self.errors.entry(error).or_default() += count;
        }
    }

    fn report(mut self, settings: &Settings, seconds: f64, memory: &[u64]) -> Value {
        json!({
            "clients": settings.clients,
            "seconds": (seconds * 10.0).round() / 10.0,
            "requests": self.requests,
            "wrong": self.wrong,
            "sent_away": self.sent_away,
            "errors": self.errors,
            "tokens_per_s": (self.tokens as f64 / seconds).round(),
            "first_piece_ms": percentiles(&mut self.first),
            "between_pieces_ms": percentiles(&mut self.gaps),
            "request_ms": percentiles(&mut self.whole),
            "memory_mb": memory,
        })
    }
}

fn percentiles(times: &mut [Duration]) -> Value {
    times.sort_unstable();
    let at = |share: f64| {
        let place = (share * times.len().saturating_sub(1) as f64).round() as usize;
        times.get(place).map(|time| (time.as_secs_f64() * 1e5).round() / 100.0)
    };
    json!({ "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1.0) })
}
