"""What a run checks or completes before its first step, and what an error or a kill around a validation loses."""

import json
import sys

import pytest
import torch
from pydantic import Field
from torch import nn

import amphion_core as amphion
from amphion_core import recipe as recipes, registry, yaml
from amphion_core.api import BaseConfig, FrontendPart, ModelArchitecture, ModelTrainer, Update, Validation
from amphion_core.errors import AmphionError, DeviceError, MissingPackage, RecipeError, UnknownComponent, counted
from amphion_core.loading import open_weights
from amphion_core.stored_weights import from_folder
from amphion_core.training import checkpoint
from amphion_core.training.optim import freeze
from amphion_core.training.run import complete_model, train
from amphion_core.training.run_folder import RunFolder
from amphion_core.training.state import Best


class Reader(ModelArchitecture):
    """Symbols and a speaker to one number; its config is completed from the corpus."""

    class Config(BaseConfig):
        """Symbols and speakers."""

        frontend: FrontendPart = Field(default="characters", description="text to symbols")
        speakers: tuple[str, ...] = Field(default=(), description="names of the speakers")
        width: int = Field(default=4, description="width of the embeddings")

    computed = 0

    def __init__(self, config):
        super().__init__(config)
        self.symbol = nn.Embedding(len(config.frontend.config.symbols), config.width)
        self.speaker = nn.Embedding(max(1, len(config.speakers)), config.width)

    @classmethod
    def example_config(cls):
        return cls.Config()

    @classmethod
    def config_for(cls, config, facts):
        Reader.computed += 1
        return config if config.speakers else config.replace(speakers=facts.speakers)

    def example_inputs(self):
        return {"ids": torch.zeros(1, 2, dtype=torch.long), "speaker": torch.zeros(1, dtype=torch.long)}

    def forward(self, ids, speaker):
        return (self.symbol(ids).mean(1) * self.speaker(speaker)).sum(1)


COLLATOR = '''
import numpy as np, torch
from amphion_core.api import Batch
from amphion_core.data.batch import pad


class ReaderCollator:
    """Examples to a batch of ids and speaker numbers. Holds the frontend and the names of the speakers."""

    def __init__(self, config):
        self.frontend, self.speakers = config.frontend.build(), config.speakers

    def __call__(self, examples):
        ids, _ = pad([np.array(self.frontend.ids(self.frontend.tokens(one.utterance.text))) for one in examples])
        speaker = torch.tensor([self.speakers.index(one.utterance.speaker) for one in examples])
        counts = {"items": len(examples), "samples": sum(len(one.wave) for one in examples)}
        return Batch(tuple(one.utterance.id for one in examples), {"ids": ids, "speaker": speaker}, counts)
'''  # a separate module, because loader processes import it


class ReaderTrainer(ModelTrainer):
    """Learns a constant."""

    class Config(BaseConfig):
        """What validation does."""

        scores: tuple[float, ...] = Field(default=(3, 2, 1), description="one for each validation")
        failing: int = Field(default=0, description="step at whose validation something fails")
        missing: bool = Field(default=False, description="a package is missing")

    sample_rate = 16000
    higher_is_better = {"loss": False, "quality": True, "length": None, "declared": True}
    step = 0  # the last one; of the class, because a resumed run has a new trainer

    def networks(self):
        return {"reader": self.model}

    def collator(self):
        import amphion_collators

        return amphion_collators.ReaderCollator(self.model.config)

    def training_step(self, batch, step):
        ReaderTrainer.step = step
        yield Update("reader", (self.model(batch["ids"], batch["speaker"]) - 1).square().sum() / batch.totals["items"])

    def validation_step(self, batch):
        step = self.step
        if self.config.missing:
            raise MissingPackage("this metric needs nothing_such", hint="pip install nothing_such")
        if step and step == self.config.failing:
            raise RuntimeError("a metric fails")
        value = self.config.scores[min(step, len(self.config.scores)) - 1]
        return Validation({"loss": [value], "quality": [value], "length": [5.0]}, {batch.ids[0]: torch.zeros(1600)})


@pytest.fixture(autouse=True)
def components(installed, tmp_path, monkeypatch):
    installed("models", **{"reader/toy": Reader})
    installed("trainers", reader=ReaderTrainer)
    Reader.computed = ReaderTrainer.step = 0
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/amphion_collators.py").write_text(COLLATOR, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.delitem(sys.modules, "amphion_collators", raising=False)


@pytest.fixture
def spoken(noises):
    """The noises, with texts, speakers and symbols."""
    for path in noises.glob("*.jsonl"):
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for number, record in enumerate(records):
            record |= {"text": "a b"[: 1 + number % 3].strip() or "a", "speaker": ["ann", "bob"][number % 2]}
        path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return noises


