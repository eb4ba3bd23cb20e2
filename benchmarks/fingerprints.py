"""Record fingerprints of tiny runs of every objective, to check that a change of the code changes no result.

Run it before and after a change, each time with the `gptkit` of that checkout, and compare the two files. Weights are hashed
tensor by tensor, and metrics.csv without its columns of time and memory. The output of `generate`, `predict` and `eval` is
compared verbatim. Runs use one thread, because the last bits of a sum depend on the number of threads.

    python benchmarks/fingerprints.py record .venv/bin/gptkit before.json
    python benchmarks/fingerprints.py record .venv/bin/gptkit after.json
    python benchmarks/fingerprints.py compare before.json after.json
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

TINY = [
    "model.layers=2",
    "model.heads=2",
    "model.width=32",
    "model.context=64",
    "tokenizer=bytes",
    "batch.size=4",
    "trainer.max_steps=6",
    "val.every=3",
    "save.every=3",
    "val.sequences=8",
    "trainer.precision=32-true",
    "trainer.accelerator=cpu",
    "samples.max_new_tokens=8",
    "trainer.log_every_n_steps=1",
]

RUNS: dict[str, str] = {
    "lm": "data=sotu",
    "lm_512": "data=sotu model.context=512",
    "lm_separate": "data=sotu objective.separate_documents=true",
    "lm_bf16": "data=sotu trainer.precision=bf16-mixed",
    "lm_accumulate_ema": "data=sotu batch.micro=1 ema=0.9",
    "lm_banded": "data=sotu attention=banded attention.window=16",
    "lm_alternating": "data=sotu attention=alternating attention.window=16",
    "lm_muon": "data=sotu optimizer=muon",
    "lm_char": "data=sotu tokenizer=char",
    "lm_bpe": "data=sotu tokenizer=bpe tokenizer.size=300",
    "lstm": "data=sotu model=lstm model.units=32",
    "gpt2": "+gpt2=124m data=sotu +shrink=tiny tokenizer=bytes",
    "gpt3": "+gpt3=125m data=sotu +shrink=tiny tokenizer=bytes",
    "mixture": "data=mixture data.sources={a:{name:sotu},b:{name:movie_reviews}}",
    "aux_lm": "objective=aux_lm data=movie_reviews init_from=RUNS/lm",
    "aux_lm_entailment": "objective=aux_lm data=country_facts init_from=RUNS/lm",
    "aux_lm_similarity": "objective=aux_lm data=country_pairs init_from=RUNS/lm",
    "aux_lm_choices": "objective=aux_lm data=story_completion init_from=RUNS/lm",
    "probe": "objective=probe data=movie_reviews init_from=RUNS/lm",
    "sft": "objective=sft data=review_dialogues init_from=RUNS/lm_512",
    "reward": "objective=reward data=review_rankings init_from=RUNS/sft",
    "dpo": "objective=dpo data=review_rankings init_from=RUNS/sft",
    "ppo": "objective=ppo data=review_prompts init_from=RUNS/sft reward=model reward.checkpoint=RUNS/reward "
    "objective.max_new_tokens=8 objective.minibatch=2",
    "ppo_rules": "objective=ppo data=review_prompts init_from=RUNS/sft reward=rules reward.length=0.1 objective.max_new_tokens=8 "
    "objective.minibatch=2",
    "grpo": "objective=grpo data=review_prompts init_from=RUNS/sft reward=lexicon objective.max_new_tokens=8 objective.minibatch=2",
    "ppo_ptx": "+instructgpt=ppo_ptx init_from=RUNS/sft reward=model reward.checkpoint=RUNS/reward +shrink=tiny",
}
"""Overrides by name. Each run comes after those whose weights it starts from."""

OUTPUTS: dict[str, Sequence[str]] = {
    "generate": ["generate", "checkpoint=RUNS/lm", "prompt=The people", "max_new_tokens=20", "samples=3", "precision=fp32"],
    "generate_bf16": ["generate", "checkpoint=RUNS/lm", "prompt=The people", "max_new_tokens=20", "samples=3", "precision=bf16"],
    "generate_lstm": ["generate", "checkpoint=RUNS/lstm", "prompt=The people", "max_new_tokens=20", "temperature=0"],
    "generate_best_of": ["generate", "checkpoint=RUNS/sft", "prompt=It is", "best_of=4", "reward=lexicon", "max_new_tokens=8"],
    "predict": ["predict", "checkpoint=RUNS/aux_lm", "input=reviews.csv"],
    "predict_jsonl": ["predict", "checkpoint=RUNS/aux_lm", "input=reviews.csv", "format=jsonl"],
    "eval_win_rate": ["eval", "task=win_rate", "checkpoint=RUNS/ppo", "against=RUNS/sft", "format=json"],
    "eval_alignment_tax": [
        "eval",
        "task=alignment_tax",
        "checkpoint=RUNS/ppo",
        "against=RUNS/sft",
        "data=movie_reviews",
        "format=json",
    ],
    "eval_next_word": ["eval", "task=next_word", "checkpoint=RUNS/lm", "format=json"],
    "eval_choice": ["eval", "task=choice", "checkpoint=RUNS/lm", "format=json"],
    "plan": ["plan", "+gpt3=6.7b", "device=h100", "format=json"],
}
"""Commands whose standard output is compared."""

NOT_COMPARED = ("seconds", "per_second", "mfu", "memory", "wall")
"""Substrings of the names of columns that differ between identical runs."""


def record(binary: str, out: Path, renamed: Mapping[str, str], only: Sequence[str]) -> None:
    """Run everything, and write the fingerprints as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        (workspace / "reviews.csv").write_text("text,label\na fine film,positive\ndull and long,negative\n")
        results: dict[str, Any] = {}
        for name, words in RUNS.items():
            if not only or name in only:
                results[name] = _train(binary, workspace, name, words.split(), renamed)
                print(name, results[name], file=sys.stderr, flush=True)
        if not only:
            for name, argv in OUTPUTS.items():
                done = _gptkit(binary, workspace, argv)
                results[name] = done.stdout.replace(folder, ".") if not done.returncode else f"failed: {done.stderr[-300:]}"
                print(name, results[name][:80], file=sys.stderr, flush=True)
            results["sweep"] = _sweep(binary, workspace)
    out.write_text(json.dumps(results, indent=1, ensure_ascii=False))


