//! `cargo xtask readme`: the commands that README.md shows are commands that work.
//!
//! Every line of a ```` ```sh ```` or ```` ```console ```` block is run with a freshly built binary, or skipped for a
//! reason that is printed, or refused: a command of a kind that nobody checks would rot unseen.

use crate::Cli;
use crate::workspace::{self, cargo, step};
use anyhow::{Context, Result, bail};
use clap::Parser;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use xshell::Shell;

pub(crate) fn run(shell: &Shell) -> Result<()> {
    step("commands of README.md", || {
        let commands = commands(&shell.read_file("README.md")?);
        let is_there = |path: &str| workspace::root().join(path).exists();
        let mut runner: Option<Runner> = None;
        for command in &commands {
            match plan(&command.text, is_there) {
                Plan::Skip(reason) => eprintln!("skipped: {} ({reason})", command.text),
                Plan::Refuse(reason) => bail!("README.md:{}: `{}`: {reason}", command.line, command.text),
                Plan::Run(line) => {
                    let runner = match &mut runner {
                        Some(runner) => runner,
                        none => none.insert(Runner::build(shell)?),
                    };
                    runner.run(&line).with_context(|| format!("README.md:{}", command.line))?;
                }
            }
        }
        eprintln!("{} commands", commands.len());
        Ok(())
    })
}

/// A command shown in a document.
#[derive(Debug, PartialEq)]
struct Shown {
    /// Its line in the document, from 1.
    line: usize,
    text: String,
}

/// The commands in a document's `sh` and `console` blocks. In a `console` block they follow `$ ` and the other lines
/// are output. Comments are dropped, lines that end in a backslash joined.
fn commands(markdown: &str) -> Vec<Shown> {
    #[derive(PartialEq)]
    enum Block {
        Sh,
        Console,
        Other,
    }
    let mut block = None;
    let mut found = Vec::new();
    let mut lines = markdown.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        let trimmed = line.trim();
        if let Some(info) = trimmed.strip_prefix("```") {
            block = match (block, info.split_whitespace().next()) {
                (Some(_), _) => None,
                (None, Some("sh" | "bash")) => Some(Block::Sh),
                (None, Some("console")) => Some(Block::Console),
                (None, _) => Some(Block::Other),
            };
            continue;
        }
        let start = match block {
            Some(Block::Sh) => Some(trimmed).filter(|text| !text.is_empty() && !text.starts_with('#')),
            Some(Block::Console) => trimmed.strip_prefix("$ "),
            Some(Block::Other) | None => None,
        };
        let Some(start) = start else { continue };
        let mut text = without_comment(start).to_owned();
        while let Some(joined) = text.strip_suffix('\\') {
            let next = lines.next().map_or("", |(line, _)| without_comment(line.trim()));
            text = format!("{} {next}", joined.trim_end());
        }
        found.push(Shown { line: number, text });
    }
    found
}

/// A line of shell up to a `#` that starts a word outside quotes.
fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    for (at, character, quoted) in characters(line) {
        if character == '#' && !quoted && before.is_whitespace() {
            return line[..at].trim_end();
        }
        before = character;
    }
    line
}

/// The characters of a line of shell, each with whether it stands in quotes.
fn characters(line: &str) -> impl Iterator<Item = (usize, char, bool)> {
    let mut quote = None;
    line.char_indices().map(move |(at, character)| {
        let quoted = quote.is_some();
        match quote {
            Some(open) if open == character => quote = None,
            None if matches!(character, '\'' | '"') => quote = Some(character),
            _ => {}
        }
        (at, character, quoted)
    })
}

