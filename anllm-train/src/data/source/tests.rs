//! Sources as a user meets them: a file, its documents, its errors.

use std::fs;
use std::path::PathBuf;

use super::*;

/// A file that goes away with the test.
struct Temporary {
    folder: tempfile::TempDir,
    config: SourceConfig,
}

impl Temporary {
    fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        Self { folder, config: SourceConfig::new(path.display().to_string()) }
    }

    fn read(&self, context: SourceContext) -> (Vec<Document>, Option<String>, u64) {
        let sources = Sources::open(std::slice::from_ref(&self.config), context).unwrap();
        let mut documents = sources.iter().next().unwrap().documents();
        let (mut good, mut error) = (Vec::new(), None);
        for document in &mut documents {
            match document {
                Ok(document) => good.push(document),
                Err(e) => error = Some(e.to_string()),
            }
        }
        (good, error, documents.skipped())
    }

    /// The documents, with what is learnt in angle quotes.
    fn marked(&self) -> Vec<String> {
        let (documents, error, _) = self.read(SourceContext::default());
        assert_eq!(error, None);
        let mark = |p: &Piece| if p.target { format!("«{}»", p.text) } else { p.text.clone() };
        documents.iter().map(|d| d.pieces.iter().map(mark).collect()).collect()
    }

    /// The places that documents name, without the folder.
    fn origins(&self) -> Vec<String> {
        let prefix = format!("{}{}", self.folder.path().display(), std::path::MAIN_SEPARATOR);
        let (documents, ..) = self.read(SourceContext::default());
        documents.iter().map(|d| d.origin.to_string().replace(&prefix, "")).collect()
    }

    fn error(&self) -> String {
        self.read(SourceContext::default()).1.expect("an error")
    }
}

#[test]
fn a_text_file_is_split_as_asked() {
    let mut file = Temporary::new("a.txt", "\u{feff}One.\r\nTwo.\r\n \r\n\r\nThree.");
    assert_eq!(file.marked(), ["«One.\nTwo.\n \n\nThree.»"]);
    assert_eq!(file.origins(), ["a.txt"]);
    file.config.split = Split::Paragraphs;
    assert_eq!(file.marked(), ["«One.\nTwo.»", "«Three.»"]);
    assert_eq!(file.origins(), ["a.txt:1", "a.txt:5"]);
    file.config.split = Split::Lines;
    assert_eq!(file.marked(), ["«One.»", "«Two.»", "«Three.»"]);
    assert_eq!(file.read(SourceContext::default()).2, 2, "blank lines are empty documents");
}

#[test]
fn bytes_that_are_not_text_are_found() {
    let mut file = Temporary::new("a.txt", b"ab\ncd\xff\n");
    for split in [Split::File, Split::Lines, Split::Paragraphs] {
        file.config.split = split;
        assert!(file.error().contains("a.txt:2: byte 5 of the file is not UTF-8"), "{}", file.error());
    }
    let file = Temporary::new("a.jsonl", b"{\"text\": \"a\"}\n{\"text\": \"\xff\"}\n");
    assert!(file.error().contains("a.jsonl:2: byte 24"), "{}", file.error());
    let file = Temporary::new("a.json", b"[{\"text\": \"a\"},\n{\"text\": \"\xff\"}]\n");
    assert!(file.error().contains("a.json:2: byte 26"), "{}", file.error());
}

#[test]
fn the_shape_is_found_by_the_fields_of_each_record() {
    let file = Temporary::new(
        "a.jsonl",
        concat!(
            "{\"id\": 1, \"text\": \"T\"}\n\n",
            "{\"prompt\": \"P\", \"completion\": \"C\"}\n",
            "{\"instruction\": \"I\", \"input\": \"\", \"output\": \"O\"}\n",
            "{\"instruction\": \"I\", \"input\": \"N\", \"output\": \"O\"}\n",
        ),
    );
    let documents = file.marked();
    assert_eq!(documents[..2], ["«T»", "P«C»"]);
    assert_eq!(
        documents[2],
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n\
         ### Instruction:\nI\n\n### Response:«O»"
    );
    assert!(documents[3].contains("further context."), "{}", documents[3]);
    assert!(documents[3].ends_with("### Instruction:\nI\n\n### Input:\nN\n\n### Response:«O»"), "{}", documents[3]);
    assert_eq!(file.origins(), ["a.jsonl:1", "a.jsonl:3", "a.jsonl:4", "a.jsonl:5"]);
}

#[test]
fn a_fixed_shape_and_field_are_kept_to() {
    let mut file = Temporary::new("a.jsonl", "{\"text\": \"T\", \"prompt\": \"P\", \"completion\": \"C\"}\n");
    assert_eq!(file.marked(), ["«T»"]);
    file.config.shape = Some(Shape::PromptCompletion);
    assert_eq!(file.marked(), ["P«C»"]);
    file.config.shape = Some(Shape::Text);
    file.config.field = "prompt".into();
    assert_eq!(file.marked(), ["«P»"]);
    file.config.field = "body".into();
    let error = file.error();
    assert!(
        error.contains("a.jsonl:1: the record has the fields `text`, `prompt`, `completion`, expected `body`"),
        "{error}"
    );
}

