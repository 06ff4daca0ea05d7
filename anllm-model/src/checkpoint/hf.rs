//! Hugging Face folders: weights in one `model.safetensors`, or in shards listed by `model.safetensors.index.json`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anllm_kernels::{PackedMatrix, PackedType};
use half::{bf16, f16};
use rayon::prelude::*;
use safetensors::tensor::{Dtype, Metadata};
use serde_json::Value;

use super::error::CheckpointError;
use super::mapped::MappedFile;
use super::source::{TensorInfo, TensorSource, pick};
use super::storage::{Piece, Storage};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The weights of one folder. Headers are read at once, values on demand.
#[derive(Debug)]
pub(crate) struct HfWeights {
    folder: PathBuf,
    shards: Vec<Shard>,
    tensors: Vec<TensorInfo>,
    /// Tensor name → number of its shard.
    shard_of: HashMap<String, usize>,
}

#[derive(Debug)]
struct Shard {
    file: Storage,
    header: Metadata,
    /// Where values begin, from the start of the file.
    data: u64,
}

impl HfWeights {
    pub(crate) fn open(folder: &Path) -> Result<Self, CheckpointError> {
        let files = shard_files(folder)?;
        let mut weights =
            Self { folder: folder.to_owned(), shards: Vec::new(), tensors: Vec::new(), shard_of: HashMap::new() };
        for (path, listed) in files {
            weights.add_shard(Storage::File(MappedFile::open(&path)?), listed.as_deref())?;
        }
        Ok(weights)
    }

    /// The tensors of one safetensors file.
    pub(crate) fn file(path: &Path) -> Result<Self, CheckpointError> {
        let mut weights =
            Self { folder: path.to_owned(), shards: Vec::new(), tensors: Vec::new(), shard_of: HashMap::new() };
        weights.add_shard(Storage::File(MappedFile::open(path)?), None)?;
        Ok(weights)
    }

    /// What the first file says under `key` beside its tensors.
    pub(crate) fn metadata(&self, key: &str) -> Option<&str> {
        self.shards.first()?.header.metadata().as_ref()?.get(key).map(String::as_str)
    }

    /// One safetensors file that is part of the program; `folder` is for messages.
    pub(crate) fn embedded(folder: &Path, file: &'static [u8]) -> Result<Self, CheckpointError> {
        let mut weights =
            Self { folder: folder.to_owned(), shards: Vec::new(), tensors: Vec::new(), shard_of: HashMap::new() };
        weights.add_shard(Storage::Embedded(folder.join(SINGLE), file), None)?;
        Ok(weights)
    }

    fn add_shard(&mut self, file: Storage, listed: Option<&[String]>) -> Result<(), CheckpointError> {
        let shard = Shard::open(file)?;
        let path = &*shard.file.path().to_owned();
        let number = self.shards.len();
        let mut entries: Vec<_> = shard.header.tensors().into_iter().collect();
        entries.sort_by_key(|(_, info)| info.data_offsets.0);
        for (name, info) in entries {
            if self.shard_of.insert(name.clone(), number).is_some() {
                let what = format!("tensor `{name}` is stored in more than one file");
                return Err(CheckpointError::malformed(
                    path,
                    what,
                    "remove the file that does not belong to the model",
                ));
            }
            self.tensors.push(TensorInfo {
                name,
                shape: info.shape.clone(),
                dtype: format!("{:?}", info.dtype),
                bytes: (info.data_offsets.1 - info.data_offsets.0) as u64,
            });
        }
        if let Some(missing) = listed.into_iter().flatten().find(|name| self.shard_of.get(*name) != Some(&number)) {
            let what = format!("{INDEX} says that tensor `{missing}` is in this file, but it is not");
            return Err(CheckpointError::malformed(
                path,
                what,
                "the shards and the index are from different downloads",
            ));
        }
        self.shards.push(shard);
        Ok(())
    }
}

/// A weight file, with the tensors that an index expects in it.
type ListedFile = (PathBuf, Option<Vec<String>>);

/// The folder's weight files.
fn shard_files(folder: &Path) -> Result<Vec<ListedFile>, CheckpointError> {
    let index_path = folder.join(INDEX);
    if !index_path.is_file() {
        let single = folder.join(SINGLE);
        if !single.is_file() {
            let what = format!("found neither {SINGLE} nor {INDEX} in the folder");
            let hint = "PyTorch .bin files are not read: convert them to safetensors first";
            return Err(CheckpointError::malformed(folder, what, hint));
        }
        return Ok(vec![(single, None)]);
    }
    let index = super::read_json(&index_path)?;
    let Some(map) = index.get("weight_map").and_then(Value::as_object) else {
        let what = "expected an object `weight_map` from tensor names to file names";
        return Err(CheckpointError::malformed(&index_path, what, "download the index again"));
    };
    let mut files: Vec<ListedFile> = Vec::new();
    for (tensor, file) in map {
        // A plain file name: an index must not reach outside its folder.
        let plain = file.as_str().filter(|f| Path::new(f).file_name().is_some_and(|name| name == *f));
        let Some(file) = plain else {
            let what = format!("`weight_map` sends tensor `{tensor}` to {file}, which is not a file name");
            return Err(CheckpointError::malformed(&index_path, what, "download the index again"));
        };
        let path = folder.join(file);
        match files.iter_mut().find(|(known, _)| *known == path) {
            Some((_, Some(tensors))) => tensors.push(tensor.clone()),
            _ => files.push((path, Some(vec![tensor.clone()]))),
        }
    }
    Ok(files)
}

