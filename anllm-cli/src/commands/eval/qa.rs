//! `anllm eval qa`: questions with choices.

mod data;
mod facts;
mod kept;
mod mode;
mod row;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use anllm_core::{AnchorRule, PolicyKind, Vocabulary};
use anllm_eval::qa::{
    Answer, AnswerOptions, Prepared, ResultFile, Saving, Settings, TaskResult, agreement, answer, measure,
};
use anllm_eval::task::{Pool, Question, Sampler, Task as QaTask, records};
use anllm_infer::Engine;
use anllm_kernels::Kernels;
use anllm_model::{Checkpoint, Tokenizer};
use indicatif::{ProgressBar, ProgressStyle};

use self::facts::date;
use self::kept::Kept;
use self::mode::Mode;
use self::row::Row;
use super::super::interrupt;
use super::super::setup::{self, Rules};
use super::head::Head;
use super::written;
use crate::args::{QaArgs, SamplerKind};
use crate::device::{Task, run_on};
use crate::output::{Interrupted, Output};

/// A task with its data.
struct Asked {
    task: QaTask,
    data: PathBuf,
    /// All of the file's records are counted, but only those that are asked become questions.
    original: usize,
    questions: Vec<Question>,
    /// Where demonstrations come from; none where the questions themselves serve.
    pool: Option<(PathBuf, Vec<Question>)>,
}

pub(crate) fn run(args: QaArgs, output: &Output) -> anyhow::Result<()> {
    setup::threads(&args.run)?;
    let tasks = args.task.iter().map(|name| QaTask::find(name)).collect::<Result<Vec<_>, _>>()?;
    let asked = read(&args, tasks)?;
    let checkpoint = args.run.model.open()?;
    let tokenizer = checkpoint.tokenizer()?;
    let rules = setup::rules(&args.run, &checkpoint, PolicyKind::Full)?;
    let mark = mark(&args, &rules, &tokenizer)?;
    if let Some(folder) = &args.output {
        written::folder(folder)?;
    }
    let device = args.run.device;
    run_on(device, Qa { args, output: *output, checkpoint, tokenizer, rules, asked, mark })
}

