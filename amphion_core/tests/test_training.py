"""The engine, on a linear model with known gradients: sums, turns, averages, schedules, checkpoints, resuming."""

import errno
import json
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import nn

from amphion_core import recipe as recipes, registry
from amphion_core.api import BaseConfig, ModelArchitecture, ModelTrainer, Update, Validation
from amphion_core.config import validate
from amphion_core.errors import AmphionError, DataError, RecipeError, WeightsError
from amphion_core.registry import ComponentRef
from amphion_core.stored_weights import from_folder
from amphion_core.training import checkpoint
from amphion_core.training.config import OptimConfig, Schedule
from amphion_core.training.optim import optimizer
from amphion_core.training.run import train
from amphion_core.training.run_folder import RunFolder

RATE = 16000
WIDTH = 8


class Toy(ModelArchitecture):
    """The mean of a wave's pieces times weights."""

    class Config(BaseConfig):
        """Nothing to choose."""

        width: int = Field(default=WIDTH, description="weights")

    def __init__(self, config):
        super().__init__(config)
        self.line = nn.Linear(config.width, 1)

    @classmethod
    def example_config(cls):
        return cls.Config()

    def example_inputs(self):
        return {"wave": torch.zeros(1, WIDTH)}

    def forward(self, wave):
        return self.line(wave)[:, 0]


class ToyTrainer(ModelTrainer):
    """Regress the loudness; a second network learns from the first one's updated output."""

    class Config(BaseConfig):
        """Faults to cause, and networks to train."""

        nan_at: int = Field(default=0, description="step whose loss is not a number")
        open_block: bool = Field(default=False, description="yield inside no_grad")
        second: bool = Field(default=False, description="train a second network after the first")
        dropout: bool = Field(default=False, description="draw random numbers")
        teacher: bool = Field(default=False, description="hold a frozen network")
        score: tuple[float, ...] = Field(default=(), description="what validations score, one after the other")

    def __init__(self, config, *, model):
        super().__init__(config, model=model)
        self.second_network = nn.Linear(1, 1)
        self.seen = []
        if config.teacher:
            self.teacher = nn.Linear(2, 2)

    sample_rate = RATE
    higher_is_better = {"score": False}

    def networks(self):
        return {"model": self.model} | ({"second": self.second_network} if self.config.second else {})

    def training_step(self, batch, step):
        x = batch["wave"][:, :WIDTH]
        if self.config.dropout:
            x = x * torch.rand_like(x)
        error = (self.model(x) - batch["wave"].abs().mean(1)) ** 2
        loss = error.sum() / batch.totals["items"]
        if step == self.config.nan_at:
            loss = loss * float("nan")
        if self.config.open_block:
            with torch.no_grad():
                yield Update("model", loss)
        self.seen.append((step, batch.ids, self.model.line.weight.detach().clone()))
        yield Update("model", loss, {"error": loss})
        if self.config.second:
            out = self.second_network(self.model(x)[:, None])[:, 0]
            self.seen.append((step, "after", self.model.line.weight.detach().clone()))
            yield Update("second", ((out - 1) ** 2).sum() / batch.totals["items"])

    def validation_step(self, batch):
        value = float(self.model(batch["wave"][:, :WIDTH]).abs().sum())
        if self.config.score:
            value = self.config.score[min(len([1 for s in self.seen if s[1] != "after"]), len(self.config.score)) - 1]
        return Validation(
            {"score": [value], "undefined": [float("nan")]}, {batch.ids[0]: batch["wave"][0]}, {"p": torch.rand(4, 5)}
        )


@pytest.fixture(autouse=True)
def toys():
    module = types.ModuleType("amphion_toys")
    module.Toy, module.ToyTrainer = Toy, ToyTrainer
    sys.modules["amphion_toys"] = module
    Toy.__module__ = ToyTrainer.__module__ = "amphion_toys"
    refs = [
        ComponentRef("models", "toy/line", "amphion_toys:Toy", "amphion-core", "0.1.0", "", "amphion_core.api:v1"),
        ComponentRef("trainers", "toy", "amphion_toys:ToyTrainer", "amphion-core", "0.1.0", "", "amphion_core.api:v1"),
    ]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with registry.temporary(*refs):
        yield
    torch.set_num_threads(threads)
    del sys.modules["amphion_toys"]


