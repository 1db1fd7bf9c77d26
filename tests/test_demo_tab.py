"""The tab of a task without a browser: what a filled form makes, and what the page shows while it works."""

import gc
import threading
from types import SimpleNamespace

import pytest

from amphion_core import registry
from amphion_core.api import Audio
from amphion_core.demo.jobs import Jobs
from amphion_core.demo.results import Studio
from amphion_core.loaded_tasks import LoadedTasks

gr = pytest.importorskip("gradio", reason='pip install "amphion-core[demo]"')
pytest.importorskip("amphion_vocoders")
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # event loops of Gradio
USER = SimpleNamespace(session_hash="ann")


@pytest.fixture(scope="module")
def tab():
    """The tab for copy synthesis."""
    from amphion_core.demo.tab import Tab

    studio, jobs = Studio(LoadedTasks()), Jobs()
    with gr.Blocks(analytics_enabled=False):
        yield Tab(registry.find("tasks", "vocoder"), studio, jobs, own_places=True)
    jobs.close()
    studio.close()
    gc.collect()  # while the warnings of Gradio's event loops are ignored


@pytest.fixture
def tone(tmp_path):
    import numpy as np

    path = tmp_path / "tone.wav"
    Audio((0.2 * np.sin(np.arange(22050) / 20)).astype(np.float32), 22050).save(path)
    return str(path)


def filled(tab, **values):
    """The values of the form: those that are named, else what the components show at first."""
    given = [values.pop("model", ["vocoder/griffin_lim"])]
    for field in (*tab.request, *tab.config):
        given.append(values.pop(field.name, field.default))
    assert not values
    return [*given, *[""] * len(tab.slots)]


def test_a_result_stands_beside_the_reason_why_another_model_has_none(tab, tone):
    *_, last = tab._generate(USER, *filled(tab, audio=tone, model=["vocoder/griffin_lim", "vocoder/hifigann"]))
    status, first, second = last[0], last[3:9], last[9:15]
    assert "Done: 1 of 2 results." in status
    assert Audio.load(first[2]["value"]).duration == pytest.approx(1, abs=0.02)
    assert first[4]["value"] == "amphion vocode tone.wav --vocoder vocoder/griffin_lim -o result.wav"
    assert second[2]["value"] is None and "hint: did you mean vocoder/hifigan?" in second[1]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "audio: required, and not given"),
        ({"seed": -1}, "seed: input should be greater than or equal to 0, got -1"),
        ({"audio": "no.wav"}, "no.wav cannot be read: there is no such file"),
        ({"mel": "no_preset"}, "mel"),
    ],
)
def test_a_wrong_form_is_one_message(tab, tone, values, said):
    known = values if values == {} or "audio" in values else {"audio": tone, **values}
    *_, last = tab._generate(USER, *filled(tab, **known))
    assert said in last[0] and "error: " in last[0] and "Traceback" not in last[0]


def test_a_cancelled_request_ends_and_another_one_can_begin(tab, tone):
    go = threading.Event()
    tab._jobs.start("ben/vocoder", lambda job: go.wait(60))  # so that the next request waits until it is cancelled
    running = tab._generate(USER, *filled(tab, audio=tone))
    next(running)
    assert "Cancelled" in tab._cancel(USER)[0]
    go.set()
    *_, last = running
    assert "Cancelled" in last[0]
    *_, last = tab._generate(USER, *filled(tab, audio=tone))
    assert "Done" in last[0]


def test_an_optional_number_is_typed_as_text():
    from amphion_core.demo import forms

    (key_shift,) = (
        field
        for field in forms.fields(registry.get("tasks", "svc").Request.model_fields, "svc")
        if field.name == "key_shift"
    )
    assert [key_shift.read(text) for text in ("", "-12", "2.5", "high")] == [None, -12, 2.5, "high"]


def test_a_stored_voice_can_be_chosen_instead_of_a_recording(tmp_path, monkeypatch):
    voices = pytest.importorskip("amphion_tts.voices")
    from amphion_core.demo import forms
    from amphion_core.demo.results import _values

    monkeypatch.setenv(voices.VARIABLE, str(tmp_path))
    request = registry.get("tasks", "tts").Request
    form = [field for field in forms.fields(request.model_fields, "tts") if field.name == "prompt"]
    assert forms.read(form, [None, "anna"]) == {}
    voices.add("anna", Audio([0.1] * 16000, 16000), text="Hello.")
    chosen = forms.read(form, ["/tmp/upload/a.wav", "anna"])
    assert chosen == {"prompt": "anna"} and forms.read(form, ["a.wav", ""]) == {"prompt": "a.wav"}
    heard = registry.get("tasks", "tts").request(text="A.", **_values(request, chosen)).prompt
    assert heard.name == "anna" and heard.text == "Hello."


def test_only_models_that_are_here_can_be_named_by_other_computers():
    from amphion_core.demo import models

    assert "vocoder/griffin_lim" in models.choices("vocoder")
    assert models.architecture("vocoder/hifigan@v1") == "vocoder/hifigan" and models.architecture("/etc") == ""
    assert list(models.controls("vocoder", "vocoder/diffwave")) and not models.controls("vocoder", "/etc")
