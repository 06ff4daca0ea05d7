//! How tokens are chosen, for the commands that write text. Negative numbers are allowed as values, so that they are
//! refused as such rather than as unknown options.

use anllm_infer::Sampling;
use clap::Args;

/// Options of sampling.
#[derive(Debug, Clone, Args)]
pub(crate) struct SamplingArgs {
    /// Scores are divided by it; 0 always takes the best token. [default: 0; bundled models and chat 0.6, other models served 1]
    #[arg(long, env = "ANLLM_TEMPERATURE", value_name = "X", allow_negative_numbers = true)]
    pub(crate) temperature: Option<f32>,

    /// Draw from the K best tokens only; 0 is all.
    #[arg(long, env = "ANLLM_TOP_K", value_name = "K", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) top_k: usize,

    /// Draw from the fewest best tokens whose probabilities reach P. [default: 1; bundled models and chat 0.9]
    #[arg(long, env = "ANLLM_TOP_P", value_name = "P", allow_negative_numbers = true)]
    pub(crate) top_p: Option<f32>,

    /// Leave out tokens below P times the best one's probability.
    #[arg(long, env = "ANLLM_MIN_P", value_name = "P", default_value_t = 0.0, allow_negative_numbers = true)]
    pub(crate) min_p: f32,

    /// Make the tokens of the last 64 less likely by this factor; 1 does nothing. [default: 1; bundled models 1.1]
    #[arg(long, env = "ANLLM_REPEAT_PENALTY", value_name = "X", allow_negative_numbers = true)]
    pub(crate) repeat_penalty: Option<f32>,

    /// Take this much of a token's score once it was made; 0 does nothing.
    #[arg(
        long,
        env = "ANLLM_PRESENCE_PENALTY",
        value_name = "X",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    pub(crate) presence_penalty: f32,

    /// Take this much of a token's score each time it was made; 0 does nothing.
    #[arg(
        long,
        env = "ANLLM_FREQUENCY_PENALTY",
        value_name = "X",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    pub(crate) frequency_penalty: f32,

    /// Seed of the draws; without it a random one, which is printed.
    #[arg(long, env = "ANLLM_SEED", value_name = "N")]
    pub(crate) seed: Option<u64>,
}

impl SamplingArgs {
    /// The settings, `usual` where nothing is said. They are judged here, before weights are loaded.
    ///
    /// # Errors
    /// Names the option that is out of range.
    pub(crate) fn settings(&self, usual: Sampling, command: &str) -> anyhow::Result<Sampling> {
        let settings = Sampling {
            temperature: self.temperature.unwrap_or(usual.temperature),
            top_k: self.top_k,
            top_p: self.top_p.unwrap_or(usual.top_p),
            min_p: self.min_p,
            repeat_penalty: self.repeat_penalty.unwrap_or(usual.repeat_penalty),
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            seed: self.seed.unwrap_or_else(rand::random),
            ..usual
        };
        anllm_infer::Sampler::new(settings.clone())
            .map_err(|e| anyhow::anyhow!("--{e}\n  hint: `anllm {command} --help` says what each setting does"))?;
        Ok(settings)
    }
}
