//! Sixteen numbers in the lanes of vectors, on each kind of processor, where `pulp`'s own abstraction has no words for
//! what is done: integers of 8 and 16 bits, 16-bit floats.

mod plain;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(super) use plain::Plain;

use crate::packed::ROWS;

/// What a processor does with sixteen rows, or sixteen numbers of a row, at once. [`Plain`] says what each operation
/// means.
pub(super) trait Lanes: Copy {
    /// Rows of inputs whose sums fit into registers together, beside what they are made of.
    const AT_ONCE: usize = 6;
    /// Panels of sixteen rows of the weights whose sums fit as well.
    const PANELS: usize = 1;
    /// Two 16-bit integers of each row.
    type Pairs: Copy;
    /// Four 8-bit integers without sign of each row.
    type Quads: Copy;
    /// Two sums of 16 bits of each row.
    type Shorts: Copy;
    /// A 32-bit integer of each row.
    type Ints: Copy;
    /// A float of each row.
    type Floats: Copy;

    /// Two 8-bit integers of each row, widened.
    fn bytes(self, stored: &[i8; 2 * ROWS]) -> Self::Pairs;

    /// Pairs of words of nibbles: the numbers in the low halves of bytes 0 and 2, in their high halves, and the same of
    /// bytes 1 and 3.
    fn nibbles(self, words: &[u32; ROWS]) -> [Self::Pairs; 4];

    /// The numbers in the low and in the high halves of the words' bytes.
    fn quads(self, words: &[u32; ROWS]) -> [Self::Quads; 2];

    /// No sums yet.
    fn shorts(self) -> Self::Shorts;

    /// `sum + [a₀·b₀ + a₁·b₁, a₂·b₂ + a₃·b₃]`, `b` the same bytes with sign for all rows. Where that is too much for 16
    /// bits the result is any.
    fn add_quads(self, a: Self::Quads, b: i32, sum: Self::Shorts) -> Self::Shorts;

    /// Both sums together.
    fn joined(self, sums: Self::Shorts) -> Self::Ints;

    /// `value` in each row.
    fn ints(self, value: i32) -> Self::Ints;

    /// `value` in each row.
    fn floats(self, value: f32) -> Self::Floats;

    /// `sum + a₀·b₀ + a₁·b₁`, `b` the same pair for all rows.
    fn add_products(self, a: Self::Pairs, b: i32, sum: Self::Ints) -> Self::Ints;

    /// Floats as they are.
    fn load(self, stored: &[f32; ROWS]) -> Self::Floats;

    /// Half-precision floats that are finite.
    fn halves(self, stored: &[u16; ROWS]) -> Self::Floats;

    /// Half-precision floats, infinite ones and what is no number among them.
    fn any_halves(self, stored: &[u16; ROWS]) -> Self::Floats;

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

    /// Asks for the memory where a `T` will be read, if there is any, as [`fetch`](super::fetch::fetch) does. The processor
    /// does so by itself within a page, and waits at the beginning of the next.
    #[inline(always)]
    fn fetch<T>(self, _: *const T) {}

    /// Eight numbers of eight rows each, turned: the rows' first numbers, then their second ones, and so on.
    fn turned(self, rows: [&[f32; 8]; 8]) -> [[f32; 8]; 8];
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