@pytest.fixture
def data(prepared):
    random = np.random.default_rng(0)
    clips = {f"c{n}": random.uniform(-0.5, 0.5, 1600 + 160 * n).astype(np.float32) for n in range(12)}
    return prepared({"train": clips, "dev": {"d": clips["c0"], "e": clips["c1"]}})


def make(data, overrides=(), **engine):
    values = {
        "name": "toy", "model": "toy/line", "trainer": {"name": "toy"}, "data": {"root": str(data), "budget": 0.6},
        "optim": {"name": "sgd", "lr": 0.1, "betas": [0, 0], "weight_decay": 0}, "seed": 5,
        "engine": {"steps": 4, "validate_every": 2, "log_every": 1, "device": "cpu"} | engine,
    }  # fmt: skip
    for override in overrides:
        recipes.apply_override(values, override)
    return recipes.check(values)


def networks(run, step):
    return checkpoint.read(Path(run) / "checkpoints" / f"step-{step}")[0]["networks"]


def same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].equal(other[name]), name


@pytest.mark.parametrize("micro_batches", [1, 2, 3])
def test_a_step_moves_by_the_gradient_of_the_mean_over_all_its_items(data, tmp_path, micro_batches):
    recipe = make(data, steps=1, micro_batches=micro_batches)
    from amphion_core.training import run as runs

    torch.manual_seed(recipe.seed)
    start = recipe.model.build().line
    before = {"weight": start.weight.detach().clone(), "bias": start.bias.detach().clone()}
    trainers = []
    build = runs.build_trainer
    runs.build_trainer = lambda r: trainers.append(build(r)) or trainers[-1]
    try:
        train(recipe, tmp_path / "run")
    finally:
        runs.build_trainer = build
    ids = [id for _, ids, _ in trainers[0].seen for id in ids]
    assert len(trainers[0].seen) == micro_batches
    import soundfile

    waves = [soundfile.read(data / f"{id}.wav", dtype="float32")[0] for id in ids]
    longest = [
        max(len(w) for w, i in zip(waves, ids, strict=True) if i in part)
        for _, part, _ in trainers[0].seen
        for _ in part
    ]
    x = torch.tensor(np.stack([wave[:WIDTH] for wave in waves]))
    target = torch.tensor([float(np.abs(w).sum() / n) for w, n in zip(waves, longest, strict=True)])
    weight, bias = before["weight"].requires_grad_(), before["bias"].requires_grad_()
    loss = ((x @ weight.T + bias)[:, 0] - target).square().mean()
    loss.backward()
    after = networks(tmp_path / "run", 1)
    torch.testing.assert_close(after["model.line.weight"], (weight - 0.1 * weight.grad).detach(), atol=1e-6, rtol=0)
    torch.testing.assert_close(after["model.line.bias"], (bias - 0.1 * bias.grad).detach(), atol=1e-6, rtol=0)
    line = RunFolder(tmp_path / "run").curve()[0]
    assert line["model/error"] == pytest.approx(loss.item(), rel=1e-5)


def test_the_second_network_sees_the_updated_first_one_in_every_micro_batch(data, tmp_path):
    from amphion_core.training import run as runs

    trainers, build = [], runs.build_trainer
    runs.build_trainer = lambda r: trainers.append(build(r)) or trainers[-1]
    try:
        train(make(data, ["trainer.second=true"], steps=1, micro_batches=2), tmp_path / "run")
    finally:
        runs.build_trainer = build
    before = [weight for _, what, weight in trainers[0].seen if what != "after"]
    after = [weight for _, what, weight in trainers[0].seen if what == "after"]
    assert before[0].equal(before[1])
    assert after[0].equal(after[1])
    assert not before[0].equal(after[0])
    assert after[0].equal(networks(tmp_path / "run", 1)["model.line.weight"])  # the second's loss does not move it


