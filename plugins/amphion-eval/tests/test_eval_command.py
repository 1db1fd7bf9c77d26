"""``amphion eval``: pairing by name, results and reasons in files, and what bad input says."""

import json

import numpy as np
import pytest

from amphion_core.api import Audio
from amphion_core.cli.main import main
from amphion_eval import Item, evaluate


@pytest.fixture
def folders(tmp_path, data_pack):
    for name in ("gen", "ref"):
        (tmp_path / name).mkdir()
    noise = np.random.default_rng(0)
    for path in sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[:3]:
        clip = Audio.load(path)
        clip.save(tmp_path / "ref" / f"{path.stem}.flac")
        noisy = clip.samples + 0.005 * noise.standard_normal(len(clip.samples)).astype(np.float32)
        Audio(noisy, clip.sample_rate).resample(24000).save(tmp_path / "gen" / f"{path.stem}.wav")
    return tmp_path


def test_two_folders_of_different_rates_and_formats(folders, capsys):
    words = ["eval", str(folders / "gen"), "--ref", str(folders / "ref"), "--metrics", "pesq_wb,stoi,si_sdr"]
    assert main([*words, "--out", str(folders / "out")]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("wrote ")
    summary = json.loads((folders / "out/summary.json").read_text())["metrics"]
    low, high = summary["pesq_wb"]["interval_95"]
    assert low <= summary["pesq_wb"]["value"] <= high and summary["pesq_wb"]["n"] == 3
    rows = [json.loads(line) for line in (folders / "out/scores.jsonl").read_text().splitlines()]
    assert summary["stoi"]["mean"] == pytest.approx(np.mean([row["stoi"] for row in rows]))


def test_missing_partners_and_broken_files_are_listed_and_the_exit_code_tells(folders, capsys):
    next((folders / "ref").iterdir()).unlink()
    (folders / "gen/broken.wav").write_bytes(b"RIFF")
    Audio(np.zeros(24000, np.float32), 24000).save(folders / "gen/silent.wav")
    (folders / "ref/silent.wav").write_bytes((folders / "gen/silent.wav").read_bytes())
    assert main(["eval", str(folders / "gen"), "--ref", str(folders / "ref"), "--metrics", "stoi", "--json"]) == 1
    told = capsys.readouterr()
    assert "no reference" in told.err and "broken" in told.err and "silent" in told.err
    summary = json.loads(told.out)["stoi"]
    assert summary["n"] == 2 and summary["failed"] == 3
    assert np.isfinite(summary["value"])


def test_a_perfect_copy_with_an_infinite_score_does_not_break_the_mean(folders):
    path = next((folders / "ref").iterdir())
    report = evaluate([Item("a", path, path)], ["si_sdr"])
    assert report.rows[0]["si_sdr"] == "inf" and report.summary["si_sdr"]["n"] == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere", "--ref", "ref"], "no file or folder nowhere"),
        (["gen", "--metrics", "pesq"], "did you mean pesq"),
        (["gen", "--metrics", "stoi"], "--ref FOLDER"),
        (["gen", "--metrics", "wer"], "--text FILE"),
        (["gen"], "needs references or texts"),
        (["gen", "--ref", "empty", "--metrics", "stoi"], "holds no audio file"),
        (["gen", "--text", "bad.txt", "--metrics", "wer"], "bad.txt line 1 has no |"),
        (["gen", "--text", "bad.csv", "--metrics", "wer"], "no columns id and text"),
    ],
)
def test_bad_input_is_one_sentence(folders, monkeypatch, capsys, words, told):
    monkeypatch.chdir(folders)
    (folders / "empty").mkdir()
    (folders / "bad.txt").write_text("no bar here\n")
    (folders / "bad.csv").write_text("name,words\na,b\n")
    assert main(["eval", *words]) == 2
    assert told in capsys.readouterr().err


def test_a_single_pair_of_files(folders, capsys):
    pair = sorted((folders / "gen").iterdir())[0], sorted((folders / "ref").iterdir())[0]
    assert main(["eval", str(pair[0]), "--ref", str(pair[1]), "--metrics", "stoi", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["stoi"]["n"] == 1
