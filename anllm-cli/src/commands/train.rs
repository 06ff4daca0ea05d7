//! `anllm train`: settings read, a run started or taken up, its measurements shown and written.

mod dry;
mod samples;
mod watch;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anllm_kernels::Kernels;
use anllm_train::config::{TrainConfig, read_with};
use anllm_train::{Outcome, Saved, Trainer};
use anyhow::Context;
use burn::backend::Autodiff;

use crate::args::TrainArgs;
use crate::device::{Task, run_on};
use crate::output::{Interrupted, Output};

pub(crate) fn run(args: TrainArgs, output: &Output) -> anyhow::Result<()> {
    let text = super::setup::read_text(&args.config)?;
    let config: TrainConfig = read_with(&text, &args.config, &args.set)?;
    super::setup::thread_count(args.threads)?;
    let saved = match &args.resume {
        None => None,
        Some(path) if path == Path::new("auto") => Saved::latest(&config.save.output)?,
        Some(path) => Some(Saved::open(path)?),
    };
    if saved.is_none() && !args.dry_run {
        refuse_used(&config)?;
    }
    let task = Train { config, saved, dry_run: args.dry_run, output: *output };
    run_on(args.device, task)
}

/// A new run does not write over an old one.
fn refuse_used(config: &TrainConfig) -> anyhow::Result<()> {
    let checkpoints = config.save.output.join("checkpoints");
    anyhow::ensure!(
        Saved::latest(&config.save.output)?.is_none(),
        "{}: there is a run in this folder already\n  hint: go on with it by --resume auto, or choose another folder \
         with --set save.output=…",
        checkpoints.display(),
    );
    Ok(())
}

struct Train {
    config: TrainConfig,
    saved: Option<Saved>,
    dry_run: bool,
    output: Output,
}

impl Task for Train {
    type Output = ();

    fn run<B: Kernels>(self, device: B::Device) -> anyhow::Result<()> {
        let Self { config, saved, dry_run, output } = self;
        if dry_run {
            return dry::run(&config, output);
        }
        let mut trainer = Trainer::<Autodiff<B>>::new(config.clone(), &device, saved.as_ref())?;
        let mut watch = watch::Watch::start(&trainer, &config, output)?;
        if let Some(saved) = &saved {
            output.note(&format!("going on from {} (step {})", saved.folder().display(), saved.step()));
        }
        output.note(&format!(
            "{} parameters, {} rows of at most {} tokens, anchors by `{}`, {} steps of {} rows on {}",
            trainer.start().checkpoint.config().parameters(),
            trainer.data().rows(),
            config.data.context,
            trainer.start().matcher.rule(),
            trainer.steps(),
            config.train.rows_per_step,
            B::name(&device),
        ));
        let stop = interrupts()?;
        let outcome = trainer.run(&mut watch, &stop);
        let logged = watch.finish();
        let outcome = outcome?;
        logged?;
        show(&outcome, output)?;
        if outcome.interrupted { Err(Interrupted.into()) } else { Ok(()) }
    }
}

fn show(outcome: &Outcome, output: Output) -> anyhow::Result<()> {
    if output.is_json() {
        return output.json(outcome);
    }
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.4}"));
    output.text(&format!(
        "step {}: train loss {}, validation loss {}, {} tokens at {:.0} tokens/s\n{}\n",
        outcome.step,
        number(outcome.train_loss),
        number(outcome.val_loss),
        outcome.tokens,
        outcome.tokens_per_s,
        outcome.checkpoint.display(),
    ))
}

/// Set by the first SIGINT or SIGTERM; the second ends the program at once.
fn interrupts() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("\nfinishing the step and saving; once more to stop at once");
    })
    .context("signals cannot be caught")?;
    Ok(stop)
}
