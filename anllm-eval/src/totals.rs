//! What scored tokens come to, over all and in groups of them.

use serde::Serialize;

/// How well tokens were predicted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quality {
    /// `exp(nll)`.
    pub ppl: f64,
    /// Mean negative log-likelihood of a scored token, in nats.
    pub nll: f64,
    /// Tokens scored.
    pub tokens: usize,
    /// Total negative log-likelihood in bits over the bytes of the scored tokens: comparable between vocabularies.
    pub bits_per_byte: f64,
}

/// How well the tokens of one group were predicted. Nothing but their number where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Loss {
    /// Tokens scored.
    pub tokens: usize,
    /// Mean negative log-likelihood, in nats.
    pub nll: Option<f64>,
    /// `exp(nll)`.
    pub ppl: Option<f64>,
}

/// Sums over scored tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Totals {
    pub(crate) nll: f64,
    pub(crate) tokens: usize,
    bytes: usize,
}

impl Totals {
    /// Counts a token that cost `loss` nats and stands for so many bytes.
    pub(crate) fn add(&mut self, loss: f64, bytes: usize) {
        self.nll += loss;
        self.tokens += 1;
        self.bytes += bytes;
    }

    /// The outcome; nothing where no token was scored.
    pub(crate) fn quality(&self) -> Option<Quality> {
        let nll = self.loss().nll?;
        let bits_per_byte = self.nll / std::f64::consts::LN_2 / self.bytes.max(1) as f64;
        Some(Quality { ppl: nll.exp(), nll, tokens: self.tokens, bits_per_byte })
    }

    /// The outcome of a group.
    pub(crate) fn loss(&self) -> Loss {
        let nll = (self.tokens > 0).then(|| self.nll / self.tokens as f64);
        Loss { tokens: self.tokens, nll, ppl: nll.map(f64::exp) }
    }
}
