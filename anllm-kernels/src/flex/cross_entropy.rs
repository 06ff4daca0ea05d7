//! Cross-entropy with its gradient: each row of scores is walked over while it stays in a near cache, and becomes its own
//! gradient.

use burn::tensor::DType;
use burn_flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::exp::exp2;
use super::tensors::filled;
use crate::cross_entropy::{CrossEntropy, Slope};

/// The scores again where they or the answers are of other types, or an answer is none of the scores.
pub(super) fn cross_entropy(
    scores: FlexTensor,
    answers: &FlexTensor,
    slope: Slope,
) -> Result<CrossEntropy<FlexTensor>, FlexTensor> {
    let &[rows, width] = scores.layout().shape().as_slice() else { return Err(scores) };
    let Some(answers) = columns(answers, width) else { return Err(scores) };
    if scores.dtype() != DType::F32 || answers.len() != rows {
        return Err(scores);
    }
    let mut scores = match scores.is_contiguous() && scores.layout().start_offset() == 0 {
        true => scores,
        false => scores.to_contiguous(),
    };
    let (mut surprise, mut log_sum) = (vec![0.0; rows], vec![0.0; rows]);
    let lines = scores.storage_mut::<f32>()[..rows * width].par_chunks_exact_mut(width.max(1));
    let each = lines.zip(&answers).zip(&mut surprise).zip(&mut log_sum);
    each.for_each(|(((scores, &answer), surprise), log_sum)| {
        let answered = scores[answer];
        *log_sum = Arch::new().dispatch(Shares { scores, scale: slope.scale as f32 });
        *surprise = *log_sum - answered;
        scores[answer] -= (slope.hit * slope.scale) as f32;
    });
    let column = |values| filled(values, [rows, 1]);
    Ok(CrossEntropy { surprise: column(surprise), log_sum: column(log_sum), slope: scores })
}

/// The answers as columns, if all of them are.
fn columns(answers: &FlexTensor, width: usize) -> Option<Vec<usize>> {
    let column = |answer: i64| usize::try_from(answer).ok().filter(|column| *column < width);
    match answers.dtype() {
        DType::I32 => answers.as_slice::<i32>()?.iter().map(|answer| column(i64::from(*answer))).collect(),
        DType::I64 => answers.as_slice::<i64>()?.iter().map(|answer| column(*answer)).collect(),
        _ => None,
    }
}

/// Turns a row of scores into `scale·softmax`, and gives `log Σ exp(score)`.
struct Shares<'a> {
    scores: &'a mut [f32],
    scale: f32,
}

impl WithSimd for Shares<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        /// Sums beside each other: each stays small, and none waits for another.
        const SUMS: usize = 4;
        let Self { scores, scale } = self;
        let (whole, rest) = S::as_mut_simd_f32s(scores);
        let mut highest = [simd.splat_f32s(f32::NEG_INFINITY); SUMS];
        // Nothing where all scores are finite; else not a number, which no comparison must hide.
        let mut flaw = [simd.splat_f32s(0.0); SUMS];
        for scores in whole.chunks(SUMS) {
            for (i, scores) in scores.iter().enumerate() {
                highest[i] = simd.max_f32s(highest[i], *scores);
                flaw[i] = simd.mul_add_f32s(*scores, simd.splat_f32s(0.0), flaw[i]);
            }
        }
        let mut most =
            highest.map(|highest| simd.reduce_max_f32s(highest)).into_iter().fold(f32::NEG_INFINITY, f32::max);
        let mut flaw: f32 = flaw.map(|flaw| simd.reduce_sum_f32s(flaw)).iter().sum();
        for score in &*rest {
            most = most.max(*score);
            flaw += score * 0.0;
        }
        let (shift, unit) = (simd.splat_f32s(most), simd.splat_f32s(std::f32::consts::LOG2_E));
        let mut sums = [simd.splat_f32s(0.0); SUMS];
        for scores in whole.chunks_mut(SUMS) {
            for (i, score) in scores.iter_mut().enumerate() {
                *score = exp2(simd, simd.mul_f32s(simd.sub_f32s(*score, shift), unit));
                sums[i] = simd.add_f32s(sums[i], *score);
            }
        }
        let mut sum = sums.map(|sum| f64::from(simd.reduce_sum_f32s(sum))).iter().sum::<f64>();
        for score in &mut *rest {
            *score = (*score - most).exp();
            sum += f64::from(*score);
        }
        let factor = (f64::from(scale) / sum) as f32 + flaw;
        let factors = simd.splat_f32s(factor);
        for score in whole {
            *score = simd.mul_f32s(*score, factors);
        }
        for score in rest {
            *score *= factor;
        }
        most + sum.ln() as f32 + flaw
    }
}
