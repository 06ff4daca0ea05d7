//! Lanes of AVX2 and AVX-512.

use std::arch::x86_64::{__m256, __m256i, __m512, _MM_HINT_T1};

use pulp::x86::{V3, V4};
use pulp::{
    cast, f32x8, f32x16, i8x16, i8x32, i16x8, i16x16, i16x32, i32x8, i32x16, u8x32, u8x64, u16x8, u32x8, u32x16,
};

use super::super::fetch::LINE;
use super::Lanes;
use crate::packed::ROWS;

/// The lowest nibble of both 16-bit halves.
const LOW: u32 = 0x000F_000F;
/// The lowest nibble of every byte.
const LOWS: u32 = 0x0F0F_0F0F;

/// AVX-512.
impl Lanes for V4 {
    const AT_ONCE: usize = 12;
    const PANELS: usize = 2;

    type Pairs = i16x32;
    type Quads = u8x64;
    type Shorts = i16x32;
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
    fn quads(self, words: &[u32; ROWS]) -> [Self::Quads; 2] {
        let words: u32x16 = cast(*words);
        let low = self.splat_u32x16(LOWS);
        [cast(self.and_u32x16(words, low)), cast(self.and_u32x16(self.shr_const_u32x16::<4>(words), low))]
    }

    #[inline(always)]
    fn shorts(self) -> Self::Shorts {
        self.splat_i16x32(0)
    }

    #[inline(always)]
    fn add_quads(self, a: Self::Quads, b: i32, sum: Self::Shorts) -> Self::Shorts {
        let products = self.avx512bw._mm512_maddubs_epi16(cast(a), cast(self.splat_i32x16(b)));
        self.wrapping_add_i16x32(cast(products), sum)
    }