impl Shard {
    fn open(file: Storage) -> Result<Self, CheckpointError> {
        /// The longest header that the safetensors format allows.
        const HEADER_LIMIT: u64 = 100_000_000;
        let path = &*file.path().to_owned();
        let bad = |what: String| {
            CheckpointError::malformed(path, what, "the file is cut short or damaged: copy or download it again")
        };
        if file.len() < 8 {
            return Err(bad(format!("expected a safetensors file, found {} bytes", file.len())));
        }
        let mut first = [0; 8];
        first.copy_from_slice(&file.range(0, 8)?);
        let header_len = u64::from_le_bytes(first);
        if header_len > HEADER_LIMIT || header_len > file.len() - 8 {
            return Err(bad(format!(
                "the safetensors header claims {header_len} bytes, the file has {} (limit {HEADER_LIMIT})",
                file.len()
            )));
        }
        // The library wants the whole file to check that values fill it; only the header's pages are touched.
        let map = file.range(0, file.len())?;
        let (_, header) = safetensors::SafeTensors::read_metadata(&map)
            .map_err(|e| bad(format!("the safetensors header is not valid: {e}")))?;
        Ok(Self { file, header, data: 8 + header_len })
    }
}

impl TensorSource for HfWeights {
    fn path(&self) -> &Path {
        &self.folder
    }

    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn sample(&self, name: &str) -> Result<Vec<u8>, CheckpointError> {
        self.stored(name).map(|(_, _, bytes)| pick(&bytes))
    }

    fn read_packed(&self, name: &str) -> Result<Option<PackedMatrix>, CheckpointError> {
        let (file, dtype, bytes) = self.stored(name)?;
        let kind = match dtype {
            Dtype::F32 => PackedType::F32,
            Dtype::F16 => PackedType::F16,
            Dtype::BF16 => PackedType::BF16,
            _ => return Ok(None),
        };
        let Some(&[out, width]) = self.info(name).map(|info| info.shape.as_slice()) else {
            return Ok(None);
        };
        PackedMatrix::from_stored(kind, [out, width], &bytes, |row| row).map(Some).map_err(|e| {
            let what = format!("tensor `{name}`: {e}");
            CheckpointError::malformed(file, what, "the file is cut short or damaged: copy or download it again")
        })
    }

    fn read_f32(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let (file, dtype, bytes) = self.stored(name)?;
        to_f32(dtype, &bytes).ok_or_else(|| {
            let what = format!("tensor `{name}` is stored as {dtype:?}");
            CheckpointError::unsupported(file, what, "weights may be stored as F64, F32, F16 or BF16")
        })
    }
}

impl HfWeights {
    /// The file that holds a tensor, its type, and its bytes.
    fn stored(&self, name: &str) -> Result<(&Path, Dtype, Piece), CheckpointError> {
        let shard = self.shard_of.get(name).and_then(|&number| self.shards.get(number));
        let Some((shard, info)) = shard.and_then(|s| s.header.info(name).map(|info| (s, info))) else {
            let what = format!("there is no tensor `{name}`");
            return Err(CheckpointError::malformed(&self.folder, what, "`anllm inspect` lists what is there"));
        };
        let (start, end) = info.data_offsets;
        let bytes = shard.file.range(shard.data + start as u64, (end - start) as u64)?;
        Ok((shard.file.path(), info.dtype, bytes))
    }
}

fn to_f32(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    fn each<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f32 + Sync) -> Vec<f32> {
        let (items, _) = bytes.as_chunks::<N>();
        items.par_iter().with_min_len(1 << 16).map(|b| read(*b)).collect()
    }
    match dtype {
        Dtype::F64 => Some(each(bytes, |b| f64::from_le_bytes(b) as f32)),
        Dtype::F32 => Some(each(bytes, f32::from_le_bytes)),
        Dtype::F16 => Some(each(bytes, |b| f16::from_le_bytes(b).to_f32())),
        Dtype::BF16 => Some(each(bytes, |b| bf16::from_le_bytes(b).to_f32())),
        _ => None,
    }
}
