//! What the queries of a batch reach, on the host and, where a backend wants a matrix, on the device.

use std::sync::{Arc, Mutex, PoisonError};

use anllm_core::Reach;
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::tensor::backend::Backend;
use burn::tensor::ops::BoolTensor;
#[cfg(feature = "cube")]
use burn::tensor::ops::IntTensor;
use burn::tensor::{Bool, Tensor};

#[cfg(feature = "cube")]
use super::lists::{Ahead, Back, Lists};

/// One [`Reach`] for each row, or one for all. Cheap to clone; made once for all layers.
#[derive(Debug, Clone)]
pub struct Reaches<B: Backend> {
    rows: Arc<Vec<Reach>>,
    /// The matrix, once somebody asked for it. Clones share it.
    hidden: Arc<Mutex<Option<BoolTensor<B>>>>,
    /// The lists, once a kernel on a device asked for them.
    #[cfg(feature = "cube")]
    lists: Arc<Lists<IntTensor<B>>>,
}

impl<B: Backend> Reaches<B> {
    /// From one reach for each row, or a single one that all rows share.
    pub fn new(rows: Vec<Reach>) -> Self {
        Self {
            rows: Arc::new(rows),
            hidden: Arc::default(),
            #[cfg(feature = "cube")]
            lists: Arc::default(),
        }
    }

    /// What row `row` reaches.
    pub fn row(&self, row: usize) -> &Reach {
        &self.rows[row.min(self.rows.len().saturating_sub(1))]
    }

    /// Whether every query sees every key, so that there is nothing to hide.
    pub(crate) fn all(&self) -> bool {
        self.rows.iter().all(Reach::all)
    }

    /// What is *not* seen, `[B | 1, 1, T, S]`.
    pub(crate) fn hidden(&self, device: &B::Device) -> Tensor<B, 4, Bool> {
        let mut held = self.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        let primitive = held.get_or_insert_with(|| {
            let masks = self.rows.iter().map(|row| row.dense().hidden::<B>(device).unsqueeze::<3>());
            Tensor::stack::<4>(masks.collect(), 0).into_primitive()
        });
        Tensor::from_primitive(primitive.clone())
    }

    /// `F`, how many far keys the longest list names.
    #[cfg(feature = "cube")]
    pub(crate) fn longest_far(&self) -> usize {
        self.rows.iter().map(|row| row.far().len()).max().unwrap_or(0)
    }

    /// The lists as integers for a kernel on `device`: what queries look at.
    #[cfg(feature = "cube")]
    pub(crate) fn ahead(&self, device: &B::Device) -> Ahead<IntTensor<B>> {
        self.lists.ahead::<B>(&self.rows, device)
    }

    /// The same from the keys' side: which queries look at them.
    #[cfg(feature = "cube")]
    pub(crate) fn back(&self, device: &B::Device) -> Back<IntTensor<B>> {
        self.lists.back::<B>(&self.rows, device)
    }

    /// Why these are not the reaches of `tokens` queries over `keys` keys in `rows` rows.
    pub(crate) fn misfit(&self, rows: usize, tokens: usize, keys: usize) -> Option<String> {
        let count = self.rows.len();
        if count != 1 && count != rows {
            return Some(format!("{rows} rows, and reaches for {count}"));
        }
        for (number, row) in self.rows.iter().enumerate() {
            if row.looks().len() != tokens || row.keys() != keys {
                let (queries, keys) = (row.looks().len(), row.keys());
                return Some(format!("the reach of row {number} is for {queries} queries over {keys} keys"));
            }
            if let Some(blind) = row.looks().iter().position(|look| look.count() == 0) {
                return Some(format!("query {blind} of row {number} reaches no key"));
            }
        }
        None
    }
}

impl<B: Backend, C: CheckpointStrategy> Reaches<Autodiff<B, C>> {
    /// The same for the backend under this one.
    pub(crate) fn inner(&self) -> Reaches<B> {
        Reaches {
            rows: self.rows.clone(),
            hidden: self.hidden.clone(),
            #[cfg(feature = "cube")]
            lists: self.lists.clone(),
        }
    }
}
