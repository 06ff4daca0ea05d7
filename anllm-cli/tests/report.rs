//! `anllm attention`, `anllm report`, `anllm eval compare` and `anllm eval translation` as users run them.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod common;

use std::fs;
use std::path::Path;

use common::{ANY, anllm, fixture, has_keys, numbers, object, on_model, text};
use serde_json::{Value, json};
use tempfile::TempDir;

const TEXT: &str = "The tide went out. The boats lay on the sand. A boy ran to the boats. The gulls came down again.";

#[track_caller]
fn refused(command: &mut assert_cmd::Command, parts: &[&str]) {
    let output = command.assert().failure().get_output().clone();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.stdout.is_empty());
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

fn attention(options: &[&str]) -> Value {
    let mut command = on_model("attention --limit-tokens 20 --anchors ep", &fixture(ANY));
    object(command.arg("--prompt").arg(TEXT).args(options))
}

#[test]
fn shares_are_whole_and_keep_to_the_mask() {
    for head in ["mean", "0"] {
        let found = attention(&["--layer", "1", "--head", head]);
        has_keys(&found, &["measure", "model", "policy", "rule", "layer", "head", "tokens", "anchors", "maps"]);
        let anchors: Vec<u64> = found["anchors"].as_array().unwrap().iter().map(|a| a.as_u64().unwrap()).collect();
        assert!(!anchors.is_empty());
        let segment = |token: usize| anchors.iter().filter(|anchor| (**anchor as usize) < token).count();
        let maps = found["maps"].as_array().unwrap();
        assert_eq!((&maps[0]["policy"], &maps[1]["policy"]), (&json!("full"), &json!("anchor")));
        for (number, map) in maps.iter().enumerate() {
            for (query, row) in map["shares"].as_array().unwrap().iter().enumerate() {
                let row = numbers(row);
                assert_eq!(row.len(), query + 1, "nobody looks ahead");
                assert!((row.iter().sum::<f64>() - 1.0).abs() < 2e-3, "{row:?}");
                for (key, share) in row.iter().enumerate() {
                    let is_anchor = |token: usize| anchors.contains(&(token as u64));
                    let seen = segment(key) == segment(query) || (is_anchor(key) && !is_anchor(query));
                    assert!(number == 0 || seen == (*share > 0.0), "{query} {key} {share}");
                }
            }
        }
        // Every token but the first of a segment had others to look at: anchors got more than none.
        assert!(maps[1]["to_earlier_anchors"].as_f64().unwrap() > 0.0);
    }
}

/// In the first layer nothing but the mask differs: the shares under it are those of full attention, those that are
/// hidden left out and the rest made whole again.
#[test]
fn the_first_layer_s_shares_are_the_full_ones_without_what_is_hidden() {
    let found = attention(&["--layer", "0", "--head", "1"]);
    let [full, anchor] = [0, 1].map(|map| found["maps"][map]["shares"].as_array().unwrap().clone());
    for (full, anchor) in full.iter().zip(&anchor) {
        let (full, anchor) = (numbers(full), numbers(anchor));
        let left: f64 = full.iter().zip(&anchor).filter(|(_, share)| **share > 0.0).map(|(share, _)| share).sum();
        for (full, anchor) in full.iter().zip(&anchor).filter(|(_, anchor)| **anchor > 0.0) {
            assert!((full / left - anchor).abs() < 3e-3, "{full} of {left}, {anchor}");
        }
    }
}

