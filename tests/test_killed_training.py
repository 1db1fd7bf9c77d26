"""A training that is killed or interrupted leaves no process behind, with loader processes and with torchrun."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

from amphion_core import yaml
from amphion_core.training import checkpoint

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
PATIENCE = 120  # seconds after which something counts as stuck
RECIPE = {
    "name": "tiny", "audio": "hifigan_22k_80", "seed": 3,
    "model": {"name": "vocoder/hifigan", "channels": 32, "upsample_rates": [8, 8, 4], "upsample_kernels": [16, 16, 8],
              "resblock": "2", "resblock_kernels": [3], "resblock_dilations": [[1, 2]]},
    "trainer": {"name": "gan_vocoder"},
    "engine": {"steps": 10**6, "validate_every": 10**6, "log_every": 1, "micro_batches": 2, "device": "cpu"},
}  # fmt: skip


@pytest.fixture(scope="module")
def recipe_file(data_pack, tmp_path_factory):
    """A recipe that trains for days, on ten clips, with two loader processes."""
    root, out = tmp_path_factory.mktemp("voice"), tmp_path_factory.mktemp("prepared")
    for path in sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[:10]:
        shutil.copy(path, root)
    command = [sys.executable, "-m", "amphion_core", "prepare", "folder", str(root), str(out), "dev=0.2", "test=0"]
    subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT)
    data = {"root": str(out), "crop": 2048, "budget": 0.2, "dev_items": 1, "workers": 2}
    path = out / "tiny.yaml"
    path.write_text(yaml.dump(RECIPE | {"data": data}), encoding="utf-8")
    return path


@pytest.fixture
def start(recipe_file, tmp_path):
    """Starts ``amphion train`` in a process group, which is killed at the end of the test."""
    groups = []

    def started(*prefix):
        command = [
            sys.executable,
            *prefix,
            "-m",
            "amphion_core",
            "train",
            str(recipe_file),
            "-o",
            str(tmp_path / "run"),
        ]
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=ENVIRONMENT, start_new_session=True)
        groups.append(process.pid)
        return process

    yield started
    for group in groups:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def loaders_of(process):
    """The loader processes below ``process``, those of other ranks too."""
    found = set()
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if any("spawn_main" in word for word in child.cmdline()):
                    found.add(child)
    return found


def runs(process):
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.02)
    return value


def wait_for_steps(process, tmp_path):
    def has_begun():
        assert process.poll() is None, (tmp_path / "log").read_text()
        return (tmp_path / "run/metrics.jsonl").exists()

    wait_until(has_begun, "no step was made")


@pytest.mark.parametrize("working", [False, True], ids=["while its loaders start", "between its steps"])
def test_no_loader_outlives_a_killed_training(start, tmp_path, working):
    process = start()
    loaders = wait_until(lambda: loaders_of(process), "no loader process was started")
    if working:
        wait_for_steps(process, tmp_path)
        loaders |= loaders_of(process)
        assert len(loaders) == 2
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(runs, loaders)), "a loader runs without its training")


def test_no_process_outlives_a_killed_torchrun(start, tmp_path):
    process = start("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    wait_for_steps(process, tmp_path)
    everything = psutil.Process(process.pid).children(recursive=True)
    assert len(loaders_of(process)) == 4
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(runs, everything)), "a process runs without torchrun")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_to_all_processes_ends_a_training_with_a_checkpoint(number, start, tmp_path):
    process = start()
    wait_for_steps(process, tmp_path)
    loaders = loaders_of(process)
    os.killpg(process.pid, number)  # as a terminal does for Ctrl-C, and a service manager with SIGTERM
    assert process.wait(PATIENCE) == 130, (tmp_path / "log").read_text()
    log = (tmp_path / "log").read_text()
    assert "run the same command with --resume" in " ".join(log.split()) and "Traceback" not in log
    assert len(checkpoint.steps(tmp_path / "run/checkpoints")) == 1
    wait_until(lambda: not any(map(runs, loaders)), "a loader runs without its training")


def test_a_loader_that_is_killed_is_one_sentence(start, tmp_path):
    process = start()
    wait_for_steps(process, tmp_path)
    loaders_of(process).pop().kill()  # as the system does when the memory is full
    assert process.wait(PATIENCE) == 2, (tmp_path / "log").read_text()
    log = (tmp_path / "log").read_text()
    assert "error: a loader process was killed" in log and "unexpected" not in log


def test_a_script_without_a_main_guard_gets_one_sentence(recipe_file, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom amphion_core import recipe\nfrom amphion_core.training.run import train\n"
        "train(recipe.read(sys.argv[1]), sys.argv[2])\n"
    )
    command = [sys.executable, script, recipe_file, tmp_path / "run"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False, timeout=PATIENCE)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2].endswith("so each worker would run the whole script again")
    assert done.stderr.count("Traceback") == 1 and len(done.stderr.splitlines()) < 60
    assert not (tmp_path / "run").exists()
