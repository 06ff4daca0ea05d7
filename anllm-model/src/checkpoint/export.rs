//! Writing a checkpoint as a Hugging Face folder that `transformers` loads. Tensors are streamed one by one, into a
//! folder beside the target that takes its name when everything is written.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anllm_core::AnchorRule;
use half::{bf16, f16};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::aside::write_folder;
use super::error::CheckpointError;
use super::keys::{ExpectedTensor, expected_tensors};
use super::open::{Checkpoint, record_rule};
use super::parse_json;

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoredType {
    /// 32-bit floats.
    #[default]
    F32,
    /// 16-bit IEEE floats.
    F16,
    /// 16-bit brain floats.
    BF16,
}

impl StoredType {
    fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
        }
    }

    fn torch_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
        }
    }

    fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }

    fn write(self, values: &[f32], out: &mut impl Write) -> std::io::Result<()> {
        for value in values {
            match self {
                Self::F32 => out.write_all(&value.to_le_bytes())?,
                Self::F16 => out.write_all(&f16::from_f32(*value).to_le_bytes())?,
                Self::BF16 => out.write_all(&bf16::from_f32(*value).to_le_bytes())?,
            }
        }
        Ok(())
    }
}

/// What to write.
#[derive(Debug, Clone)]
pub struct Export {
    /// How weights are stored.
    pub dtype: StoredType,
    /// The anchor rule to record; without one, what the checkpoint says stays.
    pub anchors: Option<AnchorRule>,
    /// Bytes of weights in one file; more are split.
    pub shard_bytes: usize,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportReport {
    /// Number of parameters.
    pub parameters: usize,
    /// Names of the files in the folder.
    pub files: Vec<String>,
}

impl Export {
    /// Writes `checkpoint` to `folder`, which must not exist or be empty.
    ///
    /// # Errors
    /// When the folder is in use, or reading or writing fails; the folder is then as it was before.
    pub fn write(&self, checkpoint: &Checkpoint, folder: &Path) -> Result<ExportReport, CheckpointError> {
        refuse_used(folder)?;
        write_folder(folder, |aside| self.write_into(checkpoint, aside))
    }

    /// Writes the files of `checkpoint` into `folder` as it stands: for callers who see to it that nobody takes a
    /// half-written folder for a whole one.
    ///
    /// # Errors
    /// When reading or writing fails.
    pub fn write_into(&self, checkpoint: &Checkpoint, folder: &Path) -> Result<ExportReport, CheckpointError> {
        let mut settings = checkpoint.settings().clone();
        set_dtype(&mut settings.config, self.dtype);
        if let Some(rule) = &self.anchors {
            record_rule(&mut settings.config, rule);
        }
        let mut files = Vec::new();
        let tokenizer = settings.tokenizer.as_deref().map(|text| parse_json(checkpoint.path(), text)).transpose()?;
        let texts = [
            ("config.json", Some(&settings.config)),
            ("generation_config.json", settings.generation.as_ref()),
            ("tokenizer.json", tokenizer.as_ref()),
            ("tokenizer_config.json", settings.tokenizer_config.as_ref()),
        ];
        for (name, json) in texts {
            if let Some(json) = json {
                write_json(&folder.join(name), json)?;
                files.push(name.to_owned());
            }
        }
        let parameters = self.write_weights(checkpoint, folder, &mut files)?;
        Ok(ExportReport { parameters, files })
    }

    /// Writes the shards and the index; returns the number of parameters.
    fn write_weights(
        &self,
        checkpoint: &Checkpoint,
        folder: &Path,
        files: &mut Vec<String>,
    ) -> Result<usize, CheckpointError> {
        let tensors = expected_tensors(checkpoint.config());
        let count = |t: &ExpectedTensor| t.shape.iter().product::<usize>();
        let shards = split(&tensors, |t| count(t) * self.dtype.size(), self.shard_bytes.max(1));
        let mut map = BTreeMap::new();
        for (number, shard) in shards.iter().enumerate() {
            let name = match shards.len() {
                1 => "model.safetensors".to_owned(),
                all => format!("model-{:05}-of-{all:05}.safetensors", number + 1),
            };
            self.write_shard(checkpoint, shard, &folder.join(&name))?;
            map.extend(shard.iter().map(|t| (t.name.clone(), name.clone())));
            files.push(name);
        }
        let parameters: usize = tensors.iter().map(count).sum();
        if shards.len() > 1 {
            let index = json!({
                "metadata": { "total_parameters": parameters, "total_size": parameters * self.dtype.size() },
                "weight_map": map,
            });
            let name = "model.safetensors.index.json";
            write_json(&folder.join(name), &index)?;
            files.push(name.to_owned());
        }
        Ok(parameters)
    }

    fn write_shard(
        &self,
        checkpoint: &Checkpoint,
        tensors: &[ExpectedTensor],
        path: &Path,
    ) -> Result<(), CheckpointError> {
        let io = |e| CheckpointError::io(path, "write the weights", e);
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path).map_err(io)?);
        let header = self.header(tensors);
        out.write_all(&(header.len() as u64).to_le_bytes()).map_err(io)?;
        out.write_all(&header).map_err(io)?;
        for tensor in tensors {
            let values = checkpoint.source().read_f32(&tensor.name)?;
            self.dtype.write(&values, &mut out).map_err(io)?;
        }
        let file = out.into_inner().map_err(|e| io(e.into_error()))?;
        file.sync_all().map_err(io)
    }

    /// The safetensors header: names, types, shapes and places of the values, padded to a multiple of 8 bytes.
    fn header(&self, tensors: &[ExpectedTensor]) -> Vec<u8> {
        let mut entries = serde_json::Map::new();
        entries.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
        let mut start = 0;
        for tensor in tensors {
            let end = start + tensor.shape.iter().product::<usize>() * self.dtype.size();
            let entry = json!({ "dtype": self.dtype.name(), "shape": tensor.shape, "data_offsets": [start, end] });
            entries.insert(tensor.name.clone(), entry);
            start = end;
        }
        let mut header = Value::Object(entries).to_string().into_bytes();
        header.resize(header.len().next_multiple_of(8), b' ');
        header
    }
}

fn refuse_used(folder: &Path) -> Result<(), CheckpointError> {
    let used = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => false,
        Err(e) => return Err(CheckpointError::io(folder, "use the folder", e)),
    };
    match used {
        true => Err(CheckpointError::malformed(folder, "the folder is not empty", "choose a new folder with --to")),
        false => Ok(()),
    }
}

fn set_dtype(config: &mut Value, dtype: StoredType) {
    // `dtype` is transformers 5's name of `torch_dtype`; a file that has the old one keeps it.
    let key = if config.get("torch_dtype").is_some() { "torch_dtype" } else { "dtype" };
    config[key] = json!(dtype.torch_name());
}

/// Cuts the list into runs of at most `limit` bytes; a tensor larger than that stands alone.
fn split<T: Clone>(items: &[T], bytes: impl Fn(&T) -> usize, limit: usize) -> Vec<Vec<T>> {
    let mut runs: Vec<Vec<T>> = Vec::new();
    let mut size = 0;
    for item in items {
        size += bytes(item);
        match runs.last_mut() {
            Some(run) if size <= limit => run.push(item.clone()),
            _ => {
                size = bytes(item);
                runs.push(vec![item.clone()]);
            }
        }
    }
    runs
}

fn write_json(path: &PathBuf, json: &Value) -> Result<(), CheckpointError> {
    let text = format!("{json:#}\n");
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|e| CheckpointError::io(path, "write the file", e))
}
