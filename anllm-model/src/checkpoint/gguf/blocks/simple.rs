//! Blocks of 32 values with one scale `d`, and in the `_1` types one minimum `m`, both half precision.
//!
//! Nibbles are split, not interleaved: byte `j` holds value `j` in its low half and value `j + 16` in its high half.
//! In the 5-bit types, bit `j` of the little-endian word `qh` is the fifth bit of value `j`.

use super::float::half;

/// Layout: `d`: 2 bytes, `q`: 32 signed bytes. Value `j` is `d · q[j]`.
pub(super) fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let d = half([block[0], block[1]]);
    for (out, q) in out.iter_mut().zip(&block[2..]) {
        *out = d * f32::from(*q as i8);
    }
}

/// Layout: `d`: 2 bytes, nibbles: 16 bytes. Value `j` is `d · (q[j] − 8)`.
pub(super) fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let d = half([block[0], block[1]]);
    for j in 0..16 {
        let byte = block[2 + j];
        out[j] = d * (f32::from(byte & 15) - 8.0);
        out[j + 16] = d * (f32::from(byte >> 4) - 8.0);
    }
}

/// Layout: `d`: 2 bytes, `m`: 2 bytes, nibbles: 16 bytes. Value `j` is `d · q[j] + m`.
pub(super) fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let d = half([block[0], block[1]]);
    let m = half([block[2], block[3]]);
    for j in 0..16 {
        let byte = block[4 + j];
        out[j] = d * f32::from(byte & 15) + m;
        out[j + 16] = d * f32::from(byte >> 4) + m;
    }
}

/// Layout: `d`: 2 bytes, `qh`: 4 bytes, nibbles: 16 bytes. Value `j` is `d · (q[j] − 16)`.
pub(super) fn q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let d = half([block[0], block[1]]);
    let high = u32::from_le_bytes([block[2], block[3], block[4], block[5]]);
    for j in 0..16 {
        let byte = block[6 + j];
        out[j] = d * (five_bits(byte & 15, high, j) - 16.0);
        out[j + 16] = d * (five_bits(byte >> 4, high, j + 16) - 16.0);
    }
}

/// Layout: `d`: 2 bytes, `m`: 2 bytes, `qh`: 4 bytes, nibbles: 16 bytes. Value `j` is `d · q[j] + m`.
pub(super) fn q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    let d = half([block[0], block[1]]);
    let m = half([block[2], block[3]]);
    let high = u32::from_le_bytes([block[4], block[5], block[6], block[7]]);
    for j in 0..16 {
        let byte = block[8 + j];
        out[j] = d * five_bits(byte & 15, high, j) + m;
        out[j + 16] = d * five_bits(byte >> 4, high, j + 16) + m;
    }
}

/// The nibble `low` with bit `j` of `high` above it, 0 to 31.
fn five_bits(low: u8, high: u32, j: usize) -> f32 {
    f32::from(low | (((high >> j) & 1) << 4) as u8)
}
