//! Reading. Nothing in a file is believed before its checksum and its shape have been checked; after that, what it says
//! is still only numbers, and none of them can do more than make a result wrong.

use std::path::Path;

use anllm_core::{Place, SegmentTracker};
use anllm_model::checkpoint::MappedFile;
use safetensors::SafeTensors;
use safetensors::tensor::Metadata;
use serde::Deserialize;

use super::super::entries::EntryType;
use super::super::error::PrefixError;
use super::super::head::{Geometry, PrefixHead, PrefixRecord};
use super::super::layout::{self, CHECKSUM, CHECKSUM_BYTES, Counts, FREQUENCIES, PLACE_NUMBERS, PLACES, RECENT};
use super::super::{LayerEntries, Prefix};
use super::{KEY, VERSION};

/// The most tokens, layers, heads, … that a file may speak of: far more than there are, and far from any overflow.
const LIMIT: usize = 1 << 40;

/// A prefix in a file. Opening it checks the whole file; entries are read when they are asked for.
#[derive(Debug)]
pub struct PrefixFile {
    file: MappedFile,
    metadata: Metadata,
    /// Where tensors begin.
    data: u64,
    head: PrefixHead,
    stored: EntryType,
}

#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

#[derive(Deserialize)]
struct Typed {
    stored: String,
    #[serde(flatten)]
    record: PrefixRecord,
}

impl PrefixFile {
    /// Opens a file and checks it: format, checksum, shape.
    ///
    /// # Errors
    /// When it cannot be read, is no prefix cache, of another version, cut short or damaged.
    pub fn open(path: &Path) -> Result<Self, PrefixError> {
        let name = path.display().to_string();
        let bad = |what: String| PrefixError::damaged(&name, what);
        let file = MappedFile::open(path)?;
        if file.len() < 8 {
            return Err(bad(format!("expected a prefix cache, found {} bytes", file.len())));
        }
        let (metadata, data) = {
            // The library wants the whole file to check that tensors fill it; only the header's pages are touched.
            let map = file.range(0, file.len())?;
            let (header, metadata) = SafeTensors::read_metadata(&map)
                .map_err(|e| bad(format!("not a prefix cache, or not a whole one: its header is not valid ({e})")))?;
            (metadata, header as u64 + 8)
        };
        let Some(text) = metadata.metadata().as_ref().and_then(|about| about.get(KEY)) else {
            let what = format!("not a prefix cache: a safetensors file without `{KEY}` in its metadata");
            let hint = "name a file that `anllm cache build` wrote";
            return Err(PrefixError::Damaged { name, what, hint });
        };
        // The version comes first: what another version means by the rest, and how it checks it, is not known.
        let Versioned { version } =
            serde_json::from_str(text).map_err(|e| bad(format!("its record has no version: {e}")))?;
        if version != VERSION {
            return Err(PrefixError::Version { name, found: version, known: VERSION });
        }
        check_sum(&file, &metadata, data).map_err(|what| match what {
            Sum::Wrong => bad("its checksum does not fit its bytes".to_owned()),
            Sum::Error(error) => error,
        })?;
        let typed: Typed = serde_json::from_str(text).map_err(|e| bad(format!("its record is not valid: {e}")))?;
        let stored = typed.stored.parse().map_err(|e| bad(format!("its record is not valid: {e}")))?;
        let record = typed.record;
        check_record(&record).map_err(&bad)?;
        let length = |name: &str| metadata.info(name).and_then(|info| info.shape.first().copied()).unwrap_or(0);
        let counts = Counts { entries: length(PLACES), frequencies: length(FREQUENCIES), recent: length(RECENT) };
        check_tensors(&metadata, record.geometry, counts, stored).map_err(&bad)?;
        let head = PrefixHead { record, places: Vec::new(), recent: Vec::new(), frequencies: Vec::new() };
        let mut prefix = Self { file, metadata, data, head, stored };
        prefix.read_head()?;
        Ok(prefix)
    }

    /// How the entries are stored.
    pub fn stored(&self) -> EntryType {
        self.stored
    }

    /// The file's bytes.
    pub fn bytes(&self) -> u64 {
        self.file.len()
    }

    /// The bytes of a tensor that [`check_tensors`] found.
    fn tensor(&self, name: &str) -> Result<memmap2::Mmap, PrefixError> {
        let missing = || PrefixError::damaged(&self.name(), format!("there is no tensor `{name}`"));
        let (start, end) = self.metadata.info(name).ok_or_else(missing)?.data_offsets;
        Ok(self.file.range(self.data + start as u64, (end - start) as u64)?)
    }

