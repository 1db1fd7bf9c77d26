"""amphion demo in Chromium: every task's tab is filled in and run, and errors are those of the command line."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core import weights
from amphion_core.api import Audio
from amphion_core.cli.main import main

SKETCH = Path(__file__).with_name("plugin_amphion_sketch")
PATIENCE = 240_000  # milliseconds after which something counts as stuck
CODEC = {"sample_rate": 8000, "filters": 2, "dim": 4, "strides": (8, 5), "codebooks": 3, "codebook_size": 16}


def install(site: Path) -> None:
    """The plugin of others as an installed distribution in the folder ``site``."""
    shutil.copytree(SKETCH / "src", site)
    about = tomllib.loads((SKETCH / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = site / f"amphion_sketch-{about['version']}.dist-info"
    info.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {about['name']}", f"Version: {about['version']}"]
    lines += [f"Requires-Dist: {each}" for each in about["dependencies"]]
    (info / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
    groups = [
        "\n".join([f"[{group}]", *(f"{name} = {target}" for name, target in names.items())])
        for group, names in about["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n\n".join(groups) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The folder in which the server runs: a recording, and weights of small models."""
    folder = tmp_path_factory.mktemp("demo")
    times = np.arange(24000) / 16000
    voice = sum(np.sin(2 * np.pi * 140 * k * times) / k for k in range(1, 20)) * 0.1
    Audio(voice.astype(np.float32), 16000).save(folder / "voice.wav")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        codec = amphion.build("codec/encodec", **CODEC)
        for book in codec.quantizer.layers:
            book.embed.normal_()
        weights.save(codec, folder / "codec")
        for name in ("tta/picoaudio", "tts/valle"):
            model = amphion.get("models", name)
            weights.save(model(model.example_config()), folder / name.partition("/")[2])
    return folder