def _gptkit(binary: str, workspace: Path, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "GPTKIT_CACHE": str(workspace / "cache"),
        "GPTKIT_PLUGINS": "",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    words = [word.replace("RUNS", str(workspace / "runs")) for word in argv]
    return subprocess.run([binary, *words], capture_output=True, text=True, env=environment, cwd=workspace, check=False)


def _train(binary: str, workspace: Path, name: str, words: list[str], renamed: Mapping[str, str]) -> Any:
    words = [f"{renamed.get(key, key)}={value}" for key, _, value in (word.partition("=") for word in words)]
    if "+shrink=tiny" in words:
        common = ["trainer.max_steps=2", "trainer.precision=32-true", "trainer.accelerator=cpu", "trainer.log_every_n_steps=1"]
    else:
        common = [
            word for word in TINY if not (any("init_from=" in each for each in words) and word.startswith(("model.", "token")))
        ]
    typed = {word.partition("=")[0] for word in words}
    common = [word for word in common if word.partition("=")[0] not in typed]
    folder = workspace / "runs" / name
    done = _gptkit(binary, workspace, ["train", *words, *common, f"hydra.run.dir={folder}"])
    if done.returncode:
        return f"failed: {done.stderr[-300:]}"
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    columns = [{column: cell for column, cell in row.items() if not any(part in column for part in NOT_COMPARED)} for row in rows]
    last = max((folder / "checkpoints").glob("step-*"))
    return {"weights": _weights(last), "metrics": hashlib.sha256(json.dumps(columns).encode()).hexdigest()[:16], "steps": len(rows)}


def _weights(checkpoint: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(checkpoint.glob("*.safetensors")):
        for name, tensor in sorted(load_file(file).items()):
            digest.update(name.encode())
            digest.update(tensor.tobytes())
    return digest.hexdigest()[:16]


def _sweep(binary: str, workspace: Path) -> list[str]:
    folder = workspace / "sweep"
    _gptkit(binary, workspace, ["train", "-m", "data=sotu", *TINY, "optimizer.lr=1e-3,2e-3", f"hydra.sweep.dir={folder}"])
    return [_weights(checkpoint) for checkpoint in sorted(folder.glob("*/checkpoints/step-00000006"))]


def compare(before: Path, after: Path) -> bool:
    """Print a row for each run. Returns True if all are equal and none failed."""
    old, new = json.loads(before.read_text()), json.loads(after.read_text())
    same = True
    for name in sorted(old.keys() | new.keys()):
        equal = old.get(name) == new.get(name) and not str(new.get(name)).startswith("failed")
        same &= equal
        shown = new.get(name) if isinstance(new.get(name), dict) else ""
        print(f"{name:<20} {'same' if equal else 'DIFFERENT':<10} {shown}")
    return same


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Record and compare fingerprints of tiny runs.")
    actions = parser.add_subparsers(dest="action", required=True)
    recorder = actions.add_parser("record")
    recorder.add_argument("binary")
    recorder.add_argument("out", type=Path)
    recorder.add_argument(
        "--renamed", action="append", default=[], help="a key that has another name in this version: name=name_in_this_version"
    )
    recorder.add_argument("--only", nargs="*", default=[])
    comparer = actions.add_parser("compare")
    comparer.add_argument("before", type=Path)
    comparer.add_argument("after", type=Path)
    arguments = parser.parse_args()
    if arguments.action == "record":
        binary = str(Path(arguments.binary).absolute())
        record(binary, arguments.out, dict(each.split("=", 1) for each in arguments.renamed), arguments.only)
    elif not compare(arguments.before, arguments.after):
        sys.exit(1)


if __name__ == "__main__":
    main()
