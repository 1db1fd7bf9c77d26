"""What the pages of ``amphion visualize`` say: explanations that fit the model, credits, and the ready-made pages."""

import re
from html import escape
from pathlib import Path

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core import weights
from amphion_core.api import Audio
from amphion_core.cli.main import main
from amphion_core.modules.diffusion import Diffusion, sample
from amphion_core.recording import STEP, Recorder, record, report
from amphion_core.visualize import explanations
from amphion_core.visualize.making import Made, add_chapters
from amphion_core.visualize.page import Explanation, Page

ROOT = Path(__file__).parents[1]
READY = sorted((ROOT / "docs/pages").iterdir())
PACKAGE = ROOT / "amphion_core/src/amphion_core/visualize"
LETTERS = (" ", *".,!?'-", *"abcdefghijklmnopqrstuvwxyz")
TITLE = re.compile(r"<h2[^>]*>(.*?)</h2>")


def known_explanations():
    found = [value for value in vars(explanations).values() if isinstance(value, Explanation)]
    return [*found, *explanations.SAMPLING.values()]


@pytest.mark.parametrize("folder", READY, ids=lambda path: path.name)
def test_a_ready_made_page_has_the_script_the_style_and_the_words_of_today(folder):
    for name in ("page.js", "page.css"):
        assert (folder / name).read_bytes() == (PACKAGE / name).read_bytes(), "run docs/make_pages.py"
    html = (folder / "index.html").read_text(encoding="utf-8")
    titles = TITLE.findall(html)
    assert titles
    for title in titles:
        fitting = [one for one in known_explanations() if title.partition(": ")[0] == one.title]
        assert any(
            one.sentences in html and one.equation in html and escape(one.in_words) in html for one in fitting
        ), f"{title}: run docs/make_pages.py"
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 1.5e6
    assert "/tmp" not in html and "/work" not in html


@pytest.mark.parametrize("folder", READY, ids=lambda path: path.name)
def test_a_ready_made_page_is_linked_and_pictured(folder):
    text = (ROOT / "docs/visualize.md").read_text(encoding="utf-8")
    assert f"(pages/{folder.name}/index.html)" in text and f"(pictures/page_{folder.name}.png)" in text
    assert (ROOT / "docs/pictures" / f"page_{folder.name}.png").is_file()


@pytest.mark.parametrize("name", ["tts/valle", "tts/valle_v1"])
def test_a_model_of_codes_is_explained_by_codes_and_shows_them(name, tmp_path):
    kind = amphion.get("models", name)
    fields = kind.example_config().model_dump() | {
        "frontend": {"name": "characters", "symbols": LETTERS, "blank": None}, "vocabulary": None,
    }  # fmt: skip
    torch.manual_seed(0)
    place = weights.save(kind(kind.Config(**fields)), tmp_path / "model")
    noise = np.random.default_rng(0).standard_normal(24000).astype(np.float32)
    prompt = Audio(0.1 * noise, 24000).save(tmp_path / "prompt.wav")
    words = ["--set", f"prompt={prompt}", "--set", "prompt_text=ann", "--set", "controls={longest: 1}"]
    out = tmp_path / "page"
    assert main(["visualize", str(place), "hello.", *words, "--credit", "voice: <Ann>, CC0", "-o", str(out)]) == 0
    html = (out / "index.html").read_text(encoding="utf-8")
    assert TITLE.findall(html) == ["From text to speech, code by code"]
    assert 'class="codes"' in html and "Durations" not in html and "how long it lasts" not in html
    assert "<dt>credit</dt><dd>voice: &lt;Ann&gt;, CC0</dd>" in html


def test_a_voice_without_durations_and_codes_is_not_said_to_have_them(tmp_path):
    with record() as recorder:
        report("text", "hi")
        report("symbols", ["h", "i"])
    page = Page(tmp_path, "A title", [])
    add_chapters(page, object(), [Made("hi", None, Audio(np.zeros(4000, np.float32), 16000), recorder, 0.0)])
    page.finish()
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert explanations.OTHER_SPEECH.sentences in html and "lasts" not in explanations.OTHER_SPEECH.sentences


@pytest.mark.parametrize(
    ("prediction", "method", "says"),
    [("epsilon", "noise", "which part of the picture is noise"), ("v_prediction", "velocity", "the velocity"),
     ("sample", "sample", "guesses the finished picture")],
)  # fmt: skip
def test_the_steps_of_a_sampler_are_explained_by_what_its_network_predicts(prediction, method, says):
    with record() as recorder:
        sample(lambda x, step: x, torch.zeros(1, 4, 8), sampler="ddim", steps=2,
               diffusion=Diffusion(prediction=prediction))  # fmt: skip
    assert [step.details["method"] for step in recorder.all(STEP)] == [method, method]
    assert says in explanations.SAMPLING[method].sentences


def test_each_explanation_is_three_sentences_with_an_equation_in_words():
    for one in known_explanations():
        assert len(re.findall(r"[.!?](?:\s|$)", one.sentences)) == 3, one.title
        assert one.equation and one.in_words.endswith(".") and one.address.startswith("https://")
    assert len({one.sentences for one in known_explanations()}) == len(known_explanations())


def test_conditions_that_differ_in_a_recording_are_labelled_by_its_name(tmp_path):
    from amphion_core.visualize.making import _labelled

    paths = [Audio(np.zeros(100, np.float32), 16000).save(tmp_path / f"{name}.wav") for name in ("ann", "ben")]
    made = [Made("song", None, Audio(np.zeros(1, np.float32), 16000), Recorder(), 0.0) for _ in paths]
    found = _labelled(made, ["song.wav"], {"target": str(paths[0])}, {"target": str(paths[1])})
    assert [one.label for one in found] == ["target ann.wav", "target ben.wav"]