/// The simple commands of a line, cut at `|`, `;` and `&` outside quotes.
fn parts(line: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, character, quoted) in characters(line) {
        if !quoted && matches!(character, '|' | ';' | '&') {
            parts.push(line[start..at].trim());
            start = at + 1;
        }
    }
    parts.push(line[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

/// What to do with a shown command.
#[derive(Debug, PartialEq)]
enum Plan {
    /// Run this line of shell, in which `anllm` is the built binary.
    Run(String),
    Skip(String),
    Refuse(String),
}

fn plan(text: &str, is_there: impl Fn(&str) -> bool) -> Plan {
    let mut line = text.to_owned();
    let mut runs_ours = false;
    let mut names_task = false;
    for part in parts(text) {
        let words: Vec<&str> = part.split_whitespace().collect();
        match words[..] {
            ["anllm", ..] => runs_ours = true,
            ["cargo", "run", ..] if words.contains(&"--example") => {
                // Built as the rest is; the folder that commands run in is not the project's.
                let words: Vec<&str> = words[2..].iter().copied().filter(|word| *word != "--release").collect();
                let manifest = workspace::root().join("Cargo.toml");
                let run = format!("cargo run --quiet --manifest-path '{}' {}", manifest.display(), words.join(" "));
                line = line.replacen(part, &run, 1);
                runs_ours = true;
            }
            ["cargo", "run", ..] => {
                if let Some(at) = words.iter().position(|word| word.starts_with("--features")) {
                    return Plan::Skip(format!("a build of its own: {}", words[at..words.len().min(at + 2)].join(" ")));
                }
                runs_ours = true;
                let arguments = part.split_once(" -- ").map_or("", |(_, arguments)| arguments);
                line = line.replacen(part, &format!("anllm {arguments}"), 1);
            }
            ["cargo", "xtask", ..] => {
                match Cli::try_parse_from(&words[1..]) {
                    Err(error) if error.use_stderr() => return Plan::Refuse(error.to_string()),
                    _ => names_task = true,
                }
                // Tasks are not run from within a task; what follows them on the line is.
                line = line.replacen(part, "true", 1);
            }
            ["cargo", "build" | "install" | "test" | "nextest", ..] => return Plan::Skip("builds the project".into()),
            ["git" | "cd" | "sudo" | "apt-get" | "curl", ..] => return Plan::Skip("sets up".into()),
            // Around an `anllm`, in a pipe.
            ["echo" | "printf" | "cat" | "head" | "tail" | "wc" | "jq" | "python3", ..] => {}
            _ => return Plan::Refuse("cargo xtask readme does not know this kind of command".into()),
        }
    }
    if names_task && !runs_ours {
        return Plan::Skip("the task exists".into());
    }
    if !runs_ours {
        return Plan::Refuse("this runs nothing of the project's".into());
    }
    if line.contains("anllm serve") {
        return Plan::Skip("it would not end".into());
    }
    let words: Vec<&str> = line.split([' ', '=', '\'', '"']).collect();
    if let Some(missing) = words.iter().find(|word| word.starts_with("models/") && !is_there(word)) {
        return Plan::Skip(format!("{missing} is not there"));
    }
    let device = words.iter().zip(words.iter().skip(1)).find(|(option, _)| **option == "--device");
    if let Some((_, device)) = device.filter(|(_, device)| !matches!(**device, "cpu" | "auto")) {
        return Plan::Skip(format!("the default build has no {device}"));
    }
    Plan::Run(line.trim_end().to_owned())
}

/// Runs shown commands with a built `anllm`, in a folder that looks like the repository's root. What a command writes
/// beside it goes away with the folder.
struct Runner {
    path: OsString,
    folder: tempfile::TempDir,
}

impl Runner {
    fn build(shell: &Shell) -> Result<Self> {
        cargo(shell).args(["build", "--workspace", "--bin", "anllm"]).run()?;
        let binaries = std::env::current_exe()?.parent().map(Path::to_path_buf).context("no folder of binaries")?;
        let mut folders = vec![binaries];
        folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let folder = tempfile::tempdir()?;
        for entry in shell.read_dir(workspace::root())? {
            link(&entry, folder.path())?;
        }
        Ok(Self { path: std::env::join_paths(folders)?, folder })
    }

    fn run(&self, line: &str) -> Result<()> {
        eprintln!("$ {line}");
        let start = Instant::now();
        let status = Command::new("sh")
            .args(["-c", line])
            .env("PATH", &self.path)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .status()
            .context("starting sh")?;
        if !status.success() {
            bail!("`{line}` ended with {status}");
        }
        eprintln!("ran: {line} ({:.1} s)", start.elapsed().as_secs_f64());
        Ok(())
    }
}

#[cfg(unix)]
fn link(entry: &PathBuf, folder: &Path) -> Result<()> {
    let name = entry.file_name().context("an entry without a name")?;
    Ok(std::os::unix::fs::symlink(entry, folder.join(name))?)
}

#[cfg(not(unix))]
fn link(_: &PathBuf, _: &Path) -> Result<()> {
    bail!("running the README's commands needs a Unix shell");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(markdown: &str) -> Vec<String> {
        commands(markdown).into_iter().map(|command| command.text).collect()
    }

    fn planned(text: &str) -> Plan {
        plan(text, |path| path == "models/here.gguf")
    }

    #[test]
    fn only_shell_blocks_hold_commands() {
        let markdown =
            "```sh\nanllm devices\n```\nanllm no\n```toml\nanllm no\n```\n```console\n$ anllm man\noutput\n```\n";
        assert_eq!(texts(markdown), ["anllm devices", "anllm man"]);
        assert_eq!(commands(markdown)[1].line, 9);
    }

    #[test]
    fn comments_go_and_continued_lines_are_joined() {
        let markdown = "```sh\n# a comment\n\nanllm generate \\\n  --prompt 'a # b' \\\n  --seed 1  # why\n```\n";
        assert_eq!(texts(markdown), ["anllm generate --prompt 'a # b' --seed 1"]);
        assert_eq!(commands(markdown)[0].line, 4);
    }

    #[test]
    fn cargo_run_becomes_the_built_binary() {
        let shown = "cargo run --release -- generate --model models/here.gguf --prompt 'a | b; c'";
        assert_eq!(planned(shown), Plan::Run("anllm generate --model models/here.gguf --prompt 'a | b; c'".into()));
        let shown = "cargo xtask test --quick && cargo run -- devices";
        assert_eq!(planned(shown), Plan::Run("true && anllm devices".into()));
        let shown = "echo 'Hello.' | cargo run -- anchors --json | jq .tokens";
        assert_eq!(planned(shown), Plan::Run("echo 'Hello.' | anllm anchors --json | jq .tokens".into()));
    }

    #[test]
    fn examples_run_in_the_project() {
        let Plan::Run(line) = planned("cargo run --release -p anllm-infer --example generate -- 'a b'") else {
            panic!("an example is run");
        };
        assert!(line.starts_with("cargo run --quiet --manifest-path '"), "{line}");
        assert!(line.ends_with("Cargo.toml' -p anllm-infer --example generate -- 'a b'"), "{line}");
    }

    #[test]
    fn what_cannot_run_here_is_skipped_with_a_reason() {
        let reason = |text: &str| match planned(text) {
            Plan::Skip(reason) => reason,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(reason("anllm generate --model=models/gone.gguf --prompt a"), "models/gone.gguf is not there");
        assert_eq!(reason("anllm verify --device cuda:0"), "the default build has no cuda:0");
        assert_eq!(reason("cargo run --features vulkan -- devices"), "a build of its own: --features vulkan");
        assert_eq!(reason("anllm serve --port 1"), "it would not end");
        assert_eq!(reason("cargo xtask test --quick"), "the task exists");
        assert_eq!(reason("git clone somewhere && cd there"), "sets up");
    }

    #[test]
    fn unknown_commands_are_refused() {
        for text in ["make install", "cargo xtask tset", "cargo xtask test --fast", "echo hello", "anllm devices; rm x"]
        {
            assert!(matches!(planned(text), Plan::Refuse(_)), "{text}");
        }
    }
}
