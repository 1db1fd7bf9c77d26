"""``amphion visualize``: each kind of page is made from a tiny network and opened in a browser without a network."""

import json
import re

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core import weights
from amphion_core.api import Audio, MelConfig
from amphion_core.cli.main import main
from amphion_core.visualize.page import MARK

LETTERS = (" ", *".,!?'-", *"abcdefghijklmnopqrstuvwxyz")


@pytest.fixture
def opened(browser):
    """Opens the page in a folder, in a window of any size; errors and network requests fail the test."""
    wrong = []

    def show(folder, **window):
        page = browser.new_page(**window)
        page.set_default_timeout(120_000)  # milliseconds; a busy machine is no fault of the page
        page.on("console", lambda line: wrong.append(line.text) if line.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        stopped = "net::ERR_ABORTED"  # the page was closed, or a player got another sound, while one was loading
        page.on("requestfailed", lambda one: None if one.failure == stopped else wrong.append(f"failed {one.url}"))
        local = ("file:", "data:")
        page.on("request", lambda request: None if request.url.startswith(local) else wrong.append(request.url))
        page.goto((folder / "index.html").as_uri())
        return page

    yield show
    assert not wrong


def data_of(folder):
    text = (folder / "data.js").read_text(encoding="utf-8")
    return json.loads(text.removeprefix(MARK).rstrip(";\n"))


PARTS = """() => {
    const names = one => one.getAttribute("aria-label") || one.innerText || one.labels?.length;
    const chapter = one => ({
        sentences: one.querySelector(".explanation p").innerText,
        equation: one.querySelector(".equation").getAttribute("aria-label"),
        paper: one.querySelector(".paper a").getAttribute("href"),
    });
    const all = (selector, of) => [...document.querySelectorAll(selector)].map(of);
    return {
        images: all("img", one => Boolean(one.alt && one.complete && one.naturalWidth > 0)),
        unnamed: all("audio, svg, input, button", one => names(one) ? "" : one.outerHTML.slice(0, 200)).filter(Boolean),
        chapters: all(".chapter", chapter),
    };
}"""


def check_common(page):
    """What every page has: labels for screen readers, an explanation, keyboard focus, no sideways scrolling."""
    page.wait_for_function("() => [...document.images].every(one => one.complete)")
    found = page.evaluate(PARTS)  # all at once: a question to the browser takes milliseconds
    assert all(found["images"]) and not found["unnamed"]
    for chapter in found["chapters"]:
        assert len(re.findall(r"[.!?](?:\s|$)", chapter["sentences"])) == 3
        assert chapter["equation"] and chapter["paper"].startswith("https://")
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1200, "height": 900})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("visualize")


@pytest.fixture(scope="module")
def fastspeech2(folder):
    """A tiny voice whose symbols last about three frames."""
    kind = amphion.get("models", "tts/fastspeech2")
    torch.manual_seed(0)
    config = kind.example_config().replace(
        vocabulary=None, frontend={"name": "characters", "symbols": LETTERS, "blank": None}, n_speakers=1, speakers=()
    )
    net = kind(config)
    net.variance_adaptor.duration_predictor.linear_layer.bias.data.fill_(1.6)
    return weights.save(net, folder / "fastspeech2")


@pytest.fixture(scope="module")
def vits(folder):
    kind = amphion.get("models", "tts/vits")
    fields = kind.example_config().model_dump(mode="json")
    fields |= {
        "frontend": {"name": "characters", "symbols": LETTERS, "blank": None},
        "vocabulary": None,
        "n_speakers": 1,
    }
    torch.manual_seed(0)
    return weights.save(kind(kind.Config(**fields)), folder / "vits")


@pytest.fixture(scope="module")
def song(folder):
    """Two seconds of a voice-like sound whose F0 rises from 180 to 260 Hz, with a pause."""
    rate = 24000
    times = np.arange(2 * rate) / rate
    phase = 2 * np.pi * np.cumsum(180 + 40 * times) / rate
    wave = sum(np.sin(k * phase) / k for k in range(1, 20)) * 0.1 * ((times < 0.9) | (times > 1.1))
    return Audio(wave.astype(np.float32), rate).save(folder / "song.wav")


