//! `anllm anchors`: a text as its anchors see it. The text is read once into a [`Reading`]; every other file here
//! shows that reading in one form.
//!
//! Without a choice the text and its summary are shown. `--mask` draws the mask in place of the text, `--explain`
//! answers its question alone, `--svg` and `--html` write a file and leave the summary; with `--mask` the SVG is of the
//! mask. `--trace` reads no text at all, but
//! what `anllm generate --trace` wrote.

mod explain;
mod html;
mod mask;
mod reading;
mod report;
mod spelling;
mod summary;
mod svg;
mod text;
mod text_svg;
mod timeline;

use std::io::{self, IsTerminal};
use std::path::Path;

use anllm_core::Segments;
use anllm_model::Tokenizer;

use self::reading::Reading;
use self::text::Style;
use super::{aside, setup};
use crate::args::AnchorsArgs;
use crate::output::Output;

pub(crate) fn run(args: AnchorsArgs, output: &Output) -> anyhow::Result<()> {
    if !args.trace.is_empty() {
        return timeline::run(&args, output);
    }
    let reading = read(&args)?;
    // Everything is made before anything is written, so that a refusal leaves nothing half done.
    let report = report::report(&reading, &args)?;
    let page = match output.is_json() {
        true => None,
        false => Some(page(&reading, &args)?),
    };
    let drawn = |reading: &Reading| if args.mask { svg::picture(reading) } else { text_svg::picture(reading) };
    let picture = args.svg.as_deref().map(|file| drawn(&reading).map(|svg| (file, svg))).transpose()?;
    let html = args.html.as_deref().map(|file| (file, html::page(&reading)));
    for (file, content) in picture.into_iter().chain(html) {
        aside::write(file, &content)?;
        output.note(&format!("wrote {}", file.display()));
    }
    for warning in summary::warnings(&reading) {
        tracing::warn!("{warning}");
    }
    match page {
        Some(page) => output.text(&page),
        None => output.json(&report),
    }
}

fn read(args: &AnchorsArgs) -> anyhow::Result<Reading> {
    let checkpoint = args.model.open()?;
    let rule = setup::rule(&args.model.anchors, checkpoint.config()).unwrap_or_else(setup::assumed);
    let matcher = setup::matcher(&rule, &checkpoint)?;
    let tokenizer = checkpoint.tokenizer()?;
    let (source, content) = match args.text.as_deref() {
        None => ("the sample text".to_owned(), setup::SAMPLE_TEXT.to_owned()),
        Some(file) if file == Path::new("-") => ("standard input".to_owned(), setup::read_text(file)?),
        Some(file) => (file.display().to_string(), setup::read_text(file)?),
    };
    let ids = setup::encode(&tokenizer, &content, args.limit_tokens)?;
    anyhow::ensure!(
        !ids.is_empty(),
        "{source}: the text has no tokens; at least one is needed\n  hint: give another file with --text, or none for \
         a sample text"
    );
    let tokens = spelling::tokens(&tokenizer, &ids);
    Ok(Reading::new(source, &matcher, ids, tokens, args.cache.policy(), checkpoint.config().kv_elements()))
}

/// What people see on standard output.
fn page(reading: &Reading, args: &AnchorsArgs) -> anyhow::Result<String> {
    let mut parts = Vec::new();
    if args.mask && args.svg.is_none() {
        parts.push(mask::drawing(reading)?);
    }
    if let Some(pair) = args.explain {
        parts.push(explain::sentence(reading, pair.query, pair.key)?);
    }
    let file = args.svg.is_some() || args.html.is_some();
    if parts.is_empty() && !file {
        parts.push(text::render(reading, style()));
    }
    if args.explain.is_none() || args.mask || file {
        parts.push(summary::text(reading));
    }
    Ok(parts.join("\n"))
}

/// A row of tokens as the text is shown, for other commands.
pub(super) fn marked(tokenizer: &Tokenizer, ids: &[u32], segments: &Segments) -> String {
    text::marked(segments, &spelling::tokens(tokenizer, ids), style())
}

/// The text of each token, for other commands. A character's bytes are with the token that begins it.
pub(super) fn spelled(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
    spelling::tokens(tokenizer, ids).into_iter().map(|token| token.text).collect()
}

/// How to read it.
pub(super) fn legend() -> &'static str {
    text::legend(style())
}

fn style() -> Style {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    if io::stdout().is_terminal() && !refused { Style::Colour } else { Style::Plain }
}
