//! Templates as published, and what they give in `transformers`.

use super::*;

/// SmolLM2's, which is ChatML with a default system message.
const CHATML: &str = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}\
    {{ '<|im_start|>system\nYou are helpful.<|im_end|>\n' }}{% endif %}\
    {{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// Llama 2's.
const LLAMA2: &str = "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}\
    {% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}\
    {% set system_message = false %}{% endif %}{% for message in loop_messages %}\
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\
    {{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}\
    {% if loop.index0 == 0 and system_message != false %}\
    {% set content = '<<SYS>>\n' + system_message + '\n<</SYS>>\n\n' + message['content'] %}\
    {% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}\
    {{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}\
    {{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}";

fn chat(turns: &[(&str, &str)]) -> Vec<Message> {
    turns.iter().map(|&(role, content)| Message::new(role, content)).collect()
}

/// The pieces as one text, with what is learnt in angle quotes.
fn marked(template: &ChatTemplate, turns: &[(&str, &str)]) -> String {
    let pieces = spans(template, &chat(turns)).unwrap();
    pieces.iter().map(|p| if p.target { format!("«{}»", p.text) } else { p.text.clone() }).collect()
}

#[test]
fn chatml_learns_what_follows_the_header() {
    let template = ChatTemplate::new(CHATML, "<s>", "</s>").unwrap();
    let turns = [("user", "2 + 2?"), ("assistant", "4."), ("user", "<b>?"), ("assistant", "5.")];
    assert_eq!(
        marked(&template, &turns),
        "<|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\n2 + 2?<|im_end|>\n<|im_start|>assistant\n\
         «4.<|im_end|>\n»<|im_start|>user\n<b>?<|im_end|>\n<|im_start|>assistant\n«5.<|im_end|>\n»"
    );
    let prompt = template.render(&chat(&[("system", "S"), ("user", "U")]), true).unwrap();
    assert_eq!(prompt, "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n");
}

#[test]
fn llama_2_learns_what_follows_inst() {
    let template = ChatTemplate::new(LLAMA2, "<s>", "</s>").unwrap();
    let turns = [("system", "Be kind."), ("user", " Hi "), ("assistant", "Hello."), ("user", "Bye")];
    assert_eq!(
        marked(&template, &turns),
        "<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\n Hi [/INST]« Hello. </s>»<s>[INST] Bye [/INST]"
    );
    let error = spans(&template, &chat(&[("user", "a"), ("user", "b")])).unwrap_err().to_string();
    assert!(error.contains("Conversation roles must alternate"), "{error}");
}

#[test]
fn a_template_that_rewrites_earlier_turns_is_refused() {
    let source = "{% for m in messages %}{% if loop.last %}[last]{% endif %}{{ m.content }}{% endfor %}";
    let template = ChatTemplate::new(source, "", "").unwrap();
    let error = spans(&template, &chat(&[("user", "a"), ("assistant", "b")])).unwrap_err();
    assert!(matches!(error, ChatError::Unstable { turn: 2, .. }), "{error}");
}
