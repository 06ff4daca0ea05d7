//! How keys and values are stored: as they are, in half, or as 8-bit integers with a scale for each block.

use std::fmt;
use std::str::FromStr;

use half::f16;

use super::error::PrefixError;

/// Values that share a scale. A head whose width is no multiple has a shorter last block.
const BLOCK: usize = 32;

/// The type of stored entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EntryType {
    /// 32-bit floats: a continued sequence goes on as if it had never stopped, bit for bit.
    #[default]
    F32,
    /// 16-bit floats.
    F16,
    /// 8-bit integers, with a 32-bit scale for each 32 of a head.
    Q8,
}

/// Text that is no type of entries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a type of entries (expected `f32`, `f16` or `q8`)")]
pub struct EntryTypeError(String);

impl EntryType {
    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8 => "q8",
        }
    }

    /// The safetensors type of the values.
    pub(super) fn dtype(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Q8 => "I8",
        }
    }

    /// Bytes of a value.
    pub(super) fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::Q8 => 1,
        }
    }

    /// Scales for each head of width `head_dim`.
    pub(super) fn scales(self, head_dim: usize) -> usize {
        match self {
            Self::F32 | Self::F16 => 0,
            Self::Q8 => head_dim.div_ceil(BLOCK),
        }
    }

    /// Writes `values`, heads of width `head_dim`; then their scales, if there are any.
    pub(super) fn write<E: From<PrefixError>>(
        self,
        values: &[f32],
        head_dim: usize,
        mut out: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Self::F32 => out(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()),
            Self::F16 => {
                let half = values.iter().map(|value| f16::from_f32(*value));
                if let Some((value, _)) = values.iter().zip(half.clone()).find(|(v, h)| v.is_finite() && !h.is_finite())
                {
                    return Err(PrefixError::Range { value: *value, stored: self.name() }.into());
                }
                out(&half.flat_map(f16::to_le_bytes).collect::<Vec<u8>>())
            }
            Self::Q8 => {
                let mut scales = Vec::with_capacity(values.len() / BLOCK * 4);
                let mut steps = Vec::with_capacity(values.len());
                for block in values.chunks(head_dim.max(1)).flat_map(|head| head.chunks(BLOCK)) {
                    let highest = block.iter().fold(0.0f32, |highest, value| highest.max(value.abs()));
                    let scale = highest / 127.0;
                    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
                    scales.extend(scale.to_le_bytes());
                    steps.extend(block.iter().map(|value| (value * inverse).round().clamp(-127.0, 127.0) as i8 as u8));
                }
                out(&steps)?;
                out(&scales)
            }
        }
    }

    /// The values in stored form, heads of width `head_dim`.
    pub(super) fn read(self, bytes: &[u8], scales: &[u8], head_dim: usize) -> Vec<f32> {
        let floats = |bytes: &[u8]| bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect::<Vec<_>>();
        match self {
            Self::F32 => floats(bytes),
            Self::F16 => bytes.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
            Self::Q8 => {
                let blocks = bytes.chunks(head_dim.max(1)).flat_map(|head| head.chunks(BLOCK));
                let scaled = blocks.zip(floats(scales));
                scaled.flat_map(|(block, scale)| block.iter().map(move |step| f32::from(*step as i8) * scale)).collect()
            }
        }
    }
}

impl fmt::Display for EntryType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EntryType {
    type Err = EntryTypeError;

    fn from_str(text: &str) -> Result<Self, EntryTypeError> {
        [Self::F32, Self::F16, Self::Q8]
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| EntryTypeError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stored(kind: EntryType, values: &[f32], head_dim: usize) -> Vec<f32> {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        kind.write(values, head_dim, |bytes| {
            parts.push(bytes.to_vec());
            Ok::<(), PrefixError>(())
        })
        .unwrap();
        assert_eq!(parts[0].len(), values.len() * kind.size());
        assert_eq!(parts.get(1).map_or(0, Vec::len), values.len() / head_dim * kind.scales(head_dim) * 4);
        kind.read(&parts[0], parts.get(1).map_or(&[], |scales| scales), head_dim)
    }

    proptest! {
        #[test]
        fn values_come_back_as_near_as_the_type_allows(
            heads in 1usize..5,
            head_dim in prop::sample::select(vec![2usize, 16, 32, 40, 64]),
            seed in prop::collection::vec(-100.0f32..100.0, 320),
        ) {
            let values = &seed[..heads * head_dim];
            prop_assert_eq!(&stored(EntryType::F32, values, head_dim), values);
            for (a, b) in values.iter().zip(stored(EntryType::F16, values, head_dim)) {
                prop_assert!((a - b).abs() <= a.abs() / 2000.0 + 1e-7);
            }
            let eight = stored(EntryType::Q8, values, head_dim);
            for (block, near) in values.chunks(head_dim).zip(eight.chunks(head_dim)) {
                for (block, near) in block.chunks(BLOCK).zip(near.chunks(BLOCK)) {
                    let highest = block.iter().fold(0.0f32, |most, v| most.max(v.abs()));
                    for (a, b) in block.iter().zip(near) {
                        prop_assert!((a - b).abs() <= highest / 127.0 * 0.5001);
                    }
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = EntryType::F16.write(&[1e6, 0.0], 2, |_| Ok::<(), PrefixError>(())).unwrap_err().to_string();
        assert!(refused.contains("1e6") && refused.contains("--entries f32"), "{refused}");
        assert_eq!(stored(EntryType::Q8, &[0.0, 0.0], 2), [0.0, 0.0]);
    }
}
