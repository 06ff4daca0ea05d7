"""Perplexity under a dense mask in PyTorch, beside `anllm eval ppl` on the same text and weights.

    pip install torch transformers
    anllm convert --model models/smollm2 --to smollm2-hf
    python scripts/peer_perplexity.py --anllm anllm --model models/smollm2 --hf smollm2-hf --text FILE \\
        --window 512 --limit-tokens 20000 --anchors 'full,ep,endswith:.|!|?,every:32'

The mask is written out from its definition, `T × T`, and given to `transformers` in 32-bit floats. One JSON object for
each rule: both perplexities and their relative difference. Exit code 1 where one is above 0.05 %.
"""

import argparse
import json
import math
import pathlib
import subprocess
import sys


def anchors(rule, ids, tokenizer):
    """Which tokens are anchors, by position in their window and id."""
    kind, _, rest = rule.partition(":")
    if kind == "every":
        return lambda position, token: (position + 1) % int(rest) == 0
    if kind == "ep":
        point = tokenizer.convert_tokens_to_ids(".")
        return lambda position, token: token == point
    if kind == "endswith":
        ends = tuple(rest.replace("\\n", "\n").split("|"))
        known = {token: tokenizer.decode([token]).endswith(ends) for token in set(ids)}
        return lambda position, token: known[token]
    raise SystemExit(f"{rule}: a rule that this script does not know")


def dense(rule, window, tokenizer, torch):
    """`[T, T]`: whether the query of a row sees the key of a column."""
    size = len(window)
    causal = torch.ones(size, size, dtype=torch.bool).tril()
    if rule == "full":
        return causal
    is_anchor = anchors(rule, window, tokenizer)
    anchor = torch.tensor([is_anchor(position, token) for position, token in enumerate(window)])
    segment = torch.cumsum(anchor, 0) - anchor.long()
    return causal & ((segment[:, None] == segment[None, :]) | (anchor[None, :] & ~anchor[:, None]))


def theirs(args, rule, ids, model, tokenizer, torch):
    total, scored = 0.0, 0
    for start in range(0, len(ids), args.window):
        window = ids[start : start + args.window]
        if len(window) < 2:
            break
        mask = dense(rule, window, tokenizer, torch)[None, None]
        with torch.no_grad():
            scores = model(input_ids=torch.tensor([window]), attention_mask=mask).logits[0, :-1]
        total += torch.nn.functional.cross_entropy(scores, torch.tensor(window[1:]), reduction="sum").item()
        scored += len(window) - 1
    return math.exp(total / scored), scored


def ours(args, rule):
    how = ["--cache", "full"] if rule == "full" else ["--cache", "anchor", "--anchors", rule]
    command = [
        args.anllm, "eval", "ppl", "--json", "--model", args.model, "--text", args.text, "--window", args.window,
        "--limit-tokens", args.limit_tokens, "--threads", args.threads, *how,
    ]
    out = subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anllm", default="anllm")
    parser.add_argument("--model", required=True, help="what anllm reads")
    parser.add_argument("--hf", required=True, help="the same weights as a Hugging Face folder")
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--limit-tokens", type=int, default=20_000)
    parser.add_argument("--anchors", default="full,ep,endswith:.|!|?,every:32")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(args.threads)
    tokenizer = AutoTokenizer.from_pretrained(args.hf)
    model = AutoModelForCausalLM.from_pretrained(args.hf, dtype=torch.float32, attn_implementation="sdpa").eval()
    ids = tokenizer(args.text.read_text(encoding="utf-8")).input_ids[: args.limit_tokens]
    worst = 0.0
    for rule in args.anchors.split(","):
        row = ours(args, rule)
        perplexity, scored = theirs(args, rule, ids, model, tokenizer, torch)
        apart = abs(row["ppl"] / perplexity - 1)
        worst = max(worst, apart)
        print(json.dumps({
            "text": args.text.name, "anchors": rule, "window": args.window, "tokens": [row["tokens"], scored],
            "anllm": row["ppl"], "torch": perplexity, "relative_difference": apart,
        }), flush=True)
        assert row["tokens"] == scored, "both must score the same tokens"
    sys.exit(0 if worst <= 5e-4 else 1)


if __name__ == "__main__":
    main()
