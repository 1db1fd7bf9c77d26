"""``open_weights`` on runs that the engine has made: parts of a model, averages, frozen parts, statistics."""

import shutil
import sys
import types

import numpy as np
import pytest
import torch
from torch import nn

import amphion_core as amphion
from amphion_core import recipe as recipes, registry
from amphion_core.api import BaseConfig, ModelArchitecture, ModelTrainer, Update, Validation
from amphion_core.errors import WeightsError
from amphion_core.loading import open_weights
from amphion_core.registry import ComponentRef
from amphion_core.training import checkpoint
from amphion_core.training.run import train

WIDTH = 8


class Line(ModelArchitecture):
    """Two trained parts around one that stays as it was built, and a buffer."""

    class Config(BaseConfig):
        """How the fixed part is built."""

        published: bool = True

    def __init__(self, config):
        super().__init__(config)
        self.first = nn.utils.parametrizations.weight_norm(nn.Linear(WIDTH, WIDTH))
        self.fixed = nn.Linear(WIDTH, WIDTH)
        self.last = nn.Linear(WIDTH, 1)
        if config.published:  # as a model that loads a published network while it is built
            nn.init.eye_(self.fixed.weight)
            nn.init.zeros_(self.fixed.bias)
        self.register_buffer("level", torch.full((1,), 0.5))

    @classmethod
    def example_config(cls):
        return cls.Config()

    def example_inputs(self):
        return {"wave": torch.zeros(1, WIDTH)}

    def forward(self, wave):
        return self.last(self.fixed(self.first(wave)))[:, 0] * self.level


class LineTrainer(ModelTrainer):
    """Trains the first and the last part."""

    class Config(BaseConfig):
        """Nothing to choose."""

    sample_rate = 16000

    def networks(self):
        return {"encoder": self.model.first, "decoder": self.model.last}

    def training_step(self, batch, step):
        for name in ("encoder", "decoder"):
            error = self.model(batch["wave"][:, :WIDTH]) - batch["wave"].abs().mean(1)
            yield Update(name, (error**2).sum() / batch.totals["items"])

    def validation_step(self, batch):
        return Validation({"score": [0.0]})


@pytest.fixture(autouse=True)
def plugin(monkeypatch):
    module = types.ModuleType("amphion_lines")
    module.Line, module.LineTrainer = Line, LineTrainer
    monkeypatch.setitem(sys.modules, "amphion_lines", module)
    monkeypatch.setattr(Line, "__module__", "amphion_lines")
    monkeypatch.setattr(LineTrainer, "__module__", "amphion_lines")
    refs = [
        ComponentRef(kind, name, f"amphion_lines:{target}", "amphion-core", "0.1.0", "", "amphion_core.api:v1")
        for kind, name, target in (("models", "line/parts", "Line"), ("trainers", "line", "LineTrainer"))
    ]
    with registry.temporary(*refs):
        yield


@pytest.fixture
def run(prepared, tmp_path):
    """Trains four steps with a checkpoint for each."""
    random = np.random.default_rng(0)
    clips = {f"c{n}": random.uniform(-0.5, 0.5, 1600).astype(np.float32) for n in range(8)}
    data = prepared({"train": clips, "dev": {"d": clips["c0"]}})

    def make(published=True):
        values = {
            "name": "line", "model": {"name": "line/parts", "published": published}, "trainer": {"name": "line"},
            "data": {"root": str(data), "budget": 0.6}, "optim": {"name": "sgd", "lr": 0.1, "betas": [0, 0]},
            "engine": {
                "steps": 4, "save_every": 1, "keep_last": 9, "validate_every": 4, "log_every": 4, "device": "cpu",
                "ema": {"encoder": 0.5},
            },
        }  # fmt: skip
        folder = tmp_path / f"run-{published}"
        train(recipes.check(values), folder)
        return folder

    return make


def test_a_checkpoint_of_a_run_that_trains_parts_is_the_same_network_as_its_export(run):
    folder = run()
    wave = torch.rand(3, WIDTH)
    exported = amphion.load(folder)(wave)
    assert open_weights(folder).origin == str(folder / "weights")
    shutil.rmtree(folder / "weights")
    for place in (folder, folder / "checkpoints" / "step-4"):
        torch.testing.assert_close(amphion.load(place)(wave), exported, atol=0, rtol=0)
    assert not torch.equal(amphion.load(folder / "checkpoints" / "step-1")(wave), exported)


def test_a_checkpoint_holds_the_trained_parts_and_the_averages_where_there_are_some(run):
    folder = run() / "checkpoints" / "step-4"
    tensors, _ = checkpoint.read(folder)
    found = open_weights(folder).state
    assert not any(name.startswith("fixed") for name in found)
    norm = "parametrizations.weight.original0"
    assert found[f"first.{norm}"].equal(tensors["ema"][f"encoder.{norm}"])
    assert not found[f"first.{norm}"].equal(tensors["networks"][f"encoder.{norm}"])
    assert found["last.weight"].equal(tensors["networks"]["decoder.weight"])


def test_a_frozen_part_that_the_config_does_not_give_is_an_error_until_the_export(run):
    folder = run(published=False)  # the frozen part is random: only the export has it
    amphion.load(folder)
    with pytest.raises(WeightsError, match="does not store fixed, which its run kept frozen") as caught:
        amphion.load(folder / "checkpoints" / "step-4")
    assert "weights folder" in caught.value.hint
