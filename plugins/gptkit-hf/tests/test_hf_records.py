"""`data=hf`: rows as dialogues, rankings and prompts, complete and streamed, equal those of gptkit's own sources."""

from pathlib import Path
from typing import Any

import datasets
import pytest
from gptkit_hf import HFDataConfig

from gptkit.data import DialoguesConfig, PromptsConfig, RankingsConfig
from gptkit.errors import ConfigError, DataError

MESSAGES = [{"role": "user", "content": "Größe?"}, {"role": "assistant", "content": "Zwei"}]
BEGIN = "\n\nHuman: Größe?\n\nAssistant:"
ROWS: dict[str, list[dict[str, Any]]] = {
    "dialogues": [{"messages": MESSAGES, "id": 1}, {"messages": [*MESSAGES, *MESSAGES], "id": 2}],
    "rankings": [{"chosen": f"{BEGIN} {n}", "rejected": f"{BEGIN} minus {n}", "worker": f"w{n}"} for n in range(3)],
    "prompts": [{"prompt": "Größe?", "answer": "2", "level": 3}, {"prompt": "Farbe?", "answer": "rot", "level": 1}],
}
OWN: dict[str, Any] = {"dialogues": DialoguesConfig, "rankings": RankingsConfig, "prompts": PromptsConfig}


def write_rows(tmp_path: Path, rows: list[dict[str, Any]], form: str = "parquet") -> str:
    path = tmp_path / f"rows.{form}"
    table = datasets.Dataset.from_list(rows)
    {"parquet": table.to_parquet, "jsonl": table.to_json}[form](str(path))
    return str(path)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("form", ["parquet", "jsonl"])
@pytest.mark.parametrize("kind", OWN)
def test_records_equal_those_of_the_own_source(tmp_path: Path, kind: str, form: str, streaming: bool) -> None:
    path = write_rows(tmp_path, ROWS[kind], form)
    data = HFDataConfig(path=path, records=kind, streaming=streaming).build()
    own = OWN[kind](path=path).build()
    assert list(data.records("train")) == list(data.records("train")) == list(own.records("train"))
    assert len(list(data.records("train"))) == len(ROWS[kind])
    assert list(data.texts()) == list(own.texts())


@pytest.mark.parametrize("streaming", [False, True])
def test_columns_may_have_other_names(tmp_path: Path, streaming: bool) -> None:
    path = write_rows(tmp_path, [{"question": "a", "answer": "b", "messages": MESSAGES}])
    columns = {"prompt": "question", "completion": "answer"}
    choices: list[dict[str, Any]] = [{}, columns]
    datas: list[Any] = [HFDataConfig(path=path, records="dialogues", columns=each, streaming=streaming).build() for each in choices]
    first, second = datas
    assert [[turn.text for turn in next(data.records("train")).turns] for data in (first, second)] == [
        ["Größe?", "Zwei"],
        ["a", "b"],
    ]
    assert first.fingerprint != second.fingerprint
    with pytest.raises(ConfigError, match=r"data.columns has no key promt.*Did you mean prompt\?"):
        HFDataConfig(path=path, records="dialogues", columns={"promt": "question"}).build()


@pytest.mark.parametrize("streaming", [False, True])
def test_an_error_names_the_row(tmp_path: Path, streaming: bool) -> None:
    path = write_rows(tmp_path, [{"prompt": "a", "completion": "b"}, {"prompt": "a", "completion": ""}])
    cases: list[tuple[dict[str, Any], str]] = [
        ({"records": "dialogues"}, r"data.path=.*, row 1 of split train: answer 1 is empty; .* data.empty=keep"),
        ({"records": "rankings"}, r"split train: the columns prompt, completion match no known layout; expected info"),
        ({"records": "dialogues", "columns": {"prompt": "promt"}}, r"there is no column promt; .*Did you mean prompt\?"),
    ]
    for settings, reason in cases:
        with pytest.raises(DataError, match=reason) as error:
            list(HFDataConfig(path=path, streaming=streaming, **settings).build().records("train"))
        assert "\n" not in str(error.value)
    kept: Any = HFDataConfig(path=path, streaming=streaming, records="dialogues", empty="keep").build()
    assert [record.turns[1].text for record in kept.records("train")] == ["b", ""]


def test_columns_are_an_error_for_documents() -> None:
    with pytest.raises(ValueError, match=r"data.field names the text column"):
        HFDataConfig(columns={"prompt": "x"})
