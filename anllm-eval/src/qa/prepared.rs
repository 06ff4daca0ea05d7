//! Questions as tokens, with what they share.

use anllm_infer::Engine;
use anllm_kernels::Kernels;
use anllm_model::Tokenizer;
use rayon::prelude::*;

use super::error::QaError;
use crate::likelihood::{Encoded, Encoder};
use crate::task::{Pool, Question, Sampler, Shots, Task};

/// How questions are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Demonstrations before each question.
    pub shots: usize,
    /// Which.
    pub sampler: Sampler,
    /// What is put behind each demonstration: an anchor, for models that have one for it.
    pub mark: String,
}

/// Questions that are ready to be answered.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The questions.
    pub questions: Vec<Question>,
    /// Their texts.
    pub texts: Vec<Shots>,
    /// The tokens of each choice of each question.
    pub(super) encoded: Vec<Vec<Encoded>>,
    /// Questions with the same demonstrations.
    pub(super) groups: Vec<Group>,
}

/// Questions behind the same beginning.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// The tokens that every choice of every member begins with: those of the demonstrations, but for the last ones,
    /// where they join the question's first.
    pub(super) beginning: Vec<u32>,
    /// Which questions; the longest first.
    pub(super) members: Vec<usize>,
}

impl Prepared {
    /// Writes out and encodes `questions`.
    ///
    /// # Errors
    /// When there are not enough demonstrations, or a choice cannot be scored.
    pub fn new<B: Kernels>(
        engine: &Engine<B>,
        tokenizer: &Tokenizer,
        task: &Task,
        questions: Vec<Question>,
        pool: Pool<'_>,
        settings: &Settings,
    ) -> Result<Self, QaError> {
        let texts = task.with_shots(&questions, pool, settings.shots, settings.sampler, &settings.mark)?;
        let encoder = Encoder::new(tokenizer, engine.config());
        let encode = |(question, texts): (&Question, &Shots)| {
            let choices = texts.choices.iter().enumerate().map(|(number, scored)| {
                let origin = || question.record.origin.clone();
                encoder.encode(scored).map_err(|source| QaError::Encode {
                    origin: origin(),
                    choice: number + 1,
                    source,
                })
            });
            choices.collect::<Result<Vec<_>, _>>()
        };
        let encoded: Vec<Vec<Encoded>> = questions.par_iter().zip(&texts).map(encode).collect::<Result<_, _>>()?;
        for choices in &encoded {
            for choice in choices {
                engine.check_ids(&choice.ids)?;
            }
        }
        let groups = groups(&encoder, &texts, &encoded)?;
        Ok(Self { questions, texts, encoded, groups })
    }

    /// How many choices lost their beginning, because the text is longer than the model's context.
    pub fn cut(&self) -> usize {
        self.encoded.iter().flatten().filter(|choice| choice.cut > 0).count()
    }

    /// Tokens of a question's choices, what they share counted once.
    pub(super) fn tokens(&self, question: usize, shared: usize) -> usize {
        let choices = &self.encoded[question];
        let context = choices.iter().map(|choice| choice.context).min().unwrap_or(0);
        context.saturating_sub(shared) + choices.iter().map(|choice| choice.ids.len() - context).sum::<usize>()
    }
}

fn groups(encoder: &Encoder<'_>, texts: &[Shots], encoded: &[Vec<Encoded>]) -> Result<Vec<Group>, QaError> {
    // In the order of their first question, whatever the hash says.
    let mut index = std::collections::HashMap::new();
    let mut members: Vec<Vec<usize>> = Vec::new();
    for (question, shots) in texts.iter().enumerate() {
        // A text that lost its beginning shares none.
        let cut = encoded[question].iter().any(|choice| choice.cut > 0);
        let key = (if cut { "" } else { shots.before.as_str() }, cut);
        let group = *index.entry(key).or_insert_with(|| {
            members.push(Vec::new());
            members.len() - 1
        });
        members[group].push(question);
    }
    let built = members.into_iter().map(|mut members| {
        let first = members[0];
        let before = if encoded[first].iter().any(|choice| choice.cut > 0) { "" } else { &texts[first].before };
        let mut beginning = encoder.beginning(before)?;
        for choice in members.iter().flat_map(|&question| &encoded[question]) {
            let same = choice.ids.iter().zip(&beginning).take_while(|(a, b)| a == b).count();
            // The context's last token predicts: it is processed with the question.
            beginning.truncate(same.min(choice.context - 1));
        }
        let length = |question: &usize| encoded[*question].iter().map(|choice| choice.ids.len()).sum::<usize>();
        members.sort_by_key(|question| std::cmp::Reverse(length(question)));
        Ok(Group { beginning, members })
    });
    built.collect()
}
