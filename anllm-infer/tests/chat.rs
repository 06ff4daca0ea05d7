//! Conversations: each turn reads only what is new, and answers as if everything had been read at once.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::path::Path;

use anllm_core::{AnchorMatcher, AnchorPolicy, FullPolicy, Policy};
use anllm_infer::prefix::Resumed;
use anllm_infer::{
    Chat, ChatError, ChatFormat, Engine, EngineOptions, Reading, Request, Sampling, StopReason, Turn, TurnOptions,
};
use anllm_model::{ChatTemplate, Checkpoint, Framing, Message, Tokenizer};
use burn_flex::Flex;

/// A story goes on from turn to turn; the model knows `<s>` and `</s>`.
const TEMPLATE: &str = "{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content }}</s>{% else %}\
                        {{ '<s>' + m.content }}{% endif %}{% endfor %}";
/// The same, without earlier answers.
const FORGETFUL: &str =
    "{% for m in messages %}{% if m.role != 'assistant' %}{{ '<s>' + m.content }}{% endif %}{% endfor %}";
/// The same, for one turn alone.
const STRICT: &str = "{% for m in messages %}{% if m.role == 'assistant' %}{{ raise_exception('Say it in one turn.') }}\
                      {% endif %}{{ '<s>' + m.content }}{% endfor %}";

struct Model {
    engine: Engine<Flex>,
    tokenizer: Tokenizer,
}

impl Model {
    fn load() -> Self {
        let checkpoint = Checkpoint::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/tiny-ep")).unwrap();
        let tokenizer = checkpoint.tokenizer().unwrap();
        let matcher = AnchorMatcher::resolve(&"ep".parse().unwrap(), &tokenizer).unwrap();
        let options = EngineOptions { prefill_chunk: 16, ..EngineOptions::default() };
        Self { engine: Engine::load(&checkpoint, matcher, &Default::default(), &options).unwrap(), tokenizer }
    }

    fn chat(&self, template: &str, policy: impl Into<Policy>) -> Chat<'_, Flex> {
        let template = ChatTemplate::new(template, "<s>", "</s>").unwrap();
        Chat::new(&self.engine, &self.tokenizer, ChatFormat::Template(template), policy.into())
    }

    /// What a new session writes behind `prompt`.
    fn continued(&self, prompt: &[u32], policy: impl Into<Policy>) -> Vec<u32> {
        let request = Request {
            max_new_tokens: options().max_new_tokens,
            sampling: options().sampling,
            ..Request::new(prompt.to_vec(), policy)
        };
        self.engine.generate(&self.tokenizer, request, |_| ControlFlow::Continue(())).unwrap().tokens
    }
}

fn options() -> TurnOptions {
    let sampling = Sampling { temperature: 0.8, seed: 5, ..Sampling::default() };
    TurnOptions { max_new_tokens: 24, sampling, stop: Vec::new() }
}

fn say(chat: &mut Chat<'_, Flex>, content: &str) -> Turn {
    chat.say(content, &options(), |_| ControlFlow::Continue(())).unwrap()
}

/// The conversation's tokens up to the last answer.
fn prompt(chat: &Chat<'_, Flex>, turn: &Turn) -> Vec<u32> {
    let answer = turn.generation.tokens.len() - usize::from(turn.generation.stop_reason == StopReason::Eos);
    chat.tokens()[..chat.tokens().len() - answer].to_vec()
}

const TURNS: [&str; 4] = ["Once upon a time", "Then the dog", "But Lily said", "At last"];

#[test]
fn each_turn_reads_what_is_new_and_answers_as_if_it_had_read_everything() {
    let model = Model::load();
    for policy in [Policy::from(AnchorPolicy), FullPolicy.into()] {
        let mut chat = model.chat(TEMPLATE, policy.clone());
        let mut seen = 0;
        for (number, content) in TURNS.into_iter().enumerate() {
            let turn = say(&mut chat, content);
            assert_eq!((turn.reading, turn.taken), (Reading::New, true), "{content}");
            assert!(turn.read < 12, "{} tokens read for {content:?}", turn.read);
            seen += turn.read + turn.generation.tokens.len() - 1;
            assert_eq!(turn.generation.kv.seen, seen);
            let prompt = prompt(&chat, &turn);
            assert_eq!(turn.generation.tokens, model.continued(&prompt, policy.clone()), "{content}");
            assert_eq!(chat.messages().len(), 2 * (number + 1));
        }
    }
}

