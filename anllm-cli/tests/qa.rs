//! `anllm eval qa` as users run it.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{ANY, fixture, has_keys, object, on_model, text};
use serde_json::Value;
use tempfile::TempDir;

fn data(task: &str) -> PathBuf {
    fixture("tasks").join(format!("{task}.jsonl"))
}

fn asking(task: &str, data: &Path) -> assert_cmd::Command {
    let mut command = on_model("eval qa", &fixture(ANY));
    command.args(["--task", task, "--data"]).arg(data);
    command
}

fn qa(task: &str) -> assert_cmd::Command {
    asking(task, &data(task))
}

#[track_caller]
fn refused(command: &mut assert_cmd::Command, code: i32) -> String {
    let output = command.assert().code(code).get_output().clone();
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Files of a folder whose names begin so.
fn named(folder: &Path, beginning: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(beginning)).collect()
}

#[test]
fn a_task_gives_the_paper_s_columns() {
    let row = object(qa("arc_easy").args(["--shots", "1", "--anchors", "every:4", "--time", "2"]));
    has_keys(
        &row,
        &[
            "task",
            "n",
            "shots",
            "acc",
            "acc_norm",
            "acc_stderr",
            "kv_reduction",
            "time_no_cache_s",
            "time_full_cache_s",
            "time_anchor_cache_s",
            "speedup_vs_no_cache",
            "speedup_vs_full_cache",
            "bytes",
            "peak_bytes",
        ],
    );
    assert_eq!((&row["task"], &row["n"], &row["shots"]), (&"arc_easy".into(), &2.into(), &1.into()));
    let saved = row["kv_reduction"].as_f64().unwrap();
    assert!((0.5..0.9).contains(&saved), "one entry of four is kept, and the tail: {saved}");
    assert!(row["time_anchor_cache_s"].as_f64().unwrap() > 0.0);
    assert!(row["masked_cached_max_diff"].as_f64().unwrap() < 1e-3);
}

#[test]
fn several_tasks_and_shots_make_one_table() {
    let mut command = asking("openbookqa,winogrande", &fixture("tasks"));
    command.args(["--shots", "0,1", "--time", "0"]);
    let out = text(&mut command);
    assert!(out.starts_with("| Tasks "), "{out}");
    assert_eq!(out.matches("| openbookqa").count(), 4, "two tables, each for two numbers of demonstrations: {out}");
    assert_eq!(out.matches("acc_norm").count(), 2, "WinoGrande has none: {out}");
}

/// lm-evaluation-harness writes such files; what reads them reads ours.
#[test]
fn output_has_the_harness_layout() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log.jsonl");
    let row = object(qa("piqa").arg("--output").arg(folder.path()).arg("--log-samples").arg(&log));
    let results = named(folder.path(), "results_");
    let results: Value = serde_json::from_slice(&fs::read(&results[0]).unwrap()).unwrap();
    assert_eq!(results["results"]["piqa"]["acc,none"], row["acc"]);
    assert_eq!(results["results"]["piqa"]["acc_norm,none"], row["acc_norm"]);
    assert_eq!(results["n-samples"]["piqa"], serde_json::json!({ "original": 2, "effective": 2 }));
    assert_eq!((&results["n-shot"]["piqa"], &results["versions"]["piqa"]), (&0.into(), &1.0.into()));
    has_keys(&results, &["configs", "higher_is_better", "group_subtasks", "config", "date", "model_name"]);

    let samples = lines(&named(folder.path(), "samples_piqa_")[0]);
    assert_eq!(samples, lines(&log));
    assert_eq!(samples[0]["arguments"]["gen_args_1"]["arg_1"], " turn the table");
    let scores: Vec<f64> = samples[0]["filtered_resps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|score| score[0].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(samples[0]["acc"], if scores[0] >= scores[1] { 1.0 } else { 0.0 });
    assert!(named(folder.path(), "unfinished_").is_empty(), "nothing is left of the answers that were kept");
}

