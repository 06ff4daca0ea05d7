//! A checkpoint with low-rank adapters added to its weights.

use std::collections::HashMap;
use std::path::Path;

use anllm_kernels::PackedMatrix;
use rayon::prelude::*;
use serde_json::Value;

use super::error::CheckpointError;
use super::hf::HfWeights;
use super::keys::{ExpectedTensor, expected_tensors};
use super::open::Checkpoint;
use super::peft::{AdapterSettings, PREFIX, RULE, TOKEN_ROWS, WEIGHTS};
use super::source::{TensorInfo, TensorSource};

const DOWN: &str = ".lora_A.weight";
const UP: &str = ".lora_B.weight";

impl Checkpoint {
    /// The checkpoint with the adapters in `folder` (PEFT's files) added to its weights, and under the anchor rule they
    /// were trained with, where they say one. Nothing is written: sums are made when a tensor is read.
    ///
    /// # Errors
    /// When the folder holds no adapters, those of another kind, or those of another model: every tensor of the file
    /// must have its place, with the right shape.
    pub fn with_adapter(self, folder: &Path) -> Result<Self, CheckpointError> {
        let settings = AdapterSettings::read(folder)?;
        let weights = HfWeights::file(&folder.join(WEIGHTS))?;
        let changes = Fit { checkpoint: &self, settings: &settings, weights: &weights }.changes()?;
        let mut parts = self.settings().clone();
        if let Some(text) = weights.metadata(RULE) {
            parts.config["anllm"] = serde_json::from_str::<Value>(text).map_err(|e| {
                CheckpointError::malformed(
                    weights.path(),
                    format!("its metadata `{RULE}` is not valid JSON: {e}"),
                    "the file is damaged: copy it again",
                )
            })?;
        }
        self.replace(parts, |inner| Box::new(MergedSource { inner, weights, changes }))
    }
}

/// What happens to one tensor of the base.
enum Change {
    /// `scale · B·A` is added.
    LowRank { layer: String, rank: usize, scale: f64 },
    /// These rows take the place of its own.
    Rows { name: String, ids: Vec<usize> },
    /// Another tensor takes its place.
    Whole { name: String },
}

/// Finds the place of every tensor of an adapter.
struct Fit<'a> {
    checkpoint: &'a Checkpoint,
    settings: &'a AdapterSettings,
    weights: &'a HfWeights,
}

impl Fit<'_> {
    fn changes(&self) -> Result<HashMap<String, Change>, CheckpointError> {
        let expected = expected_tensors(self.checkpoint.config());
        let mut changes = HashMap::new();
        for tensor in self.weights.tensors() {
            let (target, change) = self.place(tensor, &expected)?;
            changes.insert(target, change);
        }
        for target in self.settings.targets() {
            let layers = expected.iter().filter_map(|t| t.name.strip_suffix(".weight"));
            let mut layers = layers.filter(|layer| layer.rsplit('.').next() == Some(target)).peekable();
            if layers.peek().is_none() {
                return Err(
                    self.misfit(format!("`target_modules` names `{target}`, a layer that the model does not have"))
                );
            }
            if let Some(layer) = layers.find(|layer| !changes.contains_key(&format!("{layer}.weight"))) {
                return Err(self.missing(&format!("{PREFIX}{layer}{DOWN}")));
            }
        }
        Ok(changes)
    }

    /// Which tensor of the base it changes, and how.
    fn place(&self, tensor: &TensorInfo, expected: &[ExpectedTensor]) -> Result<(String, Change), CheckpointError> {
        let stranger = || {
            self.misfit(format!(
                "tensor `{}` has no place in the model {}",
                tensor.name,
                self.checkpoint.path().display()
            ))
        };
        let own = tensor.name.strip_prefix(PREFIX).ok_or_else(stranger)?;
        let base = |name: &str| expected.iter().find(|t| t.name == name).ok_or_else(stranger);
        if let Some(layer) = own.strip_suffix(DOWN).or_else(|| own.strip_suffix(UP)) {
            let target = base(&format!("{layer}.weight"))?;
            let &[out, input] = target.shape.as_slice() else { return Err(stranger()) };
            let rank = self.settings.rank(layer);
            self.shape(&format!("{PREFIX}{layer}{DOWN}"), &[rank, input])?;
            self.shape(&format!("{PREFIX}{layer}{UP}"), &[out, rank])?;
            let change = Change::LowRank { layer: layer.to_owned(), rank, scale: self.settings.scale(layer) };
            return Ok((target.name.clone(), change));
        }
        let name = tensor.name.clone();
        if let Some(module) = own.strip_suffix(TOKEN_ROWS) {
            let target = base(&format!("{module}.weight"))?;
            let &[_, width] = target.shape.as_slice() else { return Err(stranger()) };
            let ids = self.settings.token_rows(module);
            self.shape(&name, &[ids.len(), width])?;
            self.known(&ids)?;
            return Ok((target.name.clone(), Change::Rows { name, ids }));
        }
        let target = base(own)?;
        self.shape(&name, &target.shape)?;
        Ok((target.name.clone(), Change::Whole { name }))
    }

    /// Checks a tensor's shape.
    fn shape(&self, name: &str, expected: &[usize]) -> Result<(), CheckpointError> {
        let found = self.weights.info(name).ok_or_else(|| self.missing(name))?;
        if found.shape == expected {
            return Ok(());
        }
        Err(self.misfit(format!("tensor `{name}`: expected shape {expected:?}, found {:?}", found.shape)))
    }

    /// Checks that tokens with trained rows are in the vocabulary.
    fn known(&self, ids: &[usize]) -> Result<(), CheckpointError> {
        let size = anllm_core::Vocabulary::size(&self.checkpoint.tokenizer()?);
        match ids.iter().find(|id| **id >= size.min(self.checkpoint.config().vocab_size)) {
            None => Ok(()),
            Some(id) => Err(CheckpointError::malformed(
                self.weights.path(),
                format!("the adapter brings a row for token {id}, but the base has {size} tokens"),
                "an adapter trained with add_ac needs a base with <AC>: add it first (--add-ac mean; the row itself \
                 comes from the adapter)",
            )),
        }
    }

    fn missing(&self, name: &str) -> CheckpointError {
        CheckpointError::malformed(
            self.weights.path(),
            format!("tensor `{name}` is missing, which {} asks for", self.settings.path().display()),
            "the two files are from different adapters, or one is cut short: copy them again",
        )
    }

    fn misfit(&self, what: String) -> CheckpointError {
        let hint =
            format!("these adapters were trained on {}: name that model, or one of its shape", self.settings.base());
        CheckpointError::malformed(self.weights.path(), what, hint)
    }
}

