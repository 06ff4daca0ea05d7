//! Sixteen numbers in the lanes of vectors, on each kind of processor, where `pulp`'s own abstraction has no words for
//! what is done: integers of 8 and 16 bits, 16-bit floats.

use crate::packed::ROWS;

/// What a processor does with sixteen rows, or sixteen numbers of a row, at once. [`Plain`] says what each operation
/// means.
pub(super) trait Lanes: Copy {
    /// Whether sums of a dozen rows fit into registers, beside what they are made of.
    const MANY_REGISTERS: bool = false;
    /// Two 16-bit integers of each row.
    type Pairs: Copy;
    /// A 32-bit integer of each row.
    type Ints: Copy;
    /// A float of each row.
    type Floats: Copy;

    /// Two 8-bit integers of each row, widened.
    fn bytes(self, stored: &[i8; 2 * ROWS]) -> Self::Pairs;

    /// Pairs 0 to 3 of words of nibbles.
    fn nibbles(self, words: &[u32; ROWS]) -> [Self::Pairs; 4];

    /// `value` in each row.
    fn ints(self, value: i32) -> Self::Ints;

    /// `value` in each row.
    fn floats(self, value: f32) -> Self::Floats;

    /// `sum + a₀·b₀ + a₁·b₁`, `b` the same pair for all rows.
    fn add_products(self, a: Self::Pairs, b: i32, sum: Self::Ints) -> Self::Ints;

    /// Half-precision floats.
    fn halves(self, stored: &[u16; ROWS]) -> Self::Floats;

    /// The upper halves of 32-bit floats.
    fn brains(self, stored: &[u16; ROWS]) -> Self::Floats;

    /// The first and the second integer of each pair, as floats.
    fn split(self, pairs: Self::Pairs) -> [Self::Floats; 2];

    /// Integers as floats.
    fn converted(self, ints: Self::Ints) -> Self::Floats;

    /// `a·b`.
    fn times(self, a: Self::Floats, b: f32) -> Self::Floats;

    /// `sum + a·b`.
    fn add(self, a: Self::Floats, b: f32, sum: Self::Floats) -> Self::Floats;

    /// `sum + a·b`, number by number.
    fn add_product(self, a: Self::Floats, b: Self::Floats, sum: Self::Floats) -> Self::Floats;

    /// The same with a `b` in memory.
    fn add_each(self, a: Self::Floats, b: &[f32; ROWS], sum: Self::Floats) -> Self::Floats;

    /// The rows in order.
    fn rows(self, values: Self::Floats) -> [f32; ROWS];
}

/// Work that can be done on any lanes.
pub(super) trait OnLanes {
    /// Does it.
    fn on<L: Lanes>(self, lanes: L);
}

/// Does `work` on the widest vectors there are.
pub(super) fn run(work: impl OnLanes) {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(simd) = pulp::x86::V4::try_new() {
            return pulp::Simd::vectorize(simd, Inside(simd, work));
        }
        if let Some(simd) = pulp::x86::V3::try_new() {
            return pulp::Simd::vectorize(simd, Inside(simd, work));
        }
    }
    work.on(Plain);
}

/// Work inside a function that may use the processor's instructions for the lanes.
struct Inside<L, W>(L, W);

impl<L: Lanes, W: OnLanes> pulp::WithSimd for Inside<L, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        self.1.on(self.0);
    }
}

/// Any processor. The compiler makes vectors of its loops where it can.
#[derive(Clone, Copy)]
pub(super) struct Plain;

impl Lanes for Plain {
    type Pairs = [[i16; 2]; ROWS];
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
    fn halves(self, stored: &[u16; ROWS]) -> Self::Floats {
        let mut floats = [0.0; ROWS];
        for row in 0..ROWS {
            floats[row] = half(stored[row]);
        }
        floats
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
}

/// A finite half-precision float, by moving its bits into a float's and multiplying the difference of the exponents'
/// offsets in. Plain integer operations, so that a loop of them becomes vectors.
#[inline(always)]
fn half(bits: u16) -> f32 {
    const OFFSET: f32 = f32::from_bits((127 + 112) << 23);
    let bits = u32::from(bits);
    f32::from_bits((bits & 0x8000) << 16 | (bits & 0x7fff) << 13) * OFFSET
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m256i, __m512};