def test_text_becomes_speech_step_by_step(fastspeech2, opened, tmp_path):
    out = tmp_path / "page"
    assert (
        main(["visualize", str(fastspeech2), "Good morning.", "--vocoder", "vocoder/griffin_lim", "-o", str(out)]) == 0
    )
    data = data_of(out)["speech"][0]
    assert len(data["symbols"]) == len("good morning.") == len(data["durations"])
    page = opened(out)
    titles = page.locator(".numbered h3").all_inner_texts()
    assert titles == ["The text", "Symbols for sounds", "Durations and alignment", "Pitch and energy",
                      "Mel spectrogram", "Wave"]  # fmt: skip
    assert page.locator(".numbered audio").count() == 4
    buttons = page.locator(".times button")
    assert buttons.count() == sum(count > 0 for count in data["durations"])
    third = buttons.nth(2)
    third.focus()
    page.keyboard.press("Enter")
    assert "on" in third.get_attribute("class")
    start = float(third.get_attribute("data-start"))
    page.wait_for_function("start => document.querySelector('.timeline audio').currentTime >= start", arg=start)
    assert page.locator("table tbody tr").count() == 4  # two heads in the encoder, two in the decoder
    check_common(page)
    page.close()


def test_a_model_of_waves_shows_its_latents(vits, opened, tmp_path):
    assert main(["visualize", str(vits), "Hello.", "-o", str(tmp_path / "page")]) == 0
    page = opened(tmp_path / "page")
    titles = page.locator(".numbered h3").all_inner_texts()
    assert titles == ["The text", "Symbols for sounds", "Durations and alignment", "Latents from the text",
                      "Latents after the flow", "Wave"]  # fmt: skip
    check_common(page)
    page.close()


