"""The chat template of an export: transformers renders the prompts of the run, and continues them with the same text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gptkit
from gptkit.errors import ConfigError, GptkitError

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Name?"},
    {"role": "assistant", "content": "Ann."},
    {"role": "user", "content": "Town?"},
]


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`train(*words)`: trains a tiny model on dialogues for some steps, and returns its folder."""

    def run(*words: str) -> Path:
        folder = tmp_path_factory.mktemp("chat")
        data = folder / "x.jsonl"
        row = {"messages": [*MESSAGES[:1], {"role": "user", "content": "Town?"}, {"role": "assistant", "content": "Rome."}]}
        data.write_text((json.dumps(row) + "\n") * 20, encoding="utf-8")
        defaults = ["objective=sft", "data=dialogues", f"data.path={data}", "tokenizer=bytes", "+shrink=tiny", "trainer=cpu"]
        defaults += ["model.context=256", "trainer.max_steps=30", "optimizer.lr=3e-2", "val.every=0", "save.every=0"]
        gptkit.run(gptkit.compose("train", [*defaults, *words, f"hydra.run.dir={folder / 'run'}"]))
        return folder / "run"

    return run


@pytest.fixture(scope="module")
def chat_run(train: Callable[..., Path]) -> Path:
    return train("chat_template=chatml")


def answer(run: Path, tmp_path: Path, *words: str) -> Any:
    (tmp_path / "prompts.jsonl").write_text(json.dumps({"messages": MESSAGES}) + "\n", encoding="utf-8")
    prompts = f"prompts={tmp_path / 'prompts.jsonl'}"
    command = gptkit.compose("generate", [f"checkpoint={run}", "chat=true", prompts, "temperature=0", "precision=fp32", *words])
    ((text,),) = gptkit.run(command)
    return text


def test_transformers_answers_like_the_exported_model(chat_run: Path, tmp_path: Path, transformers: Any) -> None:
    ours = answer(chat_run, tmp_path, "max_new_tokens=24")
    gptkit.run(gptkit.compose("export", [f"checkpoint={chat_run}", f"to={tmp_path / 'hf'}"]))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    inputs = tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf").eval()
    whole = model.generate(**inputs, max_new_tokens=24, do_sample=False, pad_token_id=tokenizer.eos_token_id)
    theirs = whole[0, inputs["input_ids"].shape[1] :].tolist()
    assert [token for token in theirs if token != tokenizer.eos_token_id] == ours.tokens
    assert tokenizer.decode(theirs, skip_special_tokens=True) == ours.text


def test_an_exported_model_that_is_read_back_has_its_template(chat_run: Path, train: Callable[..., Path], tmp_path: Path) -> None:
    gptkit.run(gptkit.compose("export", [f"checkpoint={chat_run}", f"to={tmp_path / 'hf'}"]))
    ours, theirs = (
        answer(chat_run, tmp_path, "max_new_tokens=24"),
        answer(Path(f"hf:{tmp_path / 'hf'}"), tmp_path, "max_new_tokens=24"),
    )
    assert theirs == ours
    tuned = train(f"init_from=hf:{tmp_path / 'hf'}", "trainer.max_steps=1")
    gptkit.run(gptkit.compose("export", [f"checkpoint={tuned}", f"to={tmp_path / 'again'}"]))
    assert (tmp_path / "again" / "chat_template.jinja").read_text() == (tmp_path / "hf" / "chat_template.jinja").read_text()


def test_an_answer_is_printed_without_its_prompt(chat_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    words = [f"checkpoint={chat_run}", "chat=true", "system=Be brief.", "prompt=Town?", "temperature=0", "precision=fp32"]
    ((text,),) = gptkit.run(gptkit.compose("generate", words))
    assert capsys.readouterr().out == text.text + "\n"
    assert text.text.startswith("Rome")
    assert text.finish_reason == "end_of_text"
    answer(chat_run, tmp_path, "format=json")
    line = json.loads(capsys.readouterr().out)
    assert line["messages"] == MESSAGES
    assert "prompt" not in line


def test_best_of_reads_the_messages(chat_run: Path, tmp_path: Path) -> None:
    words = ("best_of=3", "reward=rules", "reward.length=1", "reward.words=5", "temperature=1.5", "max_new_tokens=12")
    text = answer(chat_run, tmp_path, *words)
    assert text.score == max(text.scores)


def test_an_export_has_the_template_of_the_training_or_none(
    chat_run: Path, train: Callable[..., Path], tmp_path: Path, transformers: Any
) -> None:
    text = chat_run.parent / "x.txt"
    text.write_text("To be, or not to be.\n" * 900, encoding="utf-8")
    plain = train("objective=lm", "data=text", f"data.path={text}", "trainer.max_steps=1")
    for run, has_template in ((chat_run, True), (plain, False)):
        folder = tmp_path / f"hf-{has_template}"
        gptkit.run(gptkit.compose("export", [f"checkpoint={run}", f"to={folder}"]))
        assert (folder / "chat_template.jinja").exists() == has_template
        assert bool(transformers.AutoTokenizer.from_pretrained(folder).chat_template) == has_template
    with pytest.raises(ConfigError, match=r"was trained without a chat template.* set chat_template="):
        answer(plain, tmp_path)
    assert answer(plain, tmp_path, "chat_template=transcript", "max_new_tokens=3").finish_reason == "length"


@pytest.mark.parametrize("words", [["system=x"], ["chat_template=chatml"]])
def test_settings_of_a_chat_need_chat(words: list[str]) -> None:
    with pytest.raises(ConfigError, match="is only used with chat=true"):
        gptkit.compose("generate", ["checkpoint=x", *words])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"messages": [{"role": "parrot", "content": "x"}]}', ":1: column messages: turn 1 has the unknown role parrot"),
        ('{"messages": []}', ":1: column messages has no turn of the user to answer"),
        ('{"text": 1}', ":1: "),
    ],
)
def test_a_line_that_is_no_conversation_is_an_error_that_names_it(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "prompts.jsonl").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(GptkitError, match=message):
        gptkit.run(gptkit.compose("generate", ["checkpoint=x", "chat=true", f"prompts={tmp_path / 'prompts.jsonl'}"]))
