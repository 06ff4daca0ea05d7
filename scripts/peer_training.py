"""Training steps of a peer, PyTorch `transformers`, on the same text, under the same mask, to compare with.
One JSON object for each row, like `anllm bench --train --json`.

    pip install torch transformers gguf accelerate peft
    python scripts/peer_training.py --model models/smollm2 --text FILE --context 512,1024,2048 [--lora 32]
"""

import argparse
import json
import pathlib
import statistics
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

ENDS = (".", "!", "?")


def anchor_mask(ids, tokenizer):
    """`[1, 1, T, T]`, true where a token sees another: its own segment, or earlier anchors unless it is one."""
    anchor = torch.tensor([tokenizer.decode([i]).endswith(ENDS) for i in ids.tolist()])
    segment = torch.cumsum(anchor, 0) - anchor.long()
    same = segment[:, None] == segment[None, :]
    earlier = anchor[None, :] & ~anchor[:, None]
    return ((same | earlier) & torch.ones(len(ids), len(ids), dtype=torch.bool).tril())[None, None]


def peak_rss():
    status = pathlib.Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def measure(args, tokenizer, ids, context, mask_name):
    name = {"gguf_file": args.model.name} if args.model.suffix == ".gguf" else {}
    folder = args.model.parent if name else args.model
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa", **name)
    if args.lora:
        from peft import LoraConfig, get_peft_model

        targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
        model = get_peft_model(model, LoraConfig(r=args.lora, lora_alpha=2 * args.lora, target_modules=targets))
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    speeds = []
    for step in range(args.reps + 1):
        if step == 1:
            pathlib.Path("/proc/self/clear_refs").write_text("5")
        row = ids[step * context : (step + 1) * context]
        began = time.perf_counter()
        mask = anchor_mask(row, tokenizer) if mask_name == "anchor" else None
        model(input_ids=row[None], attention_mask=mask, labels=row[None]).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        speeds.append(context / (time.perf_counter() - began))
    speeds = speeds[1:]
    return {
        "peer": f"torch {torch.__version__}",
        "context": context,
        "policy": mask_name,
        "trained": "lora" if args.lora else "all",
        "train_tps": statistics.median(speeds),
        "train_tps_range": [min(speeds), max(speeds)],
        "peak_rss_bytes": peak_rss(),
        "reps": args.reps,
        "threads": torch.get_num_threads(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=pathlib.Path, required=True, help="a Hugging Face folder or a .gguf file")
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--context", default="512,1024,2048")
    parser.add_argument("--cache", choices=["full", "anchor"], help="one mask; without it both")
    parser.add_argument("--lora", type=int)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.model.is_dir() and not (args.model / "config.json").exists():
        args.model = next(args.model.glob("*.gguf"))
    name = {"gguf_file": args.model.name} if args.model.suffix == ".gguf" else {}
    tokenizer = AutoTokenizer.from_pretrained(args.model.parent if name else args.model, **name)
    contexts = [int(c) for c in args.context.split(",")]
    ids = tokenizer(args.text.read_text(), return_tensors="pt").input_ids[0]
    ids = ids.repeat(max(contexts) * (args.reps + 1) // len(ids) + 1)
    for context in contexts:
        for mask in [args.cache] if args.cache else ["full", "anchor"]:
            print(json.dumps(measure(args, tokenizer, ids, context, mask)), flush=True)


main()