def test_a_recording_is_aligned_with_its_text(fastspeech2, song, opened, tmp_path):
    words = ["visualize", str(fastspeech2), str(song), "--vocoder", "vocoder/griffin_lim", "-o", str(tmp_path / "page")]
    assert main([*words, "--set", "text=ah oh"]) == 0
    scores = data_of(tmp_path / "page")["alignment"]
    assert 0 < scores["diagonality"] <= 1 and 0 < scores["focus"] <= 1
    page = opened(tmp_path / "page")
    assert f"diagonality {scores['diagonality']:.2f}" in page.locator(".card", has_text="Soft alignment").inner_text()
    check_common(page)
    page.close()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tts/nothing@here", "Hello."], "nothing"),
        (["VOICE", ""], "nothing to say"),
        (["VOICE", "x" * 5000, "--set", "pause=-1"], "pause: input should be greater than or equal to 0"),
        (["VOICE", "Hello.", "--set", "speeed=2"], "speeed: no such field"),
        (["VOICE", "Hello.", "--set", "speed"], "'speed' is not NAME=VALUE"),
        (["VOICE", "SONG"], "a recording is aligned with its text, and none is given"),
        (["VOICE", "One.", "Two.", "Three."], "a page compares two conditions"),
        (["VOICE"], "metrics.jsonl"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_no_folder(fastspeech2, song, words, message, tmp_path, capsys):
    given = [{"VOICE": str(fastspeech2), "SONG": str(song)}.get(word, word) for word in words]
    extra = [] if len(words) == 1 or words[0] != "VOICE" else ["--vocoder", "vocoder/griffin_lim"]
    assert main(["visualize", *given, *extra, "-o", str(tmp_path / "page")]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_a_folder_with_other_files_is_kept_and_an_earlier_page_is_replaced(fastspeech2, tmp_path, capsys):
    words = ["visualize", str(fastspeech2), "Hello.", "--vocoder", "vocoder/griffin_lim", "-o"]
    other, out = tmp_path / "other", tmp_path / "page"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    assert main([*words, str(other)]) == 2
    assert "holds other files than a page" in capsys.readouterr().err and (other / "thesis.txt").read_text() == "mine"
    assert main([*words, str(out)]) == 0
    (out / "pictures" / "old.png").write_bytes(b"")
    assert main([*words, str(out)]) == 0
    assert not (out / "pictures" / "old.png").exists() and len(list(tmp_path.iterdir())) == 2
    (out / "notes.txt").write_text("mine")
    assert main([*words, str(out)]) == 2 and (out / "notes.txt").read_text() == "mine"


def test_the_files_of_a_page_stay_in_its_folder_whatever_their_stages_are_called(tmp_path):
    from amphion_core.visualize.page import Page

    page = Page(tmp_path, "A title", [])
    names = ["../../out", "layer/1?#", "A", "a", "\N{GREEK SMALL LETTER ALPHA}", "x" * 300]
    found = [page.picture_file(name, b"") for name in names]
    assert found[:5] == [f"pictures/{name}.png" for name in ("out", "layer-1", "A", "a-2", "part")]
    assert sorted(f"pictures/{path.name}" for path in tmp_path.rglob("*.png")) == sorted(found)


def test_what_a_page_calls_its_input_is_a_name_and_no_path(tmp_path, monkeypatch):
    from amphion_core.visualize.page import short_name

    (tmp_path / "voice" / "inside").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "voice" / "inside")
    assert [short_name(place) for place in (str(tmp_path / "voice"), "..", ".")] == ["voice", "voice", "inside"]
    for text in ("", "Good morning. " * 30, "tts/fastspeech2@kathleen"):  # 420 letters: too long for a file's name
        assert short_name(text) == text


def test_the_diagonality_tells_a_diagonal_from_a_flat_and_a_reversed_alignment():
    from amphion_core.visualize.attention import diagonality, focus

    diagonal = np.repeat(np.eye(10), 5, 0)
    flat = np.full((50, 10), 0.1)
    assert diagonality(diagonal) > 0.98 > 0.6 > diagonality(flat) > diagonality(diagonal[::-1])
    assert focus(diagonal) == 1 and focus(flat) == pytest.approx(0.1)


def test_pictures_are_png_files_that_others_can_read():
    import io

    from PIL import Image

    from amphion_core.visualize.pictures import difference_png, spectrum_png

    values = np.array([[0.0, 1.0, 0.5], [1.0, np.nan, 0.0]])
    found = np.asarray(Image.open(io.BytesIO(spectrum_png(values))).convert("RGB"))
    assert found.shape == (2, 3, 3)
    assert tuple(found[1, 0]) == (13, 8, 70) and tuple(found[1, 1]) == (250, 250, 165)  # row 0 is at the bottom
    away = np.asarray(Image.open(io.BytesIO(difference_png(np.array([[-2.0, 0.0, 2.0]]), 2.0))).convert("RGB")).astype(
        int
    )
    assert away[0, 0, 2] > away[0, 0, 0] and away[0, 1].min() > 250 and away[0, 2, 0] > away[0, 2, 2]


def test_a_mel_convention_is_not_needed_for_a_hum():
    from amphion_core.visualize.sounds import hum

    tone = hum(np.array([0.0] * 50 + [200.0] * 50), None, 256, MelConfig.preset("hifigan_22k_80").sample_rate)
    assert abs(tone.samples[: 40 * 256]).max() < 1e-6 < abs(tone.samples[60 * 256 :]).max()
    spectrum = abs(np.fft.rfft(tone.samples[60 * 256 :]))
    assert spectrum.argmax() * tone.sample_rate / len(tone.samples[60 * 256 :]) == pytest.approx(200, abs=3)


def test_a_run_shows_its_curves_and_the_samples_of_each_validation(opened, tmp_path):
    run, rate = tmp_path / "run", 16000
    for step in (100, 200, 300):
        (run / "samples" / f"step-{step}").mkdir(parents=True)
        tone = 0.3 * np.sin(np.arange(rate) * 2 * np.pi * step / rate)
        Audio(tone.astype(np.float32), rate).save(run / "samples" / f"step-{step}" / "clip_1.wav")
    lines = [{"step": step, "model/loss": 3.0 / step, "model/lr": 1e-3} for step in range(1, 301)]
    lines += [{"step": step, "dev/loss": 4.0 / step} for step in (100, 200, 300)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["visualize", str(run), "-o", str(tmp_path / "page")]) == 0
    page = opened(tmp_path / "page")
    slider, output = page.locator("input[type=range]"), page.locator("output")
    assert output.inner_text() == "step 300" and page.locator("svg.chart").count() == 2
    assert page.locator("svg.chart").first.get_attribute("aria-label").startswith("loss. model/loss, smoothed:")
    marker = page.locator(".marker").first
    before = float(marker.get_attribute("x1"))
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert output.inner_text() == "step 200" and float(marker.get_attribute("x1")) < before
    assert page.locator("img.frame").get_attribute("alt") == "clip 1, step 200"
    assert page.locator("audio.frame").get_attribute("src") == "sounds/clip_1-200.flac"
    page.keyboard.press("Home")
    page.locator("button.film").click()
    assert page.locator("button.film").inner_text() == "Stop"
    page.wait_for_function("() => document.querySelector('output').textContent === 'step 300'")
    check_common(page)
    page.close()


@pytest.fixture(scope="module")
def converter(folder):
    """A tiny diffusion model that converts, with two singers."""
    kind = amphion.get("models", "svc/diffwavenet")
    torch.manual_seed(0)
    return weights.save(kind(kind.example_config().replace(speakers=("ann", "ben"))), folder / "converter")


@pytest.fixture(scope="module")
def conversion(converter, song, folder):
    """A page about the song by two singers, made once for several tests."""
    words = [
        "visualize",
        str(converter),
        str(song),
        "--vocoder",
        "vocoder/griffin_lim",
        "-o",
        str(folder / "conversion"),
    ]
    fields = ["--set", "singer=ann", "--set", "controls={steps: 4}", "--compare", "singer=ben"]
    assert main([*words, *fields]) == 0
    return folder / "conversion"


def test_a_diffusion_model_shows_its_steps_for_two_conditions(conversion, opened):
    steps = data_of(conversion)["steps"]
    assert steps["condition"] == ["singer ann", "singer ben"] and steps["number"][0] == [1, 2, 3, 4]
    assert steps["noise"][0] == sorted(steps["noise"][0], reverse=True)
    assert steps["metrics"]["mcd"][0][-1] == 0 < steps["metrics"]["mcd"][0][0]
    page = opened(conversion)
    strip = page.locator(".strip")
    assert strip.locator("img.frame").count() == strip.locator("audio.frame").count() == 2
    slider, marker = strip.locator("input"), strip.locator(".marker").first
    before = marker.get_attribute("x1")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert strip.locator("output").inner_text() == "step 3 of 4" and marker.get_attribute("x1") != before
    assert [one.get_attribute("src") for one in strip.locator("img.frame").all()] == [
        "pictures/step-3.png", "pictures/step-3-second.png",
    ]  # fmt: skip
    check_common(page)
    page.close()


def test_a_conversion_shows_both_melodies_and_shades_the_errors(conversion, opened):
    first = data_of(conversion)["singing"][0]
    assert first["label"] == "singer ann" and 0 <= first["voicing_errors"] <= 1
    page = opened(conversion)
    chapter = page.locator(".chapter").first
    assert [*chapter.locator("h3").all_inner_texts()] == ["Listen", "Melody", "Energy"]
    titles = page.locator("h2").all_inner_texts()
    assert [title.partition(": ")[2] for title in titles] == ["singer ann", "singer ben", ""]
    label = chapter.locator("svg.chart").first.get_attribute("aria-label")
    assert "song, in the new key: " in label and chapter.locator("svg rect").count() > 0
    page.close()


def test_errors_of_a_melody_are_found_where_they_are():
    from amphion_core.visualize.singing import pitch_errors, spans

    melody = np.array([0.0, 200.0, 200.0, 200.0, 0.0])
    found = np.array([0.0, 200.0, 400.0, 0.0, 150.0])
    errors = pitch_errors(melody, found)
    np.testing.assert_allclose(errors, [0, 0, 12, 0, 0], atol=1e-9)
    assert spans(abs(errors) > 0.5, 0.01) == [(0.02, 0.03)]
    assert spans((melody > 0) != (found > 0), 1.0) == [(3.0, 5.0)]


def test_one_mel_through_two_vocoders(folder, song, opened, tmp_path):
    kind = amphion.get("models", "vocoder/hifigan")
    sizes = {"channels": 16, "resblock_kernels": (3,), "resblock_dilations": ((1,),)}
    torch.manual_seed(0)
    place = weights.save(kind(kind.Config(mel=MelConfig.preset("hifigan_22k_80"), **sizes)), folder / "hifigan")
    assert main(["visualize", str(place), str(song), "-o", str(tmp_path / "page")]) == 0
    rows = data_of(tmp_path / "page")["vocoders"]
    assert str(folder) not in (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert [row["name"] for row in rows] == ["hifigan", "vocoder/griffin_lim"]
    assert rows[1]["difference_db"] < rows[0]["difference_db"]  # the network is not trained
    page = opened(tmp_path / "page")
    assert page.locator("img").count() == 8 and page.locator("audio").count() == 6
    assert page.locator("table tbody tr").count() == 2
    check_common(page)
    page.close()


def test_what_is_below_a_rising_tone_is_measured():
    from amphion_core.visualize.vocoders import energy_below, sweep

    mel = MelConfig.preset("hifigan_22k_80")
    tone, track = sweep(mel)
    mirrored = 0.3 * np.sin(2 * np.pi * np.cumsum(track[-1] * 0.5 - track * 0.4) / mel.sample_rate)
    dirty = Audio(tone.samples + 0.1 * mirrored.astype(np.float32), mel.sample_rate)
    assert energy_below(tone, track) < -50 < -35 < energy_below(dirty, track) < -15  # the alias is 20 dB below the tone


def test_levels_of_a_codec_are_switched_on_and_off(folder, song, opened, tmp_path):
    kind = amphion.get("models", "codec/encodec")
    torch.manual_seed(0)
    place = weights.save(kind(kind.example_config()), folder / "codec")
    net = amphion.load(place)
    assert main(["visualize", str(place), str(song), "-o", str(tmp_path / "page")]) == 0
    states = data_of(tmp_path / "page")["switches"]["levels"]
    count = min(4, net.n_codebooks)
    assert len(states) == 2**count - 1
    page = opened(tmp_path / "page")
    boxes, image, output = page.locator("fieldset input"), page.locator("img.frame"), page.locator("output")
    assert image.get_attribute("src") == f"pictures/levels-{'1' * count}.png"
    boxes.first.focus()
    page.keyboard.press("Space")
    off = "0" + "1" * (count - 1)
    assert image.get_attribute("src") == states[off]["image"] and output.inner_text() == states[off]["label"]
    for box in boxes.all()[1:]:
        box.uncheck()
    assert "nothing is left" in output.inner_text() and image.is_hidden()
    boxes.first.check()
    check_common(page)
    page.close()


def test_all_levels_of_a_codec_together_are_its_roundtrip():
    from amphion_core.visualize.codec import _sums, groups_of

    kind = amphion.get("models", "codec/encodec")
    torch.manual_seed(0)
    net = kind(kind.example_config()).for_inference()
    codes = net.encode(torch.randn(1, 1, 40 * net.hop_length, generator=torch.Generator().manual_seed(0)))
    sums = _sums(net, codes)
    torch.testing.assert_close(net.decode_latents(sums[-1]), net.decode(codes))
    for levels in range(1, 40):
        groups = groups_of(levels)
        assert [level for group in groups for level in group] == [*range(levels)] and len(groups) <= 4