#[test]
fn anchors_are_what_stays_of_earlier_turns() {
    let model = Model::load();
    let mut chat = model.chat(TEMPLATE, AnchorPolicy);
    let turn = TURNS.into_iter().map(|content| say(&mut chat, content)).last().unwrap();
    let kv = turn.generation.kv;
    let segments = model.engine.matcher().segments(&chat.tokens()[..kv.seen]);
    let tail = segments.places().iter().filter(|p| p.segment == segments.anchors().len()).count();
    assert_eq!(kv.kept, segments.anchors().len() + tail);
    assert!(kv.kept < kv.seen / 2, "{kv:?}");
}

#[test]
fn behind_a_prefix_turns_see_it_and_read_none_of_it_again() {
    let model = Model::load();
    for policy in [Policy::from(AnchorPolicy), FullPolicy.into()] {
        for template in [TEMPLATE, FORGETFUL] {
            let before = model.tokenizer.encode("Max was a dog. He had a red ball.", Framing::Framed).unwrap();
            let mut session = model.engine.session(policy.clone());
            model.engine.prefill(&mut session, &before).unwrap();
            let format = ChatFormat::Template(ChatTemplate::new(template, "<s>", "</s>").unwrap());
            let prefix = Resumed { session, recent: before.clone() };
            let mut chat = Chat::behind(&model.engine, &model.tokenizer, format, prefix);
            for content in TURNS {
                let turn = say(&mut chat, content);
                let prompt = prompt(&chat, &turn);
                assert!(turn.read <= prompt.len(), "{content}");
                let whole = [&before[..], &prompt[..]].concat();
                assert_eq!(turn.generation.tokens, model.continued(&whole, policy.clone()), "{content}");
                assert_eq!(turn.generation.kv.seen, whole.len() + turn.generation.tokens.len() - 1);
            }
        }
    }
}

#[test]
fn a_template_that_rewrites_earlier_turns_is_followed_by_reading_again() {
    let model = Model::load();
    let mut chat = model.chat(FORGETFUL, AnchorPolicy);
    assert_eq!(say(&mut chat, "Once upon a time").reading, Reading::New);
    let turn = say(&mut chat, "Then the dog");
    assert_eq!(turn.reading, Reading::Again);
    let prompt = prompt(&chat, &turn);
    assert_eq!(turn.read, prompt.len());
    assert_eq!(model.tokenizer.decode(&prompt).unwrap(), "Once upon a timeThen the dog");
    assert_eq!(turn.generation.tokens, model.continued(&prompt, AnchorPolicy));
}

#[test]
fn a_system_message_stands_first_and_is_read_with_the_rest() {
    let model = Model::load();
    let mut chat = model.chat(TEMPLATE, AnchorPolicy);
    say(&mut chat, "Once upon a time");
    chat.set_system(Some("A tale."));
    assert_eq!(chat.messages()[0], Message::new("system", "A tale."));
    assert_eq!(say(&mut chat, "Then the dog").reading, Reading::Again);
    assert_eq!(say(&mut chat, "At last").reading, Reading::New);
    chat.reset();
    assert_eq!(chat.messages(), [Message::new("system", "A tale.")]);
    assert_eq!(chat.session().seen(), 0);
}

#[test]
fn a_template_that_raises_leaves_the_conversation_as_it_was() {
    let model = Model::load();
    let mut chat = model.chat(STRICT, AnchorPolicy);
    say(&mut chat, "Once upon a time");
    let (messages, tokens) = (chat.messages().to_vec(), chat.tokens().to_vec());
    let error = chat.say("Then", &options(), |_| ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("Say it in one turn."), "{error}");
    assert_eq!((chat.messages(), chat.tokens()), (&messages[..], &tokens[..]));
}

