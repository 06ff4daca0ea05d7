"""lm-evaluation-harness and `anllm eval qa` on the same questions, choice by choice.

    pip install torch transformers lm-eval
    anllm convert --model models/smollm2 --to smollm2-hf
    python scripts/peer_eval.py --anllm anllm --model models/smollm2 --hf smollm2-hf --data DIR \\
        --tasks openbookqa,arc_easy --shots 0,5 --limit 200 [--sampler drawn] [--threads 2] [--keep harness]

`DIR` has a folder for each task, with `validation.jsonl` or `sample.jsonl` (the questions; `train.jsonl` where there is
neither) and `train.jsonl` (the demonstrations). Where there is one file alone, its last 32 records are the demonstrations:
the harness would show a question itself among them. The harness's own tasks
read these files; its model is `transformers` in 32-bit floats on the weights that `anllm convert` wrote.

One JSON object for each task and number of demonstrations: the largest difference of any choice's log-likelihood,
whether every prompt is the same, accuracies of both, and questions per second of both. Exit code 1 where a prompt
differs, a likelihood does by more than 1e-2, or an accuracy does.

The harness is the slow one: with `--keep DIR` what it found stays there, by task, demonstrations and limit, so that an
interrupted comparison goes on, and a new build of anllm is compared without running the harness again.
"""

import argparse
import functools
import json
import pathlib
import subprocess
import sys
import tempfile
import time


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def parts(folder, task, scratch):
    """The files of a task's questions and demonstrations, which share no record."""
    def first(names):
        found = (folder / task / f"{name}.jsonl" for name in names)
        return next((path for path in found if path.is_file()), None)

    questions = first(["test", "validation", "dev", "sample", "train"])
    demonstrations = first(["train", "validation", "dev", "sample", "test"])
    if demonstrations != questions:
        return questions, demonstrations
    records = questions.read_text(encoding="utf-8").splitlines(keepends=True)
    found = scratch / f"{task}.questions.jsonl", scratch / f"{task}.demonstrations.jsonl"
    for path, part in zip(found, [records[:-32], records[-32:]]):
        path.write_text("".join(part), encoding="utf-8")
    return found


def fields(task, record):
    """A record with the fields that the harness's task expects."""
    if task == "boolq" and "label" not in record:
        return record | {"label": int(record["answer"])}
    return record


@functools.cache
def manager():
    """What knows the harness's tasks. Only their folders are looked through: all of them take minutes."""
    import lm_eval.tasks

    folder = pathlib.Path(lm_eval.tasks.__file__).parent
    folders = ["openbookqa", "winogrande", "arc", "piqa", "hellaswag", "sciq", "super_glue/boolq"]
    return lm_eval.tasks.TaskManager(include_path=[str(folder / name) for name in folders], include_defaults=False)


def harness_task(task, questions, demonstrations, sampler, scratch):
    """The harness's own task on our files (lm-eval 0.4.13)."""
    files = {}
    for part, path in [("questions", questions), ("demonstrations", demonstrations)]:
        written = scratch / f"{task}.{part}.jsonl"
        written.write_text("".join(json.dumps(fields(task, r)) + "\n" for r in lines(path)), encoding="utf-8")
        files[part] = str(written)
    # The task asks of these what it has; which ones it has decides how it draws demonstrations.
    data = {"train": files["demonstrations"], "validation": files["questions"], "test": files["questions"]}
    overrides = {"dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": data}}
    if sampler == "first":
        overrides["fewshot_config"] = {"sampler": "first_n"}
    return manager()._factory.build(manager()._entry(task), overrides=overrides, registry=manager()._index)


