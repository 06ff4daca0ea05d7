//! A ledger's plan for the next tokens, on the device: what every layer does with them.

use anllm_core::ChunkPlan;
use anllm_kernels::{Kernels, Reaches};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

use crate::decoder::{Decoder, Renumbered, Rotary};

/// What all layers share while they process the same tokens of one sequence: the plan, on the device.
#[derive(Debug, Clone)]
pub struct Chunk<B: Backend> {
    pub(super) sight: Sight<B>,
    pub(super) keep: Keep<B>,
    /// Keys that are turned to their ranks before anybody looks.
    pub(super) settle: Option<Settle<B>>,
    /// `S`, entries before the chunk.
    pub(super) cached: usize,
    /// `T`.
    pub(super) tokens: usize,
}

/// What the chunk's queries look at.
#[derive(Debug, Clone)]
pub(super) enum Sight<B: Backend> {
    /// What each of them reaches.
    Reaches(Reaches<B>),
    /// The same at positions counted anew.
    Renumbered(Renumbered<B>),
}

/// What a layer does with the keys after attention.
#[derive(Debug, Clone)]
pub(super) enum Keep<B: Backend> {
    /// All `S + T` stay.
    All,
    /// The first `unmoved` stay where they are; behind them come those at `moved`, out of `S + T`.
    Some { unmoved: usize, moved: Option<Tensor<B, 1, Int>> },
}

/// Entries, side by side, whose keys are turned in the cache, for good.
#[derive(Debug, Clone)]
pub(super) struct Settle<B: Backend> {
    pub(super) start: usize,
    pub(super) count: usize,
    pub(super) rotary: Rotary<B>,
}

impl<B: Kernels> Chunk<B> {
    pub(crate) fn new(plan: ChunkPlan, decoder: &Decoder<B>, device: &B::Device) -> Self {
        let (cached, tokens) = (plan.cached, plan.new_tokens());
        let keep = if plan.survivors.count() == cached + tokens {
            Keep::All
        } else {
            // The chunk's own keys are not in the buffers, wherever they will stand.
            let unmoved = plan.survivors.unmoved.min(cached);
            let moved: Vec<i32> = plan.survivors.slots().skip(unmoved).map(|slot| slot as i32).collect();
            let count = moved.len();
            let moved = (count > 0).then(|| Tensor::from_data(TensorData::new(moved, [count]), device));
            Keep::Some { unmoved, moved }
        };
        let (dtype, frequencies) = (decoder.dtype(), &decoder.frequencies);
        let settle = plan.renumbering.as_ref().filter(|turned| !turned.settling.is_empty()).map(|turned| Settle {
            start: turned.settled.count,
            count: turned.settling.len(),
            rotary: Rotary::onward(frequencies, &turned.settling, dtype, device),
        });
        let sight = match &plan.renumbering {
            None => Sight::Reaches(Reaches::new(vec![plan.reach])),
            Some(turned) => Sight::Renumbered(Renumbered::new(&plan.reach, turned, frequencies, dtype, device)),
        };
        Self { sight, keep, settle, cached, tokens }
    }

    /// What the token reaches, where it is one and nothing else happens to what is held before it looks.
    pub(super) fn step(&self) -> Option<&Reaches<B>> {
        match &self.sight {
            Sight::Reaches(reaches) if self.tokens == 1 && self.settle.is_none() => Some(reaches),
            _ => None,
        }
    }
}
