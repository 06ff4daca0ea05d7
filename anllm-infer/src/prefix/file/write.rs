//! Writing, one layer at a time.

use std::io::Write;
use std::path::Path;

use anllm_model::CheckpointError;
use anllm_model::checkpoint::{Existing, write_file};
use serde_json::{Value, json};

use super::super::entries::EntryType;
use super::super::error::PrefixError;
use super::super::layout::{Counts, Stored, tensors};
use super::super::{Prefix, PrefixHead};
use super::{KEY, VERSION};

/// Writes a prefix to `file`, whole or not at all. Returns the file's bytes.
///
/// # Errors
/// When the entries cannot be read or do not fit the type, `existing` refuses, or the disk does.
pub fn write_prefix(
    prefix: &dyn Prefix,
    file: &Path,
    stored: EntryType,
    existing: Existing,
) -> Result<u64, PrefixError> {
    let geometry = prefix.head().record.geometry;
    let header = header(prefix, stored)?;
    write_file(file, existing, |out| {
        let mut hasher = blake3::Hasher::new();
        let mut written = 0;
        let mut put = |bytes: &[u8]| {
            hasher.update(bytes);
            written += bytes.len() as u64;
            let io = |source| CheckpointError::Io { path: file.to_owned(), action: "write the prefix cache", source };
            out.write_all(bytes).map_err(|e| PrefixError::File(io(e)))
        };
        put(&(header.len() as u64).to_le_bytes())?;
        put(&header)?;
        put(&head_bytes(prefix.head()))?;
        for layer in 0..geometry.layers {
            let entries = prefix.layer(layer)?;
            stored.write(&entries.keys, geometry.head_dim, &mut put)?;
            stored.write(&entries.values, geometry.head_dim, &mut put)?;
        }
        let checksum = hasher.finalize();
        let io = |source| CheckpointError::Io { path: file.to_owned(), action: "write the prefix cache", source };
        out.write_all(checksum.as_bytes()).map_err(|e| PrefixError::File(io(e)))?;
        Ok(written + checksum.as_bytes().len() as u64)
    })
}

/// The safetensors header: the record, and where each tensor is; padded to a multiple of 8 bytes.
fn header(prefix: &dyn Prefix, stored: EntryType) -> Result<Vec<u8>, PrefixError> {
    let head = prefix.head();
    let too_large = || PrefixError::damaged(&prefix.name(), "the entries have more bytes than a file can hold");
    let mut record = serde_json::to_value(&head.record).unwrap_or_default();
    record["version"] = json!(VERSION);
    record["stored"] = json!(stored.name());
    let mut all = serde_json::Map::new();
    all.insert("__metadata__".to_owned(), json!({ KEY: record.to_string() }));
    let mut start = 0usize;
    for tensor in tensors(head.record.geometry, Counts::of(head), stored) {
        let end = tensor.bytes().and_then(|bytes| start.checked_add(bytes)).ok_or_else(too_large)?;
        let Stored { name, dtype, shape, .. } = tensor;
        all.insert(name, json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] }));
        start = end;
    }
    let mut header = Value::Object(all).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

/// Frequencies, places and recent ids, as they are stored.
fn head_bytes(head: &PrefixHead) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(head.frequencies.iter().flat_map(|frequency| frequency.to_le_bytes()));
    for place in &head.places {
        let numbers = [place.index, place.position, place.segment, place.document, usize::from(place.anchor)];
        bytes.extend(numbers.iter().flat_map(|number| (*number as i64).to_le_bytes()));
    }
    bytes.extend(head.recent.iter().flat_map(|id| id.to_le_bytes()));
    bytes
}
