"""What merging costs: the perplexity of a text behind others that were read together, and behind the same ones read alone
and merged.

    python3 scripts/prefix_loss.py --demonstrations few-shot.txt --texts questions.jsonl -- --model PATH --cache anchor …
    python3 scripts/prefix_loss.py --cut 3 --count 30 --texts stories.jsonl -- --model bundled:ep

In the first form every text stands behind the same demonstrations, which blank lines separate. In the second each text is
cut at sentence ends into parts of about one length, of which the last is scored behind the others: parts of one story
need each other more than demonstrations do. Prints one JSON object for each way.
"""

import argparse
import json
import math
import pathlib
import re
import subprocess
import tempfile

WAYS = ("none", "together", "merged")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anllm", default="anllm")
    parser.add_argument("--texts", type=pathlib.Path, required=True, help="JSON Lines with a field `text`")
    parser.add_argument("--demonstrations", type=pathlib.Path)
    parser.add_argument("--cut", type=int, help="parts of each text")
    parser.add_argument("--count", type=int, default=10**9, help="use the first N texts")
    parser.add_argument("options", nargs="*", help="options of the model: --model, --cache, --anchors")
    args = parser.parse_args()
    texts = [json.loads(line)["text"] for line in args.texts.read_text().splitlines()]

    def run(*command):
        output = subprocess.run([args.anllm, *command, "--json"], check=True, capture_output=True, text=True)
        return json.loads(output.stdout)

    total = {way: {"nll": 0.0, "tokens": 0, "entries": 0, "prefix_tokens": 0} for way in WAYS}

    def score(folder, parts, scored):
        """Adds what `scored` costs behind `parts`, each way."""
        file = folder / "scored.jsonl"
        file.write_text("".join(json.dumps({"text": text}) + "\n" for text in scored))

        def build(name, text):
            (folder / "part.txt").write_text(text)
            prefix = str(folder / f"{name}.prefix")
            run("cache", "build", "--text", str(folder / "part.txt"), "--to", prefix, "--force", *args.options)
            return prefix

        merged = str(folder / "merged.prefix")
        alone = [build(str(number), part) for number, part in enumerate(parts)]
        run("cache", "merge", *alone, "--to", merged, "--force")
        prefixes = {"none": None, "together": build("together", "".join(parts)), "merged": merged}
        for way, prefix in prefixes.items():
            found = run("eval", "ppl", "--text", str(file), *args.options, *(["--prefix-cache", prefix] if prefix else []))
            total[way]["nll"] += found["nll"] * found["tokens"]
            total[way]["tokens"] += found["tokens"]
            if prefix:
                about = run("cache", "info", prefix)
                total[way]["entries"] += about["entries"]
                total[way]["prefix_tokens"] += about["tokens"]

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        if args.demonstrations:
            parts = [part.strip() + "\n\n" for part in args.demonstrations.read_text().split("\n\n") if part.strip()]
            score(folder, parts, texts[: args.count])
        else:
            used = 0
            for text in texts:
                sentences = re.findall(r".*?[.!?][\"']?\s+|.+$", text, flags=re.S)
                size = len(sentences) // args.cut
                if size and used < args.count:
                    parts = ["".join(sentences[at * size : (at + 1) * size]) for at in range(args.cut - 1)]
                    # The last of a part's sentences must end in an anchor.
                    if all(re.search(r"[.!?]\s*$", part) for part in parts):
                        used += 1
                        score(folder, parts, ["".join(sentences[(args.cut - 1) * size :])])
    for way, sums in total.items():
        nll = sums["nll"] / sums["tokens"]
        print(json.dumps({"prefix": way, "ppl": math.exp(nll), **sums, "nll": nll}), flush=True)


main()