#[test]
fn an_interrupted_run_goes_on() {
    let folder = TempDir::new().unwrap();
    let run = |resume: bool| {
        let mut command = qa("openbookqa");
        command.arg("--output").arg(folder.path());
        if resume {
            command.arg("--resume");
        }
        command
    };
    // A whole run leaves what an interrupted one would have kept, but for its file, which is made from its samples.
    let whole = object(&mut run(false));
    let path = folder.path().join("unfinished_openbookqa_0shot.jsonl");
    let samples = lines(&named(folder.path(), "samples_openbookqa_")[0]);
    let answer = |sample: &Value| {
        let scores = sample["filtered_resps"].as_array().unwrap();
        let sums: Vec<f64> = scores.iter().map(|score| score[0].as_str().unwrap().parse().unwrap()).collect();
        let greedy: Vec<bool> = scores.iter().map(|score| score[1] == "True").collect();
        serde_json::json!({ "question": sample["doc_id"], "likelihoods": sums, "greedy": greedy })
    };
    fs::write(
        &path,
        "{\"format\":2,\"fingerprint\":\"another run\"}\n".to_owned() + &answer(&samples[0]).to_string() + "\n",
    )
    .unwrap();
    let error = refused(&mut run(false), 1);
    assert!(error.contains("1 answer(s) of an interrupted run") && error.contains("--resume"), "{error}");
    let error = refused(&mut run(true), 1);
    assert!(error.contains("another model, other questions or other settings"), "{error}");
    fs::remove_file(&path).unwrap();
    let again = object(&mut run(true));
    assert_eq!(again["acc"], whole["acc"], "without answers to go on with, it begins");
}

/// The run is stopped in the middle: after a few answers its next ones cannot come before the signal does, since each is
/// of a long text that is read token by token.
#[cfg(unix)]
#[test]
fn an_interrupted_run_keeps_its_answers_and_goes_on() {
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    const QUESTIONS: usize = 1500;
    let folder = TempDir::new().unwrap();
    let many: String = (0..QUESTIONS)
        .map(|n| {
            let goal =
                format!("count the boats in the harbour, {n} of them, and then {}", "once more ".repeat(3 + n % 5));
            format!("{{\"goal\": \"{goal}\", \"sol1\": \"begin with one\", \"sol2\": \"begin\", \"label\": 0}}\n")
        })
        .collect();
    let questions = folder.path().join("many.jsonl");
    fs::write(&questions, many).unwrap();
    let run = |output: &str| {
        let mut command = common::plain();
        command.args(["eval", "qa", "--task", "piqa", "--time", "0", "--prefill-chunk", "1", "--json", "--model"]);
        command.arg(fixture(ANY)).arg("--data").arg(&questions).arg("--output").arg(folder.path().join(output));
        command
    };
    let kept = folder.path().join("stopped/unfinished_piqa_0shot.jsonl");
    let lines_of =
        |path: &Path| fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>();
    let running = run("stopped").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while lines_of(&kept).len() < 5 {
        assert!(start.elapsed() < Duration::from_secs(120), "no answers come");
        std::thread::sleep(Duration::from_millis(1));
    }
    let id = running.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let ended = running.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(130), "the run was not stopped in the middle: {said}");
    assert!(ended.stdout.is_empty() && said.contains("--resume goes on"), "{said}");
    let before = lines_of(&kept);
    assert!((4..QUESTIONS).contains(&(before.len() - 1)), "{} answers", before.len() - 1);

    // A line that was being written when the power went is no answer.
    let torn = before.join("\n") + "\n{\"question\": 39";
    fs::write(&kept, torn).unwrap();
    let ended = run("stopped").arg("--resume").stderr(Stdio::piped()).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let resumed: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert!(!kept.exists(), "nothing is left of the answers that were kept");

    // What was kept was not asked again, and together they are what one run finds.
    let speed = resumed["questions_per_s"].as_f64().unwrap() * resumed["answering_s"].as_f64().unwrap();
    assert_eq!(speed.round() as usize, QUESTIONS - (before.len() - 1), "questions that were asked after the stop");
    let whole: Value = serde_json::from_slice(&run("whole").output().unwrap().stdout).unwrap();
    for key in ["n", "acc", "acc_norm", "acc_stderr"] {
        assert_eq!(resumed[key], whole[key], "{key}");
    }
    let samples = |output: &str| {
        let folder = folder.path().join(output);
        lines(&named(&folder, "samples_piqa_")[0])
    };
    // Too much to print.
    assert!(samples("stopped") == samples("whole"), "what was kept is what one run finds, to the last bit");
}

