//! `anllm generate --prompts`: many prompts at once, by the real program.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod common;

use assert_cmd::Command;
use common::{ANY, fixture, on_model};
use serde_json::Value;

fn lines(command: &mut Command) -> Vec<Value> {
    let output = command.arg("--json").assert().success().get_output().stdout.clone();
    String::from_utf8(output).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn generate(options: &str) -> Command {
    on_model(&format!("generate --anchors every:6 --ignore-eos {options}"), &fixture(ANY))
}

const PROMPTS: &str = r#"{"prompt": "The tide went out. The boats", "max_new_tokens": 9}
{"prompt": "A", "max_new_tokens": 3, "temperature": 0.9, "seed": 5}

{"prompt": "The gulls came down. A boy ran to the boats, and the tide", "temperature": 0.9}
"#;

#[test]
fn each_prompt_gets_what_it_gets_alone_in_the_order_of_the_file() {
    let found = lines(generate("--prompts - -n 6 --seed 40 --batch 2").write_stdin(PROMPTS));
    let alone = [
        ("The tide went out. The boats", "-n 9 --seed 40"),
        ("A", "-n 3 --temperature 0.9 --seed 5"),
        ("The gulls came down. A boy ran to the boats, and the tide", "-n 6 --temperature 0.9 --seed 42"),
    ];
    assert_eq!(found.iter().map(|one| one["line"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 4]);
    for (found, (prompt, options)) in found.iter().zip(alone) {
        let expected = lines(generate(options).args(["--prompt", prompt])).remove(0);
        assert_eq!(found["prompt"], prompt);
        for key in ["text", "tokens", "prompt_tokens", "stop_reason", "seed", "kv"] {
            assert_eq!(found[key], expected[key], "{key}");
        }
    }
}

#[test]
fn a_plain_file_has_a_prompt_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prompts.txt");
    std::fs::write(&file, "The tide\n\nA boy ran").unwrap();
    let file = file.to_str().unwrap();
    let found = lines(generate("-n 4").args(["--prompts", file]));
    assert_eq!(found.iter().map(|one| one["prompt"].as_str().unwrap()).collect::<Vec<_>>(), ["The tide", "A boy ran"]);

    let shown = generate("-n 4").args(["--prompts", file]).assert().success();
    let texts: Vec<String> =
        found.iter().map(|one| format!("{}{}\n", text(&one["prompt"]), text(&one["text"]))).collect();
    assert_eq!(String::from_utf8_lossy(&shown.get_output().stdout), texts.join("\n"));
    let account = String::from_utf8_lossy(&shown.get_output().stderr).into_owned();
    assert!(account.contains("2 prompts") && account.contains("+ 8 tokens"), "{account}");
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn a_wrong_line_is_named_before_anything_is_generated() {
    let refused = |prompts: &str, expected: &[&str]| {
        let found = generate("--prompts -").write_stdin(prompts.to_owned()).assert().code(1);
        let message = String::from_utf8_lossy(&found.get_output().stderr).into_owned();
        assert!(expected.iter().all(|part| message.contains(part)), "{message}");
        assert!(found.get_output().stdout.is_empty());
    };
    refused("{\"prompt\": \"a\"}\n{\"prompt\": 3}\n", &["line 2", "hint: "]);
    refused("{\"prompt\": \"a\"}\n{\"prompt\": \"b\", \"top_p\": 7}\n", &["line 2", "top-p", "hint: "]);
    refused(&format!("a\n{}\n", "word ".repeat(900)), &["line 2", "context ends at 256", "hint: "]);
    refused("\n  \n", &["there is no prompt", "hint: "]);
    generate("--prompts - --batch 0").write_stdin("a").assert().code(2);
    generate("--prompts - --prompt a").write_stdin("a").assert().code(2);
    generate("--prompts - --prefix-cache gone.prefix").write_stdin("a").assert().code(1);
    generate("--prompts gone.jsonl").assert().code(1);
}
