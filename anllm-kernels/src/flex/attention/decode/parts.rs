//! What the spans of a token's keys give, and how they become one.

use pulp::{Arch, Simd, WithSimd};

/// What the spans give.
pub(super) struct Parts {
    heads: usize,
    width: usize,
    /// `[spans, H]`, as powers of two.
    highest: Vec<f32>,
    /// `[spans, H]`.
    sums: Vec<f32>,
    /// `[spans, H, D]`.
    values: Vec<f32>,
}

/// Where one span writes.
pub(super) struct Part<'a> {
    /// `[H]`, as powers of two; −∞ without keys.
    pub(super) highest: &'a mut [f32],
    /// `[H]`.
    pub(super) sums: &'a mut [f32],
    /// `[H, D]`.
    pub(super) values: &'a mut [f32],
}

impl Part<'_> {
    /// The same, for less long.
    pub(super) fn again(&mut self) -> Part<'_> {
        Part { highest: self.highest, sums: self.sums, values: self.values }
    }
}

impl Parts {
    pub(super) fn new(spans: usize, heads: usize, width: usize) -> Self {
        let (highest, sums) = (vec![f32::NEG_INFINITY; spans * heads], vec![0.0; spans * heads]);
        Self { heads, width, highest, sums, values: vec![0.0; spans * heads * width] }
    }

    /// One for each span, in order.
    pub(super) fn each(&mut self) -> impl Iterator<Item = Part<'_>> {
        let each = self.highest.chunks_mut(self.heads).zip(self.sums.chunks_mut(self.heads));
        let each = each.zip(self.values.chunks_mut(self.heads * self.width));
        each.map(|((highest, sums), values)| Part { highest, sums, values })
    }

    /// Adds to `output`, `[H, D]`, which is 0, and writes `log_sum`, `[H]`.
    pub(super) fn join(self, output: &mut [f32], log_sum: &mut [f32]) {
        Arch::new().dispatch(Join { parts: self, output, log_sum });
    }

    /// One head's output; returns the logarithm of its sum.
    #[inline(always)]
    fn join_head(&mut self, head: usize, output: &mut [f32]) -> f32 {
        let most = self.highest[head..].iter().step_by(self.heads).copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        let sums = self.sums[head..].iter().step_by(self.heads);
        for (weight, part) in self.highest[head..].iter_mut().step_by(self.heads).zip(sums) {
            *weight = (*weight - most).exp2();
            sum += part * *weight;
        }
        let values = self.values.chunks_exact(self.width).skip(head).step_by(self.heads);
        for (values, weight) in values.zip(self.highest[head..].iter().step_by(self.heads)) {
            let weight = weight / sum;
            output.iter_mut().zip(values).for_each(|(output, value)| *output += value * weight);
        }
        most * std::f32::consts::LN_2 + sum.ln()
    }
}

struct Join<'a> {
    parts: Parts,
    /// `[H, D]`.
    output: &'a mut [f32],
    /// `[H]`.
    log_sum: &'a mut [f32],
}

impl WithSimd for Join<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { mut parts, output, log_sum } = self;
        for (head, (output, log_sum)) in output.chunks_exact_mut(parts.width).zip(log_sum).enumerate() {
            *log_sum = parts.join_head(head, output);
        }
    }
}
