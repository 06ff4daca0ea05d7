//! What completions and chats have in common: how text is made, and how it is told.

use std::collections::BTreeMap;

use anllm_core::PolicyKind;
use anllm_infer::Sampling;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{ApiError, Object, Stop};

/// The most stop texts of a request.
pub(crate) const MOST_STOPS: usize = 16;
/// The longest stop text, in bytes: what might become one is held back.
const LONGEST_STOP: usize = 1024;
/// The most likeliest tokens that are told.
const MOST_LOGPROBS: usize = 20;

/// How a stream is told.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
pub(crate) struct StreamOptions {
    /// Whether a last chunk tells what the request took.
    pub(crate) include_usage: Option<bool>,
}

/// Declares a request: its own fields, and those that all requests for text have.
macro_rules! request {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, serde::Deserialize, utoipa::ToSchema)]
        pub(crate) struct $name {
            $($(#[$field_meta])* pub(crate) $field: $type,)*
            /// The model's name.
            pub(crate) model: Option<String>,
            /// The most tokens of an answer.
            #[schema(maximum = 4294967295u32)]
            pub(crate) max_tokens: Option<u32>,
            /// Scores are divided by it; 0 always takes the best token.
            #[schema(minimum = 0)]
            pub(crate) temperature: Option<f32>,
            /// Draw from the fewest best tokens whose probabilities reach this.
            #[schema(exclusive_minimum = 0, maximum = 1)]
            pub(crate) top_p: Option<f32>,
            /// Draw from so many best tokens; 0 is all.
            #[schema(maximum = 4294967295u32)]
            pub(crate) top_k: Option<u32>,
            /// Leave out tokens below this share of the best one's probability.
            #[schema(minimum = 0, maximum = 1)]
            pub(crate) min_p: Option<f32>,
            /// Make the last 64 tokens less likely by this factor; 1 does nothing.
            #[schema(minimum = 0.01, maximum = 100)]
            pub(crate) repeat_penalty: Option<f32>,
            /// Take this much of a token's score once it was made.
            #[schema(minimum = -2, maximum = 2)]
            pub(crate) presence_penalty: Option<f32>,
            /// Take this much of a token's score each time it was made.
            #[schema(minimum = -2, maximum = 2)]
            pub(crate) frequency_penalty: Option<f32>,
            /// What is added to tokens' scores, by token id.
            pub(crate) logit_bias: Option<std::collections::BTreeMap<String, f32>>,
            /// Seed of the draws.
            pub(crate) seed: Option<i64>,
            /// Texts that end an answer; none of them is part of it.
            pub(crate) stop: Option<super::Stop>,
            /// Whether end-of-sequence tokens are passed over.
            pub(crate) ignore_eos: Option<bool>,
            /// How many answers to each prompt.
            #[schema(minimum = 1)]
            pub(crate) n: Option<u32>,
            /// Whether the answer comes piece by piece, as server-sent events.
            pub(crate) stream: Option<bool>,
            /// How a stream is told.
            #[schema(value_type = Option<super::settings::StreamOptions>)]
            pub(crate) stream_options: Option<super::Object<super::settings::StreamOptions>>,
            /// What the cache keeps: full, anchor, anchor:recent=R, window:N, sink:S+N or sepllm:S+N.
            #[schema(pattern = "^(full|anchor|window|sink|sepllm)(:.*)?$")]
            pub(crate) cache: Option<String>,
            /// Whether each token is told with its segment, whether it is an anchor, and what the cache dropped.
            pub(crate) trace: Option<bool>,
        }

        impl $name {
            /// What it shares with other requests.
            pub(crate) fn settings(&self) -> super::settings::Settings {
                super::settings::Settings {
                    temperature: self.temperature,
                    top_p: self.top_p,
                    top_k: self.top_k,
                    min_p: self.min_p,
                    repeat_penalty: self.repeat_penalty,
                    presence_penalty: self.presence_penalty,
                    frequency_penalty: self.frequency_penalty,
                    logit_bias: self.logit_bias.clone().unwrap_or_default(),
                    seed: self.seed,
                    stop: self.stop.clone().unwrap_or_default(),
                    ignore_eos: self.ignore_eos.unwrap_or(false),
                    n: self.n,
                    stream: self.stream.unwrap_or(false),
                    stream_options: self.stream_options.clone(),
                    cache: self.cache.clone(),
                    trace: self.trace.unwrap_or(false),
                }
            }
        }
    };
}
pub(crate) use request;

