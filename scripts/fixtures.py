#!/usr/bin/env python3
"""Builds the golden checkpoints under testdata/, with expected outputs computed by PyTorch and `transformers`.

    cargo xtask fixtures              regenerate testdata/
    cargo xtask fixtures --check      regenerate elsewhere and compare

testdata/README.md says what the files hold. The outputs are the test suite's independent witness: nothing here may
import, call or imitate this project's own code. The same seed gives the same files.
"""

import argparse
import copy
import json
import os
import pathlib
import sys
import tempfile

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before torch: goldens come from the CPU, on every machine

import gguf
import numpy as np
import peft
import torch
import transformers
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

PROMPT = "The tide went out. The boats lay on the sand.. The gulls came down. A boy ran to the boats, and the tide"
CORPUS = [
    "The tide went out. The boats lay on the sand. The gulls came down. The tide came in.",
    "A boy ran to the boats. The boy and the gulls went down to the sand.",
    "0 1 2 3 4 5 6 7 8 9 , ; : ? !",
]
SPECIAL = ["<pad>", "<s>", "</s>", "<|end|>"]
PAD, BOS, EOS, END = range(4)
VOCABULARY = 292
NEW_TOKENS = 24

# Two logits closer than this could swap places in another implementation, and the greedy continuation with them.
GREEDY_MARGIN = 0.02
# Seeds tried for a continuation that tests something: see `telling`.
ATTEMPTS = 4000

BASE = dict(
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=256,
    rms_norm_eps=1e-5,
    pad_token_id=PAD,
    bos_token_id=BOS,
    eos_token_id=EOS,
)


def config(cls, kv_heads, *, tied, **more):
    return cls(**(BASE | dict(vocab_size=VOCABULARY, num_key_value_heads=kv_heads, tie_word_embeddings=tied) | more))


