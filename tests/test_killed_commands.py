"""A command that is killed leaves no worker process behind."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
PATIENCE = 60  # seconds until the workers must have started, and until they must have ended


@pytest.fixture(scope="module")
def clips(data_pack, tmp_path_factory):
    """A folder of many recordings, so that a command works for longer than the test needs."""
    folder = tmp_path_factory.mktemp("clips")
    for path in sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[:10]:
        for number in range(60):
            shutil.copy(path, folder / f"{path.stem}_{number}.flac")
    return folder


def workers_of(command):
    """The worker processes of a running command: those that multiprocessing started, and nothing else."""
    found = []
    for child in command.children():
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if any("spawn_main" in word for word in child.cmdline()):
                found.append(child)
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


@pytest.mark.parametrize("pause", [0.0, 2.0], ids=["while the workers start", "while the workers work"])
@pytest.mark.parametrize("name", ["prepare", "eval"])
def test_no_worker_outlives_a_killed_command(name, pause, clips, tmp_path):
    words = {
        "prepare": ["prepare", "folder", clips, tmp_path / "out", "--processes", "2", "--features", "f0_harvest"],
        "eval": ["eval", clips, "--ref", clips, "--metrics", "mcd", "--workers", "2", "--out", tmp_path / "out"],
    }[name]
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-m", "amphion_core", *map(str, words)]
        started = subprocess.Popen(command, stdout=log, stderr=log, env=ENVIRONMENT, start_new_session=True)
    try:
        workers = wait_until(lambda: workers_of(psutil.Process(started.pid)), "no worker process was started")
        time.sleep(pause)
        workers = {*workers, *workers_of(psutil.Process(started.pid))}
        assert started.poll() is None, (tmp_path / "log").read_text()
        started.kill()
        started.wait()
        wait_until(lambda: not any(map(runs, workers)), "a worker runs without its command")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)


def test_ctrl_c_ends_a_command_at_once(clips, tmp_path):
    words = ["prepare", "folder", clips, tmp_path / "out", "--processes", "2", "--features", "f0_harvest"]
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-m", "amphion_core", *map(str, words)]
        started = subprocess.Popen(command, stdout=log, stderr=log, env=ENVIRONMENT, start_new_session=True)
    try:
        wait_until(lambda: workers_of(psutil.Process(started.pid)), "no worker process was started")
        time.sleep(2.0)
        begin = time.monotonic()
        os.killpg(started.pid, signal.SIGINT)  # as a terminal does
        assert started.wait(PATIENCE) == 130
        assert time.monotonic() - begin < 10, "the workers finished what nobody waits for"
        assert "Traceback" not in (tmp_path / "log").read_text()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)


def test_a_script_without_a_main_guard_gets_one_sentence(clips, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom amphion_eval import evaluate, pair_folders, plan\nfrom pathlib import Path\n"
        "folder = Path(sys.argv[1])\nitems, _ = pair_folders(folder, {'reference': folder})\n"
        "evaluate({'voice': items}, plan(['si_sdr']), workers=2)\n"
    )
    made = subprocess.run([sys.executable, script, clips], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert made.returncode == 1
    assert made.stderr.splitlines()[-2].endswith("so each worker would run the whole script again")
    assert made.stderr.count("Traceback") == 1 and len(made.stderr.splitlines()) < 60
