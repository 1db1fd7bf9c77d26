"""A listening test from folders to table: the page in a real browser, used by keyboard only, and its answers."""

import json
import shutil

import numpy as np
import pytest

from amphion_core.api import Audio
from amphion_core.cli.main import main
from amphion_core.errors import DataError
from amphion_eval.pages.listening import make_page
from amphion_eval.pages.opinions import read_answers


@pytest.fixture
def folders(tmp_path):
    """Two systems and recordings: tones of half a second with different levels; one clip is not in all folders."""
    times = np.arange(8000) / 16000
    for system, level in (("alpha", 0.3), ("beta", 0.03), ("rec", 0.1)):
        (tmp_path / system).mkdir()
        for number in range(3):
            wave = level * np.sin(2 * np.pi * (300 + 50 * number) * times).astype(np.float32)
            Audio(wave, 16000).save(tmp_path / system / f"clip{number}.wav")
    shutil.copy(tmp_path / "alpha/clip0.wav", tmp_path / "alpha/extra.wav")
    return tmp_path


def make(folders, *words, code=1):
    page = folders / "test.html"
    assert main(["eval", "listen", str(folders / "alpha"), str(folders / "beta"), *words, "-o", str(page)]) == code
    return page, json.loads((folders / "test.key.json").read_text())


def hand_in(folders, key, opinions, names=("ann", "bob")):
    """Files of listeners who rate each system as ``opinions`` say."""
    paths = []
    for name in names:
        answers = {trial: str(opinions(about)) for trial, about in key["trials"].items()}
        paths.append(folders / f"{name}.json")
        paths[-1].write_text(json.dumps({"page": key["page"], "listener": name, "answers": answers}))
    return [str(path) for path in paths]


def test_the_page_does_not_contain_the_names_of_systems(folders, capsys):
    page, key = make(folders, "--ref", str(folders / "rec"))
    output = capsys.readouterr()
    assert "extra: not in all folders" in output.err and "test.key.json" in output.out.splitlines()[-1]
    text = page.read_text()
    assert not any(name in text for name in ("alpha", "beta", "rec/", "clip0"))
    assert len(key["trials"]) == 9 and key["systems"] == ["alpha", "beta", "reference"]
    assert "http://" not in text and "https://" not in text


def test_all_clips_have_the_same_loudness(folders):
    import base64
    import io
    import re

    import soundfile

    page, _ = make(folders)
    data = json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(), re.S)[1])
    levels = []
    for sound in data["sounds"].values():
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sound)), dtype="float32")
        levels.append(Audio(samples, rate).loudness())
    assert len(levels) == 6 and np.ptp(levels) < 0.1 and max(levels) < -22.9


def test_answers_become_a_table_and_what_cannot_be_counted_is_listed(folders, capsys):
    _, key = make(folders)
    files = hand_in(folders, key, lambda about: 4 if about["systems"] == ["alpha"] else 2)
    assert main(["eval", "listen", str(folders / "test.key.json"), "--answers", *files, "--json"]) == 0
    found = json.loads(capsys.readouterr().out.split("\n", 1)[1])
    alpha, beta = found["rows"]
    assert (alpha["mean"], alpha["listeners"], alpha["ratings"]) == (4, 2, 6) and beta["mean"] == 2
    assert found["differences"][0] | {"interval_95": None} == {
        "a": "alpha", "b": "beta", "difference": 2, "interval_95": None
    }  # fmt: skip
    (folders / "odd.json").write_text("{}")
    (folders / "other.json").write_text(json.dumps({"page": "x", "listener": "c", "answers": {}}))
    wrong = {"page": key["page"], "listener": "dan", "answers": {next(iter(key["trials"])): "9", "no": "1"}}
    (folders / "wrong.json").write_text(json.dumps(wrong))
    odd = [str(folders / f"{name}.json") for name in ("odd", "other", "wrong")]
    assert main(["eval", "listen", str(folders / "test.key.json"), "--answers", *files, files[0], *odd]) == 1
    output = capsys.readouterr()
    for part in ("not the answers", "another page", "already counted", "'9'", "'no'", "0 of 6 trials"):
        assert part in output.err
    assert "alpha - beta: 2.00 (2.00 to 2.00)" in output.out


def test_the_interval_is_wider_when_listeners_disagree(folders):
    _, key = make(folders)
    random = np.random.default_rng(0)
    agreed = hand_in(folders, key, lambda about: 3, names="abcdef")
    assert read_answers(folders / "test.key.json", [*map(folders.joinpath, agreed)]).rows[0]["interval_95"] == [3, 3]
    mixed = hand_in(folders, key, lambda about: random.integers(1, 6), names="abcdef")
    low, high = read_answers(folders / "test.key.json", [*map(folders.joinpath, mixed)]).rows[0]["interval_95"]
    assert high - low > 0.5