CONFIGS = {
    "llama-mha-untied": config(LlamaConfig, 4, tied=False),
    "llama-gqa-tied": config(LlamaConfig, 2, tied=True),
    # One key/value head; head_dim is not hidden_size / heads.
    "llama3-rope": config(
        LlamaConfig,
        1,
        tied=True,
        head_dim=16,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 10000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
    ),
    "llama-linear-rope": config(
        LlamaConfig,
        2,
        tied=False,
        rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0},
    ),
    "llama-yarn-rope": config(
        LlamaConfig,
        2,
        tied=True,
        head_dim=16,
        rope_parameters={
            "rope_type": "yarn",
            "rope_theta": 10000.0,
            "factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    ),
    "mistral": config(MistralConfig, 2, tied=False, sliding_window=None),
    "qwen2": config(Qwen2Config, 2, tied=True),
    "qwen3": config(Qwen3Config, 2, tied=True, head_dim=16),
}
STORED_AS = {"mistral": torch.bfloat16, "qwen2": torch.float16}
SHARDED = {"llama-mha-untied": "60KB"}

# Rows of 64 and 96 values, so that every 32-value block format fits.
GGUF_CONFIG = config(LlamaConfig, 2, tied=True, hidden_size=64, intermediate_size=96)
GGML = gguf.GGMLQuantizationType
GGUF_TYPES = {
    "embed_tokens": GGML.Q8_0,
    "q_proj": GGML.Q8_0,
    "k_proj": GGML.F16,
    "v_proj": GGML.Q5_1,
    "o_proj": GGML.Q5_0,
    "gate_proj": GGML.Q4_1,
    "up_proj": GGML.Q4_0,
    "down_proj": GGML.BF16,
}
GGUF_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def train_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    assert tokenizer.get_vocab_size() == VOCABULARY, "the corpus is too small for this vocabulary"
    return tokenizer


# ---------------------------------------------------------------- the anchor mask and what is computed under it


def visible(anchor):
    """[T] bool -> [T, T] bool: query i sees key j iff j <= i and (same segment, or j is an anchor and i is not).

    A token's segment is the number of anchors strictly before it, so an anchor closes its own segment.
    """
    counts = anchor.long().cumsum(0)
    segment = counts - anchor.long()
    position = torch.arange(len(anchor))
    causal = position[:, None] >= position[None, :]
    same = segment[:, None] == segment[None, :]
    reads_anchor = ~anchor[:, None] & anchor[None, :]
    return causal & (same | reads_anchor)


class Attention:
    """One way of attending: causal, or segments and anchors where `dot` is the anchor token."""

    def __init__(self, dot=None):
        self.dot = dot

    def logits(self, model, ids):
        if self.dot is None:
            return model(ids[None], use_cache=False).logits[0]
        bias = torch.zeros(len(ids), len(ids)).masked_fill(~visible(ids == self.dot), torch.finfo(torch.float32).min)
        return model(ids[None], attention_mask=bias[None, None], use_cache=False).logits[0]

    @torch.no_grad()
    def greedy(self, model, ids):
        """Continues `ids` from a full forward pass per token. Returns the new ids and the narrowest decision."""
        start, margin = len(ids), float("inf")
        for _ in range(NEW_TOKENS):
            best = self.logits(model, ids)[-1].topk(2)
            margin = min(margin, (best.values[0] - best.values[1]).item())
            ids = torch.cat([ids, best.indices[:1]])
        return ids[start:], margin

    def loss(self, model, ids):
        return torch.nn.functional.cross_entropy(self.logits(model, ids)[:-1], ids[1:])


def random_model(config, seed, dtype=torch.float32):
    """A model in f32 whose weights are exactly representable in `dtype`."""
    generator = torch.Generator().manual_seed(seed)
    model = AutoModelForCausalLM.from_config(copy.deepcopy(config), attn_implementation="eager").float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Wider than the usual initialisation: attention must decide something, or a wrong mask goes unseen.
            values = torch.randn(parameter.shape, generator=generator) * 0.2
            values += 1.0 if "norm" in name else 0.0
            parameter.copy_(values.to(dtype))
    return model


def telling(model, ids, dot):
    """Both greedy continuations, or None where they would let a mistake pass.

    Wanted: no close call, no end-of-text token (so that every stop rule agrees), the two differ, and the anchored one
    writes an anchor before its end (so that the cache is reduced while decoding).
    """
    ansan, margin = Attention(dot).greedy(model, ids)
    if margin < GREEDY_MARGIN or dot not in ansan[2:-2]:
        return None
    causal, margin = Attention().greedy(model, ids)
    if margin < GREEDY_MARGIN or torch.equal(causal, ansan):
        return None
    if any(int(token) in (BOS, EOS, END, PAD) for token in torch.cat([causal, ansan])):
        return None
    return {"greedy_causal": causal, "greedy_ansan": ansan}


def search(name, make, ids, dot, seed):
    for attempt in range(ATTEMPTS):
        model = make(seed * 100_003 + attempt)
        continuations = telling(model, ids, dot)
        if continuations is not None:
            return model, continuations, attempt
    sys.exit(f"{name}: no telling continuation among {ATTEMPTS} seeds")


def forward_goldens(model, ids, dot):
    with torch.no_grad():
        return {
            "input_ids": ids,
            "is_anchor": (ids == dot).long(),
            "logits_causal": Attention().logits(model, ids),
            "logits_ansan": Attention(dot).logits(model, ids),
        }


def training_goldens(model, ids, dot):
    model = copy.deepcopy(model)
    attention = Attention(dot)
    loss = attention.loss(model, ids)
    loss.backward()
    goldens = {"loss_ansan": loss.detach()}
    for name, parameter in model.named_parameters():
        if name == "model.norm.weight" or "layers.1.self_attn" in name or "layers.0.input_layernorm" in name:
            goldens["grad." + name] = parameter.grad.clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = attention.loss(model, ids)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    return goldens | {"adamw_losses": torch.tensor(losses)}


def save_goldens(goldens, folder):
    save_file({name: value.detach().clone().contiguous() for name, value in goldens.items()}, folder / "golden.safetensors")


# ---------------------------------------------------------------- Hugging Face folders


def edit_json(path, edit):
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value, indent=2) + "\n")


