"""The demo page without a browser: models in memory, jobs that are stopped, command lines, and addresses."""

import os
import shlex
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import pytest
import torch
from torch import nn

from amphion_core import loading
from amphion_core.cli.main import main
from amphion_core.demo.jobs import Jobs, Stopped
from amphion_core.demo.lines import Typed, command_line, python_lines
from amphion_core.errors import AmphionError
from amphion_core.loaded_tasks import LoadedTasks, size_of

needs_gradio = pytest.mark.skipif(find_spec("gradio") is None, reason='pip install "amphion-core[demo]"')


class Holder:
    """Something like a task: a network of a thousand bytes, once more in a list, and text."""

    def __init__(self) -> None:
        self.net = nn.Linear(250, 1, bias=False)
        self.parts = [self.net, {"name": "x"}]


@pytest.fixture
def loads(monkeypatch):
    """The arguments of each load; a model called "large" finds memory only when nothing else is loaded."""
    calls = []

    def load(name, **fields):
        calls.append(fields.get("model"))
        if fields.get("model") == "large" and len(loaded):
            raise AmphionError("there is not enough memory") from MemoryError()
        return Holder()

    loaded = LoadedTasks(2000)
    monkeypatch.setattr(loading, "task", load)
    return loaded, calls


def test_each_tensor_is_counted_once():
    assert size_of(Holder()) == 1000


def test_the_task_that_was_not_used_for_the_longest_time_is_unloaded(loads):
    loaded, calls = loads
    first = loaded.get("tts", model="a")
    loaded.get("tts", model="b")
    assert loaded.get("tts", model="a") is first and calls == ["a", "b"]
    loaded.get("tts", model="c")
    assert loaded.bytes == 2000 and loaded.get("tts", model="a") is first
    loaded.get("tts", model="b")
    assert calls == ["a", "b", "c", "b"]


def test_without_memory_the_others_are_unloaded(loads):
    loaded, calls = loads
    loaded.get("tts", model="a")
    loaded.get("tts", model="large")
    assert calls == ["a", "large", "large"] and len(loaded) == 1


def test_a_task_in_use_is_not_unloaded(loads):
    loaded, calls = loads
    with loaded.use("tts", model="a") as held:
        for model in "bc":
            loaded.get("tts", model=model)
        loaded.unload()
        assert loaded.claim("tts", model="a") is held and loaded.claim("tts", model="c") is None
        loaded.release(held)
    assert calls == ["a", "b", "c"] and len(loaded) == 1
    loaded.unload()
    assert len(loaded) == 0


def test_many_threads_load_a_task_once_and_another_task_does_not_wait_for_it(monkeypatch):
    loaded, go, begun, calls = LoadedTasks(10**6), threading.Event(), threading.Event(), []

    def load(name, **fields):
        calls.append(fields["model"])
        if fields["model"] == "slow":
            begun.set()
            assert go.wait(60)
        return Holder()

    monkeypatch.setattr(loading, "task", load)
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(loaded.get, "tts", model="slow") for _ in range(4)]
        assert begun.wait(60)
        loaded.get("tts", model="quick")
        go.set()
        assert len({id(each.result(60)) for each in waiting}) == 1
    assert calls == ["slow", "quick"]


def test_a_run_is_loaded_again_after_its_next_checkpoint(loads, tmp_path):
    loaded, calls = loads
    (tmp_path / "checkpoints").mkdir()
    os.utime(tmp_path / "checkpoints", (0, 0))  # the clock of a file system may stand still for some milliseconds
    for _ in range(2):
        loaded.get("tts", model=str(tmp_path))
    assert len(calls) == 1
    (tmp_path / "checkpoints" / "step-1").mkdir()
    loaded.get("tts", model=str(tmp_path))
    assert len(calls) == 2


def test_a_job_stops_inside_of_a_network_and_the_next_one_runs():
    jobs, running, layer = Jobs(), threading.Event(), nn.Identity()

    def endless(job):
        while True:
            layer(torch.zeros(1))
            running.set()

    _, first = jobs.start("ann/tts", endless)
    _, second = jobs.start("ben/tts", lambda job: layer(torch.ones(1)))
    assert running.wait(60)
    assert jobs.stop("ann/")
    with pytest.raises(Stopped):
        first.result(60)
    assert second.result(60) == 1
    assert not jobs.stop("")
    jobs.close()


def test_a_waiting_job_that_is_stopped_does_not_begin():
    jobs, go, began = Jobs(), threading.Event(), []
    _, first = jobs.start("ann/tts", lambda job: go.wait(60))
    waiting, second = jobs.start("ben/tts", began.append)
    waiting.stop()
    go.set()
    assert first.result(60)
    with pytest.raises(Stopped):
        second.result(60)
    assert not began
    jobs.close()


def test_a_command_has_the_words_that_its_parser_reads():
    request = {
        "caption": "-5 degrees", "loud": True, "markup": False, "inpaint": ["0-1", "2-4"], "key_shift": -2.5,
        "controls": {"steps": 3, "name": "a b"},
    }  # fmt: skip
    line = command_line(Typed("tta", {"model": "m"}, request, device="cuda"), "tta {caption} --from {source}")
    assert shlex.split(line) == [
        "amphion", "tta", "--model", "m", "--loud", "--no-markup", "--inpaint", "0-1", "2-4", "--key-shift=-2.5",
        "--control", "steps=3", "--control", "name=a b", "--device", "cuda", "-o", "result.wav", "--", "-5 degrees",
    ]  # fmt: skip
    assert "amphion.task('tta', model='m', device='cuda')" in python_lines(Typed("tta", {"model": "m"}, {}, "cuda"))


@needs_gradio
def test_another_address_needs_a_user_and_a_password(monkeypatch, capsys):
    for name in ("AMPHION_DEMO_USER", "AMPHION_DEMO_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    assert main(["demo", "--host", "0.0.0.0"]) == 2
    said = capsys.readouterr().err
    assert "no password is set" in said and "export AMPHION_DEMO_USER=NAME AMPHION_DEMO_PASSWORD=SECRET" in said
    monkeypatch.setenv("AMPHION_DEMO_USER", "ann")
    assert main(["demo"]) == 2
    assert "belong together" in capsys.readouterr().err


@needs_gradio
def test_a_port_in_use_and_an_unknown_task_are_one_sentence(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["demo", "--port", str(port)]) == 2
    assert f"127.0.0.1:{port} cannot be used" in capsys.readouterr().err
    assert main(["demo", "speech"]) == 2
    assert "no task named 'speech' is installed" in capsys.readouterr().err
