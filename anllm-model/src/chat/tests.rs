//! What templates give in `transformers`.

use super::*;

fn chat(turns: &[(&str, &str)]) -> Vec<Message> {
    turns.iter().map(|&(role, content)| Message::new(role, content)).collect()
}

#[test]
fn blocks_are_trimmed_as_in_transformers() {
    let source =
        "{% for m in messages %}\n    {% if m.role == 'user' %}\nU: {{ m.content }}\n    {% endif %}\n{% endfor %}\n";
    let template = ChatTemplate::new(source, "", "").unwrap();
    assert_eq!(template.render(&chat(&[("user", "a"), ("user", "b")]), false).unwrap(), "U: a\nU: b\n");
}

#[test]
fn usual_functions_exist() {
    let render = |source: &str| ChatTemplate::new(source, "", "").unwrap().render(&chat(&[("user", "<é>")]), false);
    assert_eq!(render("{{ messages | tojson }}").unwrap(), r#"[{"role": "user", "content": "<é>"}]"#);
    assert_eq!(render("{{ [1] | tojson(indent=2) }}").unwrap(), "[\n  1\n]");
    assert_eq!(render("{{ 'a b'.split(' ')[1].upper() }}").unwrap(), "B");
    assert_eq!(render("{{ strftime_now('%d %b %Y') }}").unwrap().len(), 11);
    assert_eq!(
        render("{% for i in [1, 2, 3] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}").unwrap(),
        "1"
    );
    assert!(render("{{ strftime_now('%') }}").unwrap_err().to_string().contains("strftime_now"));
}

#[test]
fn a_wrong_template_names_its_line() {
    let error = ChatTemplate::new("a\n{% if %}", "", "").unwrap_err().to_string();
    assert!(error.contains("at line 2"), "{error}");
}

#[test]
fn generation_blocks_add_nothing() {
    let source = "{% for m in messages %}{%- if m.role == 'assistant' -%}\n  {%- generation -%} {{ m.content }} \
                  {%- endgeneration -%}\n{% endif %}{% endfor %}generation";
    let template = ChatTemplate::new(source, "", "").unwrap();
    assert_eq!(template.render(&chat(&[("assistant", "a"), ("assistant", "b")]), false).unwrap(), "abgeneration");
}

#[test]
fn what_transformers_passes_is_there() {
    let render = |source: &str| {
        let template = ChatTemplate::new(source, "<s>", "</s>").unwrap().with("enable_thinking", false);
        template.render(&chat(&[("user", "a")]), true).unwrap()
    };
    assert_eq!(render("{{ bos_token }}{{ eos_token }}{% if not enable_thinking %}!{% endif %}"), "<s></s>!");
    assert_eq!(render("{% if tools is not none %}tools{% endif %}{% if tools is defined %}none{% endif %}"), "none");
    assert_eq!(render("{% if other is defined %}defined{% endif %}"), "");
}

#[test]
fn a_template_that_raises_says_its_own_words() {
    let template = ChatTemplate::new("{{ raise_exception('Only one turn, please.') }}", "", "").unwrap();
    let message = template.render(&[], false).unwrap_err().to_string();
    assert!(message.contains("Only one turn, please."), "{message}");
}
