"""The models of the server and its start: names, loading, wrong models and options, kills and signals."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import httpx
import pytest
import torch

from amphion_core import registry, weights
from amphion_core.cli.main import main
from amphion_core.serving.offers import Offers
from amphion_core.serving.running import Runner
from amphion_core.serving.settings import Settings

LETTERS = ("_", *" .,!?'-", *"abcdefghijklmnopqrstuvwxyz")


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    vits = registry.get("models", "tts/vits")
    fields = vits.example_config().model_dump(mode="json")
    fields |= {"frontend": {"name": "characters", "symbols": LETTERS, "blank": "_"}, "vocabulary": None}
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("serving") / "tiny"
    return weights.save(vits(vits.Config(**fields | {"n_speakers": 1})), folder)


@pytest.fixture(scope="module")
def settings(voice):
    other = shutil.copytree(voice, voice.with_name("other"))
    return Settings(tasks=("tts",), places={"tts": (str(voice), str(other))})


def test_folders_of_the_same_name_are_told_apart_by_those_above(voice, tmp_path):
    places = [tmp_path / name for name in ("ann/final", "ben/final", "ben/default", "carl")]
    for place in places:
        shutil.copytree(voice, place)
    offers = Offers(Settings(tasks=("tts",), places={"tts": tuple(map(str, places))}))
    assert [offer.name for offer in offers.of("tts")[:4]] == ["ann/final", "ben/final", "ben/default", "carl"]
    assert [offers.find("tts", offer.name).place for offer in offers.of("tts")[:4]] == [*map(str, places)]
    assert offers.find("tts", "default").place == str(places[0])


def test_a_folder_that_is_stated_twice_is_one_model(voice):
    offers = Offers(Settings(tasks=("tts",), places={"tts": (str(voice), f"{voice}/../tiny")}))
    assert [offer.name for offer in offers.of("tts") if "@" not in offer.name] == ["tiny"]


def damaged(voice, folder):
    shutil.copytree(voice, folder)
    os.truncate(folder / "model.safetensors", 1000)
    return folder


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("nowhere/anna", "there is no folder nowhere/anna"),
        ("tts/vitz", "tts/vitz"),
        ("tts/vits@nobody", "nobody"),
        ("empty", "neither a weights folder nor a run"),
        ("damaged", "damaged"),
        ("vocoder/griffin_lim", "vocoder/griffin_lim is no model of the task tts"),
    ],
)
def test_a_wrong_model_is_noticed_at_the_start(voice, tmp_path, monkeypatch, capsys, place, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    damaged(voice, tmp_path / "damaged")
    assert main(["serve", "tts", "--port", "0", "--model", str(voice), "--model", place]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: --model {place}: ") and words in error and "hint: " in error
    assert "serving" not in error and "Traceback" not in error


def test_an_open_address_without_a_key_and_wrong_options_are_refused(capsys, monkeypatch):
    monkeypatch.delenv("AMPHION_API_KEY", raising=False)
    assert main(["serve", "--host", "0.0.0.0"]) == 2
    assert "0.0.0.0 can be reached from other computers" in capsys.readouterr().err
    monkeypatch.setenv("AMPHION_API_KEY", "short")
    assert main(["serve"]) == 2
    assert "8 or more" in capsys.readouterr().err
    for words in (["--queue", "0"], ["nothing"], ["tts", "--model", "svc=here"]):
        assert main(["serve", *words]) == 2
        assert "hint:" in capsys.readouterr().err


def test_a_killed_server_is_started_again_at_the_same_port_and_ends_on_a_signal(voice):
    port, body = "0", {"input": "Hello.", "response_format": "wav"}
    for end, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 0)):
        command = [sys.executable, "-m", "amphion_core", "serve", "tts", "--port", port, "--model", str(voice)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, **pipes) as process:
            url = re.search(r"http://\S+", process.stdout.readline())[0]
            port = url.rpartition(":")[2]
            with httpx.Client() as kept:  # a connection that stays open
                assert kept.post(f"{url}/v1/audio/speech", json=body, timeout=60).content[:4] == b"RIFF"
                process.send_signal(end)
                assert process.wait(60) == code
            assert "Traceback" not in process.stderr.read()


def test_a_model_in_use_stays_in_memory_and_makes_room_when_its_use_ends(settings):
    async def work():
        runner = Runner(replace(settings, memory=1e-9))
        one, other, *_ = Offers(settings).of("tts")
        async with runner.using(one) as held:
            async with runner.using(other) as second:
                assert len(runner.tasks) == 2 and second is not held
            async with runner.using(one) as again:
                assert again is held
            request = held.request(text="Hello.")
            assert [piece async for piece in runner.pieces(one, request, runner.admit())]
        assert len(runner.tasks) == 1 and runner.claim(other) is None
        runner.close()

    asyncio.run(work())


def fail():
    raise MemoryError


def test_models_that_nobody_uses_are_unloaded_when_memory_runs_out(settings):
    async def work():
        runner = Runner(settings)
        one, other, *_ = Offers(settings).of("tts")
        await runner.load(other)
        async with runner.using(one) as task:
            with pytest.raises(MemoryError):
                await runner.compute(runner._pool(task), fail)
            assert runner.claim(other) is None and runner.claim(one) is task
        runner.close()

    asyncio.run(work())


def test_one_loading_serves_all_who_wait_and_its_error_is_not_kept(settings):
    async def work():
        runner, go, calls = Runner(settings), threading.Event(), []
        runner.tasks.get = lambda **fields: calls.append(fields) or (go.wait(60) and 1 / 0)
        offer = Offers(settings).default("tts")
        gone, *waiting = [asyncio.create_task(runner.load(offer)) for _ in range(3)]
        while not calls:
            await asyncio.sleep(0)
        gone.cancel()
        go.set()
        ends = await asyncio.gather(gone, *waiting, return_exceptions=True)
        assert [type(end) for end in ends] == [asyncio.CancelledError, ZeroDivisionError, ZeroDivisionError]
        with pytest.raises(ZeroDivisionError):
            await runner.load(offer)
        assert len(calls) == 2
        runner.close()

    asyncio.run(work())
