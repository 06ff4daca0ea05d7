//! The tasks of the program write what lm-evaluation-harness writes, and say what is wrong with a record.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use anllm_eval::task::{Origin, Pool, Question, Record, Sampler, Task, builtin_tasks, records};
use serde_json::{Value, json};

fn data(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/tasks").join(file)
}

fn questions(task: &Task) -> Vec<Question> {
    let all = records(&data(&format!("{}.jsonl", task.name))).unwrap();
    all.iter().map(|record| task.question(record).unwrap()).collect()
}

/// `testdata/tasks/prompts.json` is what the harness made of the same records.
#[test]
fn prompts_are_the_harness_own() {
    let expected: Value = serde_json::from_slice(&std::fs::read(data("prompts.json")).unwrap()).unwrap();
    for name in builtin_tasks() {
        let task = Task::builtin(name).unwrap();
        let questions = questions(&task);
        for expected in expected[name].as_array().unwrap() {
            let shots = expected["shots"].as_u64().unwrap() as usize;
            let number = expected["question"].as_u64().unwrap() as usize;
            let pool = Pool { questions: &questions, source: "here", same: false };
            let shown = task.with_shots(&questions, pool, shots, Sampler::First, "").unwrap();
            let found: Vec<Value> =
                shown[number].choices.iter().map(|choice| json!([choice.context, choice.continuation])).collect();
            assert_eq!(json!(found), expected["choices"], "{name}, question {number}, {shots} demonstration(s)");
            assert_eq!(json!(questions[number].target), expected["target"], "{name}, question {number}");
        }
    }
}

fn changed(name: &str, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> (Task, Record) {
    let mut record = records(&data(&format!("{name}.jsonl"))).unwrap().swap_remove(1);
    change(&mut record.fields);
    (Task::builtin(name).unwrap(), record)
}

#[track_caller]
fn refused(name: &str, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> String {
    let (task, record) = changed(name, change);
    let error = task.question(&record).unwrap_err().to_string();
    assert!(error.contains(&format!("{name}.jsonl: line 2: ")), "{error}");
    error
}

#[test]
fn a_record_that_fits_no_task_is_named_with_its_line() {
    let error = refused("openbookqa", |fields| drop(fields.remove("question_stem")));
    assert!(error.contains("no field `question_stem`") && error.contains("it has id, "), "{error}");
    let error = refused("openbookqa", |fields| drop(fields.insert("answerKey".into(), json!("E"))));
    assert!(error.contains("'E' is not a choice: expected one of A, B, C, D"), "{error}");
    let error = refused("piqa", |fields| drop(fields.insert("label".into(), json!(2))));
    assert!(error.contains("2 is not a choice: expected one of 0 to 1"), "{error}");
    let error = refused("piqa", |fields| drop(fields.insert("label".into(), json!(-1))));
    assert!(error.contains("-1 is not a choice"), "{error}");
    let error = refused("piqa", |fields| drop(fields.insert("sol1".into(), json!(7))));
    assert!(error.contains("choices") && error.contains("expected a list of texts"), "{error}");
    let error = refused("winogrande", |fields| drop(fields.insert("sentence".into(), json!("No blank."))));
    assert!(error.contains("cannot make its continuation"), "{error}");
}

/// BoolQ's own files say `answer`, as true or false; SuperGLUE's say `label`.
#[test]
fn boolq_is_read_in_both_its_forms() {
    let (task, record) = changed("boolq", |fields| {
        fields.remove("label");
        fields.insert("answer".into(), json!(true));
    });
    assert_eq!(task.question(&record).unwrap().answer, 1);
}

#[test]
fn a_question_never_shows_itself_where_it_is_in_the_pool() {
    for sampler in [Sampler::First, Sampler::Drawn(3)] {
        for name in ["openbookqa", "piqa"] {
            let task = Task::builtin(name).unwrap();
            let questions = questions(&task);
            let others = questions.len() - 1;
            let pool = Pool { questions: &questions, source: "here", same: true };
            let shown = task.with_shots(&questions, pool, others, sampler, "").unwrap();
            for (question, shown) in questions.iter().zip(&shown) {
                assert!(!shown.before.contains(&question.choices[0].context), "{name}: {}", shown.before);
            }
            let error = task.with_shots(&questions, pool, others + 1, sampler, "").unwrap_err().to_string();
            assert!(error.contains("here") && error.contains("--shots"), "{error}");
        }
    }
}

#[test]
fn a_mark_stands_behind_each_demonstration() {
    let task = Task::builtin("openbookqa").unwrap();
    let questions = questions(&task);
    let pool = Pool { questions: &questions, source: "here", same: true };
    let shown = task.with_shots(&questions, pool, 2, Sampler::First, "<AC>").unwrap();
    assert_eq!(shown[0].before, "Ice floats because it is lighter than water<AC>\n\nMoths fly to a lamp<AC>\n\n");
}

#[test]
fn files_that_are_no_records_are_refused_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let error = |text: &str| {
        let path = folder.path().join("data.jsonl");
        std::fs::write(&path, text).unwrap();
        records(&path).unwrap_err().to_string()
    };
    assert!(error("{\"a\": 1}\n{\"a\": }\n").contains("data.jsonl: line 2: not JSON: column 7"));
    assert!(error("{}\n\n3\n").contains("data.jsonl: line 3: expected a JSON object, found a number"));
    assert!(error(" \n\n").contains("has no records"));
    assert!(error("[{}, 4]").contains("data.jsonl: record 2: expected a JSON object, found a number"));
    assert!(records(Path::new("nowhere.jsonl")).unwrap_err().to_string().starts_with("nowhere.jsonl: cannot read"));
}

/// A record's place outlives the file it came from.
#[test]
fn origins_print_their_file_and_line() {
    let all = records(&data("piqa.jsonl")).unwrap();
    let origin: &Origin = &all[1].origin;
    assert!(origin.to_string().ends_with("piqa.jsonl: line 2"));
}
