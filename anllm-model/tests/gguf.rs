//! GGUF files, sound and broken, through the public interface.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

#[path = "common/gguf_writer.rs"]
mod gguf_writer;

use std::path::Path;

use anllm_model::checkpoint::gguf::GgufFile;
use anllm_model::checkpoint::{CheckpointError, TensorSource};
use gguf_writer::GgufWriter;
use proptest::prelude::*;
use tokenizers::Tokenizer;

const HIDDEN: usize = 32;
const HEADS: usize = 2;
const HEAD_DIM: usize = 16;

fn open_bytes(bytes: &[u8]) -> Result<GgufFile, CheckpointError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    GgufFile::open(file.path())
}

fn open(writer: &GgufWriter) -> GgufFile {
    open_bytes(&writer.bytes()).unwrap()
}

#[track_caller]
fn refused(bytes: &[u8], expected: &[&str]) {
    let message = open_bytes(bytes).expect_err("the file is refused").to_string();
    for part in expected {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
    assert!(message.contains("hint: "), "{message:?}");
}

/// The metadata that every model has.
fn base(arch: &str) -> GgufWriter {
    GgufWriter::default()
        .string("general.architecture", arch)
        .u32(&format!("{arch}.block_count"), 1)
        .u32(&format!("{arch}.vocab_size"), 3)
        .u32(&format!("{arch}.context_length"), 128)
        .u32(&format!("{arch}.embedding_length"), HIDDEN as u32)
        .u32(&format!("{arch}.feed_forward_length"), 64)
        .u32(&format!("{arch}.attention.head_count"), HEADS as u32)
        .u32(&format!("{arch}.attention.head_count_kv"), 1)
        .f32(&format!("{arch}.attention.layer_norm_rms_epsilon"), 1e-5)
}

/// Rows `0..rows` of width [`HIDDEN`], all values of row `r` being `r`, in the order in which a converter of `llama`
/// writes them.
fn converted_rows(rows: usize) -> Vec<f32> {
    let mut out = Vec::new();
    for head in 0..rows / HEAD_DIM {
        for pair in 0..HEAD_DIM / 2 {
            for half in 0..2 {
                out.extend([(head * HEAD_DIM + half * HEAD_DIM / 2 + pair) as f32; HIDDEN]);
            }
        }
    }
    out
}

/// Q8_0 blocks of 32 equal values, integers up to 127.
fn q8_0_rows(rows: &[f32]) -> Vec<u8> {
    rows.chunks(32).flat_map(|row| [0x00, 0x3c].into_iter().chain(row.iter().map(|v| *v as i8 as u8))).collect()
}

#[test]
fn names_shapes_and_values_are_hugging_faces() {
    let rows = converted_rows(HEADS * HEAD_DIM);
    let writer = base("llama")
        .tensor_f32("token_embd.weight", &[32, 3], &(0..96).map(|v| v as f32).collect::<Vec<_>>())
        .tensor("blk.0.attn_q.weight", &[32, 32], 8, &q8_0_rows(&rows))
        .tensor_f32("blk.0.attn_k.weight", &[32, 16], &converted_rows(HEAD_DIM))
        .tensor_f32("blk.0.attn_v.weight", &[32, 16], &rows[..512])
        .tensor_f32("blk.0.attn_q.bias", &[32], &rows.iter().step_by(HIDDEN).copied().collect::<Vec<_>>());
    for version in [2, 3] {
        let file = open(&writer.clone().version(version));
        let listed: Vec<_> = file.tensors().iter().map(|t| (t.name.as_str(), &t.shape[..], t.dtype.as_str())).collect();
        assert_eq!(
            listed,
            [
                ("model.embed_tokens.weight", &[3, 32][..], "F32"),
                ("model.layers.0.self_attn.q_proj.weight", &[32, 32], "Q8_0"),
                ("model.layers.0.self_attn.k_proj.weight", &[16, 32], "F32"),
                ("model.layers.0.self_attn.v_proj.weight", &[16, 32], "F32"),
                ("model.layers.0.self_attn.q_proj.bias", &[32], "F32"),
            ]
        );
        assert_eq!(file.info("model.layers.0.self_attn.q_proj.weight").unwrap().bytes, 32 * 34);
        // Every row is its own number again.
        for name in ["q_proj.weight", "k_proj.weight"] {
            let values = file.read_f32(&format!("model.layers.0.self_attn.{name}")).unwrap();
            for (row, values) in values.chunks(HIDDEN).enumerate() {
                assert_eq!(values, [row as f32; HIDDEN], "{name}");
            }
        }
        let bias = file.read_f32("model.layers.0.self_attn.q_proj.bias").unwrap();
        assert_eq!(bias, (0..32).map(|v| v as f32).collect::<Vec<_>>());
        // Values and embeddings stay as they are.
        assert_eq!(file.read_f32("model.layers.0.self_attn.v_proj.weight").unwrap(), rows[..512]);
        assert_eq!(file.read_f32("model.embed_tokens.weight").unwrap()[95], 95.0);
        assert!(file.read_f32("lm_head.weight").unwrap_err().to_string().contains("`lm_head.weight`"));
    }
}

#[test]
fn packed_matrices_have_the_values_of_decoded_ones() {
    // Any bytes are blocks; scales of zero exponent bits are finite.
    let bytes = |len: usize, block: usize| -> Vec<u8> {
        (0..len).map(|i| if i % block == 1 || i % block == 3 { 0x2c } else { (i * 131 % 251) as u8 }).collect()
    };
    // The last two are floats of 16 bits.
    for (id, block) in [(8, 34), (2, 18), (3, 20), (1, 64), (30, 64)] {
        let writer = base("llama")
            .tensor("blk.0.attn_q.weight", &[32, 32], id, &bytes(32 * block, block))
            .tensor("blk.0.attn_v.weight", &[32, 16], id, &bytes(16 * block, block))
            .tensor_f32("blk.0.attn_k.weight", &[32, 16], &converted_rows(HEAD_DIM));
        let file = open(&writer);
        // Floats have no scales, and are laid out the same way.
        for part in ["q_proj", "k_proj", "v_proj"] {
            let name = format!("model.layers.0.self_attn.{part}.weight");
            let packed = file.read_packed(&name).unwrap().unwrap();
            // Some bytes are no numbers.
            let bits = |values: Vec<f32>| -> Vec<u32> { values.into_iter().map(f32::to_bits).collect() };
            assert_eq!(bits(packed.values()), bits(file.read_f32(&name).unwrap()), "{part} of type {id}");
            assert_eq!(packed.kind().to_string(), file.info(&name).unwrap().dtype);
        }
        assert!(file.read_packed("model.norm.weight").unwrap().is_none());
    }
}

#[test]
fn qwen_rows_are_not_reordered() {
    let rows = converted_rows(HEADS * HEAD_DIM);
    for arch in ["qwen2", "qwen3"] {
        let file = open(&base(arch).tensor_f32("blk.0.attn_q.weight", &[32, 32], &rows));
        assert_eq!(file.read_f32("model.layers.0.self_attn.q_proj.weight").unwrap(), rows);
        assert_eq!(file.architecture(), arch);
    }
}

#[test]
fn metadata_becomes_config_json() {
    let file = open(
        &base("llama")
            .f32("llama.rope.freq_base", 1e5)
            .string("anllm.anchors", "chars:.!?")
            .strings("tokenizer.ggml.tokens", &["a", "b", "c"])
            .u32("tokenizer.ggml.bos_token_id", 0)
            .u32("tokenizer.ggml.eos_token_id", 1)
            .u32("tokenizer.ggml.eot_token_id", 2)
            .u32("tokenizer.ggml.padding_token_id", u32::MAX)
            .tensor_f32("token_embd.weight", &[32, 3], &[0.0; 96])
            .tensor_f32("blk.0.attn_q.bias", &[32], &[0.0; 32]),
    );
    let config = file.config_json().unwrap();
    assert_eq!(
        config,
        serde_json::json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "hidden_act": "silu",
            "rms_norm_eps": 1e-5,
            "vocab_size": 3,
            "max_position_embeddings": 128,
            "tie_word_embeddings": true,
            "rope_parameters": { "rope_type": "default", "rope_theta": 1e5 },
            "attention_bias": true,
            "mlp_bias": false,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "anllm": { "format": 1, "anchors": "chars:.!?" },
        })
    );
    let generation = file.generation_config_json().unwrap();
    assert_eq!(generation, serde_json::json!({ "bos_token_id": 0, "eos_token_id": [1, 2] }));
}