#[test]
fn maps_are_drawn_and_refused_where_there_is_none() {
    let folder = TempDir::new().unwrap();
    let svg = folder.path().join("maps.svg");
    let mut command = on_model("attention --limit-tokens 30 --anchors ep", &fixture(ANY));
    let shown = text(command.arg("--prompt").arg(TEXT).arg("--svg").arg(&svg));
    assert!(shown.contains("full: layer 1, head mean") && shown.contains("anchor: layer 1") && shown.contains("⟨"));
    let drawn = fs::read_to_string(&svg).unwrap();
    assert_eq!(drawn.matches("<svg").count(), 3, "two maps in one picture");
    assert!(drawn.contains("prefers-color-scheme:dark"));
    let on = || on_model("attention --anchors ep", &fixture(ANY));
    refused(on().args(["--layer", "9"]), &["there is no layer 9"]);
    refused(on().args(["--head", "99"]), &["--head 99", "heads"]);
    refused(on().args(["--head", "all"]), &["a head's number", "mean"]);
    refused(on().args(["--cache", "sink:1+4"]), &["sink:1+4", "counts positions anew"]);
}

/// A folder with a run of every measure.
fn runs(folder: &Path) {
    let text = folder.join("text.txt");
    fs::write(&text, TEXT.repeat(3)).unwrap();
    let keep = |name: &str, command: &mut assert_cmd::Command| {
        let printed = common::text(command.arg("--json"));
        let file = folder.join(name);
        let before = fs::read_to_string(&file).unwrap_or_default();
        fs::write(file, before + &printed).unwrap();
    };
    let on = |command: &str| {
        let mut command = on_model(command, &fixture(ANY));
        command.args(["--anchors", "endswith:.|!"]);
        command
    };
    for cache in ["full", "anchor"] {
        for window in ["32", "64"] {
            let mut ppl = on("eval ppl");
            keep("ppl.jsonl", ppl.args(["--cache", cache, "--window", window]).arg("--text").arg(&text));
        }
        let log = folder.join(format!("windows-{cache}.jsonl"));
        let mut ppl = on("eval ppl --window 16");
        ppl.args(["--cache", cache]).arg("--text").arg(&text).arg("--log-windows").arg(log).assert().success();
    }
    keep("kl.json", on("eval kl --window 64").arg("--text").arg(&text));
    let mut frontier = on("eval frontier --context 32 --budget 8,16 --new-tokens 2 --reps 1");
    keep("frontier.jsonl", frontier.arg("--text").arg(&text));
    keep("passkey.jsonl", &mut anllm("eval passkey --length 300,400 --depth 0,1 --trials 1".split(' ')));
    let mut qa = on("eval qa --paper --task piqa --shots 1 --time 1");
    keep("qa.jsonl", qa.arg("--data").arg(fixture("tasks")).arg("--output").arg(folder.join("results")));
    let mut other = on("eval qa --task sciq --time 0");
    other.arg("--output").arg(folder.join("results")).arg("--data").arg(fixture("tasks")).assert().success();
    keep("attention.json", &mut on("attention --limit-tokens 20"));
    let compare = ["windows-full.jsonl", "windows-anchor.jsonl"].map(|name| folder.join(name));
    keep("compare.jsonl", anllm(["eval", "compare", "--draws", "200"]).args(compare));
    let run = folder.join("a-run");
    fs::create_dir(&run).unwrap();
    let lines = (1..9).map(|step| json!({ "step": step, "loss": 5.0 / f64::from(step) }).to_string() + "\n");
    let log = lines.collect::<String>() + &json!({ "step": 8, "val_loss": 1.5 }).to_string() + "\n";
    fs::write(run.join("log.jsonl"), log).unwrap();
}