#[test]
fn a_message_beyond_the_context_is_refused_and_the_next_one_goes_on() {
    let model = Model::load();
    let mut chat = model.chat(TEMPLATE, AnchorPolicy);
    say(&mut chat, "Once upon a time");
    let (messages, seen) = (chat.messages().to_vec(), chat.session().seen());
    let error = chat.say(&"a dog and ".repeat(400), &options(), |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, ChatError::ContextFull { limit: 512, .. }), "{error}");
    assert_eq!((chat.messages(), chat.session().seen()), (&messages[..], seen));
    let turn = say(&mut chat, "Then the dog");
    assert_eq!(turn.reading, Reading::New);
    assert_eq!(turn.generation.tokens, model.continued(&prompt(&chat, &turn), AnchorPolicy));
}

#[test]
fn an_answer_that_is_broken_off_stands_as_far_as_it_went() {
    let model = Model::load();
    let mut chat = model.chat(TEMPLATE, AnchorPolicy);
    let mut text = String::new();
    let turn = chat.say("Once upon a time", &options(), |piece| {
        text.push_str(piece);
        if text.len() > 20 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let turn = turn.unwrap();
    assert_eq!((turn.generation.stop_reason, turn.taken), (StopReason::Interrupted, true));
    assert_eq!(chat.messages()[1], Message::new("assistant", text));
    let turn = say(&mut chat, "Then the dog");
    assert_eq!(turn.reading, Reading::New);
    assert_eq!(turn.generation.tokens, model.continued(&prompt(&chat, &turn), AnchorPolicy));
}

#[test]
fn a_message_that_was_not_read_to_its_end_is_not_said() {
    let model = Model::load();
    let mut chat = model.chat(TEMPLATE, AnchorPolicy);
    say(&mut chat, "Once upon a time");
    let messages = chat.messages().to_vec();
    let mut chunks = 0;
    let long = "a dog and ".repeat(20);
    let turn = chat.say(&long, &options(), |_| {
        chunks += 1;
        if chunks == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let turn = turn.unwrap();
    assert_eq!((turn.taken, turn.read, turn.generation.tokens.len()), (false, 48, 0));
    assert_eq!(chat.messages(), messages);
    // The same again reads the rest; something else reads everything.
    let turn = say(&mut chat, &long);
    assert_eq!(turn.reading, Reading::New);
    assert_eq!(turn.generation.tokens, model.continued(&prompt(&chat, &turn), AnchorPolicy));
    let turn = say(&mut chat, "Then the dog");
    assert_eq!(turn.generation.tokens, model.continued(&prompt(&chat, &turn), AnchorPolicy));
}

#[test]
fn the_token_behind_an_answer_ends_it_even_where_the_checkpoint_does_not_say_so() {
    let model = Model::load();
    let format = |source: &str| ChatFormat::Template(ChatTemplate::new(source, "<s>", "</s>").unwrap());
    let ends = "{% for m in messages %}{{ m.content + '</s>\n' }}{% endfor %}";
    assert_eq!(format(ends).end_of_turn(&model.tokenizer), anllm_core::Vocabulary::id(&model.tokenizer, "</s>"));
    let plain = "{% for m in messages %}{{ m.content }}\n{% endfor %}";
    assert_eq!(format(plain).end_of_turn(&model.tokenizer), None);
    assert_eq!(format(STRICT).end_of_turn(&model.tokenizer), None);
    assert_eq!(ChatFormat::Continuation.end_of_turn(&model.tokenizer), None);
}

#[test]
fn without_a_template_the_text_goes_on() {
    let model = Model::load();
    let mut chat = Chat::new(&model.engine, &model.tokenizer, ChatFormat::Continuation, AnchorPolicy.into());
    let first = say(&mut chat, "Once upon a time");
    let second = say(&mut chat, "Then the dog");
    assert_eq!((first.reading, second.reading), (Reading::New, Reading::New));
    let text = model.tokenizer.decode(chat.tokens()).unwrap();
    let expected = format!("Once upon a time{}\nThen the dog{}", first.generation.text, second.generation.text);
    assert_eq!(text, expected);
}
