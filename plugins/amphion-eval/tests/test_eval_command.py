"""``amphion eval``: pairing, continuing, killed workers, several systems, and the errors for bad input."""

import json
import os
from importlib.util import find_spec

import numpy as np
import pytest

from amphion_core import registry
from amphion_core.api import Audio
from amphion_core.cli.main import main
from amphion_eval import Item, evaluate, pair_folders, plan

QUICK = "stoi,si_sdr"


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


def summary(folder, system="gen"):
    return json.loads((folder / "summary.json").read_text())["summary"][system]


def rows(folder):
    return [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]


def test_two_folders_of_different_rates_and_formats(folders, capsys):
    words = ["eval", str(folders / "gen"), "--ref", str(folders / "ref"), "--metrics", "pesq_wb,stoi,si_sdr"]
    assert main([*words, "--out", str(folders / "out")]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("wrote ")
    found = summary(folders / "out")
    low, high = found["pesq_wb"]["interval_95"]
    assert low <= found["pesq_wb"]["value"] <= high and found["pesq_wb"]["n"] == 3
    scores = [row["scores"]["stoi"] for row in rows(folders / "out")]
    assert found["stoi"]["mean"] == pytest.approx(np.mean(scores))
    assert rows(folders / "out")[0]["rates"] == {"generated": 24000, "reference": 22050}


def test_missing_partners_and_broken_files_are_listed_and_change_the_exit_code(folders, capsys):
    next((folders / "ref").iterdir()).unlink()
    (folders / "gen/broken.wav").write_bytes(b"RIFF")
    Audio(np.zeros(24000, np.float32), 24000).save(folders / "gen/silent.wav")
    (folders / "ref/silent.wav").write_bytes((folders / "gen/silent.wav").read_bytes())
    assert main(["eval", str(folders / "gen"), "--ref", str(folders / "ref"), "--metrics", "stoi", "--json"]) == 1
    output = capsys.readouterr()
    assert "no reference" in output.err and "broken" in output.err and "silent" in output.err
    assert "the item has no reference" not in output.err  # once for each file is enough
    found = json.loads(output.out)["systems"]["gen"]["stoi"]
    assert found["n"] == 2 and found["failed"] == 3
    assert np.isfinite(found["value"])


def test_one_reason_for_many_metrics_is_one_line(folders, capsys):
    (folders / "gen/broken.wav").write_bytes(b"RIFF")
    (folders / "ref/broken.wav").write_bytes(b"RIFF")
    words = ["eval", str(folders / "gen"), "--ref", str(folders / "ref"), "--metrics", "stoi,si_sdr,si_snr,snr"]
    assert main(words) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "broken" in line]
    assert len(lines) == 1 and "gen: broken: 4 metrics: " in lines[0] and "not readable audio" in lines[0]


def test_every_metric_has_a_reason_for_every_kind_of_bad_audio(tmp_path, data_pack, capsys):
    """Silence, a click, noise without F0 and another length have no score but a reason, or a warning."""
    clip = Audio.load(sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[3]).resample(16000)
    noise = np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    bad = {
        "click": clip.samples[:1], "frame": clip.samples[:1000], "hiss": 0.1 * noise, "long": np.tile(clip.samples, 2),
        "silence": np.zeros(16000, np.float32), "stereo": np.stack([clip.samples, clip.samples]),
    }  # fmt: skip
    for name, samples in bad.items():
        for folder in ("gen", "ref"):
            (tmp_path / folder).mkdir(exist_ok=True)
        Audio(samples, 16000).save(tmp_path / "gen" / f"{name}.wav")
        clip.save(tmp_path / "ref" / f"{name}.wav")
    names = "energy_rmse,estoi,f0_rmse,fpc,lsd,ltas,m_stft,mcd,mel_distance,pesq_wb,si_sdr,spr,stoi,vuv_f1"
    words = ["eval", str(tmp_path / "gen"), "--ref", str(tmp_path / "ref"), "--metrics", names]
    assert main([*words, "-o", str(tmp_path / "out")]) == 1
    found = {row["id"]: row for row in rows(tmp_path / "out")}
    assert set(found["silence"]["problems"]) == set(names.split(","))
    assert set(found["click"]["problems"]) >= set(names.split(",")) - {"energy_rmse", "si_sdr"}
    assert "f0_rmse" in found["hiss"]["problems"] and "fewer than 2 frames" in found["hiss"]["problems"]["f0_rmse"]
    assert "the generated audio lasts" in found["long"]["warnings"][0]
    assert "2 channels" in found["stereo"]["warnings"][0] and not found["stereo"]["problems"]
    assert all(
        np.isfinite(float(value)) or value == "inf" for row in found.values() for value in row["scores"].values()
    )


