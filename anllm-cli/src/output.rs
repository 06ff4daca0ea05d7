//! Everything that reaches the terminal: results on standard output, the rest on standard error.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use tracing_subscriber::EnvFilter;

use crate::args::LogFormat;

/// Where results go, and in which form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

/// The user stopped the program; what was done so far has been shown.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// The command failed in a part, and has said so where it happened.
#[derive(Debug)]
pub(crate) struct Reported;

impl std::fmt::Display for Reported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("failed in a part")
    }
}

impl std::error::Error for Reported {}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether results are JSON.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// One JSON object on a line of its own.
    pub(crate) fn json(self, value: &impl Serialize) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        serde_json::to_writer(&mut out, value).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
        Ok(out.flush()?)
    }

    /// Text, as it is, at once.
    pub(crate) fn text(self, text: &str) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// A line for people, beside the results.
    pub(crate) fn note(self, line: &str) {
        // A closed standard error leaves nobody to tell.
        let _ = writeln!(io::stderr().lock(), "{line}");
    }

    /// A line that replaces itself while work goes on; only where somebody watches.
    pub(crate) fn progress(self, line: &str) {
        let mut err = io::stderr().lock();
        if err.is_terminal() {
            let _ = write!(err, "\r\x1b[K{line}");
            let _ = err.flush();
        }
    }

    /// Ends the line of [`Self::progress`].
    pub(crate) fn progress_done(self) {
        self.progress("");
    }
}

/// Warnings and, with `-v`, more, on standard error.
pub(crate) fn start_logging(verbose: u8) {
    let log = tracing_subscriber::fmt().with_env_filter(filter(verbose)).with_writer(io::stderr);
    log.with_ansi(io::stderr().is_terminal()).without_time().with_target(false).init();
}

/// The log of a server, on standard error: a line for each request, with the time.
pub(crate) fn start_server_log(verbose: u8, format: LogFormat) {
    let log = tracing_subscriber::fmt().with_env_filter(filter(verbose + 1)).with_writer(io::stderr);
    let log = log.with_ansi(io::stderr().is_terminal()).with_target(false);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

fn filter(verbose: u8) -> EnvFilter {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    // GPU libraries talk a lot at these levels; their errors reach the user as this program's own.
    let quiet = "wgpu_hal=off,wgpu_core=error,naga=error,cubecl_runtime=error,cubecl_wgpu=error";
    let default = format!(
        "error,anllm_core={level},anllm_model={level},anllm_infer={level},anllm_serve={level},anllm_train={level},anllm={level},{quiet}"
    );
    EnvFilter::try_from_env("ANLLM_LOG").unwrap_or_else(|_| EnvFilter::new(default))
}

/// The error and what caused it, in one message.
pub(crate) fn report(error: &anyhow::Error) {
    let mut message = format!("error: {error}");
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Errors that show their source in their own text are not said twice.
        if !message.contains(&cause) {
            message.push_str(&format!("\n  because: {cause}"));
        }
    }
    let _ = writeln!(io::stderr().lock(), "{message}");
}

/// Whether whoever read our output went away, which is no failure.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|e| e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe))
}

/// A number of bytes for people.
pub(crate) fn bytes(count: usize) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", units[unit]) }
}
