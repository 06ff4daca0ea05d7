//! Steps of training: forward, backward and AdamW over one row.

use anllm_core::PolicyKind;
use anllm_kernels::Kernels;
use anllm_train::Trainer;
use anllm_train::config::{LoraSection, MaskMode, TrainConfig};
use anllm_train::data::Filling;
use anllm_train::data::source::SourceConfig;
use burn::backend::Autodiff;
use comfy_table::{Table, presets};
use serde::Serialize;

use super::super::memory::Memory;
use super::super::setup;
use super::spread::Spread;
use crate::args::BenchArgs;
use crate::bundled;
use crate::device::{Task, run_on};
use crate::output::Output;

pub(super) fn run(args: &BenchArgs, text: &str, output: Output) -> anyhow::Result<()> {
    anyhow::ensure!(
        !bundled::names(&args.run.model.model),
        "--train needs a model on disk\n  hint: name one with --model"
    );
    let checkpoint = args.run.model.open()?;
    let rule = setup::rule(&args.run.model.anchors, checkpoint.config()).unwrap_or_else(setup::assumed);
    let folder = tempfile::tempdir()?;
    let mut config = TrainConfig { seed: 1, ..TrainConfig::default() };
    config.model.from = Some(args.run.model.model.clone());
    config.model.anchors = Some(rule);
    config.data.rows = Filling::Packed;
    config.train.steps = Some(args.reps + 1);
    config.train.rows_per_step = 1;
    config.train.rows_at_once = 1;
    config.lora = args.lora.map(|rank| LoraSection { rank, alpha: 2.0 * rank as f64, ..LoraSection::default() });
    config.save.output = folder.path().join("run");
    let source = folder.path().join("text.txt");
    let longest = args.context.iter().max().copied().unwrap_or(0);
    // A token has seldom more than eight bytes; packed rows go on from one copy into the next.
    let copies = (longest * (args.reps + 2) * 8).div_ceil(text.len());
    std::fs::write(&source, text.repeat(copies))?;
    config.data.sources = vec![SourceConfig::new(source.to_string_lossy())];

    run_on(args.run.device, Bench { args, config, output })
}

/// One line of results.
#[derive(Debug, Serialize)]
struct Row {
    context: usize,
    policy: String,
    trained: &'static str,
    train_tps: Spread,
    train_tps_range: [f64; 2],
    /// Share of the step's time that went into reading its rows.
    data_wait: f64,
    peak_rss_bytes: Option<u64>,
    reps: usize,
    threads: usize,
}

struct Bench<'a> {
    args: &'a BenchArgs,
    config: TrainConfig,
    output: Output,
}

impl Task for Bench<'_> {
    type Output = ();

    fn run<B: Kernels>(self, device: B::Device) -> anyhow::Result<()> {
        let Self { args, mut config, output } = self;
        let mut table = Table::new();
        let header = ["context", "mask", "trained", "tok/s", "waits for data", "peak memory"];
        table.load_preset(presets::NOTHING).set_header(header);
        for &context in &args.context {
            for kind in super::policies(args) {
                config.data.context = context;
                config.train.mask = match kind {
                    PolicyKind::Full => MaskMode::Full,
                    PolicyKind::Anchor => MaskMode::Anchor,
                    other => {
                        anyhow::bail!("--train: there is no training under `{other}`\n  hint: --cache full or anchor")
                    }
                };
                output.progress(&format!("{context} tokens, {kind}"));
                let row = measure::<B>(&config, &device, kind, args);
                output.progress_done();
                let row = row?;
                if output.is_json() {
                    output.json(&row)?;
                }
                table.add_row(vec![
                    row.context.to_string(),
                    row.policy,
                    row.trained.to_owned(),
                    row.train_tps.show(),
                    format!("{:.2} %", 100.0 * row.data_wait),
                    Memory::show(row.peak_rss_bytes),
                ]);
            }
        }
        if output.is_json() { Ok(()) } else { output.text(&format!("{table}\n")) }
    }
}

fn measure<B: Kernels>(
    config: &TrainConfig,
    device: &B::Device,
    kind: PolicyKind,
    args: &BenchArgs,
) -> anyhow::Result<Row> {
    let mut trainer = Trainer::<Autodiff<B>>::new(config.clone(), device, None)?;
    // The first step warms up, and makes the optimiser's moments.
    trainer.step()?;
    Memory::forget_peak();
    let mut speeds = Vec::new();
    let (mut waited, mut took) = (0.0, 0.0);
    for _ in 0..args.reps {
        let report = trainer.step()?;
        speeds.push(report.tokens_per_s);
        waited += report.data_s;
        took += config.data.context as f64 / report.tokens_per_s;
    }
    let speeds = Spread::new(speeds);
    Ok(Row {
        context: config.data.context,
        policy: kind.to_string(),
        trained: if config.lora.is_some() { "lora" } else { "all" },
        train_tps_range: speeds.ends(),
        train_tps: speeds,
        data_wait: waited / took,
        peak_rss_bytes: Memory::now().peak_memory_bytes,
        reps: args.reps,
        threads: rayon::current_num_threads(),
    })
}