#[test]
fn chats_go_through_the_template() {
    let content = r#"{"messages": [{"role": "user", "content": "U"}, {"role": "assistant", "content": "A"}]}"#;
    let file = Temporary::new("a.jsonl", content);
    let source = "{% for m in messages %}{{ m.role[0] }}:{{ m.content }};{% endfor %}{% if add_generation_prompt %}a:{% endif %}";
    let context = SourceContext { chat: Some(anllm_model::ChatTemplate::new(source, "", "").unwrap()) };
    let (documents, ..) = file.read(context);
    assert_eq!(documents[0].pieces, [Piece::context("u:U;a:"), Piece::target("A;")]);
    assert!(file.error().contains("there is no chat template"), "{}", file.error());

    let file = Temporary::new("a.jsonl", r#"{"messages": [{"role": "user", "content": null}]}"#);
    assert!(file.error().contains("a.jsonl:1: messages[0].content is null, expected a string"), "{}", file.error());
}

#[test]
fn an_array_is_read_element_by_element() {
    let file = Temporary::new("a.json", "\n[ {\"text\": \"a]},\\\"[\"},\n  {\"text\": \"b\", \"x\": [1, {}]}\n]\n");
    assert_eq!(file.marked(), ["«a]},\"[»", "«b»"]);
    assert_eq!(file.origins(), ["a.json:2", "a.json:3"]);
    assert_eq!(Temporary::new("a.json", "[]").marked(), [""; 0]);
    let error = Temporary::new("a.json", "[\n  {\"text\": \"a\"},\n  {\"text\": }\n]").error();
    assert!(error.contains("a.json:3:12: this is not JSON: expected value"), "{error}");
    let error = Temporary::new("a.json", "[{\"text\": \"a\"}, {\"te").error();
    assert!(error.contains("the file ends inside the array"), "{error}");
    let error = Temporary::new("a.json", "[{\"text\": \"a\"},]").error();
    assert!(error.contains("a.json:1:17: this is not JSON: expected an object before"), "{error}");
    let error = Temporary::new("a.json", "[{\"text\": \"a\"}] x").error();
    assert!(error.contains("more after the array's end"), "{error}");
}

#[test]
fn errors_of_json_lines_name_the_place() {
    let error = Temporary::new("a.jsonl", "{\"text\": \"a\"}\n{\"text\": \"a\" \"b\"}\n").error();
    assert!(error.contains("a.jsonl:2:14: this is not JSON: expected `,` or `}`"), "{error}");
    let error = Temporary::new("a.jsonl", "\"a\"\n").error();
    assert!(error.contains("a.jsonl:1: expected an object such as {\"text\": \"…\"}, found a string"), "{error}");
    let error = Temporary::new("a.jsonl", "{\"body\": \"a\"}\n").error();
    assert!(error.contains("has the fields `body`, expected `text`, or `prompt` and `completion`"), "{error}");
    let error = Temporary::new("a.jsonl", "{\"text\": 1}\n").error();
    assert!(error.contains("a.jsonl:1: text is a number, expected a string"), "{error}");
}

#[test]
fn documents_without_anything_to_learn_are_counted() {
    let file =
        Temporary::new("a.jsonl", "{\"text\": \"\"}\n{\"prompt\": \"P\", \"completion\": \" \"}\n{\"text\": \"a\"}\n");
    let (documents, error, skipped) = file.read(SourceContext::default());
    assert_eq!((documents.len(), error, skipped), (1, None, 2));
}

#[test]
fn nothing_follows_an_error() {
    let file = Temporary::new("a.jsonl", "{\"text\": \"a\"}\n{\n{\"text\": \"b\"}\n");
    let (documents, error, _) = file.read(SourceContext::default());
    assert_eq!(documents.len(), 1);
    assert!(error.is_some());
}

#[test]
fn what_can_be_checked_early_is() {
    let open = |configs: &[SourceConfig]| Sources::open(configs, SourceContext::default()).unwrap_err().to_string();
    assert!(open(&[]).contains("no source"));
    let file = Temporary::new("a.txt", "a");
    for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let config = SourceConfig { weight, ..file.config.clone() };
        assert!(open(&[config]).contains("expected a number above 0"));
    }
    let stdin = SourceConfig::new("-");
    assert!(open(&[stdin.clone(), stdin]).contains("only once"));
}

#[test]
fn several_files_are_read_in_order_and_again() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b.txt", "a.txt"] {
        fs::write(folder.path().join(name), name).unwrap();
    }
    let config = SourceConfig::new(folder.path().display().to_string());
    let sources = Sources::open(&[config], SourceContext::default()).unwrap();
    let source = sources.iter().next().unwrap();
    for _ in 0..2 {
        let texts: Vec<_> = source.documents().map(|d| d.unwrap().pieces[0].text.clone()).collect();
        assert_eq!(texts, ["a.txt", "b.txt"]);
    }
    let files: Vec<PathBuf> = source.files().map(Into::into).collect();
    assert_eq!(files.len(), 2);
}