def make(data, overrides=(), **engine):
    values = {
        "name": "reader", "trainer": "reader", "seed": 4,
        "model": {"name": "reader/toy", "frontend": {"name": "characters", "symbols": ["a", "b", " "], "blank": None}},
        "data": {"root": str(data), "budget": 0.6, "dev_items": 1},
        "optim": {"name": "adamw", "lr": 0.1},
        "engine": {"steps": 3, "validate_every": 1, "log_every": 1, "device": "cpu"} | engine,
    }  # fmt: skip
    for override in overrides:
        recipes.apply_override(values, override)
    return recipes.check(values)


def networks(run, step):
    return checkpoint.read(run / "checkpoints" / f"step-{step}")[0]["networks"]


# The model's config, and the collator


@pytest.mark.parametrize("workers", [0, 1])
def test_the_config_is_completed_from_the_corpus_and_a_collator_holds_frontend_and_speakers(spoken, tmp_path, workers):
    folder = train(make(spoken, [f"data.workers={workers}"]), tmp_path / "run")
    assert open_weights(folder).config["speakers"] == ["ann", "bob"]
    stated = yaml.read(tmp_path / "run/config.yaml")["model"]
    assert stated["speakers"] == ["ann", "bob"]
    net = amphion.load(folder)
    assert net.config.speakers == ("ann", "bob")
    assert net.speaker.weight.shape == (2, 4)
    assert RunFolder(tmp_path / "run").curve()[0]["reader/loss"] > 0


def test_loader_workers_give_the_same_batches_as_none(spoken, tmp_path):
    for workers in (0, 1):
        train(make(spoken, [f"data.workers={workers}"]), tmp_path / f"run{workers}")
    one, other = (networks(tmp_path / f"run{workers}", 3) for workers in (0, 1))
    assert all(value.equal(other[name]) for name, value in one.items())


def test_what_the_recipe_states_stays(spoken, tmp_path):
    folder = train(make(spoken, ["model.speakers=[bob, ann, cleo]"]), tmp_path / "run")
    assert open_weights(folder).config["speakers"] == ["bob", "ann", "cleo"]


def test_a_resumed_run_keeps_the_config_that_it_began_with(spoken, tmp_path, monkeypatch):
    train(make(spoken, steps=1), tmp_path / "run")
    assert Reader.computed == 1
    monkeypatch.setattr(Reader, "config_for", lambda config, facts: pytest.fail("it is known"))
    for again in (make(spoken), recipes.read(str(tmp_path / "run/config.yaml"), ["engine.steps=4"])):
        train(again, tmp_path / "run", resume=True)
    assert yaml.read(tmp_path / "run/config.yaml")["model"]["speakers"] == ["ann", "bob"]


@pytest.mark.parametrize("first", [True, False])
def test_the_first_process_completes_the_config_while_the_others_wait(spoken, tmp_path, monkeypatch, first):
    events = []

    class OneOfTwo:
        """What the engine knows of the processes."""

        device = torch.device("cpu")

        def __init__(self):
            self.first = first

        def barrier(self):
            events.append("barrier")

    completed = Reader.config_for
    monkeypatch.setattr(Reader, "config_for", lambda *words: events.append("computed") or completed(*words))
    recipe = complete_model(make(spoken), RunFolder(tmp_path / "run"), OneOfTwo())
    assert events == (["computed", "barrier"] if first else ["barrier", "computed"])
    assert recipe.model.config.speakers == ("ann", "bob")


def test_a_run_is_not_resumed_with_another_model(spoken, tmp_path):
    train(make(spoken, steps=1), tmp_path / "run")
    with pytest.raises(RecipeError, match=r"model\.width is 4 in the run and 8 in the recipe"):
        train(make(spoken, ["model.width=8"]), tmp_path / "run", resume=True)
    with pytest.raises(RecipeError, match=r"model\.frontend is characters in the run and cmudict in the recipe\n"):
        train(make(spoken, ["model.frontend=cmudict"]), tmp_path / "run", resume=True)


# What is monitored


@pytest.mark.parametrize(("monitor", "best"), [("loss", 3), ("quality", 1)])
def test_the_best_checkpoint_follows_the_direction_that_the_score_declares(spoken, tmp_path, monitor, best):
    train(make(spoken, [f"engine.monitor={monitor}"], keep_last=1), tmp_path / "run")
    assert json.loads((tmp_path / "run/checkpoints/best.json").read_text())["step"] == best
    assert checkpoint.steps(tmp_path / "run/checkpoints") == sorted({3, best}, reverse=True)
    assert f", {counted(best, 'step')}." in (tmp_path / "run/weights/card.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("monitor", "message"),
    [
        ("length", "neither more nor less is better for the score 'length'"),
        ("lenght", "there is no score 'lenght'"),
        ("declared", "validation gives no score 'declared'"),
    ],
)
def test_a_score_that_cannot_be_monitored_is_an_error_before_the_first_step(spoken, tmp_path, monitor, message):
    with pytest.raises(RecipeError, match=message) as caught:
        train(make(spoken, [f"engine.monitor={monitor}"]), tmp_path / "run")
    assert "loss" in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_missing_package_is_an_error_before_the_first_step(spoken, tmp_path):
    with pytest.raises(MissingPackage, match="nothing_such"):
        train(make(spoken, ["trainer.missing=true"], validate_every=3), tmp_path / "run")
    assert not (tmp_path / "run/metrics.jsonl").exists()