/// Another source, its tensors changed as adapters say.
struct MergedSource {
    inner: Box<dyn TensorSource>,
    weights: HfWeights,
    changes: HashMap<String, Change>,
}

impl TensorSource for MergedSource {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn tensors(&self) -> &[TensorInfo] {
        self.inner.tensors()
    }

    fn read_f32(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let mut values = match self.changes.get(name) {
            Some(Change::Whole { name }) => return self.weights.read_f32(name),
            _ => self.inner.read_f32(name)?,
        };
        match self.changes.get(name) {
            Some(Change::LowRank { layer, rank, scale }) => {
                let down = self.weights.read_f32(&format!("{PREFIX}{layer}{DOWN}"))?;
                let up = self.weights.read_f32(&format!("{PREFIX}{layer}{UP}"))?;
                add_product(&mut values, &up, &down, *rank, *scale as f32);
            }
            Some(Change::Rows { name, ids }) => {
                let rows = self.weights.read_f32(name)?;
                let width = rows.len() / ids.len().max(1);
                for (id, row) in ids.iter().zip(rows.chunks_exact(width.max(1))) {
                    values[id * width..(id + 1) * width].copy_from_slice(row);
                }
            }
            Some(Change::Whole { .. }) | None => {}
        }
        Ok(values)
    }

    fn read_packed(&self, name: &str) -> Result<Option<PackedMatrix>, CheckpointError> {
        if self.changes.contains_key(name) { Ok(None) } else { self.inner.read_packed(name) }
    }
}

/// Adds `scale · B·A` to `weight` `[out, in]`: `up` is `B` `[out, r]`, `down` is `A` `[r, in]`.
fn add_product(weight: &mut [f32], up: &[f32], down: &[f32], rank: usize, scale: f32) {
    let input = down.len() / rank;
    weight.par_chunks_mut(input).zip(up.par_chunks(rank)).for_each(|(row, factors)| {
        let mut sum = vec![0.0f32; input];
        for (factor, part) in factors.iter().zip(down.chunks_exact(input)) {
            for (sum, value) in sum.iter_mut().zip(part) {
                *sum += factor * value;
            }
        }
        for (value, sum) in row.iter_mut().zip(sum) {
            *value += scale * sum;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_is_added_row_by_row() {
        let mut weight = vec![1.0; 6];
        // B = [[1, 2], [3, 4]], A = [[1, 0, 1], [0, 1, 1]].
        add_product(&mut weight, &[1.0, 2.0, 3.0, 4.0], &[1.0, 0.0, 1.0, 0.0, 1.0, 1.0], 2, 0.5);
        assert_eq!(weight, [1.5, 2.0, 2.5, 2.5, 3.0, 4.5]);
    }
}
