//! Lanes on any processor: what each operation means.

use half::f16;

use super::super::widen::Widen;
use super::Lanes;
use crate::packed::ROWS;

/// Any processor. The compiler makes vectors of its loops where it can.
#[derive(Clone, Copy)]
pub(in crate::flex) struct Plain;

impl Lanes for Plain {
    type Pairs = [[i16; 2]; ROWS];
    type Quads = [[u8; 4]; ROWS];
    type Shorts = [[i16; 2]; ROWS];
    type Ints = [i32; ROWS];
    type Floats = [f32; ROWS];

    #[inline(always)]
    fn bytes(self, stored: &[i8; 2 * ROWS]) -> Self::Pairs {
        let mut pairs = [[0; 2]; ROWS];
        for row in 0..ROWS {
            pairs[row] = [i16::from(stored[2 * row]), i16::from(stored[2 * row + 1])];
        }
        pairs
    }

    #[inline(always)]
    fn nibbles(self, words: &[u32; ROWS]) -> [Self::Pairs; 4] {
        let mut pairs = [[[0; 2]; ROWS]; 4];
        for (i, pairs) in pairs.iter_mut().enumerate() {
            for row in 0..ROWS {
                let word = words[row] >> (4 * i);
                pairs[row] = [(word & 15) as i16, (word >> 16 & 15) as i16];
            }
        }
        pairs
    }

    #[inline(always)]
    fn quads(self, words: &[u32; ROWS]) -> [Self::Quads; 2] {
        let mut quads = [[[0; 4]; ROWS]; 2];
        for row in 0..ROWS {
            quads[0][row] = (words[row] & 0x0F0F_0F0F).to_le_bytes();
            quads[1][row] = (words[row] >> 4 & 0x0F0F_0F0F).to_le_bytes();
        }
        quads
    }

    #[inline(always)]
    fn shorts(self) -> Self::Shorts {
        [[0; 2]; ROWS]
    }

    #[inline(always)]
    fn add_quads(self, a: Self::Quads, b: i32, mut sum: Self::Shorts) -> Self::Shorts {
        let b = b.to_le_bytes().map(|b| i16::from(b as i8));
        for row in 0..ROWS {
            let a = a[row];
            for half in 0..2 {
                let products = i16::from(a[2 * half]) * b[2 * half] + i16::from(a[2 * half + 1]) * b[2 * half + 1];
                sum[row][half] = sum[row][half].wrapping_add(products);
            }
        }
        sum
    }

    #[inline(always)]
    fn joined(self, sums: Self::Shorts) -> Self::Ints {
        let mut ints = [0; ROWS];
        for row in 0..ROWS {
            ints[row] = i32::from(sums[row][0]) + i32::from(sums[row][1]);
        }
        ints
    }

    #[inline(always)]
    fn ints(self, value: i32) -> Self::Ints {
        [value; ROWS]
    }

    #[inline(always)]
    fn floats(self, value: f32) -> Self::Floats {
        [value; ROWS]
    }

    #[inline(always)]
    fn add_products(self, a: Self::Pairs, b: i32, mut sum: Self::Ints) -> Self::Ints {
        let [low, high]: [i16; 2] = bytemuck::cast(b);
        for row in 0..ROWS {
            sum[row] += i32::from(a[row][0]) * i32::from(low) + i32::from(a[row][1]) * i32::from(high);
        }
        sum
    }

    #[inline(always)]
    fn load(self, stored: &[f32; ROWS]) -> Self::Floats {
        *stored
    }

    #[inline(always)]
    fn halves(self, stored: &[u16; ROWS]) -> Self::Floats {
        let mut floats = [0.0; ROWS];
        for row in 0..ROWS {
            floats[row] = half(stored[row]);
        }
        floats
    }

    #[inline(always)]
    fn any_halves(self, stored: &[u16; ROWS]) -> Self::Floats {
        stored.map(|bits| f16::from_bits(bits).wide())
    }

    #[inline(always)]
    fn brains(self, stored: &[u16; ROWS]) -> Self::Floats {
        stored.map(|bits| f32::from_bits(u32::from(bits) << 16))
    }

    #[inline(always)]
    fn add_each(self, a: Self::Floats, b: &[f32; ROWS], mut sum: Self::Floats) -> Self::Floats {
        for row in 0..ROWS {
            sum[row] += a[row] * b[row];
        }
        sum
    }

    #[inline(always)]
    fn add_product(self, a: Self::Floats, b: Self::Floats, sum: Self::Floats) -> Self::Floats {
        self.add_each(a, &b, sum)
    }

    #[inline(always)]
    fn split(self, pairs: Self::Pairs) -> [Self::Floats; 2] {
        [pairs.map(|pair| f32::from(pair[0])), pairs.map(|pair| f32::from(pair[1]))]
    }

    #[inline(always)]
    fn converted(self, ints: Self::Ints) -> Self::Floats {
        ints.map(|int| int as f32)
    }

    #[inline(always)]
    fn times(self, a: Self::Floats, b: f32) -> Self::Floats {
        a.map(|a| a * b)
    }

    #[inline(always)]
    fn add(self, a: Self::Floats, b: f32, mut sum: Self::Floats) -> Self::Floats {
        for row in 0..ROWS {
            sum[row] += a[row] * b;
        }
        sum
    }

    #[inline(always)]
    fn rows(self, values: Self::Floats) -> [f32; ROWS] {
        values
    }

    #[inline(always)]
    fn turned(self, rows: [&[f32; 8]; 8]) -> [[f32; 8]; 8] {
        std::array::from_fn(|number| rows.map(|row| row[number]))
    }
}

/// A finite half-precision float, by moving its bits into a float's and multiplying the difference of the exponents'
/// offsets in. Plain integer operations, so that a loop of them becomes vectors.
#[inline(always)]
fn half(bits: u16) -> f32 {
    const OFFSET: f32 = f32::from_bits((127 + 112) << 23);
    let bits = u32::from(bits);
    f32::from_bits((bits & 0x8000) << 16 | (bits & 0x7fff) << 13) * OFFSET
}