    use pulp::x86::{V3, V4};
    use pulp::{cast, f32x8, f32x16, i8x16, i8x32, i16x16, i16x32, i32x8, i32x16, u16x8, u32x8, u32x16};

    use super::{Lanes, Plain, ROWS};

    /// The lowest nibble of both 16-bit halves.
    const LOW: u32 = 0x000F_000F;

    /// AVX-512.
    impl Lanes for V4 {
        const MANY_REGISTERS: bool = true;

        type Pairs = i16x32;
        type Ints = i32x16;
        type Floats = f32x16;

        #[inline(always)]
        fn bytes(self, stored: &[i8; 2 * ROWS]) -> Self::Pairs {
            self.convert_i8x32_to_i16x32(cast::<_, i8x32>(*stored))
        }

        #[inline(always)]
        fn nibbles(self, words: &[u32; ROWS]) -> [Self::Pairs; 4] {
            let words: u32x16 = cast(*words);
            let low = self.splat_u32x16(LOW);
            [
                cast(self.and_u32x16(words, low)),
                cast(self.and_u32x16(self.shr_const_u32x16::<4>(words), low)),
                cast(self.and_u32x16(self.shr_const_u32x16::<8>(words), low)),
                cast(self.and_u32x16(self.shr_const_u32x16::<12>(words), low)),
            ]
        }

        #[inline(always)]
        fn ints(self, value: i32) -> Self::Ints {
            self.splat_i32x16(value)
        }

        #[inline(always)]
        fn floats(self, value: f32) -> Self::Floats {
            self.splat_f32x16(value)
        }

        #[inline(always)]
        fn add_products(self, a: Self::Pairs, b: i32, sum: Self::Ints) -> Self::Ints {
            let products = self.multiply_wrapping_add_adjacent_i16x32(a, cast(self.splat_i32x16(b)));
            self.wrapping_add_i32x16(products, sum)
        }

        #[inline(always)]
        fn halves(self, stored: &[u16; ROWS]) -> Self::Floats {
            cast::<__m512, f32x16>(self.avx512f._mm512_cvtph_ps(cast::<_, __m256i>(*stored)))
        }

        #[inline(always)]
        fn brains(self, stored: &[u16; ROWS]) -> Self::Floats {
            let wide = self.convert_u16x16_to_u32x16(cast(*stored));
            cast(self.shl_const_u32x16::<16>(wide))
        }

        #[inline(always)]
        fn add_each(self, a: Self::Floats, b: &[f32; ROWS], sum: Self::Floats) -> Self::Floats {
            self.mul_add_f32x16(a, cast(*b), sum)
        }

        #[inline(always)]
        fn add_product(self, a: Self::Floats, b: Self::Floats, sum: Self::Floats) -> Self::Floats {
            self.mul_add_f32x16(a, b, sum)
        }

        #[inline(always)]
        fn split(self, pairs: Self::Pairs) -> [Self::Floats; 2] {
            let odd: i32x16 = cast(pairs);
            let even: i32x16 = cast(self.shl_const_u32x16::<16>(cast(pairs)));
            [self.converted(self.shr_const_i32x16::<16>(even)), self.converted(self.shr_const_i32x16::<16>(odd))]
        }

        #[inline(always)]
        fn converted(self, ints: Self::Ints) -> Self::Floats {
            self.convert_i32x16_to_f32x16(ints)
        }

        #[inline(always)]
        fn times(self, a: Self::Floats, b: f32) -> Self::Floats {
            self.mul_f32x16(a, self.splat_f32x16(b))
        }

        #[inline(always)]
        fn add(self, a: Self::Floats, b: f32, sum: Self::Floats) -> Self::Floats {
            self.mul_add_f32x16(a, self.splat_f32x16(b), sum)
        }

        #[inline(always)]
        fn rows(self, values: Self::Floats) -> [f32; ROWS] {
            cast(values)
        }
    }

    /// AVX2: two vectors of eight rows.
    impl Lanes for V3 {
        type Pairs = [i16x16; 2];
        type Ints = [i32x8; 2];
        type Floats = [f32x8; 2];

        #[inline(always)]
        fn bytes(self, stored: &[i8; 2 * ROWS]) -> Self::Pairs {
            let [low, high]: [i8x16; 2] = cast(*stored);
            [self.convert_i8x16_to_i16x16(low), self.convert_i8x16_to_i16x16(high)]
        }

