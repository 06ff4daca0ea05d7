//! Mean losses of a step: of all tokens, of anchors, and of what follows them.

use crate::engine::Prepared;

#[derive(Debug, Default)]
pub(crate) struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    pub(crate) fn add(&mut self, value: f32) {
        self.sum += f64::from(value);
        self.count += 1;
    }

    pub(crate) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) all: Mean,
    pub(crate) anchors: Mean,
    pub(crate) after: Mean,
    pub(crate) divergence: Mean,
}

impl Tally {
    pub(crate) fn add(&mut self, rows: &Prepared, cross_entropy: &[f32], divergence: &[f32]) {
        for (question, loss) in rows.questions().iter().zip(cross_entropy) {
            self.all.add(*loss);
            if question.anchor {
                self.anchors.add(*loss);
            }
            if question.after_anchor {
                self.after.add(*loss);
            }
        }
        divergence.iter().for_each(|loss| self.divergence.add(*loss));
    }
}
