//! `anllm chat`, driven as by a user: messages through a pipe or a file, and a terminal where only a terminal tells.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod common;

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use common::{ANY, Copy, anllm, fixture, keys, text};
use serde_json::{Value, json};

/// `<|end|>` is a special token of the fixture's that does not end a text by itself.
const TEMPLATE: &str = "{% for m in messages %}{{ '<s>' + m.role + '\\n' + m.content + '<|end|>\\n' }}{% endfor %}\
                        {% if add_generation_prompt %}{{ '<s>assistant\\n' }}{% endif %}";

/// A checkpoint with a chat template where `transformers` has it.
fn with_template(template: impl Into<Value>) -> Copy {
    let copy = Copy::of(ANY);
    let config = json!({ "chat_template": template.into(), "bos_token": "<s>", "eos_token": { "content": "</s>" } });
    fs::write(copy.file("tokenizer_config.json"), config.to_string()).unwrap();
    copy
}

fn chat(model: &Path, options: &[&str]) -> Command {
    let mut command = anllm(["chat", "--seed", "1", "-n", "8", "--history", "none"]);
    command.arg("--model").arg(model).args(options);
    command
}

/// The turns of a conversation whose messages come through a pipe.
#[track_caller]
fn turns(command: &mut Command, said: &str) -> Vec<Value> {
    let lines = text(command.arg("--json").write_stdin(said));
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Standard output and standard error of a conversation that ends with `code`.
#[track_caller]
fn heard(command: &mut Command, said: &str, code: i32) -> (String, String) {
    let assert = command.write_stdin(said).assert().code(code);
    let output = assert.get_output();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

#[test]
fn every_turn_is_an_object_and_reads_what_is_new() {
    let model = with_template(TEMPLATE);
    let found = turns(&mut chat(&model.path(), &["--anchors", "ep"]), "Hi. You.\n\nGo on.\nAnd now?\n");
    assert_eq!(found.len(), 3);
    for key in ["message", "text", "prompt_tokens", "read_again", "tokens", "stop_reason", "taken", "kv", "timing"] {
        assert!(found[0].get(key).is_some(), "no {key} in {:?}", keys(&found[0]));
    }
    assert_eq!((&found[1]["message"], &found[1]["kv"]["policy"]), (&json!("Go on."), &json!("anchor")));
    let seen = |turn: &Value| turn["kv"]["seen"].as_u64().unwrap();
    let kept = found[2]["kv"]["kept"].as_u64().unwrap();
    assert!(seen(&found[0]) < seen(&found[1]) && kept < seen(&found[2]), "{found:?}");
}

#[test]
fn the_template_is_found_wherever_transformers_looks() {
    let expected = turns(&mut chat(&with_template(TEMPLATE).path(), &[]), "Hi.\n");
    let same = |model: &Copy, options: &[&str]| {
        let found = turns(&mut chat(&model.path(), options), "Hi.\n");
        assert_eq!(
            (&found[0]["tokens"], &found[0]["prompt_tokens"]),
            (&expected[0]["tokens"], &expected[0]["prompt_tokens"])
        );
    };
    same(&with_template(json!([{ "name": "rag", "template": "x" }, { "name": "default", "template": TEMPLATE }])), &[]);
    same(&with_template(json!([{ "name": "mine", "template": TEMPLATE }])), &["--chat-template", "mine"]);
    // A file of its own goes before what tokenizer_config.json says.
    let file = with_template("{{ raise_exception('not this one') }}");
    fs::write(file.file("chat_template.jinja"), TEMPLATE).unwrap();
    same(&file, &[]);
    let bare = Copy::of(ANY);
    fs::write(bare.file("mine.jinja"), TEMPLATE).unwrap();
    same(&bare, &["--chat-template", bare.file("mine.jinja").to_str().unwrap()]);
}

#[test]
fn templates_know_the_system_message_and_what_they_are_given() {
    let model = with_template(
        "{% for m in messages %}{{ m.role + ': ' + m.content }}{% if mood %}{{ mood }}{% endif %}{% endfor %}",
    );
    let read =
        |options: &[&str]| turns(&mut chat(&model.path(), options), "Hi.\n")[0]["prompt_tokens"].as_u64().unwrap();
    let plain = read(&[]);
    assert!(read(&["--system", "Be brief."]) > plain);
    assert!(read(&["--template-args", r#"{"mood": "!?"}"#]) > plain);
}

#[test]
fn without_a_template_it_goes_on_with_the_text_and_says_so() {
    let (out, err) = heard(&mut chat(&fixture(ANY), &[]), "Hi.\nGo.\n", 0);
    assert_eq!(err.matches("no chat template").count(), 1, "{err}");
    assert_eq!(err.matches(" kept, peak ").count(), 2, "each turn says what is kept: {err}");
    assert!(out.matches('\n').count() >= 2, "{out:?}");
    // The bundled model too, with `<AC>` after what is said.
    let mut bundled = anllm(["chat", "--model", "bundled:ac", "--add-anchors", "--seed", "3", "-n", "30"]);
    let found = turns(&mut bundled, "Once upon a time there was a dog. It was big.\nThen it ran.\n");
    assert_eq!((found.len(), &found[1]["read_again"]), (2, &json!(false)));
    assert!(!found[0]["text"].as_str().unwrap().contains("<AC>"), "{found:?}");
}

#[test]
fn messages_come_from_a_file_and_may_have_several_lines() {
    let model = with_template(TEMPLATE);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("said.txt");
    fs::write(&file, "one\\\ntwo\n\"\"\"\nthree\n\nfour\n\"\"\"\n//five\n").unwrap();
    let found = turns(chat(&model.path(), &["--prompt-file"]).arg(&file), "");
    let messages: Vec<&str> = found.iter().map(|turn| turn["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["one\ntwo", "three\n\nfour", "/five"]);
}

#[test]
fn commands_are_carried_out() {
    let model = with_template(TEMPLATE);
    let said =
        "/system Be brief.\n/system\nHi.\n/cache\n/anchors\n/help\n/seed 4\n/temperature 0\n/reset\n/cache\n/quit\nno";
    let (out, err) = heard(&mut chat(&model.path(), &["--anchors", "ep"]), said, 0);
    assert_eq!(err.matches(" read, ").count(), 1, "one answer: {out} {err}");
    says(&err, &["Be brief.\n", " an entry, ", "<s>system\nBe brief⟨.⟩│<|end|>", "⟨ ⟩ is an anchor", "/temperature X"]);
    says(&err, &["a new conversation", "0 seen, 0 kept"]);
}

#[test]
fn what_is_saved_is_loaded() {
    let model = with_template(TEMPLATE);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("talk.json");
    let name = file.to_str().unwrap();
    let greedy = ["--temperature", "0"];
    let (_, err) = heard(&mut chat(&model.path(), &greedy), &format!("Hi.\n/save {name}\n"), 0);
    says(&err, &["talk.json (2 messages)"]);
    let saved: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!((&saved["format"], &saved["messages"][0]), (&json!(1), &json!({ "role": "user", "content": "Hi." })));
    let by_command = turns(&mut chat(&model.path(), &greedy), &format!("/load {name}\nGo on.\n"));
    let by_option = turns(chat(&model.path(), &greedy).args(["--load", name]), "Go on.\n");
    assert_eq!(by_command[0]["tokens"], by_option[0]["tokens"]);
    let alone = turns(&mut chat(&model.path(), &greedy), "Go on.\n");
    assert!(by_option[0]["prompt_tokens"].as_u64() > alone[0]["prompt_tokens"].as_u64());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn a_message_that_fails_is_reported_and_the_conversation_goes_on() {
    let model = with_template(TEMPLATE);
    let long = "word ".repeat(300);
    let (out, err) = heard(chat(&model.path(), &[]).arg("--json"), &format!("Hi.\n{long}\n/sav x\nGo on.\n"), 1);
    says(&err, &["this model's context ends at 256", "/reset", "did you mean /save?"]);
    assert_eq!(err.lines().filter(|line| line.starts_with("error: ")).count(), 2, "{err}");
    let turns: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((turns.len(), &turns[1]["message"], &turns[1]["read_again"]), (2, &json!("Go on."), &json!(false)));
}

#[test]
fn a_template_that_raises_is_quoted() {
    let model = with_template("{{ raise_exception('No talking in the library.') }}");
    let (out, err) = heard(&mut chat(&model.path(), &[]), "Hi.\n", 1);
    assert_eq!(out, "");
    says(&err, &["error: the chat template refuses these messages: No talking in the library.", "hint: "]);
}

#[test]
fn bad_input_is_refused_before_anything_is_said() {
    let model = with_template(TEMPLATE);
    let refused = |options: &[&str], parts: &[&str]| {
        let (out, err) = heard(&mut chat(&model.path(), options), "Hi.\n", 1);
        let errors = err.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!((out.as_str(), errors, err.matches("hint: ").count()), ("", 1, 1), "{err}");
        says(&err, parts);
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let broken = folder.path().join("broken.jinja");
    fs::write(&broken, "{% if %}").unwrap();
    let other = folder.path().join("other.json");
    fs::write(&other, r#"{"format": 9, "model": "", "messages": []}"#).unwrap();
    refused(&["--prompt-file", "gone.txt"], &["gone.txt", "cannot read"]);
    refused(&["--prompt-file", path], &[path, "cannot read"]);
    refused(&["--chat-template", "gone.jinja"], &["gone.jinja", "default"]);
    refused(&["--chat-template", broken.to_str().unwrap()], &["broken.jinja", "at line 1"]);
    refused(&["--template-args", "[1]"], &["--template-args [1]", "enable_thinking"]);
    refused(&["--load", "gone.json"], &["gone.json", "/save"]);
    refused(&["--load", other.to_str().unwrap()], &["other.json", "format 9"]);
    refused(&["--temperature", "-1"], &["--temperature", "anllm chat --help"]);
    let wrong = with_template(json!(7));
    let (_, err) = heard(&mut chat(&wrong.path(), &[]), "Hi.\n", 1);
    says(&err, &["`chat_template` is neither", "hint: "]);
}

#[cfg(unix)]
mod terminal {
    use super::*;
    use rexpect::session::{PtySession, spawn_command};

    fn open(options: &[&str], home: &Path) -> PtySession {
        let mut command = common::plain();
        command.args(["chat", "--seed", "6"]).args(options).env("XDG_STATE_HOME", home).env("TERM", "xterm");
        let mut terminal = spawn_command(command, Some(120_000)).unwrap();
        terminal.exp_string("Ctrl-D ends").unwrap();
        terminal.exp_string("> ").unwrap();
        terminal
    }

    #[test]
    fn an_answer_can_be_stopped_and_ctrl_d_ends() {
        // A model that never ends, so that no machine is too fast.
        let model = Copy::of(ANY);
        model.json("config.json", |config| config["eos_token_id"] = Value::Null);
        fs::remove_file(model.file("generation_config.json")).unwrap();
        let path = model.path();
        let home = tempfile::tempdir().unwrap();
        let options = ["--model", path.to_str().unwrap(), "--cache", "window:64", "-n", "100000000"];
        let mut terminal = open(&options, home.path());
        terminal.send_line("Once upon a time").unwrap();
        // Some of the answer, then Ctrl-C.
        terminal.exp_regex(r"time[^\n]*\n(?s:.{40})").unwrap();
        terminal.send_control('c').unwrap();
        terminal.exp_regex(r"\d+ read, \d+ new").unwrap();
        // The program is still there, and at the prompt Ctrl-C gives up a line.
        terminal.exp_string("> ").unwrap();
        terminal.send("half a line").unwrap();
        terminal.send_control('c').unwrap();
        terminal.exp_string("(Ctrl-D or /quit ends)").unwrap();
        terminal.exp_string("> ").unwrap();
        terminal.send_line("/cache").unwrap();
        terminal.exp_string("positions are taken").unwrap();
        terminal.exp_string("> ").unwrap();
        terminal.send_control('d').unwrap();
        terminal.exp_eof().unwrap();
        let status = terminal.process_mut().wait().unwrap();
        assert!(format!("{status:?}").starts_with("Exited"), "{status:?}");
    }

    #[test]
    fn lines_are_kept_for_the_next_time() {
        let home = tempfile::tempdir().unwrap();
        let mut terminal = open(&["-n", "4"], home.path());
        terminal.send_line("The little dog").unwrap();
        terminal.exp_string(" new ").unwrap();
        terminal.exp_string("> ").unwrap();
        terminal.send_line("/quit").unwrap();
        terminal.exp_eof().unwrap();
        let kept = fs::read_to_string(home.path().join("anllm/chat-history")).unwrap();
        assert!(kept.contains("The little dog\n/quit"), "{kept:?}");
        let mut terminal = open(&["-n", "4"], home.path());
        // Up twice: past `/quit`.
        terminal.send("\x1b[A\x1b[A").unwrap();
        terminal.flush().unwrap();
        terminal.exp_string("The little dog").unwrap();
        terminal.send_control('c').unwrap();
        terminal.exp_string("(Ctrl-D or /quit ends)").unwrap();
        terminal.exp_string("> ").unwrap();
        terminal.send_control('d').unwrap();
        terminal.exp_eof().unwrap();
    }
}