def test_averages_follow_the_networks(data, tmp_path):
    recipe = make(data, ["engine.ema.model=0.2"], steps=3, save_every=1, keep_last=9)
    torch.manual_seed(recipe.seed)
    expected = recipe.model.build().line.weight.detach().clone()
    folder = train(recipe, tmp_path / "run")
    for step, decay in ((1, 1 / 10), (2, 2 / 11), (3, 0.2)):  # n / (n + 9), until it reaches the recipe's decay
        expected = decay * expected + (1 - decay) * networks(tmp_path / "run", step)["model.line.weight"]
    averaged = checkpoint.read(tmp_path / "run/checkpoints/step-3")[0]["ema"]["model.line.weight"]
    torch.testing.assert_close(averaged, expected, atol=1e-6, rtol=0)
    assert from_folder(folder).state["line.weight"].equal(averaged)  # what is published is the average


@pytest.mark.parametrize("stop", [1, 2, 3, 5])
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(data, tmp_path, stop):
    changes = ["optim.name=adamw", "trainer.second=true", "trainer.dropout=true", "engine.ema.model=0.9"]
    fields = {"steps": 6, "micro_batches": 2, "save_every": 1, "keep_last": 9, "validate_every": 3}
    train(make(data, changes, **fields), tmp_path / "whole")
    train(make(data, changes, **fields | {"steps": stop}), tmp_path / "parts")
    for file in (tmp_path / "parts/checkpoints").glob("step-*"):
        assert int(file.name[5:]) <= stop
    train(make(data, [*changes, "data.workers=1"], **fields), tmp_path / "parts", resume=True)
    for kind in ("networks", "ema", "optimizers"):
        same(*(checkpoint.read(tmp_path / run / "checkpoints/step-6")[0][kind] for run in ("whole", "parts")))
    curves = [
        [line for line in RunFolder(tmp_path / run).curve() if "model/loss" in line] for run in ("whole", "parts")
    ]
    assert curves[0] == curves[1]
    assert len(curves[0]) == 6


def test_random_numbers_of_a_step_do_not_depend_on_how_many_came_before(data, tmp_path):
    changes = ["trainer.dropout=true"]
    train(make(data, changes, steps=2, validate_every=1), tmp_path / "often")
    train(make(data, changes, steps=2, validate_every=9), tmp_path / "seldom")
    same(networks(tmp_path / "often", 2), networks(tmp_path / "seldom", 2))


def test_a_loss_that_is_not_a_number_stops_the_run_and_keeps_the_last_checkpoint(data, tmp_path):
    with pytest.raises(DataError, match=r"step 3: model/loss is nan, with items c\d") as caught:
        train(make(data, ["trainer.nan_at=3"], save_every=1), tmp_path / "run")
    assert "the checkpoint of step 2 is kept: amphion train" in caught.value.hint
    with pytest.raises(DataError) as caught:
        train(make(data, ["trainer.nan_at=1"]), tmp_path / "other")
    assert "there is no checkpoint yet" in caught.value.hint
    assert checkpoint.steps(tmp_path / "run/checkpoints") == [2, 1]
    assert [line["step"] for line in RunFolder(tmp_path / "run").curve() if "model/loss" in line] == [1, 2]


def test_an_open_no_grad_block_at_a_yield_is_an_error(data, tmp_path):
    with pytest.raises(RuntimeError, match="no_grad block is open at a yield"):
        train(make(data, ["trainer.open_block=true"]), tmp_path / "run")
    torch.set_grad_enabled(True)


def test_frozen_parameters_stay_and_an_unknown_pattern_is_an_error(data, tmp_path):
    train(make(data, ["optim.freeze=[model.line.b*]"], save_every=1, keep_last=9), tmp_path / "run")
    first, last = (networks(tmp_path / "run", step) for step in (1, 4))
    assert first["model.line.bias"].equal(last["model.line.bias"])
    assert not first["model.line.weight"].equal(last["model.line.weight"])
    with pytest.raises(RecipeError, match=r"optim\.freeze: no parameter matches 'model\.lin\.\*'"):
        train(make(data, ["optim.freeze=[model.lin.*]"]), tmp_path / "other")


