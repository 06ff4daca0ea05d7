//! GGUF files: one file with metadata, a tokenizer and quantised weights, read as if it were a Hugging Face folder.
//!
//! - `header`: the header's syntax, over `cursor` (bounds) and `metadata` (key/value pairs);
//! - `blocks`: storage types and their decoding to `f32`;
//! - `names`: tensor names and row order; `config` and `rope`: `config.json`;
//! - `tokenizer`: `tokenizer.json` and `tokenizer_config.json`.

mod blocks;
mod config;
mod cursor;
mod header;
mod metadata;
mod names;
mod rope;
mod tokenizer;

use std::collections::HashMap;
use std::path::Path;

use anllm_kernels::{PackedMatrix, PackedType};
use rayon::prelude::*;
use serde_json::Value as Json;

pub use blocks::BlockType;
pub use metadata::{Array, Metadata, Value};

use self::config::Geometry;
use self::header::{Header, RawTensor};
use self::names::{Architecture, ROPE_FACTORS, Rows};
use super::mapped::MappedFile;
use super::source::pick;
use super::{CheckpointError, TensorInfo, TensorSource};

/// An open GGUF file. Opening reads the header only; weights are mapped and decoded when asked for.
#[derive(Debug)]
pub struct GgufFile {
    file: MappedFile,
    metadata: Metadata,
    geometry: Geometry,
    /// What the world sees, and in the same order where it lies.
    infos: Vec<TensorInfo>,
    places: Vec<Place>,
    index: HashMap<String, usize>,
    rope_factors: Option<Vec<f32>>,
}

#[derive(Debug)]
struct Place {
    raw: RawTensor,
    rows: Rows,
}

impl GgufFile {
    /// Opens `path` and checks its whole header: syntax, architecture, storage types, names and extents of tensors.
    ///
    /// # Errors
    /// [`CheckpointError::Malformed`] when the file is not GGUF, cut short or contradicts itself;
    /// [`CheckpointError::Unsupported`] when it needs what is not implemented, by name.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let file = MappedFile::open(path)?;
        let Header { metadata, tensors } = Header::read(&file)?;
        let geometry = Geometry::read(&metadata)?;
        let mut gguf = Self {
            file,
            metadata,
            geometry,
            infos: Vec::new(),
            places: Vec::new(),
            index: HashMap::new(),
            rope_factors: None,
        };
        for raw in tensors {
            if raw.name == ROPE_FACTORS {
                gguf.rope_factors = Some(gguf.decode(&raw, Rows::Same)?);
            } else {
                gguf.add(raw)?;
            }
        }
        Ok(gguf)
    }

    fn add(&mut self, raw: RawTensor) -> Result<(), CheckpointError> {
        let Geometry { arch, layers, head_dim, .. } = self.geometry;
        let name = names::hugging_face_name(arch, layers, &raw.name).ok_or_else(|| {
            CheckpointError::unsupported(
                self.file.path(),
                format!("tensor `{}`, which a `{arch}` model of {layers} layers does not have", raw.name),
                "this model needs a program that implements it",
            )
        })?;
        let shape: Vec<usize> = raw.dims.iter().rev().copied().collect();
        let is_query_or_key = name.contains(".q_proj.") || name.contains(".k_proj.");
        let rows = match (arch, usize::try_from(head_dim)) {
            (Architecture::Llama, Ok(head_dim)) if is_query_or_key => {
                if shape.first().is_none_or(|rows| !rows.is_multiple_of(head_dim)) {
                    return Err(CheckpointError::malformed(
                        self.file.path(),
                        format!("tensor `{}` of shape {shape:?} is not a number of heads of {head_dim} rows", raw.name),
                        cursor::DAMAGED,
                    ));
                }
                Rows::Paired { head_dim }
            }
            _ => Rows::Same,
        };
        self.index.insert(name.clone(), self.infos.len());
        self.infos.push(TensorInfo { name, shape, dtype: raw.block_type.name().to_owned(), bytes: raw.bytes });
        self.places.push(Place { raw, rows });
        Ok(())
    }

    /// The values of one tensor with its rows in Hugging Face's order.
    fn decode(&self, raw: &RawTensor, rows: Rows) -> Result<Vec<f32>, CheckpointError> {
        let values = raw.dims.iter().product();
        if values == 0 {
            return Ok(Vec::new());
        }
        let bytes = self.file.range(raw.offset, raw.bytes)?;
        let mut out = vec![0f32; values];
        let row_count = raw.dims.last().copied().unwrap_or(1);
        let width = values / row_count;
        match rows {
            // Rows are whole blocks, so each is decoded straight to its place. A bias has rows of one value.
            Rows::Paired { .. } if width.is_multiple_of(raw.block_type.values_per_block()) => {
                let row_bytes = bytes.len() / row_count;
                out.par_chunks_mut(width).enumerate().for_each(|(row, out)| {
                    let from = rows.in_file(row) * row_bytes;
                    raw.block_type.dequantize(&bytes[from..from + row_bytes], out);
                });
            }
            // A quantised bias: small, so decoded first and put in order after.
            Rows::Paired { .. } => {
                let mut in_file = vec![0f32; values];
                raw.block_type.dequantize(&bytes, &mut in_file);
                for (row, out) in out.iter_mut().enumerate() {
                    *out = in_file[rows.in_file(row)];
                }
            }
            Rows::Same => raw.block_type.dequantize(&bytes, &mut out),
        }
        Ok(out)
    }

    /// `general.architecture`: `llama`, `qwen2` or `qwen3`.
    pub fn architecture(&self) -> &str {
        self.geometry.arch.name()
    }

    /// Everything the header says.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The model's configuration in the shape of Hugging Face's `config.json`.
    ///
    /// # Errors
    /// When a key has the wrong type, or rotary scaling is of a kind that has no such shape.
    pub fn config_json(&self) -> Result<Json, CheckpointError> {
        config::config_json(&self.metadata, &self.geometry, &self.infos, self.rope_factors.as_deref())
    }

    /// Ids of the special tokens in the shape of Hugging Face's `generation_config.json`; absent ones are left out.
    ///
    /// # Errors
    /// When a key has the wrong type or an id lies outside the vocabulary.
    pub fn generation_config_json(&self) -> Result<Json, CheckpointError> {
        config::generation_config_json(&self.metadata)
    }

    /// The Jinja template for chats, if the file has one.
    pub fn chat_template(&self) -> Option<&str> {
        self.metadata.get("tokenizer.chat_template").and_then(Value::as_str)
    }

    /// How text is split before byte pair encoding, by the file's name for it (`smollm`, `llama-bpe`, …), or
    /// `sentencepiece`, or `none` where the file has no tokenizer.
    pub fn pre_tokenizer(&self) -> &str {
        tokenizer::pre_tokenizer(&self.metadata)
    }

    /// The tokenizer as a complete `tokenizer.json`.
    ///
    /// # Errors
    /// When the file has no tokenizer, or one of an unknown kind (named), or its vocabulary contradicts itself.
    pub fn tokenizer_json(&self) -> Result<Json, CheckpointError> {
        tokenizer::tokenizer_json(&self.metadata)
    }

    /// The `tokenizer_config.json` that belongs to [`tokenizer_json`](Self::tokenizer_json), chat template included.
    ///
    /// # Errors
    /// As [`tokenizer_json`](Self::tokenizer_json).
    pub fn tokenizer_config_json(&self) -> Result<Json, CheckpointError> {
        tokenizer::tokenizer_config_json(&self.metadata, self.geometry.context)
    }
}

