//! The GGUF header, versions 2 and 3, little endian.
//!
//! ```text
//! "GGUF"  version: u32  tensors: u64  entries: u64
//! entries × { key: string, type: u32, value }
//! tensors × { name: string, n_dims: u32, n_dims × u64 (fastest first), type: u32, offset: u64 }
//! padding to `general.alignment` (32 unless stated), then the tensors' data; offsets count from here
//! ```

use std::collections::HashSet;

use super::blocks::BlockType;
use super::cursor::{Cursor, DAMAGED};
use super::metadata::Metadata;
use crate::checkpoint::CheckpointError;
use crate::checkpoint::mapped::MappedFile;

const DEFAULT_ALIGNMENT: u64 = 32;
const MAX_DIMS: u32 = 4;
/// Fewest bytes that a tensor's entry can take: name length, `n_dims`, type, offset.
const MIN_TENSOR: u64 = 8 + 4 + 4 + 8;

/// One tensor as the file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawTensor {
    /// The file's own name: `blk.0.attn_q.weight`.
    pub(super) name: String,
    /// Extents, fastest-varying first: a linear weight is `[in, out]`.
    pub(super) dims: Vec<usize>,
    pub(super) block_type: BlockType,
    /// Bytes from the start of the file.
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

#[derive(Debug)]
pub(super) struct Header {
    pub(super) metadata: Metadata,
    pub(super) tensors: Vec<RawTensor>,
}

impl Header {
    /// Parses the header. The whole file is mapped meanwhile (only the header's pages are touched) and unmapped after.
    pub(super) fn read(file: &MappedFile) -> Result<Self, CheckpointError> {
        let path = file.path();
        if file.len() < 24 {
            return Err(CheckpointError::malformed(
                path,
                format!("expected a GGUF file, found {} bytes, less than its fixed header of 24", file.len()),
                DAMAGED,
            ));
        }
        let map = file.range(0, file.len())?;
        let mut cursor = Cursor::new(path, &map);
        check_magic_and_version(file, &mut cursor)?;

        let tensor_count = cursor.count(MIN_TENSOR, "the number of tensors")?;
        let entry_count = cursor.u64("the number of metadata entries")?;
        let metadata = Metadata::read(&mut cursor, entry_count, path)?;
        cursor.check_count(tensor_count, MIN_TENSOR, "the number of tensors")?;

        let mut tensors = Vec::new();
        let mut names = HashSet::new();
        for number in 0..tensor_count {
            let tensor = read_tensor(file, &mut cursor, number)?;
            if !names.insert(tensor.name.clone()) {
                return Err(cursor.malformed(format!("tensor `{}` occurs twice", tensor.name)));
            }
            tensors.push(tensor);
        }

        let alignment = alignment(&metadata)?;
        let data = (cursor.at() as u64).next_multiple_of(alignment);
        for tensor in &mut tensors {
            place(file, tensor, data, alignment)?;
        }
        Ok(Self { metadata, tensors })
    }
}

fn check_magic_and_version(file: &MappedFile, cursor: &mut Cursor<'_>) -> Result<(), CheckpointError> {
    let magic: [u8; 4] = cursor.fixed("the magic bytes")?;
    if magic != *b"GGUF" {
        return Err(CheckpointError::malformed(
            file.path(),
            format!("expected a GGUF file starting with the bytes `GGUF`, found `{}`", magic.escape_ascii()),
            "name a .gguf file, or the folder of a Hugging Face checkpoint",
        ));
    }
    match cursor.u32("the version")? {
        2 | 3 => Ok(()),
        version if (1..=3).contains(&version.swap_bytes()) => Err(CheckpointError::unsupported(
            file.path(),
            format!("a big-endian GGUF file (version {})", version.swap_bytes()),
            "convert the model again as little endian",
        )),
        version => Err(CheckpointError::unsupported(
            file.path(),
            format!("GGUF version {version}, supported are 2 and 3"),
            "convert the model again with a current converter",
        )),
    }
}

/// A tensor's entry; its offset still counts from the start of the data.
fn read_tensor(file: &MappedFile, cursor: &mut Cursor<'_>, number: u64) -> Result<RawTensor, CheckpointError> {
    let name = cursor.string(&format!("the name of tensor {number}"))?;
    let what = format!("tensor `{name}`");
    let n_dims = cursor.u32(&what)?;
    if n_dims > MAX_DIMS {
        return Err(cursor.malformed(format!("{what} has {n_dims} dimensions, at most {MAX_DIMS} are possible")));
    }
    let too_large = |cursor: &Cursor<'_>| cursor.malformed(format!("{what} is larger than any file"));
    let mut dims = Vec::with_capacity(n_dims as usize);
    for _ in 0..n_dims {
        dims.push(usize::try_from(cursor.u64(&what)?).map_err(|_| too_large(cursor))?);
    }
    let type_id = cursor.u32(&what)?;
    let offset = cursor.u64(&what)?;

    let block_type = BlockType::from_id(type_id).map_err(|found| {
        CheckpointError::unsupported(
            file.path(),
            format!("{what} is stored as {found}, supported are {}", BlockType::names()),
            "requantise the model to a supported type, Q4_K_M or Q8_0 for example",
        )
    })?;
    // Decoded, every value takes four bytes.
    let values = dims.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim));
    let values = values.filter(|values| *values <= isize::MAX as usize / 4);
    let row = dims.first().copied().unwrap_or(1) as u64;
    let per_block = block_type.values_per_block() as u64;
    if !row.is_multiple_of(per_block) {
        return Err(cursor.malformed(format!(
            "{what} has rows of {row} values, not a multiple of the {per_block} in a {block_type} block"
        )));
    }
    let bytes = values
        .and_then(|values| (values as u64 / per_block).checked_mul(block_type.bytes_per_block() as u64))
        .ok_or_else(|| too_large(cursor))?;
    Ok(RawTensor { name, dims, block_type, offset, bytes })
}

fn alignment(metadata: &Metadata) -> Result<u64, CheckpointError> {
    let alignment = metadata.uint("general.alignment")?.unwrap_or(DEFAULT_ALIGNMENT);
    if !alignment.is_power_of_two() || alignment > 1 << 30 {
        return Err(CheckpointError::malformed(
            metadata.path(),
            format!("metadata `general.alignment` is {alignment}, expected a power of two up to 2^30"),
            DAMAGED,
        ));
    }
    Ok(alignment)
}

/// Makes the offset absolute and checks that the tensor lies inside the file.
fn place(file: &MappedFile, tensor: &mut RawTensor, data: u64, alignment: u64) -> Result<(), CheckpointError> {
    if !tensor.offset.is_multiple_of(alignment) {
        return Err(CheckpointError::malformed(
            file.path(),
            format!("tensor `{}` starts at offset {}, not a multiple of {alignment}", tensor.name, tensor.offset),
            DAMAGED,
        ));
    }
    let start = data.checked_add(tensor.offset);
    let end = start.and_then(|start| start.checked_add(tensor.bytes)).filter(|end| *end <= file.len());
    let (Some(start), Some(_)) = (start, end) else {
        return Err(CheckpointError::malformed(
            file.path(),
            format!(
                "tensor `{}` takes {} bytes from byte {data}+{}, but the file has {}",
                tensor.name,
                tensor.bytes,
                tensor.offset,
                file.len()
            ),
            DAMAGED,
        ));
    };
    tensor.offset = start;
    Ok(())
}