#[test]
fn a_report_has_a_section_for_every_measure() {
    let folder = TempDir::new().unwrap();
    runs(folder.path());
    // What is no result does no harm.
    fs::write(folder.path().join("other.json"), "{\"a\": [1, 2").unwrap();
    fs::write(folder.path().join("noise.jsonl"), [0xff, 0xfe, b'\n']).unwrap();
    let (page, markdown) = (folder.path().join("page.html"), folder.path().join("report.md"));
    let mut command = anllm(["report", "--title", "A <test>"]);
    let found = object(command.arg(folder.path()).arg("--to").arg(&page).arg("--markdown").arg(&markdown));
    let sections = [
        "Questions with choices",
        "Perplexity",
        "Divergence from full attention",
        "Frontier",
        "Passkeys",
        "Comparisons",
        "Training",
        "Attention",
    ];
    assert_eq!(found["sections"], json!(sections));
    let (page, markdown) = (fs::read_to_string(page).unwrap(), fs::read_to_string(markdown).unwrap());
    for section in sections {
        assert!(page.contains(&format!(">{section}</h2>")) && markdown.contains(&format!("\n## {section}\n")));
    }
    assert_eq!(page.matches("<figure>").count() as u64, found["figures"].as_u64().unwrap());
    for outside in ["<script", "<link", "@import", "url(", " src=", "<img"] {
        assert!(!page.contains(outside), "the page needs nothing else: {outside}");
    }
    assert!(page.contains("<title>A &lt;test&gt;</title>"));
    // Tables have as many cells in every row as they have columns.
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    let mut columns = 0;
    for line in markdown.lines().take_while(|line| !line.starts_with("```")) {
        match line.starts_with('|') {
            true if columns == 0 => columns = cells(line),
            true => assert_eq!(cells(line), columns, "{line}"),
            false => columns = 0,
        }
    }
    // Every figure that the text shows is there.
    let named: Vec<&str> = markdown.split("](report/").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert_eq!(named.len() as u64, found["figures"].as_u64().unwrap());
    for name in named {
        let figure = fs::read_to_string(folder.path().join("report").join(name)).unwrap();
        assert!(
            figure.starts_with("<svg") && figure.trim_end().ends_with("</svg>") && !figure.contains("NaN"),
            "{name}"
        );
    }
    // The numbers are the runs' own.
    let qa = fs::read_to_string(folder.path().join("qa.jsonl")).unwrap();
    assert_eq!(qa.lines().count(), 3, "full, mask, cache");
    assert_eq!(markdown.matches("\n| piqa").count(), 3, "rows and the files of results are the same runs");
    assert_eq!(markdown.matches("\n| sciq").count(), 1, "a file of results is a run too");
    let row: Value = serde_json::from_str(qa.lines().last().unwrap()).unwrap();
    let saved = format!("{:.1} %", 100.0 * row["kv_reduction"].as_f64().unwrap());
    assert!(markdown.contains(&saved) && page.contains(&saved), "{saved}");
}

#[test]
fn a_folder_without_runs_is_no_report() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("a.json"), "{}").unwrap();
    refused(anllm(["report"]).arg(folder.path()), &["1 file(s), but no run", "hint"]);
    assert!(!folder.path().join("report.html").exists());
    refused(anllm(["report"]).arg(folder.path().join("none")), &["none: cannot be read"]);
}

#[test]
fn runs_are_compared_item_by_item() {
    let folder = TempDir::new().unwrap();
    let log = |name: &str, rights: &[u8]| {
        let path = folder.path().join(name);
        let line = |(number, right): (usize, &u8)| {
            json!({ "doc_id": number, "target": "0", "acc": right, "task": "piqa", "num_fewshot": 0 }).to_string()
                + "\n"
        };
        fs::write(&path, rights.iter().enumerate().map(line).collect::<String>()).unwrap();
        path
    };
    let (a, b) = (log("a.jsonl", &[1, 0, 1, 0, 1, 0, 1, 0]), log("b.jsonl", &[1, 1, 1, 1, 1, 1, 1, 0]));
    let compare = |a: &Path, b: &Path| {
        let mut command = anllm(["eval", "compare", "--draws", "2000"]);
        command.arg(a).arg(b);
        command
    };
    let found = object(&mut compare(&a, &b));
    assert_eq!((&found["of"], &found["what"], &found["n"]), (&json!("piqa 0-shot"), &json!("acc"), &json!(8)));
    assert_eq!((&found["a"], &found["b"], &found["difference"]), (&json!(0.5), &json!(0.875), &json!(0.375)));
    let [low, high] = ["low", "high"].map(|key| found[key].as_f64().unwrap());
    assert!((0.0..0.375).contains(&low) && high > 0.375, "{found}");
    assert_eq!(found, object(&mut compare(&a, &b)), "the same draws every time");
    // What differs is refused.
    let fewer = log("c.jsonl", &[1, 0]);
    refused(&mut compare(&a, &fewer), &["8 items and 2", "the same data"]);
    fs::write(&fewer, fs::read_to_string(&a).unwrap().replace("\"target\":\"0\"", "\"target\":\"1\"")).unwrap();
    refused(&mut compare(&a, &fewer), &["`target` differs"]);
    fs::write(&fewer, "{\"doc_id\": 0}\n").unwrap();
    refused(&mut compare(&a, &fewer), &["c.jsonl: line 1"]);
    fs::write(&fewer, "").unwrap();
    refused(&mut compare(&a, &fewer), &["the run is empty"]);
    refused(&mut compare(&a, Path::new("none.jsonl")), &["none.jsonl: cannot read"]);
}

