//! What the server counts, in the form that Prometheus reads (OpenMetrics).

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anllm_infer::{Generation, Status};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Which requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Answered {
    pub(crate) route: String,
    pub(crate) status: u16,
}

/// What the server counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    started: Instant,
    uptime: Gauge<f64, AtomicU64>,
    pub(crate) connections: Gauge<i64, AtomicI64>,
    pub(crate) requests: Family<Answered, Counter>,
    request_seconds: Histogram,
    first_token_seconds: Histogram,
    prompt_tokens: Counter,
    cached_tokens: Counter,
    new_tokens: Counter,
    entries_seen: Counter,
    entries_kept: Counter,
    sequences: Sequences,
    /// A moving mean of how long continuations take, in milliseconds.
    usual_millis: AtomicU64,
}

/// What the engine is doing, and holds.
#[derive(Debug, Default)]
struct Sequences {
    waiting: Gauge,
    reading: Gauge,
    writing: Gauge,
    cache_bytes: Gauge,
    reserved_bytes: Gauge,
    prefixes: Gauge,
    prefix_bytes: Gauge,
    prefix_hits: Gauge,
    prefix_misses: Gauge,
}

/// From 1 ms to about 2 minutes.
fn seconds() -> Histogram {
    Histogram::new((0..18).map(|power| 0.001 * f64::from(1 << power)))
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let new = Self {
            registry: Registry::with_prefix("anllm"),
            started: Instant::now(),
            uptime: Gauge::default(),
            connections: Gauge::default(),
            requests: Family::default(),
            request_seconds: seconds(),
            first_token_seconds: seconds(),
            prompt_tokens: Counter::default(),
            cached_tokens: Counter::default(),
            new_tokens: Counter::default(),
            entries_seen: Counter::default(),
            entries_kept: Counter::default(),
            sequences: Sequences::default(),
            usual_millis: AtomicU64::new(0),
        };
        new.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register_with_unit("uptime", "Time since the start", Unit::Seconds, self.uptime.clone());
        registry.register("connections", "Open connections", self.connections.clone());
        registry.register("requests", "Requests answered, by route and status", self.requests.clone());
        let histogram = self.request_seconds.clone();
        registry.register_with_unit("request", "Time of whole continuations", Unit::Seconds, histogram);
        let histogram = self.first_token_seconds.clone();
        registry.register_with_unit("first_token", "Time to the first token", Unit::Seconds, histogram);
        registry.register("prompt_tokens", "Tokens of prompts", self.prompt_tokens.clone());
        let counter = self.cached_tokens.clone();
        registry.register("cached_tokens", "Tokens of prompts that had been read before", counter);
        registry.register("new_tokens", "Tokens made", self.new_tokens.clone());
        let counter = self.entries_seen.clone();
        registry.register("entries_seen", "Cache entries that full caches would have held", counter);
        registry.register("entries_kept", "Cache entries that were held at the end", self.entries_kept.clone());
        let s = &self.sequences;
        registry.register("waiting", "Requests that wait for room", s.waiting.clone());
        registry.register("reading", "Sequences whose prompts are being read", s.reading.clone());
        registry.register("writing", "Sequences that are being written", s.writing.clone());
        registry.register_with_unit("cache", "Size of all caches", Unit::Bytes, s.cache_bytes.clone());
        let gauge = s.reserved_bytes.clone();
        registry.register_with_unit("cache_reserved", "The most that they can come to be", Unit::Bytes, gauge);
        registry.register("prefixes", "Sequences kept for requests that begin the same", s.prefixes.clone());
        registry.register_with_unit("prefix", "Size of what is kept of them", Unit::Bytes, s.prefix_bytes.clone());
        registry.register("prefix_hits", "Requests that found their beginning", s.prefix_hits.clone());
        registry.register("prefix_misses", "Requests that did not", s.prefix_misses.clone());
        self
    }

    /// A continuation of a prompt of so many tokens ended.
    pub(crate) fn generation(&self, prompt: usize, generation: &Generation, took: Duration) {
        self.prompt_tokens.inc_by(prompt as u64);
        self.cached_tokens.inc_by(generation.cached_tokens as u64);
        self.new_tokens.inc_by(generation.tokens.len() as u64);
        self.entries_seen.inc_by(generation.kv.seen as u64);
        self.entries_kept.inc_by(generation.kv.kept as u64);
        self.request_seconds.observe(took.as_secs_f64());
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        // A lost update among many makes no difference.
        let usual = self.usual_millis.load(Ordering::Relaxed);
        self.usual_millis.store(usual - usual / 8 + millis / 8, Ordering::Relaxed);
        self.first_token_seconds.observe(generation.timing.ttft_s);
    }

    /// After how many seconds it is worth trying again where the queue is full.
    pub(crate) fn seconds_to_wait(&self) -> u64 {
        // When a place becomes free: about as long as a request takes.
        self.usual_millis.load(Ordering::Relaxed).div_ceil(1000).clamp(1, 60)
    }

    /// Everything, as text.
    pub(crate) fn text(&self, status: &Status) -> Result<String, std::fmt::Error> {
        self.uptime.set(self.started.elapsed().as_secs_f64());
        let set = |gauge: &Gauge, value: u64| _ = gauge.set(value.cast_signed());
        let s = &self.sequences;
        set(&s.waiting, status.waiting as u64);
        set(&s.reading, status.reading as u64);
        set(&s.writing, status.writing as u64);
        set(&s.cache_bytes, status.cache_bytes as u64);
        set(&s.reserved_bytes, status.reserved_bytes as u64);
        set(&s.prefixes, status.prefixes.sequences as u64);
        set(&s.prefix_bytes, status.prefixes.bytes as u64);
        set(&s.prefix_hits, status.prefixes.hits);
        set(&s.prefix_misses, status.prefixes.misses);
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

/// What [`Metrics::text`] is written in.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