    fn read_head(&mut self) -> Result<(), PrefixError> {
        let name = self.name();
        let bad = |what: &str| PrefixError::damaged(&name, what);
        let numbers = |tensor: &str| -> Result<Vec<u8>, PrefixError> {
            let info = self.metadata.info(tensor);
            // An empty range cannot be mapped.
            match info.is_some_and(|info| info.data_offsets.0 < info.data_offsets.1) {
                true => Ok(self.tensor(tensor)?.to_vec()),
                false => Ok(Vec::new()),
            }
        };
        let frequencies: Vec<f64> =
            numbers(FREQUENCIES)?.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
        let recent: Vec<u32> =
            numbers(RECENT)?.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        let mut places = Vec::new();
        for entry in numbers(PLACES)?.chunks(8 * PLACE_NUMBERS) {
            let mut found = [0usize; PLACE_NUMBERS];
            for (number, bytes) in found.iter_mut().zip(entry.as_chunks::<8>().0) {
                let value = usize::try_from(i64::from_le_bytes(*bytes)).ok().filter(|value| *value <= LIMIT);
                *number = value.ok_or_else(|| bad("an entry stands where none can be"))?;
            }
            let [index, position, segment, document, anchor] = found;
            places.push(Place { index, position, segment, document, anchor: anchor == 1 });
        }
        let record = &self.head.record;
        let last = places.last().ok_or_else(|| bad("it holds no entries"))?;
        let next = SegmentTracker::after(last);
        let beyond = places.iter().any(|place| place.position >= record.tracker.position());
        let ordered = places.is_sorted_by(|a, b| a.index < b.index);
        let head_dim = record.geometry.head_dim;
        if !ordered || beyond || next.position() > record.tracker.position() || places.len() > record.tokens {
            return Err(bad("its entries are not in the order of a text"));
        }
        if frequencies.len() * 2 != head_dim || frequencies.iter().any(|frequency| !frequency.is_finite()) {
            return Err(bad("its frequencies are not those of its heads"));
        }
        (self.head.places, self.head.recent, self.head.frequencies) = (places, recent, frequencies);
        Ok(())
    }

    fn half(&self, layer: usize, part: &str) -> Result<Vec<f32>, PrefixError> {
        let name = layout::layer_name(layer, part);
        let values = self.tensor(&name)?;
        let head_dim = self.head.record.geometry.head_dim;
        match self.stored.scales(head_dim) {
            0 => Ok(self.stored.read(&values, &[], head_dim)),
            _ => Ok(self.stored.read(&values, &self.tensor(&format!("{name}.scales"))?, head_dim)),
        }
    }
}

impl Prefix for PrefixFile {
    fn name(&self) -> String {
        self.file.path().display().to_string()
    }

    fn head(&self) -> &PrefixHead {
        &self.head
    }

    fn layer(&self, number: usize) -> Result<LayerEntries, PrefixError> {
        Ok(LayerEntries { keys: self.half(number, "keys")?, values: self.half(number, "values")? })
    }
}

enum Sum {
    Wrong,
    Error(PrefixError),
}

impl<E: Into<PrefixError>> From<E> for Sum {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

/// Hashes the file, some megabytes mapped at a time.
fn check_sum(file: &MappedFile, metadata: &Metadata, data: u64) -> Result<(), Sum> {
    const AT_ONCE: u64 = 16 << 20;
    let end = file.len().checked_sub(CHECKSUM_BYTES as u64).filter(|end| *end >= data).ok_or(Sum::Wrong)?;
    let offsets = metadata.info(CHECKSUM).map(|info| (data + info.data_offsets.0 as u64, info.data_offsets.1));
    if offsets.is_none_or(|(start, stop)| start != end || data + stop as u64 != file.len()) {
        return Err(Sum::Wrong);
    }
    let mut hasher = blake3::Hasher::new();
    let mut start = 0;
    while start < end {
        let length = AT_ONCE.min(end - start);
        hasher.update_rayon(&file.range(start, length)?);
        start += length;
    }
    let expected = file.range(end, CHECKSUM_BYTES as u64)?;
    match hasher.finalize().as_bytes()[..] == expected[..] {
        true => Ok(()),
        false => Err(Sum::Wrong),
    }
}

/// Numbers that later arithmetic relies on.
fn check_record(record: &PrefixRecord) -> Result<(), String> {
    let Geometry { layers, kv_heads, head_dim } = record.geometry;
    let tracker = serde_json::to_value(record.tracker).unwrap_or_default();
    let tracked = tracker.as_object().into_iter().flat_map(|fields| fields.values().map(|value| value.as_u64()));
    let parts = record.parts.iter().chain(&record.following);
    let counts = parts.flat_map(|part| [part.tokens, part.lead]).chain([
        record.tokens,
        record.peak,
        record.settled.count,
        record.settled.first,
    ]);
    let large = counts.chain([layers, kv_heads, head_dim]).any(|number| number > LIMIT)
        || tracked.into_iter().any(|number| number.is_none_or(|number| number > LIMIT as u64));
    match large || record.parts.is_empty() || record.peak > record.tokens {
        true => Err("its record speaks of more than there can be".to_owned()),
        false => Ok(()),
    }
}

/// The tensors are those that the record implies.
fn check_tensors(metadata: &Metadata, geometry: Geometry, counts: Counts, stored: EntryType) -> Result<(), String> {
    let found = metadata.tensors();
    // An absurd number of layers must not cost memory before it is refused.
    if geometry.layers > found.len() || counts.entries > LIMIT {
        return Err(format!("its record speaks of {} layers, but it has {} tensors", geometry.layers, found.len()));
    }
    let expected = layout::tensors(geometry, counts, stored);
    if expected.len() != found.len() {
        return Err(format!("expected {} tensors, found {}", expected.len(), found.len()));
    }
    for tensor in expected {
        let fits = found.get(&tensor.name).is_some_and(|info| {
            let bytes = info.data_offsets.1 - info.data_offsets.0;
            info.shape == tensor.shape && format!("{:?}", info.dtype) == tensor.dtype && tensor.bytes() == Some(bytes)
        });
        if !fits {
            return Err(format!("tensor `{}` is not {} of shape {:?}", tensor.name, tensor.dtype, tensor.shape));
        }
    }
    Ok(())
}