#[test]
fn rope_scaling_is_passed_through_by_name() {
    let rope = |writer: GgufWriter| open(&writer).config_json().unwrap()["rope_parameters"].clone();
    let linear = base("llama").string("llama.rope.scaling.type", "linear").f32("llama.rope.scaling.factor", 2.0);
    assert_eq!(rope(linear), serde_json::json!({ "rope_type": "linear", "rope_theta": 1e4, "factor": 2.0 }));
    assert_eq!(rope(base("qwen2").string("qwen2.rope.scaling.type", "none"))["rope_type"], "default");
    let yarn = base("qwen3")
        .string("qwen3.rope.scaling.type", "yarn")
        .f32("qwen3.rope.scaling.factor", 4.0)
        .u32("qwen3.rope.scaling.original_context_length", 32768);
    assert_eq!(
        rope(yarn),
        serde_json::json!({
            "rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 32768,
        })
    );
}

#[test]
fn frequency_factors_are_recognised_as_llama3_scaling_or_refused() {
    // transformers' `_compute_llama3_parameters` for theta 500000, head width 16, factor 32: unscaled / scaled.
    let factors = [1.0, 1.0, 1.0, 1.0, 3.292_262, 32.0, 32.0, 32.0];
    let writer = base("llama").f32("llama.rope.freq_base", 5e5);
    let file = open(&writer.clone().tensor_f32("rope_freqs.weight", &[8], &factors));
    assert!(file.tensors().is_empty(), "the factors are configuration");
    assert_eq!(
        file.config_json().unwrap()["rope_parameters"],
        serde_json::json!({
            "rope_type": "llama3",
            "rope_theta": 5e5,
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        })
    );
    for other in [vec![1.0, 1.0, 1.0, 2.0, 2.0, 32.0, 32.0, 32.0], vec![1.0; 4], vec![f32::NAN; 8]] {
        let file = open(&writer.clone().tensor_f32("rope_freqs.weight", &[other.len() as u64], &other));
        let message = file.config_json().unwrap_err().to_string();
        assert!(message.contains("rope_freqs.weight"), "{message}");
    }
}