def test_a_perfect_copy_with_an_infinite_score_does_not_break_the_mean(folders):
    path = next((folders / "ref").iterdir())
    report = evaluate({"copy": [Item("a", path, path)]}, plan(["si_sdr"]), folder=folders)
    found = report.summary["copy"]["si_sdr"]
    assert found == {"n": 1, "failed": 0, "infinite": 1}
    report.write(folders)
    assert rows(folders)[0]["scores"]["si_sdr"] == "inf"
    assert type(report).read(folders).rows[0]["scores"]["si_sdr"] == np.inf


def test_two_systems_are_compared_on_the_items_that_both_have(folders, capsys):
    (folders / "copy").mkdir()
    for path in (folders / "ref").iterdir():
        clip = Audio.load(path)
        noisy = clip.samples + 0.05 * np.random.default_rng(1).standard_normal(len(clip.samples)).astype(np.float32)
        Audio(noisy, clip.sample_rate).save(folders / "copy" / f"{path.stem}.wav")
    next((folders / "copy").iterdir()).unlink()
    words = ["eval", str(folders / "gen"), str(folders / "copy"), "--ref", str(folders / "ref"), "--metrics", "stoi"]
    assert main([*words, "--out", str(folders / "out")]) == 1  # one file of the second system is missing
    comparison = json.loads((folders / "out/summary.json").read_text())["comparisons"]
    assert [(row["a"], row["b"], row["n"]) for row in comparison] == [("gen", "copy", 2)]
    assert comparison[0]["difference"] > 0 and comparison[0]["p"] <= comparison[0]["p_corrected"]


def test_a_table_names_pairs_systems_and_texts(folders, capsys):
    names = sorted(path.stem for path in (folders / "gen").iterdir())
    lines = ["system,id,generated,reference"]
    lines += [f"first,{index},gen/{name}.wav,ref/{name}.flac" for index, name in enumerate(names)]
    lines += [f"second,0,ref/{names[0]}.flac,ref/{names[0]}.flac", "second,1,gen/nothing.wav,ref/nothing.flac"]
    (folders / "pairs.csv").write_text("\n".join(lines) + "\n")
    words = ["eval", "--pairs", str(folders / "pairs.csv"), "--metrics", "stoi", "-o", str(folders / "out")]
    assert main(words) == 1
    assert summary(folders / "out", "first")["stoi"]["n"] == 3
    found = summary(folders / "out", "second")["stoi"]
    assert found["n"] == 1 and found["failed"] == 1 and found["value"] == pytest.approx(1, abs=1e-6)
    assert "there is no reference" in capsys.readouterr().err


PLUGIN = '''"""Counting: the peak of each file, noted in a log; kills its process at one file."""

import os, signal
from pathlib import Path

import numpy as np
from amphion_core.api import BaseConfig, Metric, Score


class Counting(Metric):
    """Peak."""

    class Config(BaseConfig):
        """The log file, and the item that kills the process."""

        log: str = ""
        deadly: str = ""
        once: bool = True

    unit = ""
    higher_is_better = True
    needs = frozenset()

    def measure(self, generated, reference=None, *, text=None):
        value = float(np.abs(generated.samples).max())
        mark = Path(self.config.log + ".dead")
        if f"{value:.2f}" == self.config.deadly and not (self.config.once and mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        with Path(self.config.log).open("a") as file:
            file.write(f"{value:.2f}\\n")
        return Score(value)
'''


