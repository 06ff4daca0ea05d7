//! From floats to the nearest blocks.

use half::{bf16, f16};

use super::PackedType;
use super::block::VALUES;

/// One row in stored form; a last block with a scale that it does not fill is filled with 0.
pub(super) fn row(kind: PackedType, values: &[f32]) -> Vec<u8> {
    match kind {
        PackedType::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        PackedType::F16 => values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
        PackedType::BF16 => values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect(),
        PackedType::Q8_0 => scaled(kind, values, bytes),
        PackedType::Q4_0 => scaled(kind, values, nibbles),
        PackedType::Q4_1 => scaled(kind, values, raised_nibbles),
    }
}

/// Block by block.
fn scaled(kind: PackedType, values: &[f32], put: impl Fn(&[f32; VALUES], &mut Vec<u8>)) -> Vec<u8> {
    let mut stored = Vec::with_capacity(values.len().div_ceil(VALUES) * kind.bytes_per_block());
    for values in values.chunks(VALUES) {
        let mut block = [0.0; VALUES];
        block[..values.len()].copy_from_slice(values);
        put(&block, &mut stored);
    }
    stored
}

fn bytes(values: &[f32; VALUES], stored: &mut Vec<u8>) {
    let highest = values.iter().fold(0.0f32, |highest, value| highest.max(value.abs()));
    let scale = f16::from_f32(highest / 127.0);
    stored.extend(scale.to_bits().to_le_bytes());
    let inverse = inverse(scale.to_f32());
    stored.extend(values.iter().map(|value| (value * inverse).round().clamp(-127.0, 127.0) as i8 as u8));
}

/// The value of the greatest size becomes −8, the only step that one side has more than the other.
fn nibbles(values: &[f32; VALUES], stored: &mut Vec<u8>) {
    let greatest = values.iter().fold(0.0f32, |most, &value| if value.abs() > most.abs() { value } else { most });
    let steps = |scale: f32| {
        let inverse = inverse(scale);
        values.map(|value| (value * inverse + 8.0).round().clamp(0.0, 15.0))
    };
    let candidates = stretches().map(|stretch| f16::from_f32(greatest / -8.0 * stretch));
    let error = |scale: &f16| {
        let scale = scale.to_f32();
        squares(values, &steps(scale).map(|step| scale * (step - 8.0)))
    };
    let scale = least(candidates, error);
    stored.extend(scale.to_bits().to_le_bytes());
    put(&steps(scale.to_f32()), stored);
}

fn raised_nibbles(values: &[f32; VALUES], stored: &mut Vec<u8>) {
    let lowest = values.iter().copied().fold(f32::INFINITY, f32::min);
    let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (middle, reach) = ((lowest + highest) / 2.0, (highest - lowest) / 2.0);
    let steps = |scale: f32, minimum: f32| {
        let inverse = inverse(scale);
        values.map(|value| ((value - minimum) * inverse).round().clamp(0.0, 15.0))
    };
    // Both ends may be worth cutting off for finer steps between them.
    let candidates = stretches().map(|stretch| {
        let scale = f16::from_f32(2.0 * reach * stretch / 15.0);
        (scale, f16::from_f32(middle - reach * stretch))
    });
    let error = |(scale, minimum): &(f16, f16)| {
        let (scale, minimum) = (scale.to_f32(), minimum.to_f32());
        squares(values, &steps(scale, minimum).map(|step| scale * step + minimum))
    };
    let (scale, minimum) = least(candidates, error);
    stored.extend(scale.to_bits().to_le_bytes());
    stored.extend(minimum.to_bits().to_le_bytes());
    put(&steps(scale.to_f32(), minimum.to_f32()), stored);
}

/// How much of the widest range is tried.
fn stretches() -> impl Iterator<Item = f32> {
    (0..8).map(|step| 1.0 - 0.04 * step as f32)
}

fn least<T>(candidates: impl Iterator<Item = T>, error: impl Fn(&T) -> f32) -> T
where
    T: Copy + Default,
{
    let scored = candidates.map(|candidate| (error(&candidate), candidate));
    scored.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, candidate)| candidate).unwrap_or_default()
}

fn squares(a: &[f32; VALUES], b: &[f32; VALUES]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// `1/scale`; a block of equal values has no scale, and all its steps are 0.
fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// Nibble `j` in the low half of byte `j`, nibble `j + 16` in its high half.
fn put(steps: &[f32; VALUES], stored: &mut Vec<u8>) {
    let (low, high) = steps.split_at(VALUES / 2);
    stored.extend(low.iter().zip(high).map(|(low, high)| *low as u8 | (*high as u8) << 4));
}