#[test]
fn what_is_not_gguf_is_refused() {
    let sound = base("llama").bytes();
    refused(b"", &["found 0 bytes"]);
    refused(b"PK\x03\x04 something that is not a model file", &["expected a GGUF file", r"PK\x03\x04"]);
    refused(&base("llama").version(1).bytes(), &["GGUF version 1"]);
    refused(&base("llama").version(3u32.swap_bytes()).bytes(), &["big-endian"]);
    refused(&sound[..sound.len() - 1], &["layer_norm_rms_epsilon", "needs 4 bytes, but only 3 are left"]);
    assert!(GgufFile::open(Path::new("/no/such/file.gguf")).unwrap_err().to_string().contains("/no/such/file.gguf"));
}

#[test]
fn absurd_lengths_are_refused() {
    let with = |at: usize, value: u64| {
        let mut bytes = base("llama").tensor_f32("token_embd.weight", &[32, 3], &[0.0; 96]).bytes();
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    for huge in [1 << 40, u64::MAX] {
        refused(&with(8, huge), &["number of tensors", &huge.to_string()]);
        refused(&with(16, huge), &["number of metadata entries", &huge.to_string()]);
        refused(&with(24, huge), &["key of metadata entry 0", &huge.to_string()]);
    }
    let array = |element: u32, count: u64| [&element.to_le_bytes()[..], &count.to_le_bytes()].concat();
    for element in [0, 8, 9, 12] {
        refused(&base("llama").raw("x.y", 9, &array(element, u64::MAX)).bytes(), &["`x.y`", "bytes are left"]);
    }
    let nested = [array(9, 1), array(9, 1), array(9, 1), array(9, 1), array(9, 1), array(0, 0)].concat();
    refused(&base("llama").raw("x.y", 9, &nested).bytes(), &["`x.y`", "nests arrays"]);
    refused(&base("llama").raw("x.y", 99, &[0]).bytes(), &["`x.y`", "value type 99"]);
    refused(&base("llama").raw("x.y", 7, &[2]).bytes(), &["`x.y`", "expected 0 or 1"]);
    refused(&base("llama").u32("general.alignment", 0).bytes(), &["general.alignment"]);
}

#[test]
fn tensors_that_cannot_be_are_refused() {
    let one =
        |dims: &[u64], type_id, data: &[u8]| base("llama").tensor("token_embd.weight", dims, type_id, data).bytes();
    let name = "`token_embd.weight`";
    refused(&one(&[1, 1, 1, 1, 1], 0, &[0; 4]), &[name, "5 dimensions"]);
    refused(&one(&[1 << 32, 1 << 32], 0, &[0; 4]), &[name, "larger than any file"]);
    refused(&one(&[32, 2], 0, &[0; 128]), &[name, "takes 256 bytes"]);
    refused(&one(&[48], 8, &[0; 51]), &[name, "not a multiple of the 32 in a Q8_0 block"]);
    refused(&one(&[256], 10, &[0; 84]), &[name, "Q2_K", "supported are F32", "requantise"]);
    refused(&one(&[256], 77, &[0; 84]), &[name, "type 77"]);
    let twice = base("llama").tensor_f32("output.weight", &[1], &[0.0]).tensor_f32("output.weight", &[1], &[0.0]);
    refused(&twice.bytes(), &["`output.weight` occurs twice"]);
    let experts = base("llama").tensor_f32("blk.0.ffn_gate_exps.weight", &[1], &[0.0]);
    refused(&experts.bytes(), &["`blk.0.ffn_gate_exps.weight`"]);
    refused(&base("llama").tensor_f32("blk.0.attn_q.weight", &[32, 5], &[0.0; 160]).bytes(), &["heads of 16 rows"]);
}

#[test]
fn metadata_that_cannot_be_is_refused() {
    refused(&base("llama").u32("llama.block_count", 1).bytes(), &["`llama.block_count` occurs twice"]);
    refused(&GgufWriter::default().bytes(), &["`general.architecture` is missing"]);
    refused(&base("falcon").bytes(), &["`falcon`", "llama, qwen2, qwen3"]);
    refused(&GgufWriter::default().string("general.architecture", "llama").bytes(), &["`llama.attention.head_count`"]);
    refused(&base("llama").u32("llama.expert_count", 8).bytes(), &["llama.expert_count"]);
    refused(
        &base("llama").u32("llama.rope.dimension_count", 8).u32("llama.attention.key_length", 16).bytes(),
        &["llama.rope.dimension_count"],
    );
    refused(&base("qwen2").string("qwen2.rope.freq_base", "much").bytes(), &["`qwen2.rope.freq_base`", "string much"]);
}

/// The printable character of each byte in byte-level vocabularies.
fn byte_alphabet() -> Vec<String> {
    let mut next = 256;
    (0..=255u8)
        .map(|byte| match byte {
            b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte).to_string(),
            _ => {
                next += 1;
                char::from_u32(next - 1).unwrap().to_string()
            }
        })
        .collect()
}

