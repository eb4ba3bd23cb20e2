"""`data=hf`: rows as dialogues, rankings and prompts, whole and streamed, as the kit's own sources read them."""

import datasets
import pytest
from gptkit_hf import HFDataConfig

from gptkit.data import DialoguesConfig, PromptsConfig, RankingsConfig
from gptkit.errors import ConfigError, DataError

MESSAGES = [{"role": "user", "content": "Größe?"}, {"role": "assistant", "content": "Zwei"}]
BEGIN = "\n\nHuman: Größe?\n\nAssistant:"
ROWS = {
    "dialogues": [{"messages": MESSAGES, "id": 1}, {"messages": [*MESSAGES, *MESSAGES], "id": 2}],
    "rankings": [{"chosen": f"{BEGIN} {n}", "rejected": f"{BEGIN} minus {n}", "worker": f"w{n}"} for n in range(3)],
    "prompts": [{"prompt": "Größe?", "answer": "2", "level": 3}, {"prompt": "Farbe?", "answer": "rot", "level": 1}],
}
OWN = {"dialogues": DialoguesConfig, "rankings": RankingsConfig, "prompts": PromptsConfig}


def written(tmp_path, rows, form="parquet"):
    path = tmp_path / f"rows.{form}"
    table = datasets.Dataset.from_list(rows)
    {"parquet": table.to_parquet, "jsonl": table.to_json}[form](str(path))
    return str(path)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("form", ["parquet", "jsonl"])
@pytest.mark.parametrize("kind", OWN)
def test_rows_are_what_the_kits_own_source_reads(tmp_path, kind, form, streaming):
    path = written(tmp_path, ROWS[kind], form)
    data = HFDataConfig(path=path, records=kind, streaming=streaming).build()
    own = OWN[kind](path=path).build()
    assert list(data.records("train")) == list(data.records("train")) == list(own.records("train"))
    assert len(list(data.records("train"))) == len(ROWS[kind])
    assert list(data.texts()) == list(own.texts())


@pytest.mark.parametrize("streaming", [False, True])
def test_columns_of_other_names(tmp_path, streaming):
    path = written(tmp_path, [{"question": "a", "answer": "b", "messages": MESSAGES}])
    columns = {"prompt": "question", "completion": "answer"}
    first, second = (HFDataConfig(path=path, records="dialogues", columns=c, streaming=streaming).build() for c in ({}, columns))
    assert [[turn.text for turn in next(data.records("train")).turns] for data in (first, second)] == [
        ["Größe?", "Zwei"],
        ["a", "b"],
    ]
    assert first.fingerprint != second.fingerprint
    with pytest.raises(ConfigError, match=r"data.columns has no key promt.*Did you mean prompt\?"):
        HFDataConfig(path=path, records="dialogues", columns={"promt": "question"}).build()


@pytest.mark.parametrize("streaming", [False, True])
def test_what_is_wrong_names_the_row(tmp_path, streaming):
    path = written(tmp_path, [{"prompt": "a", "completion": "b"}, {"prompt": "a", "completion": ""}])
    for settings, reason in (
        ({"records": "dialogues"}, r"data.path=.*, row 1 of split train: answer 1 is empty; .* data.empty=keep"),
        ({"records": "rankings"}, r"split train: the columns are prompt, completion, and wanted are info"),
        ({"records": "dialogues", "columns": {"prompt": "promt"}}, r"there is no column promt; .*Did you mean prompt\?"),
    ):
        with pytest.raises(DataError, match=reason) as error:
            list(HFDataConfig(path=path, streaming=streaming, **settings).build().records("train"))
        assert "\n" not in str(error.value)
    kept = HFDataConfig(path=path, streaming=streaming, records="dialogues", empty="keep").build()
    assert [record.turns[1].text for record in kept.records("train")] == ["b", ""]


def test_settings_that_cannot_be():
    with pytest.raises(ValueError, match=r"data.field names the column"):
        HFDataConfig(columns={"prompt": "x"})