    #[inline(always)]
    fn joined(self, sums: Self::Shorts) -> Self::Ints {
        self.multiply_wrapping_add_adjacent_i16x32(sums, self.splat_i16x32(1))
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
    fn load(self, stored: &[f32; ROWS]) -> Self::Floats {
        cast(*stored)
    }

    #[inline(always)]
    fn halves(self, stored: &[u16; ROWS]) -> Self::Floats {
        cast::<__m512, f32x16>(self.avx512f._mm512_cvtph_ps(cast::<_, __m256i>(*stored)))
    }

    #[inline(always)]
    fn any_halves(self, stored: &[u16; ROWS]) -> Self::Floats {
        self.halves(stored)
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

    #[inline(always)]
    fn fetch<T>(self, ahead: *const T) {
        for line in (0..size_of::<T>()).step_by(LINE) {
            self.sse._mm_prefetch::<_MM_HINT_T1>(ahead.cast::<i8>().wrapping_add(line));
        }
    }

    #[inline(always)]
    fn turned(self, rows: [&[f32; 8]; 8]) -> [[f32; 8]; 8] {
        (*self).turned(rows)
    }
}

/// AVX2: two vectors of eight rows.
impl Lanes for V3 {
    type Pairs = [i16x16; 2];
    type Quads = [u8x32; 2];
    type Shorts = [i16x16; 2];
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
    fn quads(self, words: &[u32; ROWS]) -> [Self::Quads; 2] {
        let [a, b]: [u32x8; 2] = cast(*words);
        let low = self.splat_u32x8(LOWS);
        [
            [cast(self.and_u32x8(a, low)), cast(self.and_u32x8(b, low))],
            [
                cast(self.and_u32x8(self.shr_const_u32x8::<4>(a), low)),
                cast(self.and_u32x8(self.shr_const_u32x8::<4>(b), low)),
            ],
        ]
    }

    #[inline(always)]
    fn shorts(self) -> Self::Shorts {
        [self.splat_i16x16(0); 2]
    }

    #[inline(always)]
    fn add_quads(self, a: Self::Quads, b: i32, sum: Self::Shorts) -> Self::Shorts {
        let b = cast(self.splat_i32x8(b));
        [
            self.wrapping_add_i16x16(cast(self.avx2._mm256_maddubs_epi16(cast(a[0]), b)), sum[0]),
            self.wrapping_add_i16x16(cast(self.avx2._mm256_maddubs_epi16(cast(a[1]), b)), sum[1]),
        ]
    }

    #[inline(always)]
    fn joined(self, sums: Self::Shorts) -> Self::Ints {
        let one = self.splat_i16x16(1);
        [
            self.multiply_wrapping_add_adjacent_i16x16(sums[0], one),
            self.multiply_wrapping_add_adjacent_i16x16(sums[1], one),
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
    fn load(self, stored: &[f32; ROWS]) -> Self::Floats {
        cast(*stored)
    }

    /// The sign, drawn out to the left, is there already when the other bits have been moved to where a float has them; the
    /// difference of the exponents' offsets is multiplied in.
    #[inline(always)]
    fn halves(self, stored: &[u16; ROWS]) -> Self::Floats {
        let (kept, offset) = (self.splat_u32x8(0x8FFF_E000), self.splat_f32x8(f32::from_bits((127 + 112) << 23)));
        let [a, b]: [i16x8; 2] = cast(*stored);
        let a = self.shl_const_u32x8::<13>(cast(self.convert_i16x8_to_i32x8(a)));
        let b = self.shl_const_u32x8::<13>(cast(self.convert_i16x8_to_i32x8(b)));
        [self.mul_f32x8(cast(self.and_u32x8(a, kept)), offset), self.mul_f32x8(cast(self.and_u32x8(b, kept)), offset)]
    }

    /// As `halves`, but for the highest exponent, which stays the highest.
    #[inline(always)]
    fn any_halves(self, stored: &[u16; ROWS]) -> Self::Floats {
        let (exponent, highest) = (self.splat_u32x8(0x7C00), self.splat_u32x8(0xFF << 23));
        let [a, b]: [u16x8; 2] = cast(*stored);
        let mut wide: [u32x8; 2] = cast(self.halves(stored));
        let (a, b) = (self.convert_u16x8_to_u32x8(a), self.convert_u16x8_to_u32x8(b));
        let a = self.cmp_eq_u32x8(self.and_u32x8(a, exponent), exponent);
        let b = self.cmp_eq_u32x8(self.and_u32x8(b, exponent), exponent);
        wide[0] = self.or_u32x8(wide[0], self.and_u32x8(cast(a), highest));
        wide[1] = self.or_u32x8(wide[1], self.and_u32x8(cast(b), highest));
        cast(wide)
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
        let even: Self::Ints = [cast(self.shl_const_u32x8::<16>(cast(a))), cast(self.shl_const_u32x8::<16>(cast(b)))];
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

    #[inline(always)]
    fn fetch<T>(self, ahead: *const T) {
        for line in (0..size_of::<T>()).step_by(LINE) {
            self.sse._mm_prefetch::<_MM_HINT_T1>(ahead.cast::<i8>().wrapping_add(line));
        }
    }

    /// In three steps: pairs of rows by numbers, then fours, then the halves of vectors.
    #[inline(always)]
    fn turned(self, rows: [&[f32; 8]; 8]) -> [[f32; 8]; 8] {
        // No closures: the compiler would not know the processor's instructions in them.
        let avx = self.avx;
        let mut columns = [[0.0; 8]; 8];
        let mut fours = [[avx._mm256_setzero_ps(); 4]; 2];
        for (fours, rows) in fours.iter_mut().zip(rows.as_chunks::<4>().0) {
            let a: __m256 = cast::<f32x8, _>(cast(*rows[0]));
            let b: __m256 = cast::<f32x8, _>(cast(*rows[1]));
            let c: __m256 = cast::<f32x8, _>(cast(*rows[2]));
            let d: __m256 = cast::<f32x8, _>(cast(*rows[3]));
            let (ab, cd) = (avx._mm256_unpacklo_ps(a, b), avx._mm256_unpacklo_ps(c, d));
            fours[0] = avx._mm256_shuffle_ps::<0x44>(ab, cd);
            fours[1] = avx._mm256_shuffle_ps::<0xEE>(ab, cd);
            let (ab, cd) = (avx._mm256_unpackhi_ps(a, b), avx._mm256_unpackhi_ps(c, d));
            fours[2] = avx._mm256_shuffle_ps::<0x44>(ab, cd);
            fours[3] = avx._mm256_shuffle_ps::<0xEE>(ab, cd);
        }
        for i in 0..4 {
            let (a, b) = (fours[0][i], fours[1][i]);
            columns[i] = cast(cast::<_, f32x8>(avx._mm256_permute2f128_ps::<0x20>(a, b)));
            columns[i + 4] = cast(cast::<_, f32x8>(avx._mm256_permute2f128_ps::<0x31>(a, b)));
        }
        columns
    }
}
