"""What merging costs: the perplexity of texts behind demonstrations that were read together, and behind the same ones
read alone and merged.

    python3 scripts/prefix_loss.py --demonstrations few-shot.txt --texts questions.jsonl [-- --model PATH --cache anchor …]

Demonstrations are separated by blank lines, and keep the one behind them when they are read alone. Prints one JSON object for each way.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anllm", default="anllm")
    parser.add_argument("--demonstrations", type=pathlib.Path, required=True)
    parser.add_argument("--texts", type=pathlib.Path, required=True, help="JSON Lines with a field `text`")
    parser.add_argument("--window", default="256")
    parser.add_argument("--build", default="", help="options of `anllm cache build` alone, such as --add-anchors")
    parser.add_argument("options", nargs="*", help="options of the model: --model, --cache, --anchors")
    args = parser.parse_args()
    model = args.options

    def run(*command):
        output = subprocess.run([args.anllm, *command, "--json"], check=True, capture_output=True, text=True)
        return json.loads(output.stdout)

    def ppl(*options):
        return run("eval", "ppl", "--text", str(args.texts), "--window", args.window, *model, *options)

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        parts = [part.strip() for part in args.demonstrations.read_text().split("\n\n") if part.strip()]

        def build(name, text):
            (folder / f"{name}.txt").write_text(text)
            file = folder / f"{name}.prefix"
            run("cache", "build", "--text", str(folder / f"{name}.txt"), "--to", str(file), *model, *args.build.split())
            return str(file)

        parts = [part + "\n\n" for part in parts]
        together = build("together", "".join(parts))
        alone = [build(str(number), part) for number, part in enumerate(parts)]
        merged = str(folder / "merged.prefix")
        run("cache", "merge", *alone, "--to", merged)
        ways = [("none", None), ("together", together), ("merged", merged)]
        for way, file in ways:
            found = ppl(*(["--prefix-cache", file] if file else []))
            about = run("cache", "info", file) if file else {}
            row = {"prefix": way, "ppl": found["ppl"], "nll": found["nll"], "tokens": found["tokens"]}
            row |= {key: about[key] for key in ("entries", "bytes") if key in about}
            row["prefix_tokens"] = about.get("tokens", 0)
            print(json.dumps(row), flush=True)


main()