def test_a_monitored_score_that_is_undefined_counts_as_no_better():
    best = Best()
    scores = [2.0, None, 3.0, None]
    found = [best.judge(step, score, higher_is_better=True, patience=None) for step, score in enumerate(scores, 1)]
    assert found == [True, False, True, False]
    assert (best.step, best.waited) == (3, 1)


# Errors and kills around a validation


def uninterrupted(data, folder, changes):
    train(make(data, changes), folder)
    return checkpoint.read(folder / "checkpoints/step-3"), RunFolder(folder).curve()


def assert_ends_alike(one, other):
    (tensors, state), curve = one
    for kind, found in tensors.items():
        assert all(value.equal(other[0][0][kind][name]) for name, value in found.items())
    assert state["best"] == other[0][1]["best"]
    assert curve == other[1]


MONITORED = ["engine.monitor=quality", "trainer.scores=[1,3,2]"]


def test_an_error_in_a_validation_loses_no_step_and_the_run_continues_exactly(spoken, tmp_path):
    whole = uninterrupted(spoken, tmp_path / "whole", MONITORED)
    with pytest.raises(RuntimeError, match="a metric fails"):
        train(make(spoken, [*MONITORED, "trainer.failing=2"]), tmp_path / "run")
    assert checkpoint.steps(tmp_path / "run/checkpoints") == [2, 1]
    train(make(spoken, MONITORED), tmp_path / "run", resume=True)
    found = checkpoint.read(tmp_path / "run/checkpoints/step-3"), RunFolder(tmp_path / "run").curve()
    assert_ends_alike(whole, found)
    assert open_weights(tmp_path / "run/weights").state["speaker.weight"].equal(networks(tmp_path / "run", 2)[
        "reader.speaker.weight"])  # fmt: skip


class Killed(BaseException):
    """Ends a run as a kill does: nothing catches it."""


@pytest.mark.parametrize("moment", ["before the scores are written", "after the scores are written"])
@pytest.mark.parametrize("step", [2, 3])
def test_a_run_killed_around_a_validation_continues_exactly(spoken, tmp_path, monkeypatch, moment, step):
    from amphion_core.training.report import Report

    whole = uninterrupted(spoken, tmp_path / "whole", MONITORED)
    validated = Report.validated

    def killing(self, number, *rest, **fields):
        if number == step and moment.startswith("before"):
            raise Killed
        validated(self, number, *rest, **fields)
        if number == step:
            raise Killed

    monkeypatch.setattr(Report, "validated", killing)
    with pytest.raises(Killed):
        train(make(spoken, MONITORED), tmp_path / "run")
    monkeypatch.undo()
    train(make(spoken, MONITORED), tmp_path / "run", resume=True)
    found = checkpoint.read(tmp_path / "run/checkpoints/step-3"), RunFolder(tmp_path / "run").curve()
    assert_ends_alike(whole, found)
    best = [json.loads((tmp_path / name / "checkpoints/best.json").read_text()) for name in ("whole", "run")]
    assert best[0] == best[1]
    assert best[0]["step"] == 2


def test_patience_counts_a_validation_once_when_a_run_is_resumed(spoken, tmp_path):
    changes = ["engine.monitor=quality", "trainer.scores=[5,4,3,2,1]", "engine.patience=2"]
    train(make(spoken, changes, steps=2), tmp_path / "run")
    train(make(spoken, changes, steps=5), tmp_path / "run", resume=True)
    assert checkpoint.steps(tmp_path / "run/checkpoints")[0] == 3


def test_the_best_checkpoint_of_an_unfinished_run_is_known(spoken, tmp_path, monkeypatch):
    from amphion_core.training import run as runs

    def interrupted(*words, **fields):
        raise Killed

    monkeypatch.setattr(runs, "export", interrupted)
    with pytest.raises(Killed):
        train(make(spoken, ["engine.monitor=quality", "trainer.scores=[1,2,3]"]), tmp_path / "run")
    assert open_weights(tmp_path / "run").origin.endswith("step-3")  # the checkpoint itself was written before


# Names and devices