impl TensorSource for GgufFile {
    fn path(&self) -> &Path {
        self.file.path()
    }

    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn read_f32(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let Some(at) = self.index.get(name) else {
            return Err(CheckpointError::malformed(
                self.file.path(),
                format!("tensor `{name}` is not in the file"),
                "the file is of another model, or was written by an incomplete converter",
            ));
        };
        let Place { raw, rows } = &self.places[*at];
        self.decode(raw, *rows)
    }

    fn sample(&self, name: &str) -> Result<Vec<u8>, CheckpointError> {
        match self.index.get(name).map(|at| &self.places[*at]) {
            Some(Place { raw, .. }) if raw.bytes > 0 => Ok(pick(&self.file.range(raw.offset, raw.bytes)?)),
            // Nothing to hash, or nothing there, which reading says.
            _ => self.read_f32(name).map(|_| Vec::new()),
        }
    }

    fn read_packed(&self, name: &str) -> Result<Option<PackedMatrix>, CheckpointError> {
        let Some(Place { raw, rows }) = self.index.get(name).map(|at| &self.places[*at]) else {
            return Ok(None);
        };
        let kind = match raw.block_type {
            BlockType::Q8_0 => PackedType::Q8_0,
            BlockType::Q4_0 => PackedType::Q4_0,
            BlockType::Q4_1 => PackedType::Q4_1,
            BlockType::F32 => PackedType::F32,
            BlockType::F16 => PackedType::F16,
            BlockType::BF16 => PackedType::BF16,
            _ => return Ok(None),
        };
        let &[width, out] = raw.dims.as_slice() else {
            return Ok(None);
        };
        let bytes = self.file.range(raw.offset, raw.bytes)?;
        let matrix = PackedMatrix::from_stored(kind, [out, width], &bytes, |row| rows.in_file(row));
        matrix
            .map(Some)
            .map_err(|e| CheckpointError::malformed(self.file.path(), format!("tensor `{name}`: {e}"), cursor::DAMAGED))
    }

    fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.index.get(name).map(|at| &self.infos[*at])
    }
}
