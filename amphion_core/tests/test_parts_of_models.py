"""Trainers that train parts of a model: what is frozen and where, modes, checkpoints, and what is exported."""

import re
from pathlib import Path

import pytest
import torch
from pydantic import Field
from torch import nn

from amphion_core import recipe as recipes
from amphion_core.api import BaseConfig, ModelArchitecture, ModelTrainer, Update, Validation
from amphion_core.errors import AmphionError, DataError
from amphion_core.loading import open_weights
from amphion_core.stored_weights import from_folder
from amphion_core.training import checkpoint
from amphion_core.training.partition import partition, paths_in_model
from amphion_core.training.run import build_trainer, train

DOCS = Path(__file__).parents[2] / "docs"
WIDTH, LEVELS = 8, 3


class Stage(nn.Module):
    """Codes (K, B, N) -> one loss for each item, (B,)."""

    def __init__(self):
        super().__init__()
        self.line = nn.Linear(WIDTH, 1)
        self.drop = nn.Dropout(0.5)

    def forward(self, codes):
        return (self.drop(self.line(codes.sum(0))) - 1).square()[:, 0]


class Codec(nn.Module):
    """Wave (B, T) -> codes (K, B, N). In train mode it would change its statistics."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(WIDTH)

    def forward(self, wave):
        return torch.stack([self.norm(wave[:, level : level + WIDTH]) for level in range(LEVELS)])


class Speech(ModelArchitecture):
    """Two trained stages around a frozen codec, with a buffer of the whole model."""

    class Config(BaseConfig):
        """Nothing to choose."""

        bare: bool = Field(default=False, description="hold a parameter that belongs to no part")

    def __init__(self, config):
        super().__init__(config)
        self.codec = Codec()
        self.stages = nn.ModuleDict({"first": Stage(), "rest": Stage()})
        self.register_buffer("mean", torch.tensor([0.25]))
        if config.bare:
            self.scale = nn.Parameter(torch.ones(()))

    first = property(lambda self: self.stages["first"])
    rest = property(lambda self: self.stages["rest"])

    @classmethod
    def example_config(cls):
        return cls.Config()

    def example_inputs(self):
        return {"wave": torch.zeros(2, WIDTH + LEVELS)}

    def forward(self, wave):
        return self.first(self.codec(wave))


class SpeechTrainer(ModelTrainer):
    """Trains both stages; what it holds besides is frozen."""

    class Config(BaseConfig):
        """What is trained, and what is held."""

        which: str = Field(default="stages", description="what networks() returns")
        score: tuple[float, ...] = Field(default=(), description="what the validations score")

    sample_rate = 16000
    higher_is_better = {"score": True}

    def __init__(self, config, *, model):
        super().__init__(config, model=model)
        self.teachers = {"large": [nn.Linear(2, 2)], "small": (nn.Dropout(0.5), nn.Linear(1, 1))}
        self.modes = []
        self.scores = [*config.score]

    def networks(self):
        if self.config.which == "first":
            return {"first": self.model.first}
        if self.config.which == "together":
            return {"both": nn.ModuleList([self.model.first, self.model.rest])}
        if self.config.which == "nothing":
            return {"other": self.teachers["large"][0]}
        return {"autoregressive": self.model.first, "parallel": self.model.rest}

    def seen(self):
        """The modes of: model, first stage, its dropout, codec, its norm, teachers."""
        model, teachers = self.model, self.teachers
        modules = [model, model.first, model.first.drop, model.codec, model.codec.norm]
        return [module.training for module in [*modules, teachers["large"][0], *teachers["small"]]]

    def training_step(self, batch, step):
        self.modes.append(("train", self.seen()))
        codes = self.model.codec(batch["wave"])
        for name, network in self.networks().items():
            stages = network if isinstance(network, nn.ModuleList) else [network]
            yield Update(name, sum(stage(codes).sum() for stage in stages) / batch.totals["items"])

    def validation_step(self, batch):
        self.modes.append(("validate", self.seen()))
        score = self.scores[min(sum(kind == "train" for kind, _ in self.modes), len(self.scores)) - 1]
        return Validation({"score": [score]})


@pytest.fixture(autouse=True)
def components(installed):
    installed("models", **{"speech/toy": Speech})
    installed("trainers", speech=SpeechTrainer)


def make(data, overrides=(), **engine):
    values = {
        "name": "parts", "model": "speech/toy", "trainer": {"name": "speech", "score": [1]}, "seed": 2,
        "data": {"root": str(data), "budget": 0.6}, "optim": {"name": "sgd", "lr": 0.1, "betas": [0, 0]},
        "engine": {"steps": 3, "validate_every": 1, "log_every": 1, "device": "cpu"} | engine,
    }  # fmt: skip
    for override in overrides:
        recipes.apply_override(values, override)
    return recipes.check(values)


def initial(recipe):
    torch.manual_seed(recipe.seed)
    return recipe.model.build().state_dict()


def stored(run, step, kind="networks"):
    return checkpoint.read(run / "checkpoints" / f"step-{step}")[0][kind]


def test_parts_of_a_model_are_trained_and_the_rest_of_it_is_exported_as_it_was(noises, tmp_path):
    recipe = make(noises)
    before = initial(recipe)
    after = from_folder(train(recipe, tmp_path / "run")).state
    last = stored(tmp_path / "run", 3)
    assert after.keys() == before.keys()
    for name, value in after.items():
        if name.startswith("stages."):
            network = name.replace("stages.first", "autoregressive").replace("stages.rest", "parallel")
            assert value.equal(last[network]), name
            assert not value.equal(before[name]), name
        else:
            assert value.equal(before[name]), name
    assert {name.partition(".")[0] for name in last} == {"autoregressive", "parallel"}


def test_averages_are_exported_at_the_path_of_their_network(noises, tmp_path):
    folder = train(make(noises, ["engine.ema.parallel=0.5"]), tmp_path / "run")
    after, last = from_folder(folder).state, stored(tmp_path / "run", 3)
    assert after["stages.rest.line.weight"].equal(stored(tmp_path / "run", 3, "ema")["parallel.line.weight"])
    assert not after["stages.rest.line.weight"].equal(last["parallel.line.weight"])
    assert after["stages.first.line.weight"].equal(last["autoregressive.line.weight"])


@pytest.mark.parametrize("ema", [[], ["engine.ema.parallel=0.5"]])
def test_the_best_checkpoint_is_exported_part_by_part(noises, tmp_path, ema):
    changes = [*ema, "trainer.score=[1,5,2]", "engine.monitor=score"]
    after = from_folder(train(make(noises, changes), tmp_path / "run")).state
    best = stored(tmp_path / "run", 2)
    assert after["stages.first.line.weight"].equal(best["autoregressive.line.weight"])
    rest = stored(tmp_path / "run", 2, "ema") if ema else best
    assert after["stages.rest.line.weight"].equal(rest["parallel.line.weight"])


def test_a_network_that_gathers_parts_is_exported_too(noises, tmp_path):
    changes = ["trainer.which=together", "trainer.score=[1,5,2]", "engine.monitor=score"]
    after = from_folder(train(make(noises, changes), tmp_path / "run")).state
    best = stored(tmp_path / "run", 2)
    for index, stage in enumerate(("first", "rest")):
        assert after[f"stages.{stage}.line.weight"].equal(best[f"both.{index}.line.weight"])
    found = open_weights(tmp_path / "run/checkpoints/step-2").state
    assert found["stages.rest.line.weight"].equal(best["both.1.line.weight"])


def test_a_checkpoint_says_where_in_the_model_its_networks_belong(noises, tmp_path):
    train(make(noises), tmp_path / "run")
    state = checkpoint.read(tmp_path / "run/checkpoints/step-3")[1]
    assert state["networks"] == {"autoregressive": "stages.first", "parallel": "stages.rest"}
    found = open_weights(tmp_path / "run/checkpoints/step-3").state
    assert found["stages.first.line.bias"].equal(stored(tmp_path / "run", 3)["autoregressive.line.bias"])


def test_a_trainer_that_trains_nothing_of_the_model_is_refused(noises, tmp_path):
    with pytest.raises(AmphionError, match="trains no part of the recipe's model"):
        train(make(noises, ["trainer.which=nothing"]), tmp_path / "run")


def test_modes_follow_what_is_trained_also_inside_lists_and_dicts(noises, tmp_path, monkeypatch):
    from amphion_core.training import run as runs

    trainers = []
    monkeypatch.setattr(runs, "build_trainer", lambda recipe: trainers.append(build_trainer(recipe)) or trainers[0])
    train(make(noises, ["trainer.which=first"]), tmp_path / "run")
    frozen = [False, False, False, False, False]  # codec, its norm, three teachers
    assert [mode for kind, mode in trainers[0].modes if kind == "train"] == [[True, True, True, *frozen]] * 3
    assert {tuple(mode) for kind, mode in trainers[0].modes if kind == "validate"} == {(False, False, False, *frozen)}
    trained = {name for name, parameter in trainers[0].model.named_parameters() if parameter.requires_grad}
    assert trained == {"stages.first.line.weight", "stages.first.line.bias"}
    assert not any(p.requires_grad for module in trainers[0].frozen().values() for p in module.parameters())


def test_what_is_frozen_is_found_at_its_largest_modules(noises):
    trainer = build_trainer(make(noises, ["trainer.which=first"]))
    assert trainer.frozen() == {
        "model.codec": trainer.model.codec,
        "model.stages.rest": trainer.model.rest,
        "teachers.large.0": trainer.teachers["large"][0],
        "teachers.small.0": trainer.teachers["small"][0],
        "teachers.small.1": trainer.teachers["small"][1],
    }


def test_frozen_parts_of_the_model_must_be_the_same_when_a_run_is_resumed(noises, tmp_path, monkeypatch):
    train(make(noises, steps=1), tmp_path / "run")
    state = checkpoint.read(tmp_path / "run/checkpoints/step-1")[1]
    assert set(state["identity"]["frozen"]) == {
        "model.codec", "model", "teachers.large.0", "teachers.small.0", "teachers.small.1",
    }  # fmt: skip
    original = Codec.__init__

    def other(self):
        original(self)
        self.norm.running_mean += 1

    monkeypatch.setattr(Codec, "__init__", other)
    with pytest.raises(DataError, match="another frozen"):
        train(make(noises, steps=2), tmp_path / "run", resume=True)


def test_a_resumed_run_of_parts_is_bit_for_bit_the_uninterrupted_one(noises, tmp_path):
    train(make(noises, save_every=1), tmp_path / "whole")
    train(make(noises, save_every=1, steps=1), tmp_path / "halves")
    train(make(noises, save_every=1), tmp_path / "halves", resume=True)
    for kind in ("networks", "optimizers"):
        one, other = (stored(tmp_path / run, 3, kind) for run in ("whole", "halves"))
        assert all(value.equal(other[name]) for name, value in one.items())


def test_a_parameter_that_belongs_to_no_side_is_named(noises, tmp_path):
    with pytest.raises(AmphionError, match=r"parameter model\.scale belongs to no network"):
        train(make(noises, ["model={name: speech/toy, bare: true}"]), tmp_path / "run")


def test_a_parameter_held_by_the_trainer_itself_is_named():
    net = nn.Linear(1, 1)
    with pytest.raises(AmphionError, match=r"parameter extra\.0 belongs to no network"):
        partition({"net": net}, {"model": net, "extra": [nn.Parameter(torch.ones(1))]})


def test_two_networks_must_not_share_a_parameter():
    whole = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    with pytest.raises(AmphionError, match=r"networks all and part share the parameter part\.weight"):
        partition({"all": whole, "part": whole[0]}, {"model": whole})


def test_a_weight_that_a_frozen_module_shares_with_a_network_is_trained():
    model = nn.ModuleDict({"input": nn.Embedding(4, 2), "output": nn.Linear(2, 4, bias=False)})
    model["output"].weight = model["input"].weight
    found = partition({"input": model["input"]}, {"model": model})
    assert found.frozen == {}
    assert set(found.mixed) == {"model", "model.output"}


def test_paths_in_the_model():
    model = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.ModuleDict({"c": nn.Linear(1, 1)})})
    judge = nn.Linear(1, 1)
    networks = {"whole": model, "part": model["b"]["c"], "judge": judge, "mix": nn.ModuleList([judge, model["a"]])}
    assert paths_in_model(networks, model) == {"whole": "", "part": "b.c", "judge": None, "mix.1": "a"}


def test_the_two_stages_example_of_the_documentation_trains(noises, tmp_path, installed):
    """The text of the page is run as it stands, on the toy model with a codec and two stages."""
    page = (DOCS / "training.md").read_text(encoding="utf-8")
    code = re.search(r"VALL-E.*?```py\n(.*?)```", page, re.S)[1]
    namespace = {"torch": torch, "Update": Update}
    exec(compile(code, "docs/training.md", "exec"), namespace)

    class Example(SpeechTrainer):
        networks = namespace["networks"]
        training_step = namespace["training_step"]

    installed("trainers", example=Example)
    recipe = make(noises, ["trainer.name=example", "trainer.score=[1]"])
    before = initial(recipe)
    after = from_folder(train(recipe, tmp_path / "run")).state
    changed = {name for name, value in after.items() if not value.equal(before[name])}
    assert changed == {f"stages.{stage}.line.{kind}" for stage in ("first", "rest") for kind in ("weight", "bias")}
