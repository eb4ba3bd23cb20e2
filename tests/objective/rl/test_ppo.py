"""PPO and PPO-ptx on a tiny policy: rollouts, gradients, what is refused, and runs that are cut off."""

from __future__ import annotations

import copy
import dataclasses
import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import gptkit
from gptkit.attention import DenseAttentionConfig
from gptkit.distributions import KIT
from gptkit.errors import ConfigError, DataError, GptkitError
from gptkit.model import GPTConfig
from gptkit.objective import PPOConfig, RewardModelConfig
from gptkit.objective.base import TrainedModel
from gptkit.plugins import Entry, registry
from gptkit.records import Prompt, Turn
from gptkit.reward import RewardConfig, RulesRewardConfig
from gptkit.reward.base import Reward
from gptkit.tokenizer import BytesTokenizerConfig, CharTokenizerConfig
from gptkit.training.step import combine_terms, split_into_micro_batches

CONTEXT, NEW = 24, 8
PROMPTS = [Prompt((Turn("user", "ab" * (1 + number % 3)),)) for number in range(40)]


class Terse(Reward):
    """Takes prompts of at most three letters."""

    rejection_message = ("have more than three letters", "write fewer")

    def accepts(self, prompt: Prompt) -> bool:
        return len(prompt.turns[-1].text) <= 3

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        assert all(map(self.accepts, prompts))
        return torch.zeros(len(responses))


class Vowels(Reward):
    """How many vowels a response has."""

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        return torch.tensor([float(sum(letter in "aeiou" for letter in text)) for text in responses])


def alone(tensor: Tensor) -> Tensor:
    return tensor


