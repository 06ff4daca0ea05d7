//! Attention at renumbered positions: far keys at their ranks, the near run behind them.
//!
//! Two parts, joined by their sums: near keys with queries as they are, since distances in the near run never change; far
//! keys, turned to their ranks, with queries turned to their places behind them.

use anllm_core::{Reach, Renumber, Renumbering};
use anllm_kernels::{Kernels, Reaches, ShapeError, attend_summed, join};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Int, Tensor, TensorData};

use super::mask::lowest;
use super::rotary::Rotary;

/// What one row's attention does where its policy renumbers.
#[derive(Debug, Clone)]
pub struct Renumbered<B: Backend> {
    near: Reaches<B>,
    far: Option<Far<B>>,
}

#[derive(Debug, Clone)]
struct Far<B: Backend> {
    slots: Slots<B>,
    /// Turns far keys to their ranks; none where all stand there.
    keys: Option<Rotary<B>>,
    /// Turns queries to their places behind the far keys.
    queries: Rotary<B>,
    reaches: Reaches<B>,
    /// What is added to the sums, `[1, T, 1]`: very low for queries that see no far key. None where all see one.
    blind: Option<Tensor<B, 3>>,
}

/// Where far keys are among all.
#[derive(Debug, Clone)]
enum Slots<B: Backend> {
    /// So many at the front.
    First(usize),
    Listed(Tensor<B, 1, Int>),
}

impl<B: Kernels> Renumbered<B> {
    /// For the queries of `reach`.
    pub(crate) fn new(
        reach: &Reach,
        turned: &Renumbering,
        frequencies: &[f64],
        dtype: DType,
        device: &B::Device,
    ) -> Self {
        let near = Reaches::new(vec![reach.near_part()]);
        let far = reach.far_part();
        let sees: Vec<bool> = far.looks().iter().map(|look| look.count() > 0).collect();
        if !sees.contains(&true) {
            return Self { near, far: None };
        }
        let in_front = reach.far().iter().enumerate().all(|(rank, slot)| rank == *slot);
        let slots = match in_front {
            true => Slots::First(reach.far().len()),
            false => {
                let listed: Vec<i32> = reach.far().iter().map(|&slot| slot as i32).collect();
                let count = listed.len();
                Slots::Listed(Tensor::from_data(TensorData::new(listed, [count]), device))
            }
        };
        let rotary = |moves: &[Renumber]| Rotary::onward(frequencies, moves, dtype, device);
        let standing = turned.far.iter().all(|key| key.from == key.to);
        let blind = sees.contains(&false).then(|| {
            let added: Vec<f32> = sees.iter().map(|sees| if *sees { 0.0 } else { lowest(DType::F32) }).collect();
            let shape = [1, added.len(), 1];
            Tensor::from_data(TensorData::new(added, shape), (device, DType::F32))
        });
        let far = Far {
            slots,
            keys: (!standing).then(|| rotary(&turned.far)),
            queries: rotary(&turned.queries),
            reaches: Reaches::new(vec![far.never_blind()]),
            blind,
        };
        Self { near, far: Some(far) }
    }

    /// `query` `[1, T, H, D]` over `key` and `value` `[1, S, K, D]`, which stand at original positions but for those that
    /// were settled.
    pub(crate) fn attend(
        &self,
        query: Tensor<B, 4>,
        key: Tensor<B, 4>,
        value: Tensor<B, 4>,
    ) -> Result<Tensor<B, 4>, ShapeError> {
        let Some(far) = &self.far else {
            return anllm_kernels::attend(query, key, value, &self.near);
        };
        let near = attend_summed(query.clone(), key.clone(), value.clone(), &self.near)?;
        let keys = far.slots.of(key);
        let keys = far.keys.iter().fold(keys, |keys, rotary| rotary.apply(keys));
        let mut seen = attend_summed(far.queries.apply(query), keys, far.slots.of(value), &far.reaches)?;
        if let Some(blind) = &far.blind {
            seen.log_sum = seen.log_sum + blind.clone();
        }
        Ok(join(near, seen))
    }
}

impl<B: Backend> Slots<B> {
    /// These of `x`, `[1, S, K, D]`.
    fn of(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        match self {
            Self::First(count) => x.narrow(1, 0, *count),
            Self::Listed(slots) => x.select(1, slots.clone()),
        }
    }
}
