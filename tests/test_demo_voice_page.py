"""Your own voice in Chromium: record, upload, transcribe, correct, prepare, train, kill the server, go on, speak."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from amphion_core.api import Audio

PATIENCE = 240_000  # milliseconds after which something counts as stuck
TINY = """
model.hidden_channels=8
model.encoder_layers=1
model.decoder_layers=1
model.filter_channels=8
model.predictor_channels=8
model.f0={name: f0_dio}
trainer.metrics=[mcd]
data.dev_items=1
engine.validate_every=2
engine.log_every=1
engine.device=cpu
"""
LISTENER = '''"""Hears the same in every recording."""

from amphion_core.api import BaseConfig, SpeechRecognizer


class Listener(SpeechRecognizer):
    """Hears the same in every recording."""

    class Config(BaseConfig):
        """Nothing to choose."""

    def __init__(self, config):
        super().__init__(config)
        self.sample_rate = 16000

    def transcribe(self, audio, language):
        return f"Heard with {len(audio.samples)} samples."
'''


@pytest.fixture(scope="module")
def place(tmp_path_factory, data_pack):
    """The folder of the server, with a recogniser as the plugin of others, and what the microphone hears."""
    for package in ("gradio", "librosa", "pyloudnorm", "accelerate", "tensorboard", "pyworld", "amphion_tts"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("own")
    info = folder / "site/amphion_listener-0.1.dist-info"
    info.mkdir(parents=True)
    (folder / "site/listener.py").write_text(LISTENER)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: amphion-listener\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(
        "[amphion.api]\namphion-listener = amphion_core.api:v1\n[amphion.recognizers]\na_listener = listener:Listener\n"
    )
    spoken = Audio.load(data_pack / "kathleen_en/wavs/kathleen_a0005.flac").resample(48000).samples
    Audio(np.concatenate([spoken, np.zeros(48000, np.float32)]), 48000).save(folder / "microphone.wav")
    return folder


def start(place):
    """(server, address): the page in a process."""
    known = {**os.environ, "PYTHONPATH": str(place / "site")}
    command = [sys.executable, "-m", "amphion_core", "demo", "tts", "--port", "0"]
    with (place / "errors.txt").open("a") as errors:
        server = subprocess.Popen(command, cwd=place, env=known, stdout=subprocess.PIPE, stderr=errors, text=True)
    return server, server.stdout.readline().strip()


@pytest.fixture(scope="module")
def chromium_options(place):
    return [f"--use-file-for-fake-audio-capture={place / 'microphone.wav'}"]


def opened(browser, address):
    page = browser.new_page(viewport={"width": 1280, "height": 1000}, accept_downloads=True)
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.get_by_role("tab", name="Your own voice", exact=True).click()
    return page


def says(page, place, words):
    """The text of a part of the page, when it matches ``words``."""
    part = page.locator(f"#voice-{place}")
    part.get_by_text(re.compile(words)).first.wait_for()
    return part.inner_text()


def nameless(page):
    """The controls that a screen reader cannot name."""
    return page.evaluate(
        """() => [...document.querySelectorAll("input, textarea, select, button, progress")]
            .filter(each => each.offsetParent && each.type !== "file")
            .filter(each => !(each.labels?.length || each.innerText?.trim() || each.ariaLabel || each.title
                              || each.getAttribute("aria-labelledby")))
            .map(each => each.outerHTML.slice(0, 200))"""
    )


def record_and_write(page, place, data_pack):
    """Make the voice anna of a sentence in the microphone and three files, with a corrected text."""
    page.get_by_role("textbox", name=re.compile("^Name of a new voice")).fill("a/b")
    page.locator("#voice-make").click()
    assert "hint: use letters" in says(page, "said", "cannot be the name")
    page.get_by_role("textbox", name=re.compile("^Name of a new voice")).fill("Anna")
    page.locator("#voice-make").click()
    says(page, "said", "Made the voice anna")
    microphone = page.locator("#voice-microphone")
    microphone.get_by_role("button", name="Record", exact=True).click()
    time.sleep(2)
    microphone.get_by_role("button", name="Stop", exact=True).click()
    says(page, "recordings", "Added 1")
    files = [data_pack / f"kathleen_en/wavs/kathleen_a000{number}.flac" for number in (1, 2, 4)]
    page.locator("#voice-upload input[type=file]").set_input_files(files)
    says(page, "recordings", "Added 3")
    kept = place / "voices/anna/recordings"
    assert next(kept.glob("sentence*.wav")) and Audio.load(next(kept.glob("sentence*.wav"))).peak > 0.05
    page.locator("#voice-transcribe").click()
    says(page, "texts", r"(\d+) of \1 recordings have a text")
    cell = page.locator("#voice-table [data-testid=cell-0-2]").locator("visible=true").first
    cell.get_by_text("Heard with").wait_for()
    cell.dblclick()
    page.keyboard.press("Control+A")
    page.keyboard.type("Author of the danger trail.")
    page.keyboard.press("Enter")
    assert "Saved: kathleen_a0001." in says(page, "texts-said", "Saved")
    assert (kept / "kathleen_a0001.txt").read_text() == "Author of the danger trail.\n"


def train_until(page, step):
    """Wait until the page shows this step or a later one."""
    later = "|".join(str(number) for number in range(step, step + 40))
    says(page, "training", f"step ({later}) of")


def test_from_recordings_to_a_voice_with_a_server_that_is_killed(browser, place, data_pack, tmp_path):
    server, address = start(place)
    try:
        page = opened(browser, address)
        record_and_write(page, place, data_pack)
        page.locator("#voice-prepare").click()
        says(page, "prepared", "train: ")
        page.locator("#voice-recipe input").click()
        page.get_by_role("option", name="fastspeech2_small").click()
        page.get_by_text("Own settings").click()
        page.locator("#voice-settings textarea").fill(TINY)
        page.locator("#voice-train").click()
        train_until(page, 3)
        assert not nameless(page)
        server.send_signal(signal.SIGKILL)
        server.wait()
        work, run = place / "voices/anna/work", place / "voices/anna/runs/fastspeech2_small"
        until(lambda: (work / "train.ended").is_file())
        saved = max(int(path.name.removeprefix("step-")) for path in run.glob("checkpoints/step-*"))
        page.close()
        server.stdout.close()
        server, address = start(place)
        page = opened(browser, address)
        assert f"step {saved} of" in says(page, "training", "Stopped. The checkpoint of step")
        page.locator("#voice-table").get_by_text("Author of the danger trail.").locator("visible=true").first.wait_for()
        page.locator("#voice-go-on").click()
        train_until(page, saved + 2)
        page.locator("#voice-sample-0").wait_for()
        page.locator("#voice-stop").click()
        says(page, "training", "Stopped. The checkpoint of step")
        page.locator("#voice-speak").click()
        says(page, "speak-said", "Done")
        if folder := os.environ.get("AMPHION_PICTURES"):
            page.screenshot(path=Path(folder) / "demo-voice.png", full_page=True)
        with page.expect_download() as download:
            page.locator("#voice-result-download").press("Enter")  # by the keyboard, since the player may still move it
        download.value.save_as(tmp_path / "spoken.wav")
        assert Audio.load(tmp_path / "spoken.wav").duration > 0
        page.close()
    finally:
        server.kill()
        server.stdout.close()
        server.wait()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    logged = [line["step"] for line in lines if "model/loss" in line]
    assert logged == [*range(1, logged[-1] + 1)] and logged[-1] > saved
    assert "Traceback" not in (place / "errors.txt").read_text()


def until(condition, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)