/// What completions and chats have in common, not yet judged.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    pub(crate) temperature: Option<f32>,
    pub(crate) top_p: Option<f32>,
    pub(crate) top_k: Option<u32>,
    pub(crate) min_p: Option<f32>,
    pub(crate) repeat_penalty: Option<f32>,
    pub(crate) presence_penalty: Option<f32>,
    pub(crate) frequency_penalty: Option<f32>,
    pub(crate) logit_bias: BTreeMap<String, f32>,
    pub(crate) seed: Option<i64>,
    pub(crate) stop: Stop,
    pub(crate) ignore_eos: bool,
    pub(crate) n: Option<u32>,
    pub(crate) stream: bool,
    pub(crate) stream_options: Option<Object<StreamOptions>>,
    pub(crate) cache: Option<String>,
    pub(crate) trace: bool,
}

impl Settings {
    /// How tokens are chosen, `usual` and `seed` where nothing is said.
    pub(crate) fn sampling(&self, usual: &Sampling, seed: Option<u64>) -> Result<Sampling, ApiError> {
        within("temperature", self.temperature, 0.0..=f32::MAX, "0 or more")?;
        within("top_p", self.top_p, f32::MIN_POSITIVE..=1.0, "above 0 and at most 1")?;
        within("min_p", self.min_p, 0.0..=1.0, "from 0 to 1")?;
        within("repeat_penalty", self.repeat_penalty, 0.01..=100.0, "from 0.01 to 100")?;
        within("presence_penalty", self.presence_penalty, -2.0..=2.0, "from -2 to 2")?;
        within("frequency_penalty", self.frequency_penalty, -2.0..=2.0, "from -2 to 2")?;
        let biased = self.logit_bias.iter().map(|(id, bias)| {
            within("logit_bias", Some(*bias), -100.0..=100.0, "from -100 to 100")?;
            let wrong = || ApiError::invalid(format!("logit_bias: {id:?} is not a token id")).param("logit_bias");
            Ok((id.parse().map_err(|_| wrong())?, *bias))
        });
        Ok(Sampling {
            temperature: self.temperature.unwrap_or(usual.temperature),
            top_p: self.top_p.unwrap_or(usual.top_p),
            top_k: self.top_k.map_or(usual.top_k, |k| k as usize),
            min_p: self.min_p.unwrap_or(usual.min_p),
            repeat_penalty: self.repeat_penalty.unwrap_or(usual.repeat_penalty),
            repeat_window: usual.repeat_window,
            presence_penalty: self.presence_penalty.unwrap_or(usual.presence_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(usual.frequency_penalty),
            bias: biased.collect::<Result<_, ApiError>>()?,
            seed: self.seed.map(i64::cast_unsigned).or(seed).unwrap_or_else(rand::random),
        })
    }

    /// Texts that end an answer.
    pub(crate) fn stops(&self) -> Result<Vec<String>, ApiError> {
        let stops = &self.stop.0;
        if stops.len() > MOST_STOPS || stops.iter().any(|stop| stop.len() > LONGEST_STOP) {
            let most = format!("stop: at most {MOST_STOPS} texts of at most {LONGEST_STOP} bytes");
            return Err(ApiError::invalid(most).param("stop"));
        }
        Ok(stops.clone())
    }

    /// How many answers to each prompt.
    pub(crate) fn choices(&self) -> Result<usize, ApiError> {
        match self.n {
            Some(0) => Err(ApiError::invalid("n must be 1 or more, found 0").param("n")),
            n => Ok(n.unwrap_or(1) as usize),
        }
    }

    /// The cache policy; `usual` where none is named.
    pub(crate) fn policy(&self, usual: PolicyKind) -> Result<PolicyKind, ApiError> {
        let Some(text) = &self.cache else { return Ok(usual) };
        let kind: PolicyKind = text.parse().map_err(|e| ApiError::invalid(format!("cache: {e}")).param("cache"))?;
        match kind {
            // The control of experiments draws anew for each entry, in time that others would wait.
            PolicyKind::Random { .. } => Err(ApiError::invalid("cache: random:N is not served").param("cache")),
            kind => Ok(kind),
        }
    }

    /// Whether a stream ends by telling what the request took.
    pub(crate) fn tells_usage(&self) -> bool {
        self.stream_options.as_ref().is_some_and(|options| options.0.include_usage.unwrap_or(false))
    }
}

/// How many of the likeliest tokens are told, judged.
pub(crate) fn likeliest(name: &str, count: u32) -> Result<usize, ApiError> {
    match count as usize {
        count if count <= MOST_LOGPROBS => Ok(count),
        count => Err(ApiError::invalid(format!("{name} must be at most {MOST_LOGPROBS}, found {count}")).param(name)),
    }
}

fn within(
    name: &str,
    found: Option<f32>,
    range: std::ops::RangeInclusive<f32>,
    expected: &str,
) -> Result<(), ApiError> {
    match found {
        Some(found) if !range.contains(&found) => {
            Err(ApiError::invalid(format!("{name} must be {expected}, found {found}")).param(name))
        }
        _ => Ok(()),
    }
}