/// A byte-level vocabulary: the bytes by their values, four merges, an end of text, a plain added token.
fn byte_level(pre: &str) -> GgufWriter {
    let mut tokens = byte_alphabet();
    tokens.extend(["Ġa", "Ġab", "12", "ĠĠ", "<|end|>", "<think>", "ĠĠa"].map(String::from));
    let mut kinds = vec![1; tokens.len()];
    kinds[260] = 3;
    kinds[261] = 4;
    base("llama")
        .string("tokenizer.ggml.model", "gpt2")
        .string("tokenizer.ggml.pre", pre)
        .strings("tokenizer.ggml.tokens", &tokens)
        .i32s("tokenizer.ggml.token_type", &kinds)
        .strings("tokenizer.ggml.merges", &["Ġ a", "Ġa b", "1 2", "Ġ Ġ"])
        .u32("tokenizer.ggml.bos_token_id", 260)
        .u32("tokenizer.ggml.eos_token_id", 260)
        .string("tokenizer.chat_template", "{{ messages }}")
}

fn tokenizer(file: &GgufFile) -> Tokenizer {
    serde_json::from_value(file.tokenizer_json().unwrap()).unwrap()
}

fn encode(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode(text, true).unwrap().get_ids().to_vec()
}

#[test]
fn a_byte_level_tokenizer_is_rebuilt() {
    let space = u32::from(b' ');
    let file = open(&byte_level("smollm"));
    assert_eq!(file.pre_tokenizer(), "smollm");
    let smollm = tokenizer(&file);
    // Digits stand alone, so the spaces before one stay together; before a word the last joins the word.
    assert_eq!(encode(&smollm, "12  1 ab  a"), [49, 50, 259, 49, 257, space, 256]);
    assert_eq!(encode(&smollm, "a<|end|> <think>é"), [97, 260, space, 261, 0xc3, 0xa9]);
    assert_eq!(smollm.decode(&[97, 260, 257, 261, 0xc3, 0xa9], true).unwrap(), "a ab<think>é");

    let gpt2 = tokenizer(&open(&byte_level("gpt-2")));
    assert_eq!(encode(&gpt2, "12  1"), [258, space, space, 49]);

    // Llama 3: numbers in threes, a word that is a token as that token whatever the merges say, bos.
    let llama3 = tokenizer(&open(&byte_level("llama-bpe")));
    assert_eq!(encode(&llama3, "1212"), [260, 258, 49, 50]);
    assert_eq!(encode(&llama3, "<think> ab"), [260, 261, 257]);
    let without = tokenizer(&open(&byte_level("llama-bpe").bool("tokenizer.ggml.add_bos_token", false)));
    assert_eq!(encode(&without, " ab"), [257]);

    // Qwen 2 composes accents first.
    let qwen2 = tokenizer(&open(&byte_level("qwen2").bool("tokenizer.ggml.add_eos_token", true)));
    assert_eq!(encode(&qwen2, "e\u{301}12"), [0xc3, 0xa9, 49, 50, 260]);
}