def test_other_modules_of_the_trainer_are_frozen_and_must_stay_the_same(data, tmp_path):
    train(make(data, ["trainer.teacher=true"], steps=2), tmp_path / "run")
    assert not any(name.startswith("teacher") for name in networks(tmp_path / "run", 2))
    state = checkpoint.read(tmp_path / "run/checkpoints/step-2")[1]
    assert set(state["identity"]["frozen"]) == {"second_network", "teacher"}
    with pytest.raises(DataError, match="of a run with another frozen"):
        train(make(data, [], steps=3), tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("seed=6", "seed is 6, was 5"), ("engine.micro_batches=2", "engine.micro_batches is 2, was 1"),
        ("data.budget=0.9", "data.budget is 0.9, was 0.6"), ("data.crop=800", "data.crop is 800, was None"),
        ("optim.name=adam", "optim.name is adam, was sgd"), ("optim.freeze=[model.line.bias]", "optim.freeze.0 is"),
        ("engine.ema.model=0.9", "engine.ema.model is 0.9"), ("engine.init_from=x", "engine.init_from is x, was None"),
    ],
)  # fmt: skip
def test_a_run_refuses_settings_that_it_cannot_change_and_can_still_be_resumed(data, tmp_path, change, what):
    train(make(data, steps=2), tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(RecipeError, match=re.escape(what)) as caught:
        train(make(data, [change]), tmp_path / "run", resume=True)
    assert f"amphion train {tmp_path}/run --resume" in caught.value.hint and "engine.init_from=" in caught.value.hint
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
    assert train(make(data), tmp_path / "run", resume=True) is not None


def test_another_manifest_cannot_continue_a_run_and_changes_nothing(data, tmp_path):
    train(make(data, steps=2), tmp_path / "run")
    before = (tmp_path / "run/config.yaml").read_bytes()
    lines = (data / "train.jsonl").read_text().splitlines(keepends=True)
    (data / "train.jsonl").write_text("".join(lines[1:]))
    with pytest.raises(DataError, match="of a run with another data"):
        train(make(data, ["optim.lr=0.2"]), tmp_path / "run", resume=True)
    assert (tmp_path / "run/config.yaml").read_bytes() == before


def test_settings_that_a_run_may_change_are_listed(data, tmp_path, capfd):
    train(make(data, steps=2), tmp_path / "run")
    train(make(data, ["optim.lr=0.05", "data.workers=0"]), tmp_path / "run", resume=True)
    shown = capfd.readouterr().err
    assert "changed: optim.lr is 0.05, was 0.1" in shown and "changed: engine.steps is 4, was 2" in shown
    assert recipes.read(str(tmp_path / "run/config.yaml")).optim.lr == 0.05


def test_a_run_folder_is_not_overwritten_and_not_shared(data, tmp_path):
    train(make(data, steps=1), tmp_path / "run")
    with pytest.raises(AmphionError, match="already holds a run") as caught:
        train(make(data, steps=1), tmp_path / "run")
    assert f"amphion train {tmp_path}/run --resume" in caught.value.hint
    with RunFolder(tmp_path / "run").locked(resume=True), pytest.raises(AmphionError, match="in use by another run"):
        train(make(data, steps=1), tmp_path / "run", resume=True)


def test_what_a_start_leaves_that_was_killed_does_not_block_the_folder(data, tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.checkpoints.mkdir(parents=True)
    folder.describe(make(data, ["seed=9"]).resolved(), {})
    for name in (".lock", ".config-0123abcd.yaml", "tensorboard"):
        (folder.path / name).touch()
    assert train(make(data, steps=1), tmp_path / "run") is not None
    assert recipes.read(str(tmp_path / "run/config.yaml")).seed == 5


@pytest.mark.parametrize(
    "others",
    [("model.safetensors",), ("environment.json", "weights"), ("environment.json", "checkpoints/step-4"), ()],
    ids=["weights", "exported run", "checkpoint", "a config of something else"],
)
def test_a_folder_with_anything_but_a_failed_start_is_refused_and_stays(data, tmp_path, others):
    for name in ("config.yaml", *others):
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).write_text("name: mine")
    with pytest.raises(AmphionError, match="already holds a run or weights"):
        train(make(data, steps=1), tmp_path / "run")
    assert all((tmp_path / "run" / name).read_text() == "name: mine" for name in ("config.yaml", *others))
    assert not (tmp_path / "run/.lock").exists()


def damage(path, how):
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:-7])
    elif how == "flipped":
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
    else:
        path.unlink()


