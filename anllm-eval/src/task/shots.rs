//! Demonstrations before a question.

use super::error::QuestionError;
use super::file::Task;
use super::question::{Question, Scored};
use super::random::PythonRandom;

/// Which records are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampler {
    /// The first ones, the same before every question: their cache is computed once. The harness calls it `first_n`.
    First,
    /// The harness's default: drawn anew for each question, by Python's random numbers from this seed.
    Drawn(u64),
}

/// Where demonstrations are taken from.
#[derive(Debug, Clone, Copy)]
pub struct Pool<'a> {
    /// Them.
    pub questions: &'a [Question],
    /// What they are called in messages.
    pub source: &'a str,
    /// Whether they are the very questions that are asked, so that each must be kept from showing itself.
    pub same: bool,
}

/// A question's demonstrations and texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shots {
    /// What stands before the question: a description, and the demonstrations.
    pub before: String,
    /// What is scored, with that before it: one for each choice.
    pub choices: Vec<Scored>,
}

impl Task {
    /// Puts `count` demonstrations before each question. `mark` is put behind each demonstration's answer: an anchor, for
    /// models that have one for it.
    ///
    /// # Errors
    /// When the pool is too small.
    pub fn with_shots(
        &self,
        questions: &[Question],
        pool: Pool<'_>,
        count: usize,
        sampler: Sampler,
        mark: &str,
    ) -> Result<Vec<Shots>, QuestionError> {
        let mut random = match sampler {
            Sampler::Drawn(seed) => PythonRandom::new(seed),
            Sampler::First => PythonRandom::new(0),
        };
        let mut all = Vec::with_capacity(questions.len());
        for question in questions {
            let shown = self.shown(question, pool, count, sampler, &mut random)?;
            let mut before = self.description.clone();
            for &index in &shown {
                before.push_str(&pool.questions[index].demonstration());
                before.push_str(mark);
                before.push_str(&self.shot_delimiter);
            }
            let behind = |scored: &Scored| Scored {
                context: format!("{before}{}", scored.context),
                continuation: scored.continuation.clone(),
            };
            let choices = question.choices.iter().map(behind).collect();
            all.push(Shots { before, choices });
        }
        Ok(all)
    }

    /// Which of the pool a question is shown.
    fn shown(
        &self,
        question: &Question,
        pool: Pool<'_>,
        count: usize,
        sampler: Sampler,
        random: &mut PythonRandom,
    ) -> Result<Vec<usize>, QuestionError> {
        let Pool { questions, source, same } = pool;
        if count == 0 {
            return Ok(Vec::new());
        }
        let exclude = same || self.exclude_question;
        let others = || (0..questions.len()).filter(|&index| questions[index].record.fields != question.record.fields);
        let too_few = |found| QuestionError::TooFew { origin: source.to_owned(), wanted: count, found };
        let mut draw = |from: usize, count| random.sample(from, count).ok_or_else(|| too_few(from));
        let shown: Vec<usize> = match (sampler, exclude) {
            (Sampler::First, true) => others().take(count).collect(),
            (Sampler::First, false) => (0..questions.len()).take(count).collect(),
            (Sampler::Drawn(_), false) => draw(questions.len(), count)?,
            // The harness draws one more, so that enough are left where the question itself is among them.
            (Sampler::Drawn(_), true) => {
                let drawn = draw(questions.len(), count + 1)?;
                let others: Vec<usize> = others().collect();
                let mut kept: Vec<usize> = drawn.into_iter().filter(|index| others.contains(index)).collect();
                kept.truncate(count);
                if kept.len() < count {
                    kept = draw(others.len(), count)?.into_iter().map(|index| others[index]).collect();
                }
                kept
            }
        };
        if shown.len() < count { Err(too_few(shown.len())) } else { Ok(shown) }
    }
}
