"""The folder of a run: what a failed start leaves, what a resumed run needs, forged and damaged files."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pydantic import Field
from torch import nn

from amphion_core import recipe as recipes
from amphion_core.api import BaseConfig, ModelArchitecture, ModelTrainer, Update, Validation
from amphion_core.cli.main import main
from amphion_core.errors import AmphionError, DataError, RecipeError, WeightsError
from amphion_core.training import checkpoint
from amphion_core.training.run import train
from amphion_core.training.run_folder import RunFolder


class Line(ModelArchitecture):
    """Eight samples times weights."""

    class Config(BaseConfig):
        """Nothing to choose."""

    def __init__(self, config):
        super().__init__(config)
        self.line = nn.Linear(8, 1)

    @classmethod
    def example_config(cls):
        return cls.Config()

    def example_inputs(self):
        return {"wave": torch.zeros(1, 8)}

    def forward(self, wave):
        return self.line(wave)[:, 0]


class LineTrainer(ModelTrainer):
    """Regress the loudness."""

    class Config(BaseConfig):
        """Faults to cause."""

        fail_at: int = Field(default=0, description="step that raises an error")

    sample_rate = 16000
    higher_is_better = {"score": False}

    def networks(self):
        return {"model": self.model}

    def training_step(self, batch, step):
        if step == self.config.fail_at:
            raise DataError("this step fails")
        error = (self.model(batch["wave"][:, :8]) - batch["wave"].abs().mean(1)) ** 2
        yield Update("model", error.sum() / batch.totals["items"])

    def validation_step(self, batch):
        return Validation({"score": [1.0]})


@pytest.fixture
def make(installed, noises):
    installed("models", **{"toy/line": Line})
    installed("trainers", line=LineTrainer)

    def made(*overrides, steps=2):
        values = {
            "name": "r", "model": "toy/line", "trainer": {"name": "line"}, "optim": {"name": "adam"},
            "data": {"root": str(noises), "budget": 0.6},
            "engine": {"steps": steps, "validate_every": 1, "log_every": 1, "device": "cpu"},
        }  # fmt: skip
        for override in overrides:
            recipes.apply_override(values, override)
        return recipes.check(values)

    return made


@pytest.mark.parametrize(
    "override",
    ["engine.monitor=other", "engine.ema.other=0.9", "optim.freeze=[x]", "engine.init_from=nowhere", "trainer=null",
     "data.root=nowhere", "data.train=other", "trainer.fail_at=1", "data.crop=1e6"],
)  # fmt: skip
def test_a_start_that_fails_leaves_nothing(make, tmp_path, override):
    with pytest.raises(AmphionError):
        train(make(override), tmp_path / "a/b/run")
    assert not (tmp_path / "a").exists()
    assert train(make(), tmp_path / "a/b/run") is not None


def test_a_start_that_fails_keeps_what_was_in_its_folder(make, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/notes.txt").write_text("mine")
    (tmp_path / "run/checkpoints").mkdir()
    with pytest.raises(DataError):
        train(make("trainer.fail_at=1"), tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["checkpoints", "notes.txt"]
    assert train(make(), tmp_path / "run") is not None


def test_an_interrupt_at_the_start_leaves_nothing(make, tmp_path, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(LineTrainer, "validation_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(make(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_fails_after_a_step_keeps_its_files(make, tmp_path):
    with pytest.raises(DataError):
        train(make("trainer.fail_at=2"), tmp_path / "run")
    assert checkpoint.steps(tmp_path / "run/checkpoints") == [1]
    assert train(make(), tmp_path / "run", resume=True) is not None


def test_the_lock_of_a_process_that_was_killed_does_not_block(tmp_path):
    code = (
        "import os, sys, signal\nfrom amphion_core.training.run_folder import RunFolder\n"
        "with RunFolder(sys.argv[1]).locked(resume=False):\n"
        "    print('locked', flush=True)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "run"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "locked\n")
    with RunFolder(tmp_path / "run").locked(resume=False):
        pass


@pytest.mark.parametrize("kind", ["file", "below a file", "long name", "lock is a pipe", "lock is a folder"])
def test_a_run_folder_that_cannot_be_used_is_one_sentence(tmp_path, kind):
    folder = tmp_path / "run"
    if kind in ("file", "below a file"):
        folder.write_text("mine")
        folder = folder / "inner" if kind == "below a file" else folder
    elif kind == "long name":
        folder = tmp_path / ("n" * 300)
    else:
        folder.mkdir()
        os.mkfifo(folder / ".lock") if kind == "lock is a pipe" else (folder / ".lock").mkdir()
    if kind == "lock is a pipe":  # it is opened without waiting for a writer
        with RunFolder(folder).locked(resume=False):
            return
    with pytest.raises(AmphionError) as caught, RunFolder(folder).locked(resume=False):
        pass
    assert ("is a file, not a folder" if kind == "file" else "cannot be written") in caught.value.message
    assert "--out" in caught.value.hint


def test_paths_are_stored_absolute_and_a_run_goes_on_from_another_folder(make, noises, tmp_path, monkeypatch):
    monkeypatch.chdir(noises.parent)
    train(make(f"data.root={noises.name}", f"data.cache={noises.name}/cache"), "run")
    train(make(f"data.root={noises.name}", "engine.init_from=run/weights"), "second")
    stored = recipes.read("second/config.yaml")
    assert stored.data.root[0].root == str(noises) and stored.engine.init_from == str(noises.parent / "run/weights")
    assert recipes.read("run/config.yaml").data.cache == str(noises / "cache")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = str(noises.parent / "run/config.yaml")
    assert train(recipes.read(config, ["engine.steps=3"]), noises.parent / "run", resume=True) is not None


def test_a_prepared_folder_that_has_moved_gets_the_command_to_type(make, noises, tmp_path):
    train(make(), tmp_path / "run")
    noises.rename(tmp_path / "moved")
    read = recipes.read(str(tmp_path / "run/config.yaml"), ["engine.steps=3"])
    with pytest.raises(DataError, match=f"there is no prepared folder {noises}") as caught:
        train(read, tmp_path / "run", resume=True)
    assert caught.value.hint.endswith(f"amphion train {tmp_path}/run --resume data.root=FOLDER")
    about = (tmp_path / "moved/dataset.yaml").read_text().replace(str(noises), str(tmp_path / "moved"))
    (tmp_path / "moved/dataset.yaml").write_text(about)
    again = recipes.read(str(tmp_path / "run/config.yaml"), ["engine.steps=3", f"data.root={tmp_path}/moved"])
    assert train(again, tmp_path / "run", resume=True) is not None


def test_a_finished_run_says_so_and_how_to_go_on(make, tmp_path, capfd):
    train(make(), tmp_path / "run")
    assert train(make(), tmp_path / "run", resume=True) is not None
    shown = capfd.readouterr().err
    assert f"all 2 steps are done; to train longer: amphion train {tmp_path}/run --resume engine.steps=4" in shown
    config = (tmp_path / "run/config.yaml").read_bytes()
    with pytest.raises(RecipeError, match=r"the recipe wants 1 step, and the run .* has 2 already"):
        train(make(steps=1), tmp_path / "run", resume=True)
    assert (tmp_path / "run/config.yaml").read_bytes() == config


def test_a_run_that_patience_has_ended_says_so(make, tmp_path, capfd):
    early = make("engine.monitor=score", "engine.patience=1", steps=9)
    for resume in (False, True):
        train(early, tmp_path / "run", resume=resume)
    assert "no better score in 1 validations, after step 2; to train longer" in capfd.readouterr().err


def forge(folder, change):
    """Change the state of a checkpoint and write its digest again, so that only the content is wrong."""
    file, sums = folder / "state.json", folder / checkpoint.SUMS
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    file.write_text(change if isinstance(change, str) else json.dumps(json.loads(file.read_text()) | change))
    sums.write_text(sums.read_text().replace(before, hashlib.sha256(file.read_bytes()).hexdigest()))


@pytest.mark.parametrize(
    "change",
    ["", "[]", "null", "7", "{", "\x00", "[" * 20000, '{"a":' * 20000, {"step": "2"}, {"step": -1}, {"step": 1e99},
     {"step": True}, {"step": 10**30}, {"step": 7}, {"position": 3}, {"position": {"epoch": "x", "epoch_step": 0}},
     {"position": {"epoch": 0}}, {"best": []}, {"best": {"score": "x"}}, {"best": {"stap": 1}}, {"networks": [1]},
     {"networks": {"model": 3}}, {"identity": 5}, {"identity": {"frozen": [1]}}, {"environment": "x"}],
    ids=lambda change: str(change)[:30],
)  # fmt: skip
def test_a_forged_state_is_a_damaged_checkpoint(tmp_path, change):
    for step in (1, 2):
        checkpoint.write(tmp_path, step, {"networks": {"model.w": torch.zeros(1)}}, {"step": step})
    forge(tmp_path / "step-2", change)
    if change != {"step": 7}:
        with pytest.raises(WeightsError, match=r"state\.json is damaged"):
            checkpoint.read(tmp_path / "step-2")
    warnings = []
    assert checkpoint.newest(tmp_path, warnings.append) == tmp_path / "step-1"
    assert "the checkpoint of step 2 is skipped" in warnings[0]


def test_a_run_with_a_forged_state_goes_on_from_the_checkpoint_before(make, tmp_path, capfd):
    train(make(), tmp_path / "run")
    forge(tmp_path / "run/checkpoints/step-2", {"best": []})
    assert train(make(), tmp_path / "run", resume=True) is not None
    assert "the checkpoint of step 2 is skipped" in " ".join(capfd.readouterr().err.split())


def test_folders_with_other_names_are_no_checkpoints(tmp_path):
    for name in ("step-3", "step-٣", "step-²", "step-03", "step-", "step-x", "step--1", "step-1e3", "step-" + "9" * 40):
        (tmp_path / name).mkdir()
    assert checkpoint.steps(tmp_path) == [3]


def test_an_optimiser_state_of_another_network_is_refused(make, tmp_path):
    train(make(), tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    tensors, state = checkpoint.read(run.checkpoints / "step-2")
    for wrong in ("model.0", "model.x.exp_avg", "model.7.exp_avg", "other.0.exp_avg"):
        checkpoint.write(run.checkpoints, 2, {**tensors, "optimizers": {wrong: torch.zeros(1)}}, state)
        with pytest.raises(WeightsError, match="does not fit the recipe"):
            train(make(steps=3), tmp_path / "run", resume=True)
    checkpoint.write(run.checkpoints, 2, {**tensors, "optimizers": {"model.0.exp_avg": torch.zeros(3)}}, state)
    with pytest.raises(WeightsError, match=r"model\.0\.exp_avg of shape \(3,\)"):
        train(make(steps=3), tmp_path / "run", resume=True)


def test_a_checkpoint_without_a_file_of_networks_is_damaged(make, tmp_path):
    state = checkpoint.read(train(make(), tmp_path / "run").parent / "checkpoints/step-2")[1]
    checkpoint.write(tmp_path / "other", 2, {"ema": {"x": torch.zeros(1)}}, state)
    with pytest.raises(WeightsError, match=r"it has no networks\.safetensors"):
        checkpoint.read(tmp_path / "other/step-2")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"step": "x"}', '{"step": [1]}', "[" * 20000, "\xff"])
def test_a_damaged_best_json_falls_back_to_the_checkpoint(make, tmp_path, text):
    train(make("engine.monitor=score"), tmp_path / "run")
    (tmp_path / "run/checkpoints/best.json").write_text(text, encoding="latin-1")
    assert checkpoint.best_step(tmp_path / "run/checkpoints/step-2") == 1


def test_damaged_lines_of_the_curve_are_removed_when_a_run_is_resumed(make, tmp_path):
    train(make(), tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    good = run.curve()
    with run.metrics.open("ab") as file:
        for line in (
            b"{",
            b"[1]",
            b'{"step": "1"}',
            b'{"step": 1, "x": "y"}',
            b"\xff",
            b"[" * 20000,
            b'{"step": true}',
        ):
            file.write(line + b"\n")
    with pytest.raises(DataError, match=rf"line {len(good) + 1} of .*metrics\.jsonl is damaged"):
        run.curve()
    train(make(), tmp_path / "run", resume=True)
    assert run.curve() == good


def test_a_full_disk_at_the_start_is_one_sentence_and_blocks_nothing(make, tmp_path, monkeypatch):
    import errno

    original = Path.write_text

    def full(path, *args, **kwargs):
        if ".config-" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return original(path, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(AmphionError, match="the disk is full"):
        train(make(), tmp_path / "run")
    monkeypatch.undo()
    assert not (tmp_path / "run").exists()
    shutil.rmtree(tmp_path / "run", ignore_errors=True)
    assert train(make(), tmp_path / "run") is not None


@pytest.mark.parametrize("words", [[], ["--resume"]])
def test_a_folder_without_a_run_is_not_taken_for_a_recipe(tmp_path, capsys, words):
    (tmp_path / ".lock").touch()  # what a start leaves that was killed at once
    assert main(["train", str(tmp_path), *words]) == 2
    error = capsys.readouterr().err
    assert "no run was begun in the folder" in error and "amphion recipes" in error