@pytest.fixture
def counting(tmp_path, monkeypatch):
    """Forty files with different peaks, and the metric of a plugin that is installed for the workers."""
    (tmp_path / "many").mkdir()
    for number in range(40):
        Audio(np.full(100, (number + 1) / 100, np.float32), 8000).save(tmp_path / "many" / f"{number:02}.wav")
    home = tmp_path / "plugin"
    info = home / "amphion_counting-0.1.dist-info"
    info.mkdir(parents=True)
    (home / "amphion_counting.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: amphion-counting\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(
        "[amphion.api]\namphion-counting = amphion_core.api:v1\n"
        "[amphion.metrics]\ncounting = amphion_counting:Counting\n"
    )
    monkeypatch.syspath_prepend(home)
    monkeypatch.setenv("PYTHONPATH", str(home), prepend=os.pathsep)
    registry.refresh()
    items, _ = pair_folders(tmp_path / "many")

    def run(folder=tmp_path, **options):
        settings = {"log": str(tmp_path / "log"), **options.pop("fields", {})}
        return evaluate({"many": items}, plan(["counting"], {"counting": settings}), folder=folder, **options)

    yield tmp_path, run, lambda: (tmp_path / "log").read_text().split()
    monkeypatch.undo()
    registry.refresh()


def test_finished_shards_are_not_measured_again(counting):
    folder, run, log = counting
    seen = []

    def stop(done, total):
        seen.append((done, total))
        if done >= 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(on_progress=stop)
    assert seen == [(4, 40), (8, 40), (12, 40), (16, 40)]
    report = run()
    assert len(log()) == 40  # none was measured twice
    assert report.summary["many"]["counting"]["value"] == pytest.approx(0.205, abs=1e-4)
    Audio(np.full(100, 0.9, np.float32), 8000).save(folder / "many/05.wav")
    report = run()
    assert len(log()) == 44  # the shard of the changed file alone
    broken = sorted((folder / "shards").iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:-40])
    assert run().summary == report.summary


def test_a_killed_worker_loses_no_score(counting):
    _, run, log = counting
    report = run(workers=2, fields={"deadly": "0.13"})
    assert report.summary["many"]["counting"]["n"] == 40 and not report.problems
    assert set(log()) == {f"{(number + 1) / 100:.2f}" for number in range(40)}


def test_a_file_that_kills_its_worker_every_time_loses_only_its_own_score(counting):
    _, run, _ = counting
    report = run(workers=2, fields={"deadly": "0.13", "once": False})
    assert report.summary["many"]["counting"]["n"] == 39
    assert [line.split(": ")[1:3] for line in report.problems] == [["12", "counting"]]
    assert "worker process" in report.problems[0]


def test_two_processes_give_the_report_of_one(counting):
    _, run, _ = counting
    one, two = run(folder=None), run(folder=None, workers=2)
    assert one.rows == two.rows and one.summary == two.summary


