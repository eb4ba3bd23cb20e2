"""Every mistake on the command line is an error of one line that names the fix, with exit status 2, and leaves no files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command_line import GptkitCommand

MISTAKES = [
    (["trian"], "there is no verb trian. Did you mean train?"),
    (["model.layers=2"], "the verb is missing"),
    (["train", "--foo"], "there is no flag --foo"),
    (["train", "foo"], "'foo' is not an override"),
    (["train", "model..layers=3"], "model..layers='3' cannot be parsed: it is not of the form key=value"),
    (["train", "atention=banded"], "there is no key atention. Did you mean attention?"),
    (["train", "attention=bandd"], "there is no attention=bandd. Did you mean attention=banded?"),
    (["train", "trainer=cpuu"], "Did you mean trainer=cpu?"),
    (["train", "attention.window=3"], "it is a key of attention=banded, attention=alternating"),
    (["train", "attention.name=banded"], "choose the part with attention=banded"),
    (["train", "model.lyers=3"], "there is no key model.lyers. Did you mean model.layers?"),
    (["train", "+typo=1"], "there is no key typo."),
    (["train", "++model.lyers=1"], "there is no key model.lyers. Did you mean model.layers?"),
    (["train", "+model.lyers=1"], "there is no key model.lyers. Did you mean model.layers?"),
    (["train", "++typo.deeper=1"], "there is no key typo."),
    (["train", "++batch.sise=1"], "there is no key batch.sise. Did you mean batch.size?"),
    (
        ["train", "++attention.window=3"],
        "the chosen attention has no key window; it is a key of attention=banded, attention=alternating",
    ),
    (["train", "++optimizer.schedule.shap=linear"], "Did you mean optimizer.schedule.shape?"),
    (["train", "++attention=banded"], "attention is a group and cannot be set with ++: write attention=banded"),
    (["train", "++model.layers=many"], "model.layers=many must be a whole number"),
    (["train", "model.zzz=1"], "there is no key model.zzz. gptkit train --help lists the keys"),
    (["train", "+gtp2=124m"], "there is no key gtp2. Did you mean +gpt2=...?"),
    (["train", "+gpt2=125m"], "there is no gpt2=125m. Did you mean gpt2=124m?"),
    (["train", "optimizer.schedule.shap=linear"], "Did you mean optimizer.schedule.shape?"),
    (["train", "model.layers=many"], "model.layers=many must be a whole number"),
    (["train", "optimizer.lr=fast"], "optimizer.lr=fast must be a number"),
    (["train", "compile=perhaps"], "compile=perhaps must be true or false"),
    (["train", "model.width=10"], "model.width=10 is not divisible by model.heads=6"),
    (["train", "batch.micro=all"], "batch.micro=all must be a number or auto"),
    (["train", "samples.max_new_tokens=0"], "samples.max_new_tokens=0 must be at least 1"),
    (["train", "save.keep=-1"], "save.keep=-1 must be at least 0"),
    (["train", "val.every=-5"], "val.every=-5 must be at least 0"),
    (["generate", "checkpoint=x", "temperature=-1"], "temperature=-1 must be at least 0"),
    (["train", "hydra.run.dir=/dev/null/x"], "hydra.run.dir: cannot create /dev/null"),
    (["train", "data=text"], "data.path is required: add data.path=<value>"),
    (["train", "trainer.max_stepz=3", "data=text", "data.path=x"], "Did you mean max_steps?"),
    (["train", "trainer.gradient_clip_val=1"], "optimizer.clip"),
    (["train", "trainer.accumulate_grad_batches=2"], "batch.micro"),
    (["train", "model.layers=1,2"], "add -m to sweep over the values"),
    (["train", "+callback@callback.stop=early_stoping"], "Did you mean callback=early_stopping?"),
    (["train", "+callback.stop.name=early_stoping"], "there is no callback=early_stoping. Did you mean early_stopping?"),
    (["generate"], "checkpoint is required: add checkpoint=<value>"),
    (["generate", "checkpoint=x", "format=xml"], "format=xml must be text or json"),
    (["eval"], "checkpoint is required: add checkpoint=<value>"),
    (["eval", "checkpoint=x"], "task is required: add one of task=acceptability, task=alignment_tax, task=arithmetic"),
    (["eval", "checkpoint=x"], "or several tasks with +eval=gpt1, gpt2 or gpt3"),
    (
        ["eval", "-m", "checkpoint=x", "task=arithmetic,novel_words", "task.examples=5"],
        "task.examples belongs to a task that task=arithmetic,novel_words chooses for each job; set it for each job, too: "
        "'task.examples=choice(5)'",
    ),
    (["eval", "checkpoint=x", "task.prompts=3"], "task.prompts is set, but no task is chosen; add one of task=choice"),
    (["eval", "checkpoint=x", "+eval=gpt4"], "there is no eval=gpt4. Did you mean eval=gpt"),
    (["eval", "checkpoint=x", "+gpt2=124m"], "gptkit eval does not accept gpt2=, which configures a whole run"),
    (["train", "+eval=gpt2"], "gptkit train does not accept eval=, which configures gptkit eval"),
    (
        ["train", "data=folder", "data.root=x"],
        "data=folder has the files of several tasks",
    ),
    (["train", "~model.layers"], "~model.layers: a key of a part cannot be removed"),
    (["train", "~foo"], "~foo: there is no key foo"),
    (["train", "+model=gpt"], "model already has an option: to choose another, write model=<option> once, without +"),
    (["train", "model=null"], "model=null chooses no option"),
    (["train", "gpt2=124m"], "gpt2 has no option yet and must be added with +: write +gpt2=<option>"),
    (["train", "model.layers=null"], "model.layers=null: model.layers must have a value"),
    (["train", "+optimizer.lr=1e-3"], "optimizer.lr already exists: write optimizer.lr=<value>, without +"),
    (["train", "batch=32"], "batch cannot be set as a whole; set one of batch.micro, batch.size"),
    (["train", "optimizer=muon", "optimizer.betas=3"], "optimizer.betas must be a list"),
    (["train", "data=mixture", "data.sources=[{name:text}]"], "data.sources must be a mapping"),
    (["train", "hydra.run.dri=x"], "there is no key hydra.run.dri. Did you mean hydra.run.dir?"),
    (["train", "hydra/launcher=proces"], "there is no hydra/launcher=proces. Did you mean hydra/launcher=process?"),
    (["train", "+callback=early_stopping"], "write +callback@callback.<any name>=early_stopping"),
    (["train", "callback.stop.patience=3"], "no callback is chosen for it; add one of +callback@callback.stop=early_stopping"),
    (
        ["train", "+callback@callback.stop=early_stopping", "callback.stop.patienc=3"],
        "there is no key callback.stop.patienc. Did you mean callback.stop.patience?",
    ),
    (["generate", "checkpoint=x", "trainer=cpu"], "gptkit generate has no key trainer; gptkit generate --help lists its keys"),
    (["generate", "checkpoint=x", "+trainer=cpu"], "gptkit generate has no key trainer"),
    (["generate", "checkpoint=x", "model=gpt"], "gptkit generate has no key model"),
    (
        ["generate", "checkpoint=x", "+gpt2=124m"],
        "gptkit generate does not accept gpt2=, which configures a whole run; train and plan do",
    ),
    (["eval", "gpt2=124m"], "gptkit eval does not accept gpt2="),
    (["eval", "+gpt2=124m"], "gptkit eval does not accept gpt2="),
    (["train", "+attention=banded"], "attention is already chosen: write attention=banded, without +"),
    (["train", "++callback.e=3"], "callback.e=3 is not a callback; ~callback.e removes it"),
    (["train", "++callback.e=null"], "callback.e=null is not a callback; ~callback.e removes it"),
    (["train", "++callback={a:b}"], "callback.a=b is not a callback; ~callback.a removes it"),
    (["train", "model.layers.x=3"], "model.layers is a value, with no keys below it"),
    (["train", "logger=cvs"], "there is no logger=cvs. Did you mean logger=csv?"),
    (["train", "logger=[csv,mlfow]"], "there is no logger=mlfow. Did you mean logger=mlflow?"),
    (["train", "logger=none"], "there is no logger=none. The options are csv, mlflow, tensorboard, wandb, and null for no logger."),
    (["train", "logger=false"], "logger=false chooses no option; to remove a part, write ~logger"),
    (["train", "logger="], "logger= chooses no option; to remove a part, write ~logger"),
    (["train", "logger=[csv,null]"], "logger=[csv,null] chooses no option; to remove a part, write ~logger"),
    (["train", "+logger=csv"], "logger is already chosen: write logger=csv, without +"),
    (["train", "logger.tensorboard.flush=1"], "Did you mean logger.tensorboard.flush_secs?"),
    (["train", "logger=wandb", "logger.wandb.projct=x"], "there is no key logger.wandb.projct. Did you mean logger.wandb.project?"),
    (
        ["train", "logger=wandb", "logger.wandb.experiment=x"],
        "the chosen logger has no key experiment; it is a key of logger=mlflow",
    ),
    (["train", "logger.wandb.project=x"], "logger.wandb is set, and logger=wandb is not chosen; add logger=wandb"),
    (["train", "logger=wandb", "logger.project=x"], "Did you mean logger.wandb.project=x?"),
    (["train", "logger.flush_secs=0"], "Did you mean logger.tensorboard.flush_secs=0?"),
    (["train", "logger.tensorboard.flush_secs=0"], "logger.tensorboard.flush_secs=0 must be at least 1"),
    (["train", "trainer.logger=true"], "trainer.logger cannot be set: choose loggers with logger=<part>"),
    (
        ["train", "+callback={e:{name:early_stopping,patince:3}}"],
        "there is no key callback.e.patince. Did you mean callback.e.patience?",
    ),
    (["train", "++callback.e={name:early_stopping,patience:x}"], "callback.e.patience=x must be a whole number"),
    (["plugins", "kind=atention"], "there is no kind atention. Did you mean attention?"),
    (["plugins", "name=bandd"], "there is no part bandd. Did you mean banded?"),
    (["train", "--cfg", "job", "attention=bandd"], "Did you mean attention=banded?"),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES, ids=[" ".join(words) for words, _ in MISTAKES])
def test_a_mistake_gives_one_line_with_the_fix(
    words: list[str], message: str, gptkit_command: GptkitCommand, in_folder: Path
) -> None:
    outcome = gptkit_command(*words)
    assert outcome.status == 2
    assert message in outcome.error_line
    assert outcome.error_line.startswith("gptkit: ")
    assert outcome.out == ""
    assert list(in_folder.iterdir()) == []


def test_an_environment_variable_shows_the_traceback(
    gptkit_command: GptkitCommand, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    outcome = gptkit_command("train", "attention=bandd")
    assert outcome.status == 2
    assert "Traceback" in outcome.err
    assert "Did you mean attention=banded?" in outcome.err
