//! Which tensors a prefix file has, in which order: said once, for writing and for reading.

use super::entries::EntryType;
use super::head::{Geometry, PrefixHead};

/// One tensor of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) name: String,
    /// As safetensors writes it.
    pub(super) dtype: &'static str,
    pub(super) shape: Vec<usize>,
    size: usize,
}

impl Stored {
    fn new(name: impl Into<String>, dtype: &'static str, size: usize, shape: Vec<usize>) -> Self {
        Self { name: name.into(), dtype, shape, size }
    }

    /// Bytes; `None` where they are more than can be counted.
    pub(super) fn bytes(&self) -> Option<usize> {
        self.shape.iter().try_fold(self.size, |bytes, length| bytes.checked_mul(*length))
    }
}

/// Radians per position.
pub(super) const FREQUENCIES: &str = "frequencies";
/// Index, position, segment, document and whether it is an anchor, for each entry.
pub(super) const PLACES: &str = "places";
/// The last token ids.
pub(super) const RECENT: &str = "recent";
/// The hash of all bytes before it.
pub(super) const CHECKSUM: &str = "checksum";
/// Bytes of the checksum, which are the file's last.
pub(super) const CHECKSUM_BYTES: usize = blake3::OUT_LEN;
/// Numbers that say where an entry stands.
pub(super) const PLACE_NUMBERS: usize = 5;

/// How many entries, frequencies and ids there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) entries: usize,
    pub(super) frequencies: usize,
    pub(super) recent: usize,
}

impl Counts {
    pub(super) fn of(head: &PrefixHead) -> Self {
        Self { entries: head.places.len(), frequencies: head.frequencies.len(), recent: head.recent.len() }
    }
}

/// The name of a layer's tensor: `layers.0.keys`.
pub(super) fn layer_name(layer: usize, part: &str) -> String {
    format!("layers.{layer}.{part}")
}

/// The tensors, in the order of their bytes.
pub(super) fn tensors(geometry: Geometry, counts: Counts, stored: EntryType) -> Vec<Stored> {
    let Counts { entries, frequencies, recent } = counts;
    let Geometry { layers, kv_heads, head_dim } = geometry;
    let mut all = vec![
        Stored::new(FREQUENCIES, "F64", 8, vec![frequencies]),
        Stored::new(PLACES, "I64", 8, vec![entries, PLACE_NUMBERS]),
        Stored::new(RECENT, "U32", 4, vec![recent]),
    ];
    for layer in 0..layers {
        for part in ["keys", "values"] {
            let name = layer_name(layer, part);
            let shape = vec![entries, kv_heads, head_dim];
            all.push(Stored::new(name.clone(), stored.dtype(), stored.size(), shape));
            let scales = stored.scales(head_dim);
            if scales > 0 {
                all.push(Stored::new(format!("{name}.scales"), "F32", 4, vec![entries, kv_heads, scales]));
            }
        }
    }
    all.push(Stored::new(CHECKSUM, "U8", 1, vec![CHECKSUM_BYTES]));
    all
}