/// Reads every task's questions, before anything is computed.
fn read(args: &QaArgs, tasks: Vec<QaTask>) -> anyhow::Result<Vec<Asked>> {
    let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
    let files = data::files(&args.data, &names, &data::QUESTIONS, "--data")?;
    let needs_shots = args.shots.iter().any(|shots| *shots > 0);
    let pools = match needs_shots && !args.shots_from.is_empty() {
        true => data::files(&args.shots_from, &names, &data::DEMONSTRATIONS, "--shots-from")?,
        false => Vec::new(),
    };
    let mut pools = pools.into_iter();
    let mut asked = Vec::new();
    for (task, data) in tasks.into_iter().zip(files) {
        let all = records(&data)?;
        let pool = pools.next().filter(|pool| !same_file(pool, &data));
        let questions =
            |records: &[_]| records.iter().map(|record| task.question(record)).collect::<Result<Vec<_>, _>>();
        let needed = match (&pool, needs_shots) {
            // Demonstrations come from all of the file's records.
            (None, true) => all.len(),
            _ => args.limit.unwrap_or(usize::MAX).min(all.len()),
        };
        let (original, found) = (all.len(), questions(&all[..needed])?);
        let pool = match pool {
            Some(pool) => {
                let found = questions(&records(&pool)?)?;
                Some((pool, found))
            }
            None => None,
        };
        asked.push(Asked { task, data, original, questions: found, pool });
    }
    Ok(asked)
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

/// What is put behind each demonstration.
fn mark(args: &QaArgs, rules: &Rules, tokenizer: &Tokenizer) -> anyhow::Result<String> {
    let token = AnchorRule::ADDED_TOKEN;
    if !args.add_anchors {
        return Ok(String::new());
    }
    let model = args.run.model.model.display();
    anyhow::ensure!(
        tokenizer.id(token).is_some() && *rules.matcher.rule() == AnchorRule::Added,
        "{model}: --add-anchors puts {token} behind demonstrations, but the anchors of this run are `{}`\n  hint: leave \
         it out, or give --anchors ac if the model was trained so",
        rules.matcher.rule()
    );
    Ok(token.to_owned())
}

struct Qa {
    args: QaArgs,
    output: Output,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    rules: Rules,
    asked: Vec<Asked>,
    mark: String,
}

impl Task for Qa {
    type Output = ();

    fn run<B: Kernels>(self, device: B::Device) -> anyhow::Result<()> {
        let engine = setup::engine::<B>(&self.args.run, &self.checkpoint, self.rules.matcher.clone(), &device)?;
        let stop = interrupt::flag();
        let started = (Instant::now(), SystemTime::now());
        let mut rows = Vec::new();
        let mut samples = Vec::new();
        let modes = Mode::all(&self.rules.policy, self.args.paper);
        for &shots in &self.args.shots {
            // One file of results for each way of running.
            let mut files: Vec<(ResultFile, String)> =
                (0..).zip(&modes).map(|(number, _)| (ResultFile::default(), date(number))).collect();
            let mut finished = Vec::new();
            for asked in &self.asked {
                let mut masked: Option<Vec<Answer>> = None;
                for (mode, (file, date)) in modes.iter().zip(&mut files) {
                    let outcome = self.one(&engine, asked, shots, mode, &stop)?;
                    let agreed = match (mode.name, &masked) {
                        (Mode::CACHE, Some(masked)) => {
                            let dtype = engine.coarsest_dtype();
                            Some(agreement(&outcome.prepared, masked, &outcome.answers, dtype)?)
                        }
                        _ => None,
                    };
                    let result = outcome.result(asked, shots);
                    let row = Row::new(&result, self.head(mode), mode.name, agreed, &outcome);
                    if self.output.is_json() {
                        self.output.json(&row)?;
                    }
                    rows.push(row);
                    if self.args.log_samples.is_some() {
                        samples.extend(result.samples());
                    }
                    if let Some(folder) = &self.args.output {
                        let path = folder.join(format!("samples_{}_{date}.jsonl", asked.task.name));
                        written::lines(&path, result.samples())?;
                        file.add(&result);
                    }
                    if mode.name == Mode::MASK {
                        masked = Some(outcome.answers);
                    }
                    finished.push(outcome.kept);
                }
            }
            if let Some(folder) = &self.args.output {
                for (mode, (file, date)) in modes.iter().zip(files) {
                    let content = file.into_json(self.facts(&engine, mode, started));
                    written::write(&folder.join(format!("results_{date}.json")), |file| {
                        Ok(serde_json::to_writer_pretty(file, &content)?)
                    })?;
                }
                finished.into_iter().try_for_each(Kept::finish)?;
            }
        }
        if let Some(path) = &self.args.log_samples {
            written::lines(path, samples.into_iter())?;
        }
        if self.output.is_json() { Ok(()) } else { self.output.text(&row::tables(&rows)) }
    }
}

/// One task's answers.
struct Outcome {
    prepared: Prepared,
    kept: Kept,
    answers: Vec<Answer>,
    answered: usize,
    answering_s: f64,
    saving: Saving,
    timing: Option<anllm_eval::qa::Timing>,
}

impl Outcome {
    fn result<'a>(&'a self, asked: &'a Asked, shots: usize) -> TaskResult<'a> {
        TaskResult {
            task: &asked.task,
            shots,
            original: asked.original,
            prepared: &self.prepared,
            answers: &self.answers,
            saving: self.saving,
            timing: self.timing.clone(),
        }
    }
}

impl Qa {
    fn one<B: Kernels>(
        &self,
        engine: &Engine<B>,
        asked: &Asked,
        shots: usize,
        mode: &Mode,
        stop: &AtomicBool,
    ) -> anyhow::Result<Outcome> {
        let Asked { task, data, questions, pool, .. } = asked;
        let sampler = match self.args.sampler {
            SamplerKind::First => Sampler::First,
            SamplerKind::Drawn => Sampler::Drawn(self.args.seed),
        };
        let settings = Settings { shots, sampler, mark: self.mark.clone() };
        let limit = self.args.limit.unwrap_or(usize::MAX).min(questions.len());
        let source = pool.as_ref().map_or(data, |(path, _)| path).display().to_string();
        let pool = Pool {
            questions: pool.as_ref().map_or(questions.as_slice(), |(_, questions)| questions),
            source: &source,
            same: pool.is_none(),
        };
        let prepared = Prepared::new(engine, &self.tokenizer, task, questions[..limit].to_vec(), pool, &settings)?;
        if prepared.cut() > 0 {
            tracing::warn!(
                "{}: {} choice(s) with their context are longer than the model's context of {} tokens and lost their \
                 beginning",
                task.name,
                prepared.cut(),
                engine.config().max_positions
            );
        }
        let mut kept = match &self.args.output {
            Some(folder) => {
                let way = if self.args.paper { format!("_{}", mode.name) } else { String::new() };
                let path = folder.join(format!("unfinished_{}_{shots}shot{way}.jsonl", task.name));
                Kept::open(path, self.fingerprint(task, mode, &prepared), &prepared, self.args.resume)?
            }
            None => Kept::nowhere(),
        };
        let before = kept.answers.len();
        let bar = self.bar(&format!("{} {shots}-shot ({})", task.name, mode.name), limit, before);
        let done: Vec<bool> = (0..limit).map(|question| kept.answers.contains_key(&question)).collect();
        let start = Instant::now();
        let options =
            AnswerOptions { policy: mode.policy.clone(), batch: self.args.run.prefill_chunk, sharing: mode.sharing };
        let flow = answer::<B, anyhow::Error>(
            engine,
            &prepared,
            &options,
            |question| !done[question],
            |answer| {
                kept.push(answer)?;
                bar.inc(1);
                Ok(if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            },
        );
        bar.finish_and_clear();
        let answering_s = start.elapsed().as_secs_f64();
        if flow?.is_break() && kept.answers.len() < limit {
            self.say_so_far(task, shots, &prepared, &kept);
            return Err(Interrupted.into());
        }
        let answered = kept.answers.len() - before;
        let saving = Saving::of(engine, &prepared, &mode.policy);
        let timing = match self.args.time {
            // All three ways are timed beside each other, once.
            _ if self.args.paper && mode.name != Mode::CACHE => None,
            0 => None,
            count => {
                let bar = self.bar(&format!("timing {} {shots}-shot", task.name), count.min(limit), 0);
                let timing = measure(engine, &prepared, &mode.policy, count, |done| bar.set_position(done as u64));
                bar.finish_and_clear();
                Some(timing?)
            }
        };
        let answers = kept.answers.values().filter(|answer| answer.question < limit).cloned().collect();
        Ok(Outcome { prepared, kept, answers, answered, answering_s, saving, timing })
    }

    /// What a row begins with.
    fn head(&self, mode: &Mode) -> Head {
        Head::of("qa", &self.args.run, &mode.policy, self.rules.matcher.rule())
    }

    /// What an interrupted run has found.
    fn say_so_far(&self, task: &QaTask, shots: usize, prepared: &Prepared, kept: &Kept) {
        let answers: Vec<Answer> = kept.answers.values().cloned().collect();
        let accuracy = anllm_eval::qa::Accuracy::of(&prepared.questions, &answers);
        let how = match self.args.output {
            Some(_) => "; the same command with --resume goes on",
            None => "; with --output they would have been kept",
        };
        let (done, all) = (answers.len(), prepared.questions.len());
        self.output.note(&format!(
            "interrupted after {done} of {all} questions of {} ({shots}-shot): acc {:.4}{how}",
            task.name, accuracy.acc.value
        ));
    }

    fn bar(&self, what: &str, length: usize, done: usize) -> ProgressBar {
        if self.output.is_json() {
            return ProgressBar::hidden();
        }
        let template = "{msg} {pos}/{len} {bar:20} {per_sec}, {eta} left";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(length as u64).with_style(style).with_message(what.to_owned());
        bar.set_position(done as u64);
        // What an earlier process answered says nothing of this one's speed.
        bar.reset_eta();
        bar
    }
}