def old_style(config):
    """The keys that checkpoints carried before `rope_parameters`."""
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope["rope_theta"]
    config["rope_scaling"] = {"type": rope["rope_type"], "factor": rope["factor"]}
    config["torch_dtype"] = config.pop("dtype")


def without_version(config):
    config.pop("transformers_version", None)


def save_model(model, name, folder):
    stored = copy.deepcopy(model).to(STORED_AS.get(name, torch.float32))
    stored.save_pretrained(folder, **({"max_shard_size": SHARDED[name]} if name in SHARDED else {}))
    edit_json(folder / "config.json", without_version)
    edit_json(folder / "generation_config.json", without_version)
    if name == "llama-linear-rope":
        edit_json(folder / "config.json", old_style)
    if name == "llama3-rope":
        edit_json(folder / "generation_config.json", lambda c: c.update(eos_token_id=[EOS, END]))


def assert_reload(folder, goldens, **kwargs):
    """The files, read back by `transformers`, give the goldens: the edits above changed the spelling only."""
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32, **kwargs)
    with torch.no_grad():
        again = Attention().logits(model.eval(), goldens["input_ids"])
    difference = (again - goldens["logits_causal"]).abs().max().item()
    assert difference < 1e-4, f"{folder}: reloading changes the logits by {difference}"


def write_tiny(out, tokenizer, ids, dot, seed):
    for name, config in CONFIGS.items():
        dtype = STORED_AS.get(name, torch.float32)
        make = lambda s: random_model(config, s, dtype)
        model, continuations, attempt = search(name, make, ids, dot, seed)
        folder = out / "tiny" / name
        folder.mkdir(parents=True)
        save_model(model, name, folder)
        tokenizer.save(str(folder / "tokenizer.json"))
        goldens = forward_goldens(model, ids, dot) | continuations | training_goldens(model, ids, dot)
        save_goldens(goldens, folder)
        assert_reload(folder, goldens)
        report(name, model, goldens, attempt)


def report(name, model, goldens, attempt):
    gap = (goldens["logits_causal"] - goldens["logits_ansan"]).abs().max().item()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{name:18} {parameters:6} parameters, attempt {attempt}, anchors move the logits by up to {gap:.2f}", flush=True)


# ---------------------------------------------------------------- low-rank adapters


def write_adapters(out, ids, dot, seed):
    """Adapters that PEFT makes and applies: their files, and the logits of base and adapter together."""
    rows = {"embed_tokens": [dot, ids[0].item()], "lm_head": [dot, ids[0].item()]}
    kinds = {
        # name: (base, settings)
        "patterns": (
            "llama-gqa-tied",
            dict(rank_pattern={"q_proj": 2, "layers.1.mlp.down_proj": 3}, alpha_pattern={"v_proj": 12}),
        ),
        "rows-tied": ("llama-gqa-tied", dict(trainable_token_indices=rows["embed_tokens"])),
        "rows-untied": ("llama-mha-untied", dict(trainable_token_indices=rows, use_rslora=True)),
        "whole-head": ("llama-mha-untied", dict(modules_to_save=["lm_head"])),
    }
    for number, (name, (base, settings)) in enumerate(kinds.items()):
        torch.manual_seed(seed * 1000 + number)
        model = AutoModelForCausalLM.from_pretrained(
            out / "tiny" / base, attn_implementation="eager", dtype=torch.float32
        )
        targets = ["q_proj", "v_proj", "down_proj"]
        lora = peft.LoraConfig(r=4, lora_alpha=8, target_modules=targets, task_type="CAUSAL_LM", **settings)
        model = peft.get_peft_model(model, lora).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter) * 0.1)
            logits = model(ids[None]).logits[0]
        folder = out / "lora" / name
        model.save_pretrained(folder)
        (folder / "README.md").unlink()
        edit_json(folder / "adapter_config.json", lambda c: c.update(base_model_name_or_path=f"tiny/{base}"))
        edit_json(folder / "adapter_config.json", lambda c: c.pop("peft_version", None))
        # PEFT keeps the layers as a set, whose order is another each time.
        edit_json(folder / "adapter_config.json", lambda c: c.update(target_modules=targets))
        save_goldens({"input_ids": ids, "logits_causal": logits}, folder)
        print(f"lora {name:13} on {base}", flush=True)