def prompts(folder):
    """What the harness writes for the records of `folder`, with none and with the first one as demonstration."""
    found = {}
    for path in sorted(folder.glob("*.jsonl")):
        with tempfile.TemporaryDirectory() as scratch:
            task = harness_task(path.stem, path, path, "first", pathlib.Path(scratch))
        found[path.stem] = []
        for shots in (0, 1):
            task.set_config("num_fewshot", shots)
            for number, document in enumerate(task.eval_docs):
                context = task.fewshot_context(document, num_fewshot=shots)
                requests = task.construct_requests(doc=document, ctx=context, metadata=(path.stem, number, 1))
                found[path.stem].append({
                    "shots": shots, "question": number, "choices": [list(request.args) for request in requests],
                    "target": str(task.doc_to_target(document)),
                })
    (folder / "prompts.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def harness(args, task, questions, demonstrations, shots):
    """What the harness finds, from a file where it has been asked before."""
    if not args.keep:
        return asked(args, task, questions, demonstrations, shots)
    kept = args.keep / f"{task}_{shots}shot_{args.sampler}{args.seed}_{args.limit}.json"
    if not kept.is_file():
        found = asked(args, task, questions, demonstrations, shots)
        args.keep.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_suffix(".part")
        unfinished.write_text(json.dumps(found, default=str), encoding="utf-8")
        unfinished.rename(kept)
    return json.loads(kept.read_text(encoding="utf-8"))


def asked(args, task, questions, demonstrations, shots):
    import lm_eval

    with tempfile.TemporaryDirectory() as scratch:
        loaded = harness_task(task, questions, demonstrations, args.sampler, pathlib.Path(scratch))
        # Counted without what both do before they answer: reading, prompts, tokens.
        seconds = 0.0
        score = args.lm._loglikelihood_tokens

        def timed(*arguments, **options):
            nonlocal seconds
            began = time.perf_counter()
            scores = score(*arguments, **options)
            seconds += time.perf_counter() - began
            return scores

        args.lm._loglikelihood_tokens = timed
        found = lm_eval.simple_evaluate(
            model=args.lm, tasks=[loaded], num_fewshot=shots, limit=args.limit, log_samples=True,
            bootstrap_iters=0, fewshot_random_seed=args.seed,
            task_manager=manager(),
        )
        args.lm._loglikelihood_tokens = score
    return found["results"][task], found["samples"][task], seconds


def ours(args, task, questions, demonstrations, shots):
    with tempfile.TemporaryDirectory() as scratch:
        samples = pathlib.Path(scratch) / "samples.jsonl"
        command = [
            args.anllm, "eval", "qa", "--json", "--model", args.model, "--cache", "full", "--task", task,
            "--data", questions, "--shots", shots, "--sampler", args.sampler, "--seed", args.seed, "--time", 0,
            "--threads", args.threads, "--log-samples", samples,
        ]
        if shots:
            command += ["--shots-from", demonstrations]
        if args.limit:
            command += ["--limit", args.limit]
        out = subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout
        return json.loads(out), lines(samples)


def compare(args, task, shots, scratch):
    questions, demonstrations = parts(args.data, task, scratch)
    results, theirs, seconds = harness(args, task, questions, demonstrations, shots)
    row, mine = ours(args, task, questions, demonstrations, shots)
    theirs.sort(key=lambda sample: sample["doc_id"])
    same_prompts, worst, different = True, 0.0, 0
    for a, b in zip(mine, theirs, strict=True):
        assert a["doc_id"] == b["doc_id"]
        prompts = [(x["arg_0"], x["arg_1"]) for x in a["arguments"].values()]
        if prompts != [tuple(x) for x in b["arguments"]]:
            if same_prompts:
                print(json.dumps({"ours": prompts[0], "theirs": b["arguments"][0]}), file=sys.stderr)
            same_prompts = False
        for (x, _), (y, _) in zip(a["filtered_resps"], b["filtered_resps"], strict=True):
            worst = max(worst, abs(float(x) - float(y)))
        different += any(a.get(metric) != b.get(metric) for metric in b["metrics"])
    accuracies = {metric: [row[metric], results[f"{metric},none"]] for metric in ("acc", "acc_norm")
                  if f"{metric},none" in results}
    stderr = results.get("acc_stderr,none")
    return {
        "task": task, "shots": shots, "sampler": args.sampler, "n": row["n"], "same_prompts": same_prompts,
        "max_abs_diff": worst, "different_answers": different, **accuracies, "acc_stderr": [row["acc_stderr"], stderr],
        "questions_per_s": [row["questions_per_s"], row["n"] / seconds],
        "ok": same_prompts and worst <= 1e-2 and all(a == b for a, b in accuracies.values()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anllm", default="anllm")
    parser.add_argument("--model", help="what anllm reads")
    parser.add_argument("--hf", help="the same weights as a Hugging Face folder")
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--prompts", type=pathlib.Path, metavar="DIR",
                        help="write what the harness makes of the records there (testdata/tasks), and nothing else")
    parser.add_argument("--tasks", default="openbookqa,winogrande,arc_easy,arc_challenge,piqa,hellaswag,sciq,boolq")
    parser.add_argument("--shots", default="0,5")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--sampler", choices=["first", "drawn"], default="first")
    parser.add_argument("--seed", type=int, default=1234)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8, help="the harness's batch size")
    parser.add_argument("--keep", type=pathlib.Path, metavar="DIR", help="keep what the harness finds there")
    args = parser.parse_args()
    if args.prompts:
        return prompts(args.prompts)
    if not (args.model and args.hf and args.data):
        parser.error("--model, --hf and --data are needed")

    import torch
    from lm_eval.models.huggingface import HFLM

    torch.set_num_threads(args.threads)
    args.lm = HFLM(pretrained=args.hf, dtype="float32", device="cpu", batch_size=args.batch)
    ok = True
    with tempfile.TemporaryDirectory() as scratch:
        for task in args.tasks.split(","):
            for shots in map(int, args.shots.split(",")):
                row = compare(args, task, shots, pathlib.Path(scratch))
                print(json.dumps(row), flush=True)
                ok &= row["ok"]
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
