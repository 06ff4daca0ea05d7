//! A checkpoint with one token more: `<AC>`, in the tokenizer, the embedding and the head.

use std::path::Path;

use anllm_core::{AnchorRule, Vocabulary};
use anllm_kernels::PackedMatrix;
use serde_json::{Value, json};

use super::error::CheckpointError;
use super::keys::{EMBEDDING, HEAD};
use super::open::{Checkpoint, record_rule};
use super::parse_json;
use super::source::{TensorInfo, TensorSource};
use crate::tokenizer::Tokenizer;

/// The first values of the embedding of `<AC>`. The paper takes the mean; its code copies the row of ".".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddedEmbedding {
    /// The mean of all rows.
    Mean,
    /// A copy of this token's row.
    Copy(String),
}

impl Checkpoint {
    /// The checkpoint with `<AC>` in its vocabulary and the rule `ac` in its settings. Nothing is written: the wider
    /// matrices are made when they are read.
    ///
    /// # Errors
    /// When the vocabulary has `<AC>` already, or lacks the token to copy.
    pub fn with_added_token(self, how: &AddedEmbedding) -> Result<Self, CheckpointError> {
        let tokenizer = self.tokenizer()?;
        if tokenizer.id(AnchorRule::ADDED_TOKEN).is_some() {
            return Err(CheckpointError::malformed(
                self.path(),
                format!("the vocabulary already has the token {}", AnchorRule::ADDED_TOKEN),
                "leave out the addition (--add-ac, add_ac)",
            ));
        }
        let row = match how {
            AddedEmbedding::Mean => AddedRow::Mean,
            AddedEmbedding::Copy(token) => AddedRow::CopyOf(row_of(&self, &tokenizer, token)?),
        };
        let id = tokenizer.size();
        let rows = self.config().vocab_size.max(id + 1);
        let mut settings = self.settings().clone();
        if let Some(text) = &mut settings.tokenizer {
            let mut json = parse_json(self.path(), text)?;
            add_special_token(&mut json, id, AnchorRule::ADDED_TOKEN);
            *text = json.to_string();
        }
        settings.config["vocab_size"] = json!(rows);
        record_rule(&mut settings.config, &AnchorRule::Added);
        self.replace(settings, |inner| Box::new(GrownSource::new(inner, Growth { id, rows, row })))
    }
}

/// Another source, with a row more in the embedding and in the head.
struct GrownSource {
    inner: Box<dyn TensorSource>,
    tensors: Vec<TensorInfo>,
    growth: Growth,
}

impl GrownSource {
    fn new(inner: Box<dyn TensorSource>, growth: Growth) -> Self {
        let mut tensors = inner.tensors().to_vec();
        for tensor in tensors.iter_mut().filter(|t| is_grown(&t.name)) {
            if let Some(rows) = tensor.shape.first_mut() {
                *rows = growth.rows;
            }
        }
        Self { inner, tensors, growth }
    }
}

fn is_grown(name: &str) -> bool {
    name == EMBEDDING || name == HEAD
}

impl TensorSource for GrownSource {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read_f32(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let mut values = self.inner.read_f32(name)?;
        if let Some(&[_, width]) = self.inner.info(name).filter(|t| is_grown(&t.name)).map(|t| t.shape.as_slice()) {
            self.growth.apply(&mut values, width);
        }
        Ok(values)
    }

    fn read_packed(&self, name: &str) -> Result<Option<PackedMatrix>, CheckpointError> {
        // The new row is no stored one.
        if is_grown(name) { Ok(None) } else { self.inner.read_packed(name) }
    }
}

/// The row that the matrices gain.
struct Growth {
    id: usize,
    rows: usize,
    row: AddedRow,
}

enum AddedRow {
    Mean,
    CopyOf(usize),
}

impl Growth {
    /// Sets the new row of a matrix `[V, width]`, which gains rows as needed.
    fn apply(&self, values: &mut Vec<f32>, width: usize) {
        let row = match self.row {
            AddedRow::CopyOf(row) => values[row * width..(row + 1) * width].to_vec(),
            AddedRow::Mean => {
                let rows = values.len() / width;
                let mut sums = vec![0f64; width];
                for row in values.chunks_exact(width) {
                    for (sum, value) in sums.iter_mut().zip(row) {
                        *sum += f64::from(*value);
                    }
                }
                sums.into_iter().map(|sum| (sum / rows as f64) as f32).collect()
            }
        };
        values.resize(self.rows * width, 0.0);
        values[self.id * width..(self.id + 1) * width].copy_from_slice(&row);
    }
}

fn row_of(checkpoint: &Checkpoint, tokenizer: &Tokenizer, token: &str) -> Result<usize, CheckpointError> {
    let by_text = || (0..tokenizer.size() as u32).find(|id| tokenizer.text(*id).as_deref() == Some(token));
    let id = tokenizer.id(token).or_else(by_text).map(|id| id as usize);
    id.filter(|id| *id < checkpoint.config().vocab_size).ok_or_else(|| {
        let what = format!("the token {token:?}, whose embedding <AC> should copy, is not in the vocabulary");
        CheckpointError::malformed(
            checkpoint.path(),
            what,
            "choose another token, or the mean of all (`--add-ac mean`, `add_ac = \"mean\"`)",
        )
    })
}

fn add_special_token(tokenizer: &mut Value, id: usize, content: &str) {
    let token = json!({
        "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true,
    });
    match tokenizer.get_mut("added_tokens").and_then(Value::as_array_mut) {
        Some(tokens) => tokens.push(token),
        None => tokenizer["added_tokens"] = json!([token]),
    }
}
