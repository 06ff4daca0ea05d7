//! "K" blocks: 256 values in sub-blocks, whose own scales are quantised in turn.

use super::float::half;

/// Unpacks the eight 6-bit scales and eight 6-bit minima of a Q4_K or Q5_K block, as `(scale, minimum)` of sub-block
/// `j`. The first four of each fill the low six bits of bytes 0–3 (scales) and 4–7 (minima); the last four have their
/// low nibbles in bytes 8–11 (scales low, minima high) and their top two bits in the top bits of bytes 0–7.
fn scale_and_min(packed: &[u8], j: usize) -> (f32, f32) {
    let (scale, min) = if j < 4 {
        (packed[j] & 63, packed[j + 4] & 63)
    } else {
        (packed[j + 4] & 15 | packed[j - 4] >> 6 << 4, packed[j + 4] >> 4 | packed[j] >> 6 << 4)
    };
    (f32::from(scale), f32::from(min))
}

/// Eight sub-blocks of 32. Value = `d · scale · q − dmin · minimum`.
///
/// Layout: `d`: 2 bytes, `dmin`: 2, packed scales: 12, nibbles: 128. Each run of 32 bytes holds sub-block `2p` in its
/// low halves and `2p + 1` in its high halves.
pub(super) fn q4_k(block: &[u8; 144], out: &mut [f32; 256]) {
    let d = half([block[0], block[1]]);
    let dmin = half([block[2], block[3]]);
    let (packed, nibbles) = block[4..].split_at(12);
    for (j, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, min) = scale_and_min(packed, j);
        let (scale, min) = (d * scale, dmin * min);
        let bytes = &nibbles[32 * (j / 2)..][..32];
        for (out, byte) in out.iter_mut().zip(bytes) {
            *out = scale * f32::from(byte >> (4 * (j % 2)) & 15) - min;
        }
    }
}

/// As Q4_K with a fifth bit: bit `j` of byte `i` of `qh` belongs to value `i` of sub-block `j`.
///
/// Layout: `d`: 2 bytes, `dmin`: 2, packed scales: 12, `qh`: 32, nibbles: 128.
pub(super) fn q5_k(block: &[u8; 176], out: &mut [f32; 256]) {
    let d = half([block[0], block[1]]);
    let dmin = half([block[2], block[3]]);
    let (packed, rest) = block[4..].split_at(12);
    let (high, nibbles) = rest.split_at(32);
    for (j, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, min) = scale_and_min(packed, j);
        let (scale, min) = (d * scale, dmin * min);
        let bytes = &nibbles[32 * (j / 2)..][..32];
        for ((out, byte), high) in out.iter_mut().zip(bytes).zip(high) {
            let q = byte >> (4 * (j % 2)) & 15 | (high >> j & 1) << 4;
            *out = scale * f32::from(q) - min;
        }
    }
}

/// Sixteen sub-blocks of 16 with signed 8-bit scales. Value = `d · scale · (q − 32)`.
///
/// Layout: `ql`: 128 bytes, `qh`: 64, scales: 16, `d`: 2. Each half of 128 values uses 64 bytes of `ql` and 32 of `qh`;
/// its group `g` of 32 values takes the low (`g < 2`) or high nibbles of the `g mod 2`-th run of 32 bytes of `ql`, and
/// bits `2g` and `2g + 1` of `qh`.
pub(super) fn q6_k(block: &[u8; 210], out: &mut [f32; 256]) {
    let (ql, rest) = block.split_at(128);
    let (qh, rest) = rest.split_at(64);
    let (scales, d) = rest.split_at(16);
    let d = half([d[0], d[1]]);
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        let (half, g) = (group / 4, group % 4);
        let low = &ql[64 * half + 32 * (g % 2)..][..32];
        let high = &qh[32 * half..][..32];
        for (i, out) in out.iter_mut().enumerate() {
            let q = low[i] >> (4 * (g / 2)) & 15 | (high[i] >> (2 * g) & 3) << 4;
            let scale = d * f32::from(scales[2 * group + i / 16] as i8);
            *out = scale * (f32::from(q) - 32.0);
        }
    }
}