@pytest.fixture
def ppo(source: Any, model_of: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """`ppo(reward, **settings)`: objective and policy at the start of a run."""
    text = tmp_path / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog\n" * 200, encoding="utf-8")

    def built(reward: Reward | None = None, *, prompts: list[Prompt] = PROMPTS, dropout: float = 0.0, **settings: Any) -> Any:
        settings = {
            "max_new_tokens": NEW,
            "missing_end_of_text": None,
            "ptx_data": {"name": "text", "path": str(text)},
            **settings,
        }
        objective = PPOConfig(**settings).build(tokenizer=BytesTokenizerConfig().build(texts=[]), context=CONTEXT, width=16)
        objective.use_reward(reward or Vowels())
        objective.datasets(source(prompts), validation_fraction=0.2)
        model = model_of(objective, dropout=dropout)
        objective.start(model)
        objective.freeze(model)
        return objective, model

    return built


def roll(objective: Any, model: Any, count: int = 16, *, first: int = 0, seed: int = 5, total: Any = alone) -> list[Any]:
    batch = objective.asked["train"].batch(range(first, first + count))
    return list(objective.rollout(model, batch, seed=seed, total=total))


def gradient(objective: Any, model: Any, minibatch: Any, *, micro: int = 100, counts: Any = None) -> dict[str, Tensor]:
    """Of an update: all batches accumulated, as a step does it."""
    for module in (model, objective):
        module.zero_grad()
    if counts is None:
        counts = Counter[str]()
        for batch in minibatch.values():
            counts.update(objective.counts(batch))
    for batch in minibatch.values():
        for piece in split_into_micro_batches(batch, micro):
            combine_terms(objective.loss(model, piece)[0], counts).backward()
    named = [*model.named_parameters(), *objective.value.named_parameters(prefix="value")]
    return {name: parameter.grad.clone() for name, parameter in named if parameter.grad is not None}


def nearly(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.allclose(left[name], right[name], atol=1e-6, rtol=0) for name in left)


def test_an_error_of_the_text_that_is_mixed_in_names_its_key(ppo: Callable[..., Any]) -> None:
    with pytest.raises(GptkitError, match=r"^objective\.ptx_data: data\.path=nowhere\.txt: there is no such file"):
        ppo(ptx_coef=1.0, ptx_data={"name": "text", "path": "nowhere.txt"})
    with pytest.raises(GptkitError, match=r"^objective\.ptx_data: there is no data=sotuu\. Did you mean"):
        ppo(ptx_coef=1.0, ptx_data={"name": "sotuu"})


def test_a_weight_of_the_divergence_that_would_stay_or_turn_negative_is_refused(ppo: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"objective\.kl_target=5\.0 has nothing to adapt: objective\.kl_coef=0"):
        PPOConfig(kl_target=5.0, kl_coef=0.0)
    objective, model = ppo(kl_target=5.0, kl_horizon=15)
    with pytest.raises(ConfigError, match=r"objective\.kl_horizon=15 is less than .* batch\.size=16"):
        roll(objective, model, 16)


def test_what_fits_is_tried_with_episodes_and_with_text(ppo: Callable[..., Any]) -> None:
    """Both passes of an update, as large as they get: episodes are read by two models, text has the most logits."""
    objective, model = ppo(ptx_coef=1.0)
    tried = objective.largest_minibatch(objective.asked["train"].batch(range(4)))
    assert set(tried) == {"ppo", "ptx"}
    for batch in tried.values():
        assert batch["tokens"].shape == (4, CONTEXT)
        assert combine_terms(objective.loss(model, batch)[0], objective.counts(batch)).isfinite()
    assert set(ppo(ptx_coef=0.0)[0].largest_minibatch(objective.asked["train"].batch(range(4)))) == {"ppo"}


def test_a_weight_that_adapts_does_not_move_what_checkpoints_are_compared_by(ppo: Callable[..., Any]) -> None:
    objective, model = ppo(kl_target=1.0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    batch = objective.asked["validation"].batch(range(4))
    before = objective.validate(model, batch, seed=0)[0]["objective"][1]
    objective.kl_coef.fill_(5.0)
    assert torch.equal(objective.validate(model, batch, seed=0)[0]["objective"][1], before)


# -- a rollout --------------------------------------------------------------------------------------------------------------------


def test_before_the_first_update_nothing_has_moved(ppo: Callable[..., Any]) -> None:
    """Also where the model has dropout: it is never on."""
    objective, model = ppo(dropout=0.5, minibatch=8)
    model.train()
    first = roll(objective, model)[0]["ppo"]
    terms, measured = objective.loss(model, first)
    assert float(measured["approximate_kl"].total) < 1e-10
    assert float(measured["clip_fraction"].total) == 0.0
    assert float(measured["kl"]) == 0.0
    assert float(terms["policy"][1].detach()) == pytest.approx(-float(first["advantages"].sum()), abs=1e-4)
    assert model.training


def test_a_rollout_depends_on_weights_items_and_seed_alone(ppo: Callable[..., Any]) -> None:
    objective, model = ppo()
    one, same, other = roll(objective, model), roll(objective, model), roll(objective, model, seed=6)
    assert torch.equal(one[0]["ppo"]["tokens"], same[0]["ppo"]["tokens"])
    assert not torch.equal(one[0]["ppo"]["tokens"], other[0]["ppo"]["tokens"])
    few = roll(objective, model, 4, first=8)[0]["ppo"]
    for row in range(4):
        length = int(few["prompt_lengths"][row] + few["lengths"][row])
        assert torch.equal(few["tokens"][row, :length], one[0]["ppo"]["tokens"][8 + row, :length])


def test_minibatches_are_strided_and_gone_through_again(ppo: Callable[..., Any]) -> None:
    objective, model = ppo(minibatch=4, inner_epochs=2)
    whole = roll(*ppo())[0]["ppo"]
    parts = roll(objective, model)
    assert len(parts) == 8
    width = whole["tokens"].shape[1]
    for number, part in enumerate(parts):
        assert torch.equal(part["ppo"]["tokens"], whole["tokens"][number % 4 :: 4, :width])


def test_a_response_that_does_not_end_gets_a_score_of_its_own_and_is_not_judged(ppo: Callable[..., Any]) -> None:
    class Refuses(Reward):
        def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
            raise AssertionError

    objective, model = ppo(Refuses(), missing_end_of_text=-7.0, doctor=False, max_new_tokens=1)
    objective.end_of_text = 10_000  # never drawn
    batch = roll(objective, model)[0]["ppo"]
    assert set(batch["score"].tolist()) == {-7.0}
    assert set(batch["missing_end_of_text"].tolist()) == {1.0}


def test_the_weight_of_the_divergence_adapts_and_is_saved(ppo: Callable[..., Any]) -> None:
    objective, model = ppo(kl_target=5.0, kl_horizon=100, kl_coef=0.1)
    roll(objective, model)
    assert float(objective.kl_coef) == pytest.approx(0.1 * (1 - 0.2 * 16 / 100))
    other, _ = ppo(kl_target=5.0, kl_coef=0.1)
    other.restore(model, objective.state_dict())
    assert float(other.kl_coef) == float(objective.kl_coef)


# -- gradients --------------------------------------------------------------------------------------------------------------------


def test_the_gradient_with_pretraining_is_the_sum_of_both(ppo: Callable[..., Any]) -> None:
    objective, model = ppo(ptx_coef=27.8, ptx_ratio=2)
    (minibatch,) = roll(objective, model, 8)
    assert list(minibatch) == ["ptx", "ppo"]
    assert len(minibatch["ptx"]["tokens"]) == 2 * 8
    both = gradient(objective, model, minibatch)
    own = gradient(objective, model, {"ppo": minibatch["ppo"]})
    model.zero_grad()
    hidden = model(minibatch["ptx"]["tokens"])
    torch.nn.functional.cross_entropy(model.logits(hidden).flatten(0, 1), minibatch["ptx"]["targets"].flatten()).backward()
    text = {name: parameter.grad for name, parameter in model.named_parameters()}
    wanted = {name: found + 27.8 * text[name] if name in text else found for name, found in own.items()}
    scale = max(float(tensor.abs().max()) for tensor in wanted.values())
    assert all(torch.allclose(both[name], wanted[name], atol=1e-6 * scale, rtol=1e-5) for name in wanted)


def test_without_pretraining_it_is_ppo_bit_for_bit(ppo: Callable[..., Any]) -> None:
    mixed, plain = roll(*ppo(ptx_coef=27.8))[0], roll(*ppo(ptx_coef=0.0))[0]
    assert list(plain) == ["ppo"]
    measured = {"seconds_generate", "seconds_score", "generated_per_second"}
    assert all(torch.equal(plain["ppo"][name], mixed["ppo"][name]) for name in plain["ppo"] if name not in measured)
    objective, model = ppo(ptx_coef=0.0)
    other, twin = ppo(ptx_coef=27.8)
    left, right = gradient(objective, model, plain), gradient(other, twin, {"ppo": mixed["ppo"]})
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_what_a_run_learns_from_has_its_fingerprint(ppo: Callable[..., Any]) -> None:
    first, second = Vowels(), Vowels()
    first.fingerprint, second.fingerprint = "these weights", "other weights"
    one, other = ppo(first, ptx_coef=1.0)[0].sources, ppo(second, ptx_coef=1.0)[0].sources
    assert one["reward"] != other["reward"]
    assert one["objective.ptx_data"] == other["objective.ptx_data"]
    assert len(one["objective.ptx_data"]) == 64


def test_accumulation_does_not_change_the_gradient(ppo: Callable[..., Any]) -> None:
    objective, model = ppo(ptx_coef=2.0, ptx_ratio=1)
    (minibatch,) = roll(objective, model, 16)
    assert nearly(gradient(objective, model, minibatch, micro=2), gradient(objective, model, minibatch))


def test_devices_do_not_change_the_gradient(ppo: Callable[..., Any]) -> None:
    """Two threads stand for two devices that add up what they have; minibatches of both together are those of one device."""
    settings = {"minibatch": 8, "whiten_rewards": True, "kl_target": 4.0}
    objective, model = ppo(**settings)
    whole = roll(objective, model, 16)
    meeting, brought = threading.Barrier(2), [torch.empty(0), torch.empty(0)]
    found: list[Any] = [None, None]

    def device(number: int) -> None:
        def total(tensor: Tensor) -> Tensor:
            brought[number] = tensor
            meeting.wait()
            together = brought[0] + brought[1]
            meeting.wait()
            return together

        own, policy = copy.deepcopy(objective), copy.deepcopy(model)
        own.kl_coef.fill_(0.02)
        found[number] = roll(own, policy, 8, first=8 * number, total=total)

    threads = [threading.Thread(target=device, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, minibatch in enumerate(whole):
        parts = [found[0][number], found[1][number]]
        counts = objective.counts(parts[0]["ppo"])
        counts = {name: count + objective.counts(parts[1]["ppo"])[name] for name, count in counts.items()}
        gradients = [gradient(objective, model, part, counts=counts) for part in parts]
        summed = {name: gradients[0][name] + gradients[1][name] for name in gradients[0]}
        assert nearly(summed, gradient(objective, model, minibatch))
        assert float(parts[0]["ppo"]["score"][0]) == pytest.approx(float(minibatch["ppo"]["score"][0]))


def test_log_probabilities_do_not_move_with_padding_or_company(ppo: Callable[..., Any]) -> None:
    objective, model = ppo()
    batch = roll(objective, model)[0]["ppo"]
    for row in range(16):
        one = {name: tensor[row : row + 1] for name, tensor in batch.items()}
        length = int(one["prompt_lengths"] + one["lengths"])
        found = objective.log_probs(model, {**one, "tokens": one["tokens"][:, :length]})
        assert torch.allclose(found[0], batch["old_log_probs"][row, : int(one["lengths"])], atol=1e-5)


# -- the value network ------------------------------------------------------------------------------------------------------------


def reward_model(context: int = CONTEXT, *, tokenizer: Any = None, width: int = 8) -> Reward:
    tokenizer = tokenizer or BytesTokenizerConfig().build(texts=[])
    objective = RewardModelConfig().build(tokenizer=tokenizer, context=context, width=width)
    objective.bias.fill_(0.5)
    model = GPTConfig(layers=1, heads=1, width=width, context=context).build(
        attention=DenseAttentionConfig(), vocabulary=tokenizer.size
    )

    class Scores(Vowels):
        trained_model = TrainedModel(model.eval(), tokenizer, objective.eval(), {}, source="runs/rm")

    return Scores()


def test_the_value_network_starts_as_the_reward_model_whatever_its_width(ppo: Callable[..., Any]) -> None:
    reward = reward_model(width=8)
    objective, model = ppo(reward)
    batch = roll(objective, model, 4)[0]["ppo"]
    trained = reward.trained_model
    assert trained is not None
    lengths = batch["prompt_lengths"] + batch["lengths"] - 1  # the state in which the last token is chosen
    wanted = trained.objective.scores(trained.model, batch["tokens"], lengths)
    found = batch["values"].gather(1, batch["lengths"][:, None] - 1)[:, 0]
    assert torch.allclose(found, wanted, atol=1e-5)
    assert not any(parameter is own for parameter in objective.value.parameters() for own in trained.model.parameters())


def test_a_value_network_from_the_policy_values_everything_at_nothing(ppo: Callable[..., Any]) -> None:
    objective, model = ppo(reward_model(), value_from="policy")
    batch = roll(objective, model, 4)[0]["ppo"]
    assert not batch["values"].any()
    objective.loss(model, batch)[0]["value"][1].backward()
    assert objective.value.head.weight.grad.any()
    assert all(parameter.grad is None for parameter in model.parameters())


# -- what is refused --------------------------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_one_line(ppo: Callable[..., Any], source: Any) -> None:
    lone = PPOConfig(max_new_tokens=NEW).build(tokenizer=BytesTokenizerConfig().build(texts=[]), context=CONTEXT, width=16)
    with pytest.raises(ConfigError, match="reward="):
        lone.datasets(source(PROMPTS), validation_fraction=0.0)
    with pytest.raises(DataError, match=r"all 32 prompts of the train split are longer than 15 tokens"):
        ppo(prompts=[Prompt((Turn("user", "x" * 30),))] * 40)
    with pytest.raises(ConfigError, match="value_from"):
        ppo(value_from="reward")
    with pytest.raises(ConfigError, match="tokenizer"):
        ppo(reward_model(tokenizer=CharTokenizerConfig().build(texts=iter(["abc"]))))
    with pytest.raises(ConfigError, match="context of 12"):
        ppo(reward_model(12))
    with pytest.raises(ConfigError, match="minibatch=5"):
        roll(*ppo(minibatch=5))


def test_prompts_without_room_are_left_out_and_counted(ppo: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    prompts = [Prompt((Turn("user", "x" * (20 if number % 4 == 0 else 3)),)) for number in range(40)]
    objective, _ = ppo(prompts=prompts)
    assert "of the train split are longer than 15 tokens" in caplog.text
    assert all(len(ids) == 3 for ids in objective.asked["train"].ids)


def test_a_score_that_is_no_number_ends_the_run_in_one_line(ppo: Callable[..., Any]) -> None:
    class Broken(Reward):
        def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
            return torch.tensor([float("nan") if row == 2 else 0.0 for row in range(len(responses))])

    with pytest.raises(GptkitError, match="not a finite number"):
        roll(*ppo(Broken()))


# -- runs -------------------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Counted(RewardConfig):
    """Vowels, until it was asked so often."""

    name: str = "counted"
    left: ClassVar[int] = 0

    def build(self, *, load: Any) -> Reward:
        return CountedVowels()


class CountedVowels(Vowels):
    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        Counted.left -= 1
        if Counted.left < 0:
            raise RuntimeError("pulled the plug")
        return super().__call__(prompts, responses)


@pytest.fixture
def learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`learn(folder, *words, until=n)`: a tiny run of PPO-ptx."""
    monkeypatch.setitem(registry().parts["reward"], "counted", Entry(Counted, KIT))
    prompts, text = tmp_path / "prompts.jsonl", tmp_path / "text.txt"
    prompts.write_text("".join(json.dumps({"prompt": f"count {number}:"}) + "\n" for number in range(40)), encoding="utf-8")
    text.write_text("".join(f"{n} bottles, {n * n % 97} glasses\n" for n in range(300)), encoding="utf-8")
    words = [
        *("objective=ppo", "data=prompts", f"data.path={prompts}", "tokenizer=bytes", "trainer.accelerator=cpu"),
        *("model.layers=1", "model.heads=2", "model.width=16", f"model.context={CONTEXT}", "batch.size=8"),
        *(
            "trainer.max_steps=4",
            "optimizer.lr=0.01",
            "save.every=1",
            "val.every=2",
            "val.sequences=4",
            "val.fraction=0.2",
            "ema=0.9",
        ),
        *("objective.minibatch=4", f"objective.max_new_tokens={NEW}", "objective.missing_end_of_text=null"),
        *("val.fraction=0.2", "objective.kl_target=1", "objective.value_lr=0.002", "objective.ptx_coef=1", "objective.ptx_ratio=1"),
        *("objective.ptx_data.name=text", f"+objective.ptx_data.path={text}", "trainer.log_every_n_steps=1"),
    ]

    def run(folder: Path, *more: str, until: int = 10_000) -> Any:
        job = gptkit.compose("train", [*words, *more, f"hydra.run.dir={folder}"])
        job.settings.reward = Counted()  # type: ignore[attr-defined]
        monkeypatch.setattr(Counted, "left", until)
        return gptkit.run(job)

    return run


def newest(folder: Path) -> dict[str, Tensor]:
    last = max((folder / "checkpoints").glob("step-*"))
    return {
        f"{path.name}:{name}": tensor for path in sorted(last.rglob("*.safetensors")) for name, tensor in load_file(path).items()
    }


def test_a_run_reports_all_that_one_wants_to_see(learn: Callable[..., Any], tmp_path: Path) -> None:
    found = learn(tmp_path / "run", "objective.judge.name=counted")
    names = {"score", "kl", "entropy", "length", "missing_end_of_text", "explained_variance", "clip_fraction", "approximate_kl"}
    names |= {"kl_coef", "seconds_generate", "seconds_score", "seconds_ppo", "seconds_ptx"}
    names |= {"val_score", "val_kl", "val_length", "val_missing_end_of_text", "val_ptx_loss", "val_judge"}
    assert names <= found.keys()
    assert found["generated_per_second"] > 0
    assert found["tokens_per_second"] is None  # prompts are counted as full contexts, for the schedule: that is no speed
    assert found["val_judge"] == found["val_score"]
    lines = [json.loads(line) for line in (tmp_path / "run" / "samples.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 4
    assert all(line["score"] == line["judge"] == sum(letter in "aeiou" for letter in line["text"]) for line in lines)
    assert "judge" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("asked", [10, 12])
def test_a_run_that_dies_inside_a_rollout_goes_on_bit_for_bit(learn: Callable[..., Any], tmp_path: Path, asked: int) -> None:
    whole = learn(tmp_path / "whole")
    with pytest.raises(RuntimeError, match="pulled the plug"):
        learn(tmp_path / "cut", until=asked)
    assert list((tmp_path / "cut" / "checkpoints").glob("step-*"))
    again = learn(tmp_path / "cut")
    assert again["train_loss"] == whole["train_loss"]
    assert again["val_loss"] == whole["val_loss"]
    left, right = newest(tmp_path / "whole"), newest(tmp_path / "cut")
    assert left.keys() == right.keys()
    assert {name.split(":")[1].split(".")[0] for name in left} >= {"reference", "value", "kl_coef"}
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_responses_leave_half_of_the_context_to_the_prompt(ppo: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    objective, model = ppo(max_new_tokens=1000)
    assert "responses have at most 12 tokens" in caplog.text
    assert int(roll(objective, model)[0]["ppo"]["lengths"].max()) <= 12


def test_prompts_that_the_reward_cannot_take_are_left_out_and_counted(
    ppo: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    prompts = [Prompt((Turn("user", "x" * (5 if number % 4 == 0 else 3)),)) for number in range(40)]
    objective, model = ppo(Terse(), prompts=prompts)
    assert "of the train split have more than three letters, and are left out" in caplog.text
    assert {len(ids) for asked in objective.asked.values() for ids in asked.ids} == {3}
    roll(objective, model)
    with pytest.raises(DataError, match=r"all 32 prompts of the train split have more than three letters; write fewer"):
        ppo(Terse(), prompts=[Prompt((Turn("user", "xxxx"),))] * 40)


def test_prompts_that_occur_more_than_once_are_counted(ppo: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    ppo(prompts=[Prompt((Turn("user", f"a{number}"),)) for number in range(40)])
    assert "repeat another" not in caplog.text
    ppo(prompts=[Prompt((Turn("user", "ab"),))] * 40)
    assert "31 of 32 training prompts repeat another, and 8 of 8 held-out ones also stand in training" in caplog.text


def test_prompts_without_the_fact_that_is_read_are_left_out_and_counted(
    ppo: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    judge = RulesRewardConfig(answer=1.0, fact="capital").build(load=lambda source: pytest.fail("nothing is loaded"))
    prompts = [Prompt((Turn("user", "ab"),), {"capital": " " if number % 4 == 0 else "Paris"}) for number in range(40)]
    objective, model = ppo(judge, prompts=prompts)
    assert "9 of 32 prompts of the train split have no text in their fact 'capital'" in caplog.text
    roll(objective, model, 24)
    with pytest.raises(DataError, match=r"all 32 prompts of the train split have no text in their fact 'capital'.* reward\.fact"):
        ppo(judge)
