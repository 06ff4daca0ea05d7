//! What some heads make of a block's values.

use pulp::Simd;

use super::super::super::vectors::add_scaled;
use super::BLOCK;
use super::entries::{Entries, Lines};

/// As many floats as a vector of any processor holds, at most.
const LANES: usize = 16;

/// Values, weighted.
pub(super) struct Weigh<'a> {
    pub(super) values: &'a Lines<'a>,
    pub(super) group: usize,
    /// How many there are.
    pub(super) count: usize,
    /// `[N, BLOCK]` and more.
    pub(super) shares: &'a [f32],
    /// `[N]` and more, what is kept of what each head has.
    pub(super) kept: &'a [f32],
    /// Where the next keys are, which are asked for, one for each value at most.
    pub(super) coming: &'a [usize],
    pub(super) keys: &'a Entries<'a>,
    pub(super) groups: usize,
}

impl Weigh<'_> {
    /// `output = kept·output + Σ shares·values` for `N` heads, `[N, D]`.
    #[inline(always)]
    pub(super) fn of<S: Simd, const N: usize>(&self, simd: S, output: &mut [f32]) {
        let width = output.len() / N;
        let whole = width / S::F32_LANES;
        let mut first = 0;
        while first < whole {
            // As many sums at once as are sure to stay in registers.
            first += match whole - first {
                1 => self.some::<S, N, 1>(simd, first, output),
                2 => self.some::<S, N, 2>(simd, first, output),
                3 => self.some::<S, N, 3>(simd, first, output),
                _ if S::F32_LANES < LANES => self.some::<S, N, 3>(simd, first, output),
                _ => self.some::<S, N, 4>(simd, first, output),
            };
        }
        let whole = whole * S::F32_LANES;
        if whole < width {
            let heads = self.shares.chunks(BLOCK).zip(self.kept).zip(output.chunks_exact_mut(width));
            for ((shares, kept), output) in heads {
                output[whole..].iter_mut().for_each(|value| *value *= kept);
                for (number, &share) in shares[..self.count].iter().enumerate() {
                    add_scaled(simd, share, &self.values.get(number, self.group)[whole..], &mut output[whole..]);
                }
            }
        }
    }

    /// `M` vectors of it, from vector `first` on. Returns `M`.
    #[inline(always)]
    fn some<S: Simd, const N: usize, const M: usize>(&self, simd: S, first: usize, output: &mut [f32]) -> usize {
        let width = output.len() / N;
        let own = first * S::F32_LANES..(first + M) * S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); M]; N];
        for n in 0..N {
            let kept = simd.splat_f32s(self.kept[n]);
            let output = S::as_simd_f32s(&output[n * width..][own.clone()]).0;
            for m in 0..M {
                sums[n][m] = simd.mul_f32s(output[m], kept);
            }
        }
        for number in 0..self.count {
            if first == 0
                && let Some(slot) = self.coming.get(number)
            {
                self.keys.fetch(*slot, self.groups);
            }
            // In registers, for all heads.
            let mut value = [simd.splat_f32s(0.0); M];
            value.copy_from_slice(S::as_simd_f32s(&self.values.get(number, self.group)[own.clone()]).0);
            for (n, sums) in sums.iter_mut().enumerate() {
                let share = simd.splat_f32s(self.shares[n * BLOCK + number]);
                for m in 0..M {
                    sums[m] = simd.mul_add_f32s(value[m], share, sums[m]);
                }
            }
        }
        for (sums, output) in sums.iter().zip(output.chunks_exact_mut(width)) {
            S::as_mut_simd_f32s(&mut output[own.clone()]).0[..M].copy_from_slice(sums);
        }
        M
    }
}