        #[inline(always)]
        fn nibbles(self, words: &[u32; ROWS]) -> [Self::Pairs; 4] {
            let [a, b]: [u32x8; 2] = cast(*words);
            let low = self.splat_u32x8(LOW);
            [
                [cast(self.and_u32x8(a, low)), cast(self.and_u32x8(b, low))],
                [
                    cast(self.and_u32x8(self.shr_const_u32x8::<4>(a), low)),
                    cast(self.and_u32x8(self.shr_const_u32x8::<4>(b), low)),
                ],
                [
                    cast(self.and_u32x8(self.shr_const_u32x8::<8>(a), low)),
                    cast(self.and_u32x8(self.shr_const_u32x8::<8>(b), low)),
                ],
                [
                    cast(self.and_u32x8(self.shr_const_u32x8::<12>(a), low)),
                    cast(self.and_u32x8(self.shr_const_u32x8::<12>(b), low)),
                ],
            ]
        }

        #[inline(always)]
        fn ints(self, value: i32) -> Self::Ints {
            [self.splat_i32x8(value); 2]
        }

        #[inline(always)]
        fn floats(self, value: f32) -> Self::Floats {
            [self.splat_f32x8(value); 2]
        }

        #[inline(always)]
        fn add_products(self, a: Self::Pairs, b: i32, sum: Self::Ints) -> Self::Ints {
            let b: i16x16 = cast(self.splat_i32x8(b));
            [
                self.wrapping_add_i32x8(self.multiply_wrapping_add_adjacent_i16x16(a[0], b), sum[0]),
                self.wrapping_add_i32x8(self.multiply_wrapping_add_adjacent_i16x16(a[1], b), sum[1]),
            ]
        }

        #[inline(always)]
        fn halves(self, stored: &[u16; ROWS]) -> Self::Floats {
            cast(Plain.halves(stored))
        }

        #[inline(always)]
        fn brains(self, stored: &[u16; ROWS]) -> Self::Floats {
            let [a, b]: [u16x8; 2] = cast(*stored);
            let wide = [self.convert_u16x8_to_u32x8(a), self.convert_u16x8_to_u32x8(b)];
            [cast(self.shl_const_u32x8::<16>(wide[0])), cast(self.shl_const_u32x8::<16>(wide[1]))]
        }

        #[inline(always)]
        fn add_each(self, a: Self::Floats, b: &[f32; ROWS], sum: Self::Floats) -> Self::Floats {
            let b: [f32x8; 2] = cast(*b);
            [self.mul_add_f32x8(a[0], b[0], sum[0]), self.mul_add_f32x8(a[1], b[1], sum[1])]
        }

        #[inline(always)]
        fn add_product(self, a: Self::Floats, b: Self::Floats, sum: Self::Floats) -> Self::Floats {
            [self.mul_add_f32x8(a[0], b[0], sum[0]), self.mul_add_f32x8(a[1], b[1], sum[1])]
        }

        #[inline(always)]
        fn split(self, [a, b]: Self::Pairs) -> [Self::Floats; 2] {
            let even: Self::Ints =
                [cast(self.shl_const_u32x8::<16>(cast(a))), cast(self.shl_const_u32x8::<16>(cast(b)))];
            let right = |ints: i32x8| self.shr_const_i32x8::<16>(ints);
            [self.converted([right(even[0]), right(even[1])]), self.converted([right(cast(a)), right(cast(b))])]
        }

        #[inline(always)]
        fn converted(self, ints: Self::Ints) -> Self::Floats {
            [self.convert_i32x8_to_f32x8(ints[0]), self.convert_i32x8_to_f32x8(ints[1])]
        }

        #[inline(always)]
        fn times(self, a: Self::Floats, b: f32) -> Self::Floats {
            let b = self.splat_f32x8(b);
            [self.mul_f32x8(a[0], b), self.mul_f32x8(a[1], b)]
        }

        #[inline(always)]
        fn add(self, a: Self::Floats, b: f32, sum: Self::Floats) -> Self::Floats {
            let b = self.splat_f32x8(b);
            [self.mul_add_f32x8(a[0], b, sum[0]), self.mul_add_f32x8(a[1], b, sum[1])]
        }

        #[inline(always)]
        fn rows(self, values: Self::Floats) -> [f32; ROWS] {
            cast(values)
        }
    }
}