# ---------------------------------------------------------------- GGUF


def permuted(weight, heads):
    """Rows of a q or k projection, from Hugging Face's half-split order to the interleaved pairs GGUF stores."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def quantised(weight, kind):
    """The bytes that are stored, and the values that a reader gets from them."""
    stored = gguf.quants.quantize(weight, kind)
    return stored, gguf.quants.dequantize(stored, kind).reshape(weight.shape).astype(np.float32)


def gguf_kind(name):
    return next((kind for part, kind in GGUF_TYPES.items() if part in name), GGML.F32)


def rounded_model(seed):
    """A random model whose weights survive quantisation unchanged; rows are quantised one by one, in any order."""
    model = random_model(GGUF_CONFIG, seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(quantised(parameter.numpy(), gguf_kind(name))[1]))
    return model


def gguf_name(name):
    layer = "blk." + name.split(".")[2] + "." if ".layers." in name else ""
    part = next(new for old, new in GGUF_NAMES.items() if name.removesuffix(".weight").endswith(old))
    return f"{layer}{part}.weight"


def write_gguf(out, tokenizer, ids, dot, seed):
    folder = out / "gguf"
    folder.mkdir(parents=True)
    # The stored weights are quantised once, from the originals; `rounded_model` gives what a reader makes of them.
    rounded, continuations, attempt = search("gguf", rounded_model, ids, dot, seed)
    original = random_model(GGUF_CONFIG, seed * 100_003 + attempt)

    path = folder / "llama-tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    write_metadata(writer, tokenizer)
    heads = {"q_proj": GGUF_CONFIG.num_attention_heads, "k_proj": GGUF_CONFIG.num_key_value_heads}
    for (name, parameter), target in zip(original.named_parameters(), rounded.parameters(), strict=True):
        weight, expected = parameter.detach().numpy(), target.detach().numpy()
        for part, count in heads.items():
            if part in name:
                weight, expected = permuted(weight, count), permuted(expected, count)
        kind = gguf_kind(name)
        stored, values = quantised(np.ascontiguousarray(weight), kind)
        assert np.array_equal(values, expected), name
        writer.add_tensor(gguf_name(name), stored, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    goldens = forward_goldens(rounded, ids, dot) | continuations
    save_goldens(goldens, folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    assert_reload(folder, goldens, gguf_file=path.name)
    report("gguf", rounded, goldens, attempt)


def write_metadata(writer, tokenizer):
    c = GGUF_CONFIG
    writer.add_name("llama-tiny")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_block_count(c.num_hidden_layers)
    writer.add_context_length(c.max_position_embeddings)
    writer.add_embedding_length(c.hidden_size)
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_head_count(c.num_attention_heads)
    writer.add_head_count_kv(c.num_key_value_heads)
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(c.hidden_size // c.num_attention_heads)
    writer.add_vocab_size(c.vocab_size)

    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.token_to_id)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    kinds = [gguf.TokenType.CONTROL if token in SPECIAL else gguf.TokenType.NORMAL for token in tokens]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_pad_token_id(PAD)
    writer.add_add_bos_token(False)


def write_blocks(out, seed):
    """Random blocks of every quantised format, as bytes, beside the values they stand for."""
    formats = {
        # name: (values per block, bytes per block, byte offsets of the f16 fields)
        "Q4_0": (32, 18, [0]),
        "Q4_1": (32, 20, [0, 2]),
        "Q5_0": (32, 22, [0]),
        "Q5_1": (32, 24, [0, 2]),
        "Q8_0": (32, 34, [0]),
        "Q4_K": (256, 144, [0, 2]),
        "Q5_K": (256, 176, [0, 2]),
        "Q6_K": (256, 210, [208]),
    }
    random = np.random.default_rng(seed)
    arrays = {}
    for name, (values, size, scales) in formats.items():
        count = 1024 // values
        blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
        for offset in scales:  # random bytes would make infinities and NaN
            scale = random.uniform(-0.1, 0.1, count).astype(np.float16)
            blocks[:, offset : offset + 2] = scale.view(np.uint8).reshape(count, 2)
        arrays[f"{name}.bytes"] = blocks
        arrays[f"{name}.values"] = gguf.quants.dequantize(blocks, GGML[name]).reshape(-1).astype(np.float32)
    save_arrays(arrays, out / "gguf" / "blocks.safetensors")


# ---------------------------------------------------------------- writing and comparing


def generate(out, seed):
    tokenizer = train_tokenizer()
    ids = torch.tensor(tokenizer.encode(PROMPT).ids)
    dot = tokenizer.token_to_id(".")
    write_tiny(out, tokenizer, ids, dot, seed)
    write_adapters(out, ids, dot, seed)
    write_gguf(out, tokenizer, ids, dot, seed)
    write_blocks(out, seed)


def same_tensors(expected, found):
    """Whole numbers must be equal; the rest may differ as two builds of PyTorch do."""
    expected, found = load_file(expected), load_file(found)
    if expected.keys() != found.keys():
        return f"tensors {sorted(expected.keys() ^ found.keys())} are in one file only"
    for name, a in expected.items():
        b = found[name]
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            return f"{name} was {a.dtype} {list(a.shape)}, is now {b.dtype} {list(b.shape)}"
        equal = torch.allclose(a, b, rtol=1e-4, atol=1e-4) if a.is_floating_point() else torch.equal(a, b)
        if not equal:
            return f"{name} differs by up to {(a.double() - b.double()).abs().max().item():.3g}"
    return None


def difference(expected, found):
    """What a reader of `found` would see differently, or None."""
    if expected.suffix == ".safetensors":
        return same_tensors(expected, found)
    if expected.suffix == ".json":
        return None if json.loads(expected.read_text()) == json.loads(found.read_text()) else "the JSON differs"
    return None if expected.read_bytes() == found.read_bytes() else "the bytes differ"


def generated_files(root):
    folders = [root / "tiny", root / "lora", root / "gguf"]
    return {path.relative_to(root) for folder in folders for path in folder.rglob("*") if path.is_file()}


def check(kept, seed):
    with tempfile.TemporaryDirectory() as fresh:
        fresh = pathlib.Path(fresh)
        generate(fresh, seed)
        before, after = generated_files(kept), generated_files(fresh)
        problems = [f"{path}: not generated any more" for path in sorted(before - after)]
        problems += [f"{path}: missing" for path in sorted(after - before)]
        for path in sorted(before & after):
            found = difference(kept / path, fresh / path)
            if found is not None:
                problems.append(f"{path}: {found}")
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        sys.exit(f"{kept} is not what this script generates: run `cargo xtask fixtures` and review the change")
    print(f"{len(before)} files in {kept} match")


def replace(kept, seed):
    """Generates aside and moves in, so that a failure leaves the old files."""
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept, prefix=".fixtures-") as fresh:
        fresh = pathlib.Path(fresh)
        generate(fresh, seed)
        for name in ("tiny", "lora", "gguf"):
            for path in (fresh / name).rglob("*.safetensors"):
                path.chmod(0o644)
            if (kept / name).exists():
                (kept / name).rename(fresh / f"old-{name}")
            (fresh / name).rename(kept / name)


def main():
    arguments = argparse.ArgumentParser(description="Golden checkpoints for the tests.")
    arguments.add_argument("out", type=pathlib.Path, help="the testdata folder")
    arguments.add_argument("--check", action="store_true", help="compare with OUT instead of writing to it")
    arguments.add_argument("--seed", type=int, default=1)
    arguments = arguments.parse_args()
    torch.set_num_threads(1)  # one order of summation
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    (check if arguments.check else replace)(arguments.out, arguments.seed)


if __name__ == "__main__":
    main()