@pytest.mark.parametrize("how", ["truncated", "flipped", "missing"])
@pytest.mark.parametrize("name", ["networks.safetensors", "optimizers.safetensors", "state.json", "SHA256SUMS"])
def test_a_damaged_checkpoint_is_skipped_and_the_run_ends_with_the_same_weights(data, tmp_path, how, name, capfd):
    train(make(data, save_every=1, keep_last=9), tmp_path / "whole")
    train(make(data, save_every=1, keep_last=9, steps=3), tmp_path / "run")
    damage(tmp_path / "run/checkpoints/step-3" / name, how)
    train(make(data, save_every=1, keep_last=9), tmp_path / "run", resume=True)
    shown = " ".join(capfd.readouterr().err.split())
    assert "the checkpoint of step 3 is skipped" in shown
    assert "resumed after step 2" in shown
    same(networks(tmp_path / "run", 4), networks(tmp_path / "whole", 4))


def test_when_all_checkpoints_are_damaged_nothing_is_overwritten(data, tmp_path):
    train(make(data, steps=2), tmp_path / "run")
    damage(tmp_path / "run/checkpoints/step-2/networks.safetensors", "flipped")
    with pytest.raises(WeightsError, match="has 1 checkpoint, all damaged"):
        train(make(data), tmp_path / "run", resume=True)
    assert (tmp_path / "run/checkpoints/step-2").exists()


def test_a_full_disk_keeps_the_older_checkpoints_and_the_run_can_go_on(data, tmp_path, monkeypatch):
    import safetensors.torch

    train(make(data, save_every=1, keep_last=9), tmp_path / "whole")
    original, calls = safetensors.torch.save_file, []

    def full(tensors, path, *rest):
        calls.append(path)
        if len(calls) > 4:  # two files a checkpoint
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        original(tensors, path, *rest)

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(AmphionError, match=r"checkpoint of step 3 cannot be written.*No space left") as caught:
        train(make(data, save_every=1, keep_last=9), tmp_path / "run")
    assert "--resume" in caught.value.hint
    assert sorted(path.name for path in (tmp_path / "run/checkpoints").iterdir()) == ["step-1", "step-2"]
    monkeypatch.undo()
    train(make(data, save_every=1, keep_last=9), tmp_path / "run", resume=True)
    same(networks(tmp_path / "run", 4), networks(tmp_path / "whole", 4))


def test_the_newest_and_the_best_checkpoints_are_kept_and_the_best_is_published(data, tmp_path):
    changes = ["trainer.score=[3,1,2,4,5,6]", "engine.monitor=score"]
    folder = train(make(data, changes, steps=6, validate_every=1, keep_last=2), tmp_path / "run")
    assert checkpoint.steps(tmp_path / "run/checkpoints") == [6, 5, 2]
    assert from_folder(folder).state["line.weight"].equal(networks(tmp_path / "run", 2)["model.line.weight"])
    assert "2 steps" in (folder / "card.md").read_text(encoding="utf-8")


def test_a_run_stops_early_and_stays_stopped(data, tmp_path):
    changes = ["trainer.score=[1,2,3,4,5,6]", "engine.monitor=score", "engine.patience=2"]
    for resume in (False, True):
        train(make(data, changes, steps=6, validate_every=1), tmp_path / "run", resume=resume)
        assert checkpoint.steps(tmp_path / "run/checkpoints")[0] == 3


def test_the_rate_drops_on_a_plateau(data, tmp_path):
    schedule = "optim.schedule={name: plateau, gamma: 0.5, patience: 2}"
    changes = ["trainer.score=[1,2,3,4,5,6]", "engine.monitor=score", schedule]
    train(make(data, changes, steps=6, validate_every=1), tmp_path / "run")
    rates = [line["model/lr"] for line in RunFolder(tmp_path / "run").curve() if "model/lr" in line]
    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.05, 0.025])


def test_a_run_can_begin_with_a_checkpoint_or_a_weights_folder(data, tmp_path):
    folder = train(make(data, steps=2), tmp_path / "first")
    last = networks(tmp_path / "first", 2)
    sources = [
        f"engine.init_from={tmp_path}/first/checkpoints/step-2",
        f"engine.init_from={folder}",
        f"engine.init_from.model={folder}",
    ]
    for number, source in enumerate(sources):
        train(make(data, [source, "optim.lr=1e-30"], steps=1), tmp_path / f"next{number}")
        same(networks(tmp_path / f"next{number}", 1), last)
    with pytest.raises(RecipeError, match="'modle' is neither a network nor a part of the model"):
        train(make(data, [f"engine.init_from.modle={folder}"]), tmp_path / "wrong")
    with pytest.raises(WeightsError, match="neither a weights folder nor a run"):
        train(make(data, [f"engine.init_from={data}"]), tmp_path / "wrong2")


