//! Burn's AdamW over the parameters of a decoder, with moments that can be written down and read back.

use std::collections::HashMap;

use anllm_model::Decoder;
use anllm_model::checkpoint::{EMBEDDING, HEAD};
use anllm_model::decoder::ParameterPath;
use burn::module::{Module, ModuleMapper, Param};
use burn::optim::{AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState, SimpleOptimizer};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use serde::{Deserialize, Serialize};

use super::gradients::Gradients;

/// Which parameters weight decay pulls towards zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecayOn {
    /// Matrices; norms and biases are left alone.
    #[default]
    Matrices,
    /// Everything.
    All,
}

/// AdamW (Loshchilov and Hutter 2019).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// The highest learning rate; the schedule says what share of it a step takes.
    pub learning_rate: f64,
    /// Decay of the mean of gradients.
    pub beta_1: f32,
    /// Decay of the mean of squared gradients.
    pub beta_2: f32,
    /// Added to the root of the second mean.
    pub epsilon: f32,
    /// Share of a weight taken away each step, times the learning rate.
    pub weight_decay: f32,
    /// Where weight decay acts.
    pub decay_on: DecayOn,
    /// Gradients whose norm over all parameters is larger are scaled down to it; 0 leaves them alone.
    pub clip_norm: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            learning_rate: 2e-5,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            decay_on: DecayOn::default(),
            clip_norm: 1.0,
        }
    }
}

/// What AdamW remembers of one parameter.
#[derive(Debug, Clone)]
pub struct Moments<B: Backend> {
    /// Steps taken.
    pub time: usize,
    /// Mean of gradients, flattened.
    pub first: Tensor<B, 1>,
    /// Mean of squared gradients, flattened.
    pub second: Tensor<B, 1>,
}

/// AdamW with its state, by parameter name.
pub struct Optimizer<B: Backend> {
    decaying: AdamW,
    plain: AdamW,
    decay_on: DecayOn,
    moments: HashMap<String, Moments<B>>,
}

impl<B: Backend> std::fmt::Debug for Optimizer<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Optimizer").field("parameters", &self.moments.len()).finish_non_exhaustive()
    }
}

impl<B: Backend> Optimizer<B> {
    /// An optimiser that has seen nothing.
    pub fn new(config: &OptimizerConfig) -> Self {
        let adamw = |decay| {
            AdamWConfig::new()
                .with_beta_1(config.beta_1)
                .with_beta_2(config.beta_2)
                .with_epsilon(config.epsilon)
                .with_weight_decay(decay)
                .build()
        };
        let (decaying, plain) = (adamw(config.weight_decay), adamw(0.0));
        Self { decaying, plain, decay_on: config.decay_on, moments: HashMap::new() }
    }

    /// Moves every parameter that has a gradient, scaled by `factor`, by one step. With `row`, gradients of the
    /// embedding and the output matrix are those of this token's row, which alone moves.
    pub fn step<A>(
        &mut self,
        decoder: Decoder<A>,
        gradients: Gradients<B>,
        factor: f64,
        rate: f64,
        row: Option<u32>,
    ) -> Decoder<A>
    where
        A: AutodiffBackend<InnerBackend = B>,
    {
        decoder.map(&mut Stepper { optimizer: self, gradients, factor, rate, row, path: ParameterPath::default() })
    }

    /// What is remembered, by parameter name.
    pub fn moments(&self) -> &HashMap<String, Moments<B>> {
        &self.moments
    }

    /// Takes up what was remembered.
    pub fn restore(&mut self, moments: HashMap<String, Moments<B>>) {
        self.moments = moments;
    }
}

struct Stepper<'a, B: Backend> {
    optimizer: &'a mut Optimizer<B>,
    gradients: Gradients<B>,
    factor: f64,
    rate: f64,
    row: Option<u32>,
    path: ParameterPath,
}

impl<A: AutodiffBackend> ModuleMapper<A> for Stepper<'_, A::InnerBackend> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<A, D>>) -> Param<Tensor<A, D>> {
        let Some(gradient) = self.gradients.take(param.id) else { return param };
        let gradient = if self.factor == 1.0 { gradient } else { gradient.mul_scalar(self.factor) };
        let name = self.path.name();
        let state = self.optimizer.moments.remove(&name).map(Moments::into_state);
        let decays = self.optimizer.decay_on == DecayOn::All || D > 1;
        let adamw = if decays { &self.optimizer.decaying } else { &self.optimizer.plain };
        let (id, tensor, mapper) = param.consume();
        let shape = tensor.shape();
        let count = shape.num_elements();
        let flat = tensor.inner().reshape([count]);
        let row = self.row.filter(|_| name == EMBEDDING || name == HEAD);
        let (moved, state) = match row {
            None => adamw.step(self.rate, flat, gradient, state),
            Some(token) => {
                let width = count / shape[0];
                let own = token as usize * width..(token as usize + 1) * width;
                let (moved, state) = adamw.step(self.rate, flat.clone().slice([own.clone()]), gradient, state);
                (flat.slice_assign([own], moved), state)
            }
        };
        if let Some(state) = state {
            self.optimizer.moments.insert(name, Moments::from_state(state));
        }
        // A matrix of which one row learns stays frozen.
        let tensor = Tensor::from_inner(moved.reshape(shape)).set_require_grad(row.is_none());
        Param::from_mapped_value(id, tensor, mapper)
    }
}

impl<B: Backend> Moments<B> {
    fn into_state(self) -> AdamWState<B, 1> {
        AdamWState::new(AdaptiveMomentumState::new(self.time, self.first, self.second))
    }

    fn from_state(state: AdamWState<B, 1>) -> Self {
        let AdaptiveMomentumState { time, moment_1, moment_2, .. } = state.momentum;
        Self { time, first: moment_1, second: moment_2 }
    }
}