@pytest.mark.skipif(find_spec("ray") is None, reason='ray is not installed: pip install "amphion-core[ray]"')
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")
def test_a_ray_cluster_gives_the_report_of_one_process_and_survives_a_killed_worker(counting):
    _, run, _ = counting
    found = run(ray=True, folder=None, fields={"deadly": "0.13"})
    assert found.summary["many"]["counting"]["n"] == 40
    assert [row["scores"] for row in found.rows] == [row["scores"] for row in run(folder=None).rows]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "--ref", "ref"], "no file or folder nowhere"),
        (["gen", "--metrics", "pesq"], "did you mean pesq"),
        (["gen", "--metrics", "stoi"], "--ref FOLDER"),
        (["gen", "--metrics", "wer"], "--text FILE"),
        (["gen", "--ref", "empty", "--metrics", "stoi"], "contains no audio file"),
        (["gen", "--ref", "other", "--metrics", "stoi"], "has a partner in other"),
        (["gen", "gen", "--ref", "ref"], "given twice"),
        (["--ref", "ref"], "--pairs FILE"),
        (["twice", "--ref", "ref"], "have the same name"),
        (["gen", "--ref", "ref", "--metrics", "mcd", "--set", "mcd.alignmnt=cut"], "did you mean alignment"),
        (["gen", "--ref", "ref", "--metrics", "mcd", "--set", "wer.language=de"], "wer, which is not measured"),
        (["gen", "--text", "bad.txt", "--metrics", "wer"], "bad.txt line 1 has no |"),
        (["gen", "--text", "bad.csv", "--metrics", "wer"], "the ids are 'name', 'a', the files of gen are "),
        (["gen", "--text", "half.csv", "--metrics", "wer"], "half.csv has no column text; its columns are id, speaker"),
        (["--pairs", "bad.csv"], "no column generated"),
    ],
)
def test_bad_input_is_one_sentence(folders, monkeypatch, capsys, words, message):
    monkeypatch.chdir(folders)
    for name in ("empty", "other", "twice"):
        (folders / name).mkdir()
    clip = Audio(np.ones(100, np.float32), 8000)
    for name in ("other/x.wav", "twice/a.wav", "twice/a.flac"):
        clip.save(folders / name)
    (folders / "bad.txt").write_text("no bar here\n")
    (folders / "bad.csv").write_text("name,words\na,b\n")
    (folders / "half.csv").write_text("id,speaker\na,b\n")
    assert main(["eval", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_single_pair_of_files(folders, capsys):
    pair = sorted((folders / "gen").iterdir())[0], sorted((folders / "ref").iterdir())[0]
    assert main(["eval", str(pair[0]), "--ref", str(pair[1]), "--metrics", "stoi", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["systems"][pair[0].stem]["stoi"]["n"] == 1


def test_scores_of_versa_go_in_and_out(folders, capsys):
    """Scores written in VERSA's format are read back as another system; different definitions keep different names."""
    words = ["eval", str(folders / "gen"), "--ref", str(folders / "ref"), "--metrics", "stoi,mcd,si_snr"]
    assert main([*words, "-o", str(folders / "one")]) == 0
    path = folders / "one/versa/gen.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [set(line) for line in lines] == [{"key", "stoi", "si_snr", "amphion_mcd"}] * 3
    for line in lines:
        line |= {"mcd": 7.5, "stoi": line["stoi"] - 0.1, "ref_text": "words"}
    theirs = folders / "theirs.jsonl"
    theirs.write_text("\n".join(map(json.dumps, lines)))
    assert main([words[0], words[1], str(theirs), *words[2:], "-o", str(folders / "two")]) == 0
    found = json.loads((folders / "two/summary.json").read_text())
    assert found["summary"]["theirs"]["versa_mcd"]["value"] == 7.5
    assert found["summary"]["theirs"]["mcd"]["value"] == pytest.approx(found["summary"]["gen"]["mcd"]["value"])
    pair = next(row for row in found["comparisons"] if row["metric"] == "stoi")
    assert pair["difference"] == pytest.approx(0.1) and pair["n"] == 3
    assert main(["eval", str(folders / "one/scores.jsonl"), "-o", str(folders / "three")]) == 0
    again = json.loads((folders / "three/summary.json").read_text())["summary"]["gen"]
    assert again["stoi"]["value"] == pytest.approx(summary(folders / "one")["stoi"]["value"])
    theirs.write_text('{"key": "a", "pesq": 1}\nnot json\n')
    assert main(["eval", str(theirs)]) == 2
    assert "theirs.jsonl line 2" in capsys.readouterr().err


def test_the_summary_says_which_metric_takes_the_time(folders, capsys, monkeypatch):
    monkeypatch.setattr("amphion_eval.eval_command.SLOW", 0)
    words = ["eval", str(folders / "gen"), "--ref", str(folders / "ref"), "--metrics", "mcd,si_sdr"]
    assert main([*words, "--out", str(folders / "out")]) == 0
    assert "time: mcd " in capsys.readouterr().out
    about = json.loads((folders / "out" / "summary.json").read_text())["about"]
    assert about["seconds"]["mcd"] > about["seconds"]["si_sdr"] > 0


@pytest.mark.parametrize("number", ["0", "-3", "100000", "x", "٣"])
def test_the_number_of_workers_has_bounds(number, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["eval", "a", "--ref", "b", "--workers", number])
    assert "is not a number from 1 to" in capsys.readouterr().err


def test_the_console_names_a_few_files_of_each_reason(capsys):
    from types import SimpleNamespace

    from amphion_eval.eval_command import SHOWN, _print_problems

    problems = [f"gen: a{number}: no reference" for number in range(100)] + ["gen: b: silent"]
    _print_problems(SimpleNamespace(unavailable={}, problems=problems, rows=[]))
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == SHOWN + 2
    assert shown[0] == "not scored: gen: a0: no reference"
    assert shown[SHOWN] == f"not scored: gen: {100 - SHOWN} more: no reference (-o FOLDER writes a report with all)"
    assert shown[-1] == "not scored: gen: b: silent"


def test_a_setting_without_its_metric_shows_the_whole_setting(folders, capsys):
    words = ["eval", str(folders / "gen"), "--ref", str(folders / "ref"), "--metrics", "mcd", "--set", "order=12"]
    assert main(words) == 2
    assert "hint: a setting begins with its metric: --set mcd.order=12" in capsys.readouterr().err