#[test]
fn the_paper_s_table_has_full_attention_mask_and_cache() {
    let mut command = qa("arc_easy");
    command.args(["--paper", "--shots", "1", "--anchors", "every:4", "--time", "1", "--json"]);
    let out = text(&mut command);
    let rows: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let modes: Vec<_> =
        rows.iter().map(|row| (row["mode"].as_str().unwrap(), row["policy"].as_str().unwrap())).collect();
    assert_eq!(modes, [("full", "full"), ("mask", "anchor"), ("cache", "anchor")]);
    assert_eq!(rows[1]["acc"], rows[2]["acc"]);
    assert!(rows[2]["mask_max_abs_diff"].as_f64().unwrap() < 1e-3, "{}", rows[2]);
    assert_eq!((&rows[0]["kv_reduction"], &rows[0]["measure"]), (&0.0.into(), &"qa".into()));
    assert!(rows[2]["kv_reduction"].as_f64().unwrap() > 0.5);
    assert_eq!((&rows[0]["timed"], &rows[2]["timed"]), (&0.into(), &1.into()));
    let folder = TempDir::new().unwrap();
    text(qa("arc_easy").args(["--paper", "--time", "0", "--output"]).arg(folder.path()));
    assert_eq!(named(folder.path(), "results_").len(), 3, "a file of results for each");
    assert!(named(folder.path(), "unfinished_").is_empty());
}

#[test]
fn a_task_of_ones_own_is_a_file() {
    let folder = TempDir::new().unwrap();
    let task = folder.path().join("colours.toml");
    fs::write(
        &task,
        "name = \"colours\"\nversion = 1\ncontext = \"The {{ thing }} is\"\nchoices = \"colours\"\nanswer = \"colour\"\n",
    )
    .unwrap();
    let questions = folder.path().join("colours.jsonl");
    fs::write(&questions, "{\"thing\": \"sea\", \"colours\": [\"blue\", \"red\"], \"colour\": \"blue\"}\n").unwrap();
    let row = object(&mut asking(task.to_str().unwrap(), &questions));
    assert_eq!((&row["task"], &row["n"]), (&"colours".into(), &1.into()));
    assert_eq!(row["acc_stderr"], Value::Null, "one question has no spread");
}

#[test]
fn what_is_wrong_is_said() {
    let error = refused(&mut asking("arc-easy", Path::new("x")), 1);
    assert!(error.contains("no task is called `arc-easy`: did you mean `arc_easy`?"), "{error}");
    let error = refused(&mut asking("my.toml", Path::new("x")), 1);
    assert!(error.contains("my.toml: cannot read the task"), "{error}");
    let error = refused(&mut asking("piqa,sciq", &data("piqa")), 1);
    assert!(error.contains("1 file(s) for 2 task(s)"), "{error}");
    let error = refused(&mut asking("piqa", &fixture("gguf")), 1);
    assert!(error.contains("no data of piqa there") && error.contains("piqa.jsonl"), "{error}");
    let error = refused(&mut asking("piqa", &data("sciq")), 1);
    assert!(error.contains("sciq.jsonl: line 1: the record has no field `goal`"), "{error}");
    let error = refused(qa("piqa").args(["--shots", "2"]), 1);
    assert!(error.contains("2 demonstrations were asked for, but there are only 1"), "{error}");
    let error = refused(qa("piqa").arg("--add-anchors"), 1);
    assert!(error.contains("<AC>") && error.contains("hint"), "{error}");
    let error = refused(qa("piqa").arg("--resume"), 2);
    assert!(error.contains("--output"), "{error}");
    let folder = TempDir::new().unwrap();
    let empty = folder.path().join("empty.jsonl");
    fs::write(&empty, "\n").unwrap();
    let error = refused(&mut asking("piqa", &empty), 1);
    assert!(error.contains("empty.jsonl: the file has no records"), "{error}");
    fs::write(&empty, "{\"goal\": \"a\", \"sol1\": \"b\", \"sol2\": \"c\", \"label\": 2}\n").unwrap();
    let error = refused(&mut asking("piqa", &empty), 1);
    assert!(error.contains("empty.jsonl: line 1: the answer 2 is not a choice"), "{error}");
}

#[test]
fn a_context_too_long_for_the_model_loses_its_beginning() {
    let folder = TempDir::new().unwrap();
    let long = folder.path().join("long.jsonl");
    let goal = "count the boats ".repeat(5000);
    fs::write(&long, format!("{{\"goal\": \"{goal}\", \"sol1\": \"one\", \"sol2\": \"two\", \"label\": 0}}\n"))
        .unwrap();
    let mut command = asking("piqa", &long);
    let output = command.args(["--time", "0", "--json"]).assert().success().get_output().clone();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("piqa: 2 choice(s)") && said.contains("lost their beginning"), "{said}");
    let row: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(row["truncated"], 2);
}
