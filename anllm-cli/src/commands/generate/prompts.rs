//! A file of prompts: JSON Lines, each with settings of its own where it has some, or one prompt a line.

use std::path::Path;

use anllm_infer::Sampling;
use anyhow::Context;
use serde::Deserialize;

use super::super::setup;

/// One prompt, and what it changes of the command line's settings.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prompt {
    pub(super) prompt: String,
    pub(super) max_new_tokens: Option<usize>,
    pub(super) stop: Option<Vec<String>>,
    pub(super) seed: Option<u64>,
    temperature: Option<f32>,
    top_k: Option<usize>,
    top_p: Option<f32>,
    min_p: Option<f32>,
    repeat_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
}

impl Prompt {
    /// The settings of this prompt. Without a seed of its own, number `number` draws with the common one plus that, so
    /// that equal prompts go different ways.
    pub(super) fn sampling(&self, number: usize, common: &Sampling) -> Sampling {
        Sampling {
            temperature: self.temperature.unwrap_or(common.temperature),
            top_k: self.top_k.unwrap_or(common.top_k),
            top_p: self.top_p.unwrap_or(common.top_p),
            min_p: self.min_p.unwrap_or(common.min_p),
            repeat_penalty: self.repeat_penalty.unwrap_or(common.repeat_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(common.presence_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(common.frequency_penalty),
            seed: self.seed.unwrap_or(common.seed.wrapping_add(number as u64)),
            ..common.clone()
        }
    }
}

/// The prompts of a file, each with its line from 1; - is standard input.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<(usize, Prompt)>> {
    let text = setup::read_text(path)?;
    let found = parse(&text).with_context(|| path.display().to_string())?;
    let hint = "hint: write one prompt a line, or JSON Lines like {\"prompt\": \"It was\", \"max_new_tokens\": 20}";
    anyhow::ensure!(!found.is_empty(), "{}: there is no prompt\n  {hint}", path.display());
    Ok(found)
}

fn parse(text: &str) -> anyhow::Result<Vec<(usize, Prompt)>> {
    let lines = || text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    // A file is one or the other: what begins as JSON Lines must go on so, lest a broken line became a prompt.
    let json = lines().next().is_some_and(|(line, _)| line.trim_start().starts_with('{'));
    let one = |(line, number): (&str, usize)| {
        let prompt = match json {
            true => serde_json::from_str(line).map_err(|e| {
                anyhow::anyhow!("line {number}: {e}\n  hint: expected an object like {{\"prompt\": \"It was\"}}")
            })?,
            false => Prompt { prompt: line.to_owned(), ..Prompt::default() },
        };
        anyhow::ensure!(!prompt.prompt.is_empty(), "line {number}: the prompt is empty\n  hint: give it a text");
        Ok((number, prompt))
    };
    lines().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_json_lines_or_plain_ones() {
        let found = parse("It was\n\n  { not json \n").unwrap();
        assert_eq!(
            found.iter().map(|(line, p)| (*line, &p.prompt[..])).collect::<Vec<_>>(),
            [(1, "It was"), (3, "  { not json ")]
        );
        let found =
            parse("\n{\"prompt\": \"It was\", \"temperature\": 0.5, \"stop\": [\"x\"]}\n{\"prompt\":\"b\"}").unwrap();
        assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3]);
        let common = Sampling { seed: 4, top_k: 9, ..Sampling::default() };
        let sampling = found[0].1.sampling(1, &common);
        assert_eq!((sampling.temperature, sampling.top_k, sampling.seed), (0.5, 9, 5));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let error = |text: &str| parse(text).unwrap_err().to_string();
        assert!(error("{\"prompt\": \"a\"}\nplain").contains("line 2: "));
        assert!(error("{\"prompt\": \"a\", \"temprature\": 1}").contains("temprature"));
        assert!(error("{\"prompt\": \"\"}").contains("line 1: the prompt is empty"));
    }
}