@pytest.fixture(scope="module")
def address(place, tmp_path_factory):
    """Where the page of the running command is: the last line of the command."""
    pytest.importorskip("gradio", reason='pip install "amphion-core[demo]"')
    install(site := tmp_path_factory.mktemp("site") / "packages")
    known = {"PYTHONPATH": str(site), "AMPHION_DATA": str(place / "data")}
    command = [sys.executable, "-m", "amphion_core", "demo", "--port", "0", "--queue", "2"]
    with (place / "errors.txt").open("w") as errors:
        server = subprocess.Popen(
            command, cwd=place, env={**os.environ, **known}, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        with server:
            yield server.stdout.readline().strip()
            server.terminate()
    assert "Traceback" not in (place / "errors.txt").read_text()


@pytest.fixture(scope="module")
def page(browser, address):
    """The opened page. At the end, nothing may have gone wrong in it, and nothing been fetched from elsewhere."""
    wrong = []
    page = browser.new_page(viewport={"width": 1280, "height": 1000}, accept_downloads=True)
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    ours = (address, f"blob:{address}", "data:")
    page.on("request", lambda request: None if request.url.startswith(ours) else wrong.append(request.url))
    page.goto(address)
    yield page
    assert not wrong


def settle(page):
    """Wait until the page stands still: it builds the fields of an opened part first, and then gives them values."""
    page.evaluate(
        """() => new Promise(done => {
            let quiet = setTimeout(done, 300);
            new MutationObserver(() => { clearTimeout(quiet); quiet = setTimeout(done, 300); })
                .observe(document.body, {subtree: true, childList: true, attributes: true});
        })"""
    )


def open_tab(page, title):
    page.get_by_role("tab", name=title, exact=True).click()
    settle(page)


def unfold(page, title):
    page.get_by_text(title).locator("visible=true").click()
    settle(page)


def choose(page, task, *models):
    """Replace the chosen models, unless they are these. The page then builds the controls of the model anew."""
    box, tokens = page.locator(f"#{task}-model input"), page.locator(f"#{task}-model .token")
    if [name.strip() for name in tokens.all_inner_texts()] == [*models]:
        return
    for _ in tokens.all():
        box.focus()
        page.keyboard.press("Backspace")
    for model in models:
        box.fill(model)
        page.keyboard.press("Enter")
    page.keyboard.press("Escape")


def generate(page, task):
    """Press the button, and wait for the end; what the page then says."""
    button = f"#{task}-run"
    page.evaluate(
        """id => {
            const button = document.querySelector(id);
            window.started = false;
            new MutationObserver(() => { window.started ||= button.disabled; }).observe(button, {attributes: true});
        }""",
        button,
    )
    page.locator(button).click()
    page.wait_for_function("id => window.started && !document.querySelector(id).disabled", arg=button)
    ended = "id => /Done|error:|Cancelled/.test(document.querySelector(id).innerText)"  # may come after the button
    page.wait_for_function(ended, arg=f"#{task}-status")
    return page.locator(f"#{task}-status").inner_text().strip()


def result(page, task, folder, index=0):
    """(audio, command, Python lines) of one result."""
    place = page.locator(f"#{task}-result-{index}")
    with page.expect_download() as download:
        place.locator(f"#{task}-result-{index}-download").press("Enter")  # the player above may still move it
    download.value.save_as(file := folder / f"{task}-{index}.wav")
    shown = [each.inner_text() for each in place.locator(".cm-content").all()]
    command = next((text for text in shown if text.startswith("amphion ")), "")
    python = next(text for text in shown if text.startswith("import "))
    return Audio.load(file), command, python


def picture(page, name):
    """Keep a picture of the page where the variable AMPHION_PICTURES names a folder."""
    if folder := os.environ.get("AMPHION_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def same_by_command(command, place, tmp_path, monkeypatch):
    """The audio that the command line makes which the page shows."""
    monkeypatch.chdir(place)
    words = shlex.split(command)[1:]
    words[words.index("result.wav")] = str(tmp_path / "again.wav")
    assert main(words) == 0
    return Audio.load(tmp_path / "again.wav")


def same_by_python(lines, place, tmp_path, monkeypatch):
    monkeypatch.chdir(place)
    exec(lines.replace("\xa0", " ").replace("result.wav", str(tmp_path / "python.wav")), {})
    return Audio.load(tmp_path / "python.wav")


def test_a_sentence_is_spoken_and_the_shown_lines_speak_the_same(page, place, tmp_path, monkeypatch):
    pytest.importorskip("amphion_voice_kathleen")
    open_tab(page, "Text to speech")
    page.get_by_role("textbox", name=re.compile("^Text ")).fill("Hello there. It's a -1 degree day.")
    choose(page, "tts", "tts/fastspeech2@kathleen")
    assert generate(page, "tts") == "Done."
    audio, command, _ = result(page, "tts", tmp_path)
    picture(page, "tts")
    assert audio.duration > 1 and "--model tts/fastspeech2@kathleen" in command
    again = same_by_command(command, place, tmp_path, monkeypatch)
    assert np.array_equal(audio.samples, again.samples)


def test_a_request_is_cancelled(page):
    open_tab(page, "Text to speech")
    choose(page, "tts", "tts/fastspeech2@kathleen")
    page.get_by_role("textbox", name=re.compile("^Text ")).fill("A sentence follows the other. " * 200)
    page.locator("#tts-run").click()
    page.locator("#tts-status").get_by_text(re.compile("generating: .* of 200 pieces")).wait_for()
    picture(page, "progress")
    page.locator("#tts-cancel").click()
    page.locator("#tts-status").get_by_text("Cancelled.").wait_for()
    page.get_by_role("textbox", name=re.compile("^Text ")).fill("Another one.")
    assert generate(page, "tts") == "Done."


def test_a_model_has_its_own_controls(page):
    open_tab(page, "Text to speech")
    choose(page, "tts", "tts/fastspeech2@kathleen")
    unfold(page, "Controls of the model")
    page.get_by_role("textbox", name=re.compile("^Length scale")).fill("99")
    assert "length_scale" in generate(page, "tts")
    picture(page, "controls")
    page.get_by_role("textbox", name=re.compile("^Length scale")).fill("")


def test_a_wrong_request_is_the_sentence_of_the_command_line(page, place, tmp_path, monkeypatch, capsys):
    open_tab(page, "Text to speech")
    choose(page, "tts", "tts/fastspeech2@kathleen")
    page.get_by_role("textbox", name=re.compile("^Text ")).fill("Hello.")
    page.get_by_role("textbox", name=re.compile("^Speaker")).fill("nobody")
    said = generate(page, "tts")
    picture(page, "error")
    page.get_by_role("textbox", name=re.compile("^Speaker")).fill("")
    words = ["tts", "Hello.", "--model", "tts/fastspeech2@kathleen", "--speaker", "nobody"]
    assert main([*words, "-o", str(tmp_path / "x.wav")]) == 2
    assert said.split() == capsys.readouterr().err.split()


def test_a_voice_of_a_recorded_prompt(page, place, tmp_path):
    open_tab(page, "Text to speech")
    choose(page, "tts", str(place / "valle"))
    page.locator("#tts-prompt input[type=file]").set_input_files(place / "voice.wav")
    page.locator("#tts-prompt").get_by_text("voice.wav").or_(page.locator("#tts-prompt #waveform")).first.wait_for()
    page.get_by_role("textbox", name=re.compile("^Text ")).fill("a")
    page.get_by_role("textbox", name=re.compile("^Prompt text")).fill("ab")
    assert generate(page, "tts") == "Done."
    audio, command, _ = result(page, "tts", tmp_path)
    picture(page, "prompt")
    assert "--prompt voice.wav --prompt-text ab" in command and audio.duration > 0


def test_a_song_gets_the_voice_of_a_recording(page, place, tmp_path, monkeypatch):
    open_tab(page, "Voice conversion")
    for name in ("audio", "target"):
        page.locator(f"#svc-{name} input[type=file]").set_input_files(place / "voice.wav")
        page.locator(f"#svc-{name} #waveform").wait_for()
    choose(page, "svc", "svc/world")
    assert generate(page, "svc") == "Done."
    audio, command, _ = result(page, "svc", tmp_path)
    picture(page, "svc")
    assert command == "amphion svc voice.wav --singer voice.wav --model svc/world -o result.wav"
    assert np.array_equal(same_by_command(command, place, tmp_path, monkeypatch).samples, audio.samples)


def test_a_caption_becomes_a_sound(page, place, tmp_path, monkeypatch):
    open_tab(page, "Text to audio")
    page.get_by_role("textbox", name=re.compile("^Caption")).fill("hello at 0-0.1 and fine at 0.1-0.2")
    choose(page, "tta", str(place / "picoaudio"))
    page.locator("#tta-seconds input[type=number]").fill("1")
    page.locator("#tta-seconds input[type=number]").blur()
    assert generate(page, "tta") == "Done."
    audio, command, python = result(page, "tta", tmp_path)
    picture(page, "tta")
    assert audio.duration == pytest.approx(1, abs=0.05) and "--seconds 1" in command
    assert np.array_equal(same_by_command(command, place, tmp_path, monkeypatch).samples, audio.samples)
    assert np.array_equal(same_by_python(python, place, tmp_path, monkeypatch).samples, audio.samples)


def test_two_vocoders_stand_side_by_side(page, place, tmp_path, monkeypatch):
    open_tab(page, "Copy synthesis")
    page.locator("#vocoder-audio input[type=file]").set_input_files(place / "voice.wav")
    page.locator("#vocoder-audio #waveform").wait_for()
    choose(page, "vocoder", "vocoder/griffin_lim", "vocoder/hifigan@kathleen")
    assert generate(page, "vocoder") == "Done: 2 of 2 results."
    found = [result(page, "vocoder", tmp_path, index) for index in range(2)]
    picture(page, "vocoder")
    for audio, command, _ in found:
        assert np.array_equal(same_by_command(command, place, tmp_path, monkeypatch).samples, audio.samples)
    assert not np.array_equal(found[0][0].samples, found[1][0].samples)
    boxes = [page.locator(f"#vocoder-result-{index}").bounding_box() for index in range(2)]
    assert boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] < boxes[1]["x"]


def test_a_recording_passes_a_codec(page, place, tmp_path, monkeypatch):
    open_tab(page, "Neural coding")
    choose(page, "codec", str(place / "codec"))
    box = page.locator("#codec-audio")
    box.get_by_role("button", name="Record audio").click()
    box.get_by_role("button", name="Record", exact=True).wait_for()
    box.get_by_role("button", name="Upload file").click()
    box.locator("input[type=file]").set_input_files(place / "voice.wav")
    box.locator("#waveform").wait_for()
    assert generate(page, "codec") == "Done."
    audio, command, _ = result(page, "codec", tmp_path)
    picture(page, "codec")
    assert command == f"amphion codec roundtrip voice.wav --codec {place}/codec -o result.wav"
    assert np.array_equal(same_by_command(command, place, tmp_path, monkeypatch).samples, audio.samples)


def test_the_task_of_a_plugin_of_others_has_a_tab(page, tmp_path):
    open_tab(page, "Tones")
    page.get_by_role("textbox", name=re.compile("^Notes")).fill("cde")
    unfold(page, "More options")
    page.get_by_role("textbox", name=re.compile("^Repeats")).fill("2\n1")
    page.get_by_role("checkbox", name=re.compile("^Loud")).check()
    assert generate(page, "sketch_tones") == "Done."
    audio, command, python = result(page, "sketch_tones", tmp_path)
    picture(page, "tones")
    assert audio.duration == pytest.approx(0.8) and audio.peak == pytest.approx(1, abs=0.01)
    assert not command and "notes='cde'" in python
    page.get_by_role("textbox", name=re.compile("^Notes")).fill("xyz")
    assert generate(page, "sketch_tones") == "error: 'x' is no note\nhint: use the letters a b c d e f g"


def test_pages_of_other_sites_are_refused(address):
    for headers in ({"host": "example.org"}, {"origin": "https://example.org"}, {"origin": "null"}):
        answer = httpx.post(f"{address}/gradio_api/upload", headers=headers, files={"files": ("a.txt", b"a")})
        assert answer.status_code == 403 and "hint: " in answer.text
    assert httpx.get(address, headers={"origin": address}).status_code == 200


def test_a_port_in_use_is_an_error_with_the_next_command(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["demo", "--port", str(port)]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"hint: amphion demo --port {port + 1}"


def test_every_field_has_a_name_for_screen_readers(page):
    for tab in page.get_by_role("tab").all():
        tab.click()
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("input, textarea, select, button, progress")]
                .filter(each => each.offsetParent && each.type !== "file")
                .filter(each => !(each.labels?.length || each.innerText?.trim() || each.ariaLabel || each.title
                                  || each.getAttribute("aria-labelledby")))
                .map(each => each.outerHTML.slice(0, 200))"""
        )
        assert not nameless