#[test]
fn every_text_survives_a_byte_level_tokenizer() {
    let text = "It's 1999 — naïve\tcafé №½ 日本語 \n\n  x\r\n";
    for pre in ["default", "gpt-2", "smollm", "llama-bpe", "smaug-bpe", "qwen2", "tekken", "gpt-4o", "deepseek-coder"] {
        let tokenizer = tokenizer(&open(&byte_level(pre)));
        assert_eq!(tokenizer.decode(&encode(&tokenizer, text), true).unwrap(), text, "{pre}");
    }
}

#[test]
fn the_tokenizers_settings_are_beside_it() {
    let config = open(&byte_level("smollm")).tokenizer_config_json().unwrap();
    assert_eq!(config["bos_token"], "<|end|>");
    assert_eq!(config["eos_token"], "<|end|>");
    assert_eq!(config["add_bos_token"], false);
    assert_eq!(config["chat_template"], "{{ messages }}");
    assert_eq!(config["model_max_length"], 128);
}

/// A SentencePiece vocabulary: `<unk>`, `<s>`, `</s>`, the bytes, characters and words with falling scores.
fn sentencepiece() -> GgufWriter {
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(String::from).to_vec();
    let mut kinds = vec![2, 3, 3];
    tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
    kinds.extend([6; 256]);
    tokens.extend(["ab", "▁a", "▁ab", "▁", "a", "b"].map(String::from));
    kinds.extend([1; 6]);
    let scores: Vec<f32> = (0..tokens.len()).map(|id| if id < 259 { 0.0 } else { 259.0 - id as f32 }).collect();
    base("llama")
        .string("tokenizer.ggml.model", "llama")
        .strings("tokenizer.ggml.tokens", &tokens)
        .f32s("tokenizer.ggml.scores", &scores)
        .i32s("tokenizer.ggml.token_type", &kinds)
        .u32("tokenizer.ggml.bos_token_id", 1)
        .u32("tokenizer.ggml.eos_token_id", 2)
        .u32("tokenizer.ggml.unknown_token_id", 0)
}

