//! `cargo xtask kernels`: the micro-benchmarks of `anllm-kernels`, as one table with shares of the measured peaks.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use xshell::Shell;

use crate::workspace::cargo;

/// Benchmarks whose rates are the machine's peaks.
const READ: &str = "peak: memory read";
const MULTIPLY: &str = "peak: matrix product";

pub(crate) fn run(shell: &Shell) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let bench = cargo(shell).args(["bench", "-p", "anllm-kernels", "--bench", "kernels"]);
    bench.env("CRITERION_HOME", folder.path()).ignore_stdout().run()?;
    let mut rows = read(&folder.path().join("kernels"))?;
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    let peak = |name: &str, rate: fn(&Row) -> f64| {
        rows.iter().find(|row| row.name == name).map(rate).with_context(|| format!("`{name}` was not measured"))
    };
    let (read, multiply) = (peak(READ, Row::bytes_per_second)?, peak(MULTIPLY, Row::operations_per_second)?);
    println!("{:<62} {:>12} {:>9} {:>7} {:>8}", "kernel", "median", "GFLOP/s", "GB/s", "of peak");
    for row in &rows {
        let (operations, bytes) = (row.operations_per_second(), row.bytes_per_second());
        let (product_share, read_share) = (operations / multiply, bytes / read);
        let bound = if product_share > read_share { "products" } else { "memory" };
        println!(
            "{:<62} {:>12} {:>9.1} {:>7.1} {:>4.0} % {bound}",
            row.name,
            format!("{:.1?}", row.median),
            operations / 1e9,
            bytes / 1e9,
            100.0 * product_share.max(read_share),
        );
    }
    Ok(())
}

/// One benchmark.
struct Row {
    name: String,
    median: Duration,
    operations: f64,
    bytes: f64,
}

impl Row {
    fn operations_per_second(&self) -> f64 {
        self.operations / self.median.as_secs_f64()
    }

    fn bytes_per_second(&self) -> f64 {
        self.bytes / self.median.as_secs_f64()
    }
}

/// What criterion wrote: a folder for each benchmark.
fn read(group: &Path) -> Result<Vec<Row>> {
    let entries = std::fs::read_dir(group).with_context(|| format!("{}: no results", group.display()))?;
    let folders = entries.filter_map(|entry| entry.ok().map(|entry| entry.path().join("new")));
    folders.filter(|folder| folder.join("benchmark.json").is_file()).map(|folder| row(&folder)).collect()
}

fn row(folder: &Path) -> Result<Row> {
    let json = |name: &str| -> Result<Value> {
        let path = folder.join(name);
        serde_json::from_slice(&std::fs::read(&path)?).with_context(|| path.display().to_string())
    };
    let (benchmark, estimates) = (json("benchmark.json")?, json("estimates.json")?);
    let number = |value: &Value, what: &str| value.as_f64().with_context(|| format!("{}: no {what}", folder.display()));
    let throughput = &benchmark["throughput"]["ElementsAndBytes"];
    let name = benchmark["function_id"].as_str().with_context(|| format!("{}: no name", folder.display()))?;
    Ok(Row {
        name: name.to_owned(),
        median: Duration::from_nanos(number(&estimates["median"]["point_estimate"], "median")? as u64),
        operations: number(&throughput["elements"], "operations")?,
        bytes: number(&throughput["bytes"], "bytes")?,
    })
}