fn translating(data: &Path) -> assert_cmd::Command {
    let mut command = on_model("eval translation --max-new-tokens 6 --anchors ep", &fixture(ANY));
    command.arg("--data").arg(data);
    command
}

#[test]
fn translations_keep_their_source_and_are_scored() {
    let folder = TempDir::new().unwrap();
    let (data, log) = (folder.path().join("pairs.json"), folder.path().join("log.jsonl"));
    let pair = |de: &str, en: &str| json!({ "translation": { "de": de, "en": en } });
    let all = json!([
        pair("Das Boot liegt im Hafen.", "The boat lies in the harbour."),
        pair("Ja.", "Yes."),
        pair("Die Flut kam.", "The tide came."),
    ]);
    fs::write(&data, all.to_string()).unwrap();
    let run = |options: &[&str]| object(translating(&data).args(options).arg("--log-samples").arg(&log));
    let full = run(&["--cache", "full", "--shots", "1"]);
    has_keys(&full, &["measure", "policy", "bleu", "chrf", "bleu_signature", "chrf_signature", "kv_reduction", "n"]);
    assert_eq!((&full["n"], &full["kv_reduction"]), (&json!(2), &json!(0.0)), "the last pair is the demonstration");
    let kept = run(&["--cache", "anchor", "--keep-source"]);
    let lines: Vec<Value> =
        fs::read_to_string(&log).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    let spans: Vec<&str> = lines.iter().map(|line| line["policy"].as_str().unwrap()).collect();
    assert!(spans.iter().all(|span| span.starts_with("anchor:keep=")) && spans[0] != spans[1], "{spans:?}");
    let alone = run(&["--cache", "anchor"]);
    let [kept, alone] = [&kept, &alone].map(|row| row["entries"].as_f64().unwrap());
    assert!(kept > alone + 1.0, "the sources' entries stay: {kept}, {alone}");
    // The same whatever runs side by side.
    let translations = |batch: &str| {
        run(&["--cache", "anchor", "--keep-source", "--batch", batch]);
        fs::read_to_string(&log).unwrap()
    };
    assert_eq!(translations("1"), translations("3"));
    refused(translating(&data).args(["--cache", "full", "--keep-source"]), &["`full` cannot keep", "hint"]);
    refused(translating(&data).args(["--template", "no place"]), &["{source}"]);
    refused(translating(&data).args(["--shots", "9"]), &["9 demonstrations", "hint"]);
    refused(translating(&data).args(["--into", "fr"]), &["pairs.json: record 1: no text `fr`"]);
    fs::write(&data, "{\"de\": \"Ja.\", \"en\": \"Yes.\"}\n{\"de\"").unwrap();
    refused(&mut translating(&data), &["pairs.json: line 2: not JSON"]);
    fs::write(&data, "[]").unwrap();
    refused(&mut translating(&data), &["no sentences"]);
}
