//! `anllm eval compare`: two runs on the same questions, windows or sentences, with paired bootstrap intervals.

mod logs;

use anllm_eval::{Comparison, Run, paired_bootstrap};
use serde::Serialize;

use self::logs::{Items, Log};
use super::markdown::{Side, table};
use crate::args::CompareArgs;
use crate::output::Output;

pub(super) fn run(args: &CompareArgs, output: &Output) -> anyhow::Result<()> {
    let (a, b) = (Log::read(&args.a)?, Log::read(&args.b)?);
    let mut rows = Vec::new();
    for (name, ours) in &a.parts {
        let Some(theirs) = b.parts.get(name) else { continue };
        for (what, items) in ours.paired(theirs).map_err(|reason| {
            anyhow::anyhow!(
                "{} and {}: {reason}\n  hint: compare runs on the same data with the same limit",
                args.a.display(),
                args.b.display()
            )
        })? {
            let found = paired_bootstrap(items.len(), args.draws, args.seed, |run, chosen| items.value(run, chosen));
            rows.push(Row {
                measure: "compare",
                of: name.clone(),
                what,
                run_a: args.a.display().to_string(),
                run_b: args.b.display().to_string(),
                draws: args.draws,
                found,
            });
        }
    }
    anyhow::ensure!(
        !rows.is_empty(),
        "{} and {} have nothing in common: {} there, {} here\n  hint: compare runs of the same task, with the same \
         number of demonstrations",
        args.a.display(),
        args.b.display(),
        a.names(),
        b.names()
    );
    if output.is_json() {
        return rows.iter().try_for_each(|row| output.json(row));
    }
    output.text(&show(&rows))
}

/// A line of `--json`.
#[derive(Serialize)]
struct Row {
    measure: &'static str,
    /// The task with its demonstrations, or what else was measured.
    of: String,
    /// The value compared.
    what: &'static str,
    run_a: String,
    run_b: String,
    draws: usize,
    #[serde(flatten)]
    found: Comparison,
}

fn show(rows: &[Row]) -> String {
    let columns = [
        ("of", Side::Left),
        ("value", Side::Left),
        ("n", Side::Right),
        ("A", Side::Right),
        ("B", Side::Right),
        ("B − A", Side::Right),
        ("95 % interval", Side::Right),
        ("p", Side::Right),
    ];
    let line = |row: &Row| {
        let Comparison { n, a, b, difference, low, high, p } = row.found;
        vec![
            row.of.clone(),
            row.what.to_owned(),
            n.to_string(),
            format!("{a:.4}"),
            format!("{b:.4}"),
            format!("{difference:+.4}"),
            format!("{low:+.4} to {high:+.4}"),
            format!("{p:.3}"),
        ]
    };
    table(&columns, &rows.iter().map(line).collect::<Vec<_>>())
}

impl Items {
    /// What one run comes to over some of the items.
    fn value(&self, run: Run, chosen: &mut dyn Iterator<Item = usize>) -> f64 {
        match self {
            Self::Values(pairs) => {
                let (sum, count) = chosen.fold((0.0, 0.0), |(sum, count), item| {
                    let (a, b) = pairs[item];
                    (sum + if run == Run::A { a } else { b }, count + 1.0)
                });
                sum / f64::max(count, 1.0)
            }
            Self::Losses(pairs) => {
                let (nll, tokens) = chosen.fold((0.0, 0.0), |(nll, tokens), item| {
                    let (a, b) = pairs[item];
                    let own = if run == Run::A { a } else { b };
                    (nll + own.0, tokens + own.1)
                });
                nll / f64::max(tokens, 1.0)
            }
            Self::Bleu(pairs) => chosen
                .fold(anllm_eval::translation::BleuCounts::default(), |mut sum, item| {
                    sum.add(if run == Run::A { &pairs[item].0 } else { &pairs[item].1 });
                    sum
                })
                .score(),
            Self::Chrf(pairs) => chosen
                .fold(anllm_eval::translation::ChrfCounts::default(), |mut sum, item| {
                    sum.add(if run == Run::A { &pairs[item].0 } else { &pairs[item].1 });
                    sum
                })
                .score(),
        }
    }
}