def test_an_entry_point_may_name_a_re_export(spoken, tmp_path, installed):
    class Deep(Reader):
        """A class of a private module that the package offers under another module's name."""

    Deep.__module__, Deep.__qualname__ = "amphion_deep.models.deep", "Deep"
    installed("models", module="amphion_deep", **{"reader/deep": Deep})
    assert registry.name_of(Deep) == "reader/deep"
    model = "model={name: reader/deep, frontend: {name: characters, symbols: [a, b, ' '], blank: null}}"
    folder = train(make(spoken, [model]), tmp_path / "run")
    assert from_folder(folder).name == "reader/deep"


def test_a_model_that_could_not_be_saved_is_an_error_before_the_first_step(spoken, tmp_path, monkeypatch):
    class Other(Reader):
        """Nobody announces it."""

    Other.__qualname__ = "Other"

    class Swapping(ReaderTrainer):
        """Trains another class than the recipe names."""

        def __init__(self, config, *, model):
            super().__init__(config, model=Other(model.config))

    monkeypatch.setattr("amphion_toys.ReaderTrainer", Swapping)
    with pytest.raises(UnknownComponent, match="Other is not installed among the models"):
        train(make(spoken), tmp_path / "run")
    assert not (tmp_path / "run/metrics.jsonl").exists()


def test_a_gpu_that_is_not_there_is_one_clear_sentence(spoken, tmp_path, capsys):
    if torch.cuda.is_available():
        pytest.skip("this computer has a GPU; the message is about computers without one")
    for name in ("cuda", "cuda:1"):
        with pytest.raises(DeviceError, match="this computer has no device"):
            train(make(spoken, device=name), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    path = tmp_path / "recipe.yaml"
    path.write_text(make(spoken, device="cuda").resolved(), encoding="utf-8")
    from amphion_core.cli.main import main

    assert main(["train", str(path), "--out", str(tmp_path / "run")]) == 2
    assert "error: this computer has no device 'cuda'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cpu:1", ""])
def test_a_device_of_another_name_is_an_error_of_the_recipe(spoken, name):
    with pytest.raises(RecipeError, match=r"engine\.device"):
        make(spoken, device=name)


def test_several_processes_cannot_share_one_named_gpu(monkeypatch):
    from amphion_core.training import processes

    class Two:
        """What accelerate says in the first of two processes."""

        def __init__(self, cpu):
            self.process_index, self.num_processes, self.device = 0, 2, torch.device("cuda:0")

    monkeypatch.setattr("accelerate.PartialState", Two)
    monkeypatch.setattr(processes, "resolve_device", torch.device)
    assert processes.Processes("cuda").device == torch.device("cuda:0")
    with pytest.raises(AmphionError, match="2 processes cannot all use cuda:1"):
        processes.Processes("cuda:1")


def check_recipe(**fields):
    return recipes.check({"name": "r", "model": "vocoder/hifigan", **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"seed": 10**23}, "seed: "), ({"optim": {"betas": [1, 2]}}, "optim.betas.0: input should be less than 1")],
)
def test_numbers_that_torch_refuses_are_wrong_in_the_recipe(fields, message):
    with pytest.raises(RecipeError, match=message):
        check_recipe(**fields)


def test_fields_of_a_mel_preset_can_be_overridden():
    values = {"name": "r", "model": "vocoder/hifigan", "audio": "hifigan_22k_80"}
    recipes.apply_override(values, "audio.fmin=20")
    assert recipes.check(values).audio.fmin == 20


def test_a_network_without_anything_to_train_is_an_error():
    with pytest.raises(RecipeError, match="no parameter of the network 'a' is left to train"):
        freeze({"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)}, ["a.*"], {"a": "a", "b": None})


def test_a_freeze_pattern_may_name_parameters_as_the_network_or_as_the_model_does():
    networks = {"judge": nn.Linear(1, 1), "speaker": nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))}
    assert freeze(networks, ["judge.bias", "inner.0.*"], {"judge": None, "speaker": "inner"}) == 3
    frozen = [name for net in networks.values() for name, p in net.named_parameters() if not p.requires_grad]
    assert frozen == ["bias", "0.weight", "0.bias"]
    with pytest.raises(RecipeError, match=r"no parameter matches 'speeker\.0\.\*'") as caught:
        freeze(networks, ["speeker.0.*"], {"judge": None, "speaker": "inner"})
    assert "speaker.0.*" in caught.value.hint


def test_a_damaged_best_json_does_not_hide_the_checkpoints(tmp_path):
    state = {"step": 2, "position": {"epoch": 0, "epoch_step": 2}, "best": {"step": None}, "identity": {}}
    path = checkpoint.write(tmp_path, 2, {}, state)
    (tmp_path / "best.json").write_text("{trunc")
    assert checkpoint.best_step(path) is None
