"""The report page in a real browser, without network and with hostile names, and the tables for papers."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from amphion_core.api import Audio
from amphion_core.colours import colour_map
from amphion_eval import Item, Report, evaluate, plan
from amphion_eval.pages.report import picture, write_page
from amphion_eval.pages.tables import digits, latex, markdown, winners

HOSTILE = "<script>window.broken = 1</script>\"&'"


@pytest.fixture(scope="module")
def report(tmp_path_factory, data_pack):
    """Two systems, one noisier, of three clips; one id and one text are hostile, one file is broken."""
    folder = tmp_path_factory.mktemp("report")
    random = np.random.default_rng(0)
    systems = {"clear": [], "noisy": []}
    for number, path in enumerate(sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[3:6]):
        clip = Audio.load(path)
        for system, level in (("clear", 0.002), ("noisy", 0.05)):
            noise = level * random.standard_normal(len(clip.samples)).astype(np.float32)
            made = Audio(clip.samples + noise, clip.sample_rate).save(folder / f"{system}{number}.wav")
            id = HOSTILE if number == 0 else f"clip{number}"
            systems[system].append(Item(id, made, path, text=HOSTILE))
    (folder / "broken.wav").write_bytes(b"RIFF")
    systems["noisy"].append(Item("broken", folder / "broken.wav", path))
    parts = plan(["stoi", "si_sdr", "f0_rmse", "spr"])
    found = evaluate(systems, parts)
    found.missing = {"clear": ["clip9: no reference"]}
    found.unavailable = {"wer": "no recogniser"}
    return found


@pytest.fixture
def opened(report, browser, tmp_path):
    """The page in a window of any size; collects its network requests and its errors."""
    path = write_page(tmp_path / "report.html", report)
    wrong = []

    def show(**window):
        page = browser.new_page(**window)
        page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        local = ("file:", "data:", "blob:")
        page.on("request", lambda request: None if request.url.startswith(local) else wrong.append(request.url))
        page.goto(path.as_uri())
        return page

    yield show
    assert not wrong


def test_the_page_shows_tables_sounds_and_pictures_without_network(opened, report):
    page = opened(viewport={"width": 1200, "height": 900})
    assert page.locator("#summary tbody tr").count() == 4
    assert page.locator("#summary").inner_text().count("failed") == 4  # the broken file, in each metric
    points = page.locator("svg.chart").first.locator("circle[tabindex]")
    assert points.count() == 6
    audio = page.locator("audio").first
    audio.scroll_into_view_if_needed()
    page.wait_for_function("() => document.querySelector('audio').readyState > 0")
    clip = report.rows[0]["durations"]
    assert any(
        abs(audio.evaluate("audio => audio.duration") - row["durations"]["generated"]) < 0.05
        for row in report.rows
        if "generated" in row["durations"]
    ), clip
    assert page.locator("img").first.evaluate("image => image.naturalHeight") == 80
    assert page.evaluate("window.broken") is None and HOSTILE in page.locator("#files").inner_text()
    assert "clip9: no reference" in page.inner_text("body") and "no recogniser" in page.inner_text("body")
    page.close()


def test_the_buttons_work(opened):
    page = opened()
    overlay = page.locator(".sound svg").first
    assert overlay.is_visible() and overlay.locator("path").first.get_attribute("d").startswith("M")
    page.uncheck("#f0")
    assert not overlay.is_visible()
    page.fill("#find", "clip2")
    assert page.locator("#files tbody tr:visible").count() == 2
    page.fill("#find", "")
    column = page.locator("#files thead button", has_text="stoi")
    column.click()
    cells = [
        float(text)
        for text in page.locator("#files tbody tr td:nth-child(3)").all_inner_texts()
        if text.strip() not in ("", "failed")
    ]
    assert cells == sorted(cells) and len(cells) == 6
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_window_needs_no_sideways_scrolling(opened, scheme):
    page = opened(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 24, 26)"
    assert dark == (scheme == "dark")
    page.close()


def test_tables_for_papers(report):
    text = markdown(report)
    assert text.splitlines()[0].count("|") == 6 and "si_sdr ↑ (dB)" in text
    assert "f0\\_rmse $\\downarrow$ (cents)" in latex(report) and latex(report).count(r" \\") == 3
    assert winners(report, "stoi") == set()  # three files prove nothing


def test_tables_state_the_variants_of_their_metrics():
    about = {"higher_is_better": False, "unit": "%", "variant": "base.en, normalization readings"}
    metrics = {"wer": about, "mcd": about | {"variant": ""}, "wer_none": about | {"variant": "a|b, normalization none"}}
    report = Report(metrics=metrics, summary={"a": {name: {"value": 2.0} for name in metrics}})
    notes = ["", "- wer: base.en, normalization readings", r"- wer_none: a\|b, normalization none"]
    assert markdown(report).splitlines()[3:] == notes
    assert r"{\footnotesize wer: base.en, normalization readings; wer\_none: a|b, normalization none\par}" in latex(
        report
    )
    metrics["wer"] = metrics["wer_none"] = about | {"variant": ""}
    assert len(markdown(report).splitlines()) == 3 and latex(report).endswith("\\end{tabular}\n")


def test_the_best_is_bold_only_when_it_differs():
    values = {"a": {"m": {"value": 2.0}}, "b": {"m": {"value": 1.0}}, "c": {"m": {"value": 0.5}}}
    about = {"m": {"higher_is_better": True, "unit": "", "variant": ""}}
    pair = {"metric": "m", "difference": 1.0}
    report = Report(metrics=about, summary=values)
    report.comparisons = [
        {**pair, "a": "a", "b": "b", "p_corrected": 0.01}, {**pair, "a": "a", "b": "c", "p_corrected": 0.2}
    ]  # fmt: skip
    assert winners(report, "m") == set() and "**" not in markdown(report)
    report.comparisons[1]["p_corrected"] = 0.02
    assert winners(report, "m") == {"a"} and "**2.00**" in markdown(report)


def test_thousands_of_files_make_a_page_that_a_browser_can_show(report, tmp_path):
    """1500 files: the table and the charts show a part and say so; the quartiles are those of all files."""
    from amphion_eval.pages.report import POINTS, ROWS

    row = next(row for row in report.rows if row["system"] == "noisy" and "stoi" in row["scores"])
    rows = [{**row, "id": f"{n:04}", "scores": {"stoi": n / 1500}} for n in range(1500)]
    large = Report(metrics={"stoi": report.metrics["stoi"]}, rows=rows, summary={"noisy": report.summary["noisy"]})
    large.about = report.about
    text = write_page(tmp_path / "large.html", large).read_text(encoding="utf-8")
    assert text.count("<tr><td>") == ROWS and text.count('tabindex="0"') == POINTS
    assert "the first 1000 of 1500" in text and "<title>0000: 0</title>" in text and "<title>1499: 0.999" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.012345, "0.0123"), (1.5, "1.50"), (12.345, "12.3"), (123.4, "123"), (0.0, "0"), (-0.5, "-0.500")],
)
def test_three_digits(value, text):
    assert digits(value) == text


def test_spectrograms_have_the_colours_of_the_core():
    """A tone at 3 kHz: the lowest rows have the darkest colour, and the loudest bin has the lightest."""
    times = np.arange(22050) / 22050
    shown = picture(Audio((0.3 * np.sin(2 * np.pi * 3000 * times)).astype(np.float32), 22050))
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown["png"]))))
    dark, light = colour_map(np.array([0.0, 1.0]))
    assert (pixels[-3:, 5:-5] == dark).all() and (pixels == light).all(-1).any()
    assert pixels.shape[0] == 80
