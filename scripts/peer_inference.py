"""Prefill and decode of peers, llama.cpp on the GGUF file as it is and PyTorch `transformers` on its values as floats,
on the same text, to compare with. One JSON object for each row, like `anllm bench --json`.

    pip install torch transformers gguf llama-cpp-python
    python scripts/peer_inference.py --model models/smollm2 --text FILE --context 128,512,2048 [--peer llama|torch]

PyTorch also runs under the dense anchor mask (`"policy": "anchor"`), prefill alone: its cache keeps everything.
"""

import argparse
import json
import pathlib
import statistics
import time

ENDS = (".", "!", "?")


def spread(name, speeds):
    return {name: statistics.median(speeds), f"{name}_range": [min(speeds), max(speeds)]}


def rounds(args, context, read, write):
    """Speeds of `read(ids)` and of `write(id)` for each following token; the first round warms up."""
    prefill, decode = [], []
    for _ in range(args.reps + 1):
        began = time.perf_counter()
        read(args.ids[:context])
        between = time.perf_counter()
        for token in args.ids[context : context + args.new_tokens]:
            write(token)
        ended = time.perf_counter()
        prefill.append(context / (between - began))
        decode.append(args.new_tokens / (ended - between))
    row = spread("prefill_tps", prefill[1:])
    return row | spread("decode_tps", decode[1:]) if args.new_tokens else row


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
        row = rounds(args, context, read, lambda token: model.eval([token]))
        yield f"llama-cpp-python {llama_cpp.__version__}", context, "full", row


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
        yield name, context, "full", rounds(args, context, read, lambda t: step([t]))
        alone = argparse.Namespace(**vars(args) | {"new_tokens": 0})
        yield name, context, "anchor", rounds(alone, context, read_masked, None)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=pathlib.Path, required=True, help="a .gguf file, or a folder with one")
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--context", default="128,512,2048")
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer", choices=["llama", "torch"], help="one of them; without it both")
    args = parser.parse_args()
    if args.model.is_dir():
        args.model = next(args.model.glob("*.gguf"))
    from transformers import AutoTokenizer

    args.tokenizer = AutoTokenizer.from_pretrained(args.model.parent, gguf_file=args.model.name)
    contexts = [int(c) for c in args.context.split(",")]
    longest = max(contexts) + args.new_tokens
    ids = args.tokenizer(args.text.read_text()).input_ids
    args.ids = (ids * (longest // len(ids) + 1))[:longest]
    for peer in [args.peer] if args.peer else ["llama", "torch"]:
        for name, context, policy, row in {"llama": llama, "torch": torch_peer}[peer](args, contexts):
            shared = {"peer": name, "context": context, "policy": policy, "reps": args.reps, "threads": args.threads}
            print(json.dumps(shared | row), flush=True)


main()
