//! The command line as plain records. Long options have an environment variable, `ANLLM_` and the option's name.

// The comments below are help texts: what looks like a link or a tag there is meant for the terminal.
#![allow(rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]

mod anchors;
mod attention;
mod bench;
mod cache;
mod chat;
mod compare;
mod convert;
mod eval;
mod generate;
mod measures;
mod model;
mod qa;
mod report;
mod sampling;
mod serve;
mod tools;
mod train;
mod translation;
mod verify;

use clap::{Parser, Subcommand};

pub(crate) use anchors::AnchorsArgs;
pub(crate) use attention::{AttentionArgs, HeadChoice};
pub(crate) use bench::BenchArgs;
pub(crate) use cache::{BuildArgs, CacheArgs, CacheCommand, InfoArgs, MergeArgs, TargetArgs};
pub(crate) use chat::ChatArgs;
pub(crate) use compare::CompareArgs;
pub(crate) use convert::{AddAc, ConvertArgs};
pub(crate) use eval::{EvalArgs, EvalCommand, PplArgs};
pub(crate) use generate::GenerateArgs;
pub(crate) use measures::{FrontierArgs, KlArgs, PasskeyArgs};
pub(crate) use model::{Dtype, RunArgs};
pub(crate) use qa::{QaArgs, SamplerKind};
pub(crate) use report::ReportArgs;
pub(crate) use serve::{LogFormat, ServeArgs};
pub(crate) use tools::{CompletionsArgs, InspectArgs, ManArgs};
pub(crate) use train::TrainArgs;
pub(crate) use translation::TranslationArgs;
pub(crate) use verify::{LogitsArgs, VerifyArgs};

/// Language models that keep one anchor per sentence: run them, check them, look inside them.
#[derive(Debug, Parser)]
#[command(name = "anllm", version, propagate_version = true, max_term_width = 110)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Print one JSON object on standard output, and nothing else there.
    #[arg(long, global = true, help_heading = "Output", env = "ANLLM_JSON", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) json: bool,

    /// Say more on standard error; twice for still more.
    #[arg(short, long, global = true, help_heading = "Output", action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Continue a prompt.
    Generate(Box<GenerateArgs>),
    /// Talk with a model.
    ///
    /// The conversation stays in the cache from turn to turn: each turn reads only what is new, and under an anchor
    /// policy earlier turns are held as their anchors.
    Chat(Box<ChatArgs>),
    /// Serve a model: OpenAI's HTTP interface, and a page.
    ///
    /// Conversations share the machine: requests run side by side, beginnings that were read once are not read again, and
    /// under an anchor policy each is held as its anchors. The page at / shows what the cache keeps.
    Serve(Box<ServeArgs>),
    /// Train a model: continual pre-training, from scratch, or fine-tuning.
    Train(TrainArgs),
    /// Measure a model.
    Eval(EvalArgs),
    /// Make one page of the runs in a folder: tables and figures.
    Report(ReportArgs),
    /// Prove that the reduced cache changes nothing on this checkpoint.
    ///
    /// Compares the masked full forward of a text with the same text through the cache, in chunks of several sizes,
    /// and fails when they differ by more than rounding.
    Verify(VerifyArgs),
    /// Print the raw next-token scores of every position.
    Logits(LogitsArgs),
    /// Measure speed and memory: prefill and decode by length and policy, or training steps.
    Bench(BenchArgs),
    /// Show the anchors and segments of a text, its mask, and what a cache would keep.
    Anchors(AnchorsArgs),
    /// Show what tokens look at in a layer, under full attention and under a policy.
    Attention(Box<AttentionArgs>),
    /// Prefix caches: keep a text that was read once in a file, show what it holds, merge several.
    Cache(CacheArgs),
    /// Show what a checkpoint holds.
    Inspect(InspectArgs),
    /// Write a checkpoint as a Hugging Face folder.
    Convert(ConvertArgs),
    /// List the backends compiled in, the devices found, and why one is not usable.
    Devices,
    /// Print a shell's completion script.
    Completions(CompletionsArgs),
    /// Print the manual page, or write all pages to a folder.
    Man(ManArgs),
}