#[test]
fn a_sentencepiece_tokenizer_is_rebuilt() {
    let file = open(&sentencepiece());
    assert_eq!(file.pre_tokenizer(), "sentencepiece");
    let tokenizer = tokenizer(&file);
    let [ab, _a, _ab, space, a, b] = [259, 260, 261, 262, 263, 264];
    // A space goes before the text; the best pair first: "ab", then "▁" + "ab".
    assert_eq!(encode(&tokenizer, "ab"), [1, _ab]);
    assert_eq!(encode(&tokenizer, "a bab"), [1, _a, space, b, ab]);
    assert_eq!(encode(&tokenizer, "aé"), [1, _a, 3 + 0xc3, 3 + 0xa9]);
    assert_eq!(tokenizer.decode(&[1, _ab, space, 3 + 0xc3, 3 + 0xa9, 2], true).unwrap(), "ab é");

    let bare = sentencepiece()
        .bool("tokenizer.ggml.add_space_prefix", false)
        .bool("tokenizer.ggml.add_bos_token", false)
        .bool("tokenizer.ggml.add_eos_token", true);
    assert_eq!(encode(&self::tokenizer(&open(&bare)), "ba"), [b, a, 2]);
}

#[test]
fn a_tokenizer_that_cannot_be_rebuilt_is_refused() {
    let refused = |writer: GgufWriter, expected: &[&str]| {
        let message = open(&writer).tokenizer_json().unwrap_err().to_string();
        for part in expected {
            assert!(message.contains(part), "{message:?} does not say {part:?}");
        }
    };
    refused(base("llama"), &["`tokenizer.ggml.model` is missing"]);
    refused(base("llama").string("tokenizer.ggml.model", "t5"), &["`t5`", "`gpt2`", "`llama`"]);
    refused(byte_level("klingon"), &["`klingon`", "llama-bpe", "qwen2", "smollm"]);
    let gpt2 = || base("llama").string("tokenizer.ggml.model", "gpt2").string("tokenizer.ggml.pre", "gpt-2");
    let tokens = "tokenizer.ggml.tokens";
    let merges = "tokenizer.ggml.merges";
    refused(gpt2(), &["`tokenizer.ggml.tokens` is missing"]);
    refused(gpt2().strings(tokens, &["a", "b"]), &["`tokenizer.ggml.merges` is missing"]);
    refused(gpt2().strings(tokens, &["a", "a"]), &["tokens 0 and 1", "\"a\""]);
    refused(gpt2().strings(tokens, &["a", "b"]).strings(merges, &["a b"]), &["\"a b\" at rank 0"]);
    refused(gpt2().strings(tokens, &["a"]).u32("tokenizer.ggml.eos_token_id", 7), &["eos_token_id` is 7", "1 tokens"]);
    refused(gpt2().strings(tokens, &["a"]).i32s("tokenizer.ggml.token_type", &[1, 1]), &["2 entries for 1 tokens"]);
}

/// Everything that can be asked of a file.
fn read_everything(file: &GgufFile) {
    let _ = (file.config_json(), file.generation_config_json(), file.tokenizer_config_json());
    if let Ok(json) = file.tokenizer_json() {
        let _ = serde_json::from_value::<Tokenizer>(json).map(|t| t.encode("ab 12", true).map(|_| ()));
    }
    for (_, value) in file.metadata().iter() {
        let _ = value.to_string();
    }
    for info in file.tensors() {
        if let Ok(values) = file.read_f32(&info.name) {
            assert_eq!(values.len(), info.shape.iter().product::<usize>());
        }
    }
}

fn model_with_everything(writer: GgufWriter) -> Vec<u8> {
    writer
        .f32s("x.floats", &[1.0, 2.0])
        .tensor_f32("rope_freqs.weight", &[8], &[1.0; 8])
        .tensor_f32("token_embd.weight", &[32, 3], &[0.5; 96])
        .tensor("blk.0.attn_q.weight", &[32, 32], 8, &q8_0_rows(&converted_rows(32)))
        .tensor("blk.0.ffn_up.weight", &[256, 1], 12, &[3; 144])
        .bytes()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_truncated_file_is_refused(cut in 0usize..20_000) {
        let bytes = model_with_everything(byte_level("smollm"));
        let kept = cut % bytes.len();
        prop_assert!(open_bytes(&bytes[..kept]).is_err());
    }

    #[test]
    fn a_damaged_file_never_panics(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        spm in any::<bool>(),
    ) {
        let mut bytes = model_with_everything(if spm { sentencepiece() } else { byte_level("smollm") });
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(file) = open_bytes(&bytes) {
            read_everything(&file);
        }
    }
}
