"""The clients that people have, against `anllm serve`: OpenAI's Python client, and lm-evaluation-harness.

    pip install openai torch transformers lm-eval[api]
    anllm convert --model models/smollm2 --to smollm2-hf
    python scripts/peer_serve.py --anllm anllm --model models/smollm2 --hf smollm2-hf --data DIR \\
        --tasks openbookqa,arc_easy --limit 50 [--cache full] [--anchors RULE]

A server is started on a free port, with a key. The client lists models, completes, chats, streams, asks for logprobs and
makes mistakes. Then the harness's `local-completions` asks the server for the likelihoods of a task's choices (prompts as
token ids, `echo`, `logprobs`), and `anllm eval qa` answers the same questions. `DIR` is as for `peer_eval.py`; `--hf` is
where the harness takes its tokenizer from.

One JSON object for the client and for each task. Exit code 1 where anything differs.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import peer_eval

KEY = "a-key-for-tests"


class Server:
    def __init__(self, args, folder):
        keys = pathlib.Path(folder) / "keys"
        keys.write_text(f"# for peers\n{KEY}\n", encoding="utf-8")
        command = [args.anllm, "serve", "--json", "--port", "0", "--model", args.model, "--api-key-file", keys,
                   "--cache", args.cache, "--threads", args.threads]
        if args.anchors:
            command += ["--anchors", args.anchors]
        log = pathlib.Path(folder) / "log"
        self.log = log.open("w", encoding="utf-8")
        self.process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=self.log,
                                        text=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(log.read_text(encoding="utf-8"))
        told = json.loads(line)
        self.url, self.model = told["url"], told["model"]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def clients(server):
    """OpenAI's client: everything that it is used for here, as it is written for any server."""
    import openai

    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0)
    model = client.models.list().data[0].id
    assert model == server.model and client.models.retrieve(model).id == model

    story = "Once upon a time"
    asked = dict(model=model, prompt=story, max_tokens=20, temperature=0)
    whole = client.completions.create(**asked)
    assert whole.choices[0].finish_reason == "length" and whole.usage.completion_tokens == 20
    pieces = list(client.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert "".join(piece.choices[0].text for piece in pieces if piece.choices) == whole.choices[0].text
    assert pieces[-1].usage.total_tokens == whole.usage.total_tokens
    kept = whole.usage.model_dump()["kv"]
    assert kept["kept"] <= kept["seen"] and kept["bytes"] <= kept["full_bytes"]
    full = client.completions.create(**asked, extra_body={"cache": "full"}).usage.model_dump()["kv"]
    assert full["kept"] == full["seen"]

    told = client.completions.create(**(asked | {"max_tokens": 1}), logprobs=3, echo=True).choices[0]
    assert told.text.startswith(story) and told.logprobs.token_logprobs[0] is None
    assert all(value <= 0 for value in told.logprobs.token_logprobs[1:])
    several = client.completions.create(**(asked | {"prompt": [story, "The cat"]}), n=2).choices
    assert [choice.index for choice in several] == [0, 1, 2, 3] and several[0].text == whole.choices[0].text

    messages = [{"role": "user", "content": "What is the capital of France?"}]
    asked = dict(model=model, messages=messages, max_tokens=30, temperature=0)
    chat = client.chat.completions.create(**asked, logprobs=True, top_logprobs=2)
    said = chat.choices[0].message.content
    assert chat.choices[0].message.role == "assistant"
    assert "".join(token.token for token in chat.choices[0].logprobs.content) == said
    pieces = list(client.chat.completions.create(**asked, stream=True))
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == said
    more = messages + [{"role": "assistant", "content": said}, {"role": "user", "content": "And of Italy?"}]
    second = client.chat.completions.create(**(asked | {"messages": more})).usage
    assert second.prompt_tokens_details.cached_tokens > 0

    def refused(kind, call):
        try:
            call()
        except kind as error:
            return error
        raise AssertionError(f"{kind.__name__} was expected")

    stranger = openai.OpenAI(base_url=f"{server.url}/v1", api_key="other", max_retries=0)
    refused(openai.AuthenticationError, stranger.models.list)
    asked = dict(model=model, prompt=story)
    error = refused(openai.NotFoundError, lambda: client.completions.create(**(asked | {"model": "other"})))
    assert error.code == "model_not_found"
    error = refused(openai.BadRequestError, lambda: client.completions.create(**asked, temperature=-1))
    assert error.param == "temperature"
    error = refused(openai.BadRequestError, lambda: client.completions.create(**(asked | {"prompt": "a " * 100_000})))
    assert error.code == "context_length_exceeded"
    return {"client": f"openai {openai.__version__}", "chat": said, "cached_tokens": second.prompt_tokens_details.cached_tokens,
            "ok": True}


def harness(args, server, task, questions, demonstrations):
    import lm_eval

    os.environ["OPENAI_API_KEY"] = KEY
    with tempfile.TemporaryDirectory() as scratch:
        loaded = peer_eval.harness_task(task, questions, demonstrations, "first", pathlib.Path(scratch))
        began = time.perf_counter()
        found = lm_eval.simple_evaluate(
            model="local-completions",
            model_args={"model": server.model, "base_url": f"{server.url}/v1/completions", "tokenizer": args.hf,
                        "tokenizer_backend": "huggingface", "num_concurrent": args.concurrent, "max_retries": 1},
            batch_size=args.batch, tasks=[loaded], num_fewshot=args.shots, limit=args.limit, log_samples=True,
            bootstrap_iters=0, task_manager=peer_eval.manager(),
        )
        seconds = time.perf_counter() - began
    return found["results"][task], found["samples"][task], seconds


def ours(args, task, questions, demonstrations):
    with tempfile.TemporaryDirectory() as scratch:
        samples = pathlib.Path(scratch) / "samples.jsonl"
        command = [args.anllm, "eval", "qa", "--json", "--model", args.model, "--cache", args.cache, "--task", task,
                   "--data", questions, "--shots", args.shots, "--sampler", "first", "--time", 0, "--threads",
                   args.threads, "--log-samples", samples]
        if args.anchors:
            command += ["--anchors", args.anchors]
        if args.shots and demonstrations != questions:
            command += ["--shots-from", demonstrations]
        if args.limit:
            command += ["--limit", args.limit]
        out = subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout
        return json.loads(out), peer_eval.lines(samples)


def compare(args, server, task, scratch):
    questions, demonstrations = peer_eval.parts(args.data, task, scratch)
    row, mine = ours(args, task, questions, demonstrations)
    results, theirs, seconds = harness(args, server, task, questions, demonstrations)
    theirs.sort(key=lambda sample: sample["doc_id"])
    worst = max(abs(float(x) - float(y))
                for a, b in zip(mine, theirs, strict=True)
                for (x, _), (y, _) in zip(a["filtered_resps"], b["filtered_resps"], strict=True))
    same = {metric: [row[metric], results[f"{metric},none"]] for metric in ("acc", "acc_norm")
            if f"{metric},none" in results}
    return {"task": task, "shots": args.shots, "cache": args.cache, "n": row["n"], "max_abs_diff": worst, **same,
            "questions_per_s": row["n"] / seconds, "ok": worst <= 1e-2 and all(a == b for a, b in same.values())}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anllm", default="anllm")
    parser.add_argument("--model", required=True, help="what anllm reads")
    parser.add_argument("--hf", help="the same model as a Hugging Face folder")
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--tasks", default="openbookqa,arc_easy")
    parser.add_argument("--shots", type=int, default=0)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--cache", default="full")
    parser.add_argument("--anchors")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8, help="prompts of one request of the harness")
    parser.add_argument("--concurrent", type=int, default=2, help="requests of the harness at a time")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(args, folder)
        try:
            rows = [clients(server)]
            print(json.dumps(rows[0]), flush=True)
            for task in args.tasks.split(",") if args.data else []:
                rows.append(compare(args, server, task, pathlib.Path(folder)))
                print(json.dumps(rows[-1]), flush=True)
        finally:
            ended = server.stop()
    sys.exit(0 if ended == 0 and all(row["ok"] for row in rows) else 1)


if __name__ == "__main__":
    main()