def test_preferences_are_counted_for_both_orders_of_a_pair(folders, capsys):
    _, key = make(folders, "--kind", "ab")
    orders = [about["systems"] for about in key["trials"].values()]
    assert len(orders) == 3 and {order[0] for order in orders} == {"alpha", "beta"}
    files = hand_in(folders, key, lambda about: "a" if about["systems"][0] == "beta" else "b", names="abcd")
    assert main(["eval", "listen", str(folders / "test.key.json"), "--answers", *files]) == 0
    line = capsys.readouterr().out.splitlines()[-1].split()
    assert line[:5] == ["alpha,", "beta", "0", "12", "0"] and "p = 0.000488" in " ".join(line)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["alpha", "--kind", "ab"], "needs two systems"),
        (["alpha", "--kind", "smos"], "needs reference voices"),
        (["alpha", "empty"], "contains no audio"),
        (["alpha", "odd"], "no clip is in all folders"),
        (["alpha", "quiet"], "is silent"),
        (["alpha", "--max-mb", "0.01"], "--samples"),
        (["test.key.json"], "--answers is missing"),
        (["nokey.json", "--answers", "nokey.json"], "is not the key of a listening test"),
        (["page.html", "--answers", "page.html"], "is not the key of a listening test: it is no JSON"),
    ],
)
def test_bad_input_is_one_sentence(folders, monkeypatch, capsys, words, message):
    monkeypatch.chdir(folders)
    for name in ("empty", "odd", "quiet"):
        (folders / name).mkdir()
    shutil.copy("alpha/clip0.wav", "odd/x.wav")
    for number in range(3):
        Audio(np.zeros(16000, np.float32), 16000).save(folders / f"quiet/clip{number}.wav")
    (folders / "nokey.json").write_text("[]")
    (folders / "page.html").write_text("<!doctype html>")
    assert main(["eval", "listen", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["mos", "smos", "ab"])
def test_a_listener_needs_only_the_keyboard(folders, browser, kind, capsys):
    words = ["--kind", kind, "--samples", "2", *(["--ref", str(folders / "rec")] if kind == "smos" else [])]
    path, key = make(folders, *words)
    wrong = []
    page = browser.new_page(viewport={"width": 390, "height": 800}, accept_downloads=True)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    local = ("file:", "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(local) else wrong.append(request.url))
    page.goto(path.as_uri())
    page.keyboard.type("Ann 1")
    page.keyboard.press("Enter")
    sounds = {"mos": 1, "smos": 2, "ab": 2}[kind]
    value = "b" if kind == "ab" else "4"
    page.keyboard.press(value)  # not heard yet: no answer
    assert page.locator("#next").is_disabled()
    for number in range(len(key["trials"])):
        assert page.inner_text("#count") == f"{number + 1} of {len(key['trials'])}"
        for done in range(sounds):
            page.keyboard.press("Space")
            page.wait_for_function("count => heard.size === count", arg=done + 1)
        page.keyboard.press(value)
        if number == 0:  # answers survive the page being closed and opened
            page.wait_for_timeout(1000)  # a browser on a busy computer stores with a delay
            page.reload()
            assert page.locator(f"[data-value='{value}']").get_attribute("aria-checked") == "true"
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.keyboard.press("ArrowRight")
    with page.expect_download() as download:
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "answers-Ann_1.json"
    download.value.save_as(folders / "ann.json")
    assert json.loads(page.input_value("#text")) == json.loads((folders / "ann.json").read_text())
    page.close()
    assert not wrong
    outcome = read_answers(folders / "test.key.json", [folders / "ann.json"])
    assert outcome.listeners == ["Ann 1"] and not outcome.problems
    if kind == "ab":
        assert outcome.rows[0]["prefer_a"] + outcome.rows[0]["prefer_b"] == 2
    else:
        assert [row["mean"] for row in outcome.rows] == [4, 4]


def test_a_system_must_not_have_the_name_of_the_recordings(folders):
    files = {"a": folders / "alpha/clip0.wav"}
    with pytest.raises(DataError, match="must not have the name 'reference'"):
        make_page(folders / "x.html", {"reference": files}, kind="mos", references=files)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"page": 5}',
        b'{"page": "P", "listener": {}, "answers": []}', b'{"page": "P", "listener": "eve", "answers": {}}',
        b'{"page": "P", "listener": "eve", "answers": {"t": {"a": 1}}}',
    ],
    ids=range(10),
)  # fmt: skip
def test_a_broken_file_of_one_listener_costs_only_that_file(folders, content, capsys):
    _, key = make(folders)
    paths = hand_in(folders, key, lambda about: 5 if about["systems"] == ["alpha"] else 2)
    (folders / "eve.json").write_bytes(content.replace(b'"P"', json.dumps(key["page"]).encode()))
    words = ["eval", "listen", str(folders / "test.key.json"), "--answers", *paths, str(folders / "eve.json")]
    assert main(words) == 1
    output = capsys.readouterr()
    assert "eve.json" in output.err and "alpha - beta: 3.00" in output.out


def test_a_page_whose_answers_may_be_on_their_way_is_not_overwritten(folders, capsys):
    make(folders)
    before = (folders / "test.key.json").read_bytes()
    again = ["eval", "listen", str(folders / "alpha"), str(folders / "beta"), "-o", str(folders / "test.html")]
    assert main(again) == 2
    assert "exists already" in capsys.readouterr().err
    (folders / "test.html").unlink()
    assert main(again) == 2, "the key alone is kept too"
    assert (folders / "test.key.json").read_bytes() == before


def test_a_forged_key_is_refused(folders, capsys):
    _, key = make(folders)
    paths = hand_in(folders, key, lambda about: 5 if about["systems"] == ["alpha"] else 2)
    next(iter(key["trials"].values()))["item"] = "nothing"
    (folders / "test.key.json").write_text(json.dumps(key))
    assert main(["eval", "listen", str(folders / "test.key.json"), "--answers", *paths]) == 2
    assert "not those of the page" in capsys.readouterr().err
