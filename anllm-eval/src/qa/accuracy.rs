//! How many answers are right.

use serde::Serialize;

use super::answer::Answer;
use crate::task::Question;

/// A share of questions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    /// From 0 to 1.
    pub value: f64,
    /// The standard error of the mean; `None` for a single question.
    pub stderr: Option<f64>,
}

impl Rate {
    /// Of outcomes: right or not.
    pub fn of(outcomes: &[bool]) -> Self {
        let count = outcomes.len() as f64;
        let value = outcomes.iter().filter(|right| **right).count() as f64 / count;
        // Sum of squares around the mean, of zeros and ones.
        let spread = count * value * (1.0 - value);
        let stderr = (outcomes.len() > 1).then(|| (spread / (count - 1.0) / count).sqrt());
        Self { value, stderr }
    }
}

/// How well questions were answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Accuracy {
    /// The likeliest choice is right.
    pub acc: Rate,
    /// The choice is right whose log-likelihood, divided by its characters, is highest.
    pub acc_norm: Rate,
}

impl Accuracy {
    /// Of answers to `questions`. At least one answer.
    pub fn of(questions: &[Question], answers: &[Answer]) -> Self {
        let right = |judge: fn(&Question, &Answer) -> bool| -> Vec<bool> {
            answers.iter().map(|answer| judge(&questions[answer.question], answer)).collect()
        };
        Self { acc: Rate::of(&right(Answer::is_right)), acc_norm: Rate::of(&right(Answer::is_right_by_length)) }
    }
}

impl Answer {
    /// Whether the likeliest choice is the right one.
    pub fn is_right(question: &Question, answer: &Self) -> bool {
        best(answer.likelihoods.iter().copied()) == Some(question.answer)
    }

    /// The same by the likelihood of a character.
    pub fn is_right_by_length(question: &Question, answer: &Self) -> bool {
        let each = answer.likelihoods.iter().zip(&question.characters);
        best(each.map(|(likelihood, characters)| likelihood / *characters as f64)) == Some(question.answer)
    }
}

/// The first of the highest, as numpy's `argmax` has it.
fn best(values: impl Iterator<Item = f64>) -> Option<usize> {
    values.enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What lm-evaluation-harness prints for five outcomes: `numpy.std(ddof=1) / sqrt(n)`.
    #[test]
    fn the_standard_error_is_that_of_the_mean() {
        let rate = Rate::of(&[true, false, true, true, false]);
        assert!((rate.value - 0.6).abs() < 1e-12);
        assert!((rate.stderr.unwrap() - 0.244_948_974_278_317_8).abs() < 1e-12);
        assert_eq!(Rate::of(&[true]).stderr, None);
        assert_eq!(Rate::of(&[true, true]).stderr, Some(0.0));
    }

    #[test]
    fn of_equal_choices_the_first_is_best() {
        assert_eq!(best([-2.0, -1.0, -1.0].into_iter()), Some(1));
        assert_eq!(best(std::iter::empty()), None);
    }
}
