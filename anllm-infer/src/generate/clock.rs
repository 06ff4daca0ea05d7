//! When things happened to one request.

use std::time::Instant;

use super::outcome::Timing;

/// Moments of one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    submitted: Instant,
    /// When the prompt's first tokens went to the model.
    started: Option<Instant>,
    /// When the prompt had been read.
    read: Option<Instant>,
    first_token: Option<Instant>,
    /// Steps behind the prompt.
    steps: usize,
}

impl Clock {
    pub(super) fn submitted_now() -> Self {
        Self { submitted: Instant::now(), started: None, read: None, first_token: None, steps: 0 }
    }

    pub(super) fn starts(&mut self) {
        self.started.get_or_insert_with(Instant::now);
    }

    pub(super) fn has_read(&mut self) {
        self.read = Some(Instant::now());
    }

    pub(super) fn has_token(&mut self) {
        self.first_token.get_or_insert_with(Instant::now);
    }

    pub(super) fn steps(&mut self) {
        self.steps += 1;
    }

    /// The account at the end, of `tokens` that were read.
    pub(super) fn timing(&self, tokens: usize) -> Timing {
        let now = Instant::now();
        let seconds = |from: Instant, to: Instant| to.duration_since(from).as_secs_f64();
        let started = self.started.unwrap_or(now);
        let read = self.read.unwrap_or(now);
        let (prefill_s, decode_s) = (seconds(started, read), seconds(read, now));
        let rate = |count: usize, seconds: f64| if count == 0 { 0.0 } else { count as f64 / seconds };
        Timing {
            ttft_s: seconds(self.submitted, self.first_token.unwrap_or(read)),
            prefill_s,
            prefill_tps: rate(if self.read.is_some() { tokens } else { 0 }, prefill_s),
            decode_s,
            decode_tps: rate(self.steps, decode_s),
        }
    }
}