def test_gradients_are_clipped_as_a_whole(data, tmp_path):
    train(make(data, ["optim.clip=1e-3", "optim.lr=1"], steps=1), tmp_path / "run")
    recipe = make(data)
    torch.manual_seed(recipe.seed)
    start = recipe.model.build().state_dict()
    after = networks(tmp_path / "run", 1)
    moved = torch.cat([(after[f"model.{name}"] - value).flatten() for name, value in start.items()])
    assert float(moved.norm()) == pytest.approx(1e-3, rel=1e-3)


def test_bf16_trains_and_keeps_float32_weights(data, tmp_path):
    train(make(data, precision="bf16"), tmp_path / "run")
    assert networks(tmp_path / "run", 4)["model.line.weight"].dtype == torch.float32
    assert all(np.isfinite(line.get("model/loss", 0)) for line in RunFolder(tmp_path / "run").curve())


def test_the_run_folder_states_what_was_run(data, tmp_path):
    train(make(data), tmp_path / "run")
    run = tmp_path / "run"
    assert recipes.read(str(run / "config.yaml")) == make(data)
    stated = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    assert stated["versions"]["torch"] == torch.__version__
    assert stated["threads"] == 1
    assert sorted(path.name for path in (run / "samples/step-2").iterdir()) == ["d.wav", "e.wav"]
    assert list((run / "tensorboard").glob("events.*"))
    dev = [line for line in RunFolder(run).curve() if "dev/score" in line]
    assert [line["step"] for line in dev] == [2, 4]
    assert "dev/undefined" not in dev[0]


def test_mistakes_in_a_recipe_are_listed_with_their_paths(data):
    with pytest.raises(RecipeError) as caught:
        make(data, ["engine.stepz=3", "optim.schedule.name=exponential", "data.budgt=1", "optim.groups.g.lrr=1"])
    message = caught.value.message
    assert "engine.stepz: no such field; did you mean steps?" in message
    assert "optim.schedule" in message and "the schedule exponential needs it" in message
    assert "data.budgt: no such field; did you mean budget?" in message
    with pytest.raises(RecipeError, match="'other' is no network of this trainer"):
        train(make(data, ["engine.ema.other=0.9"]), data / "run")


def test_schedules_are_what_torch_computes():
    steps = 40
    line = torch.nn.Parameter(torch.zeros(1))
    for schedule, theirs in [
        (Schedule(name="exponential", gamma=0.9, every=5), lambda o: torch.optim.lr_scheduler.StepLR(o, 5, 0.9)),
        (Schedule(name="cosine"), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, steps)),
        (Schedule(warmup=8), lambda o: torch.optim.lr_scheduler.LinearLR(o, 1 / 8, 1, 7)),
    ]:
        stepper = torch.optim.SGD([line], 1.0)
        reference = theirs(stepper)
        offset = 1 if schedule.name == "cosine" else 0  # ours ends at the floor with the last step
        for step in range(1, steps):
            if offset:
                stepper.step()
                reference.step()
            assert schedule.factor(step, steps) == pytest.approx(stepper.param_groups[0]["lr"], abs=1e-9)
            if not offset:
                stepper.step()
                reference.step()
    noam = Schedule(name="noam", warmup=10)
    assert noam.factor(10, 100) == pytest.approx(1)
    assert noam.factor(40, 100) == pytest.approx(0.5)
    assert noam.factor(1, 100) == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["adamw", "adam", "radam", "sgd"])
def test_every_optimizer_lowers_a_square(name):
    x = torch.nn.Parameter(torch.tensor([3.0]))
    stepper = optimizer(OptimConfig(name=name, lr=0.1, weight_decay=0), [x], torch.device("cpu"))
    for _ in range(50):
        stepper.zero_grad()
        x.square().sum().backward()
        stepper.step()
    assert abs(x.item()) < 2


@pytest.mark.parametrize("field", ["lr", "eps", "weight_decay", "clip"])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_numbers_of_the_optimiser_are_finite(field, value):
    with pytest.raises(RecipeError, match=field):
        validate(OptimConfig, {field: value})
