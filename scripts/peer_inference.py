"""Prefill and decode of peers, llama.cpp on the GGUF file as it is and PyTorch `transformers` on its values as floats,
on the same text, to compare with. One JSON object for each row, like `anllm bench --json`.

    pip install torch transformers gguf accelerate llama-cpp-python
    python scripts/peer_inference.py --model models/smollm2 --text FILE --context 128,512,2048 [--peer llama|torch]

PyTorch also runs under the dense anchor mask (`"policy": "anchor"`), prefill alone: its cache keeps everything.

Everything is measured once in each round, so that what else the machine does meets all of it alike. `--beside` lets a
command that prints such rows, `anllm bench … --reps 1 --json`, take part in each round:

    python scripts/peer_inference.py --model models/smollm2 --text FILE --context 128,3800 --peer llama \\
        --beside "anllm bench --model models/smollm2 --text FILE --context 128,3800 --cache anchor --reps 1 --json"
"""

import argparse
import json
import pathlib
import shlex
import statistics
import subprocess
import time

ENDS = (".", "!", "?")


def spread(name, speeds):
    return {name: statistics.median(speeds), f"{name}_range": [min(speeds), max(speeds)]}


def once(args, context, read, write):
    """Tokens per second of `read(ids)`, and of `write(id)` for each following token where there is a `write`."""
    began = time.perf_counter()
    read(args.ids[:context])
    between = time.perf_counter()
    found = {"prefill_tps": context / (between - began)}
    if write:
        for token in args.ids[context : context + args.new_tokens]:
            write(token)
        found["decode_tps"] = args.new_tokens / (time.perf_counter() - between)
    return found


def beside(args):
    """The rows of the command that takes part, by name, context and policy."""
    if not args.beside:
        return
    shown = subprocess.run(shlex.split(args.beside), check=True, stdout=subprocess.PIPE, text=True).stdout
    for row in map(json.loads, shown.splitlines()):
        speeds = {key: row[key] for key in ("prefill_tps", "decode_tps") if row.get(key) is not None}
        yield ("beside", row["context"], row["policy"]), speeds


def llama(args, contexts):
    import llama_cpp

    model = llama_cpp.Llama(
        str(args.model), n_ctx=max(contexts) + args.new_tokens + 8, n_threads=args.threads,
        n_threads_batch=args.threads, n_batch=512, verbose=False,
    )

    def read(ids):
        model.reset()
        model.eval(ids)

    for context in contexts:
        yield (f"llama-cpp-python {llama_cpp.__version__}", context, "full"), read, lambda token: model.eval([token])


def torch_peer(args, contexts):
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(args.threads)
    model = AutoModelForCausalLM.from_pretrained(
        args.model.parent, gguf_file=args.model.name, dtype=torch.float32, attn_implementation="sdpa"
    ).eval()
    ends = torch.tensor([args.tokenizer.decode([i]).endswith(ENDS) for i in args.ids])
    held = {}

    def step(ids, mask=None):
        with torch.no_grad():
            out = model(
                input_ids=torch.tensor([ids]), attention_mask=mask, past_key_values=held.get("past"), use_cache=True,
                logits_to_keep=1,
            )
        held["past"] = out.past_key_values

    def read(ids):
        held.clear()
        step(ids)

    def read_masked(ids):
        held.clear()
        anchor = ends[: len(ids)]
        segment = torch.cumsum(anchor, 0) - anchor.long()
        seen = (segment[:, None] == segment[None, :]) | (anchor[None, :] & ~anchor[:, None])
        step(ids, (seen & torch.ones(len(ids), len(ids), dtype=torch.bool).tril())[None, None])

    name = f"torch {torch.__version__}"
    for context in contexts:
        yield (name, context, "full"), read, lambda t: step([t])
        yield (name, context, "anchor"), read_masked, None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=pathlib.Path, required=True, help="a .gguf file, or a folder with one")
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--context", default="128,512,2048")
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer", choices=["llama", "torch"], help="one of them; without it both")
    parser.add_argument("--beside", help="a command whose rows, one JSON object a line, are measured in each round too")
    args = parser.parse_args()
    if args.model.is_dir():
        args.model = next(args.model.glob("*.gguf"))
    from transformers import AutoTokenizer

    args.tokenizer = AutoTokenizer.from_pretrained(args.model.parent, gguf_file=args.model.name)
    contexts = [int(c) for c in args.context.split(",")]
    longest = max(contexts) + args.new_tokens
    ids = args.tokenizer(args.text.read_text()).input_ids
    args.ids = (ids * (longest // len(ids) + 1))[:longest]
    peers = {"llama": llama, "torch": torch_peer}
    work = [work for peer in ([args.peer] if args.peer else peers) for work in peers[peer](args, contexts)]
    measured = {}
    for number in range(args.reps + 1):
        found = [(row, once(args, row[1], read, write)) for row, read, write in work] + list(beside(args))
        # The first round warms up.
        for row, speeds in found if number else []:
            for name, speed in speeds.items():
                measured.setdefault(row, {}).setdefault(name, []).append(speed)
    for (name, context, policy), speeds in measured.items():
        row = {"peer": name, "context": context, "policy": policy, "reps": args.reps, "threads": args.threads}
        for speed, all_of_it in speeds.items():
            row |= spread(speed, all_of_it)
        print(json.dumps(row), flush=True)


main()
