"""``amphion prepare --features``: from the command line, over processes, over a Ray cluster, after an interruption."""

import json
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from amphion_core import registry
from amphion_core.cli.main import main
from amphion_core.data import feature_cache
from amphion_core.data.extraction import complete_features
from amphion_core.data.feature_cache import FeatureCache
from amphion_core.data.manifest import Manifest
from amphion_core.parts import FeaturePart

RATE = 16000
PLUGIN = '''"""Peaks: notes where it was built; kills its process once where it is asked to."""

import os, signal
from pathlib import Path

from amphion_core.api import BaseConfig, FeatureExtractor


class Peaks(FeatureExtractor):
    """One vector per utterance: the peak."""

    class Config(BaseConfig):
        """Where to note, and whether to die."""

        log: str = ""
        deadly: bool = False

    sample_rate, frame_shift, dim = 16000, None, 1

    def __init__(self, config):
        super().__init__(config)
        with Path(config.log).open("a") as file:
            file.write(f"{os.getpid()}\\n")

    def extract(self, wave, lengths=None):
        mark = Path(self.config.log + ".dead")
        if self.config.deadly and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return wave.abs().amax(1, keepdim=True)
'''


@pytest.fixture
def folder(prepared):
    random = np.random.default_rng(0)
    clips = {f"c{n:02}": random.uniform(-0.5, 0.5, 8000 + 40 * n).astype(np.float32) for n in range(40)}
    return prepared({"train": clips, "dev": {"d": clips["c00"]}})


@pytest.fixture
def peaks(tmp_path, monkeypatch):
    """The part of a plugin's extractor, which workers find as they find any other, and the lines of its log."""
    home = tmp_path / "plugin"
    info = home / "amphion_peaks-0.1.dist-info"
    info.mkdir(parents=True)
    (home / "amphion_peaks.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: amphion-peaks\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(
        "[amphion.api]\namphion-peaks = amphion_core.api:v1\n[amphion.features]\npeaks = amphion_peaks:Peaks\n"
    )
    monkeypatch.syspath_prepend(home)
    monkeypatch.setenv("PYTHONPATH", str(home), prepend=os.pathsep)
    registry.refresh()
    log = tmp_path / "log"
    yield lambda **fields: FeaturePart.named("peaks", log=str(log), **fields), lambda: log.read_text().split()
    feature_cache.release_extractors()
    monkeypatch.undo()
    registry.refresh()


def rows(cache):
    return [float(cache.read(index)[0]) for index in range(len(cache.manifest))]


def test_each_process_builds_the_extractor_once(folder, peaks, monkeypatch):
    part, log = peaks
    monkeypatch.setattr(feature_cache, "SMALLEST_SHARD", 2)
    cache = FeatureCache(Manifest(folder), part())
    list(complete_features([cache], processes=2))
    assert len(cache.shards) == 14
    built = log()
    assert len(built) == len(set(built)) <= 3  # this process, which reads the frame rate, and the workers
    assert rows(cache)[3] == pytest.approx(0.5, abs=0.001)


@pytest.mark.skipif(find_spec("ray") is None, reason='ray is not installed: pip install "amphion-core[ray]"')
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")
def test_a_ray_cluster_gives_the_features_of_one_process_and_survives_a_killed_worker(folder, peaks, tmp_path):
    part, log = peaks
    one = FeatureCache(Manifest(folder), part(), tmp_path / "one")
    other = FeatureCache(Manifest(folder), part(deadly=True), tmp_path / "ray")
    list(complete_features([one], processes=1))
    steps = [step.done for step in complete_features([other], ray=True)]
    assert steps == [0, 16, 32, 40]
    assert rows(one) == rows(other)
    assert Path(f"{tmp_path / 'log'}.dead").exists() and str(os.getpid()) in log()


def test_the_command_computes_features_of_a_corpus_and_says_where(data_pack, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["prepare", "ljspeech", str(data_pack / "kerstin_de"), str(out), "--processes", "1", "--features"]
    energy = "{name: energy, mel: tacotron2_22k_80}"
    assert main([*words, "mel", "language=de", "mel.mel=vits_22k_80", energy]) == 0
    lines = capsys.readouterr().out.splitlines()
    count = sum(len(Manifest(out, split)) for split in ("train", "dev", "test"))
    names = f"mel, energy of {count} utterances, {2 * count} computed now"
    assert lines[-1] == f"features: {out / 'features'}   ({names})"
    assert lines[-2].startswith(f"manifests: {out}")
    for split in ("train", "dev", "test"):
        for part in (FeaturePart.named("mel", mel="vits_22k_80"), FeaturePart.named("energy", mel="tacotron2_22k_80")):
            assert not FeatureCache(Manifest(out, split), part).missing()
    assert Manifest(out)[0].utterance.language == "de"


def test_a_prepared_folder_gets_features_with_the_mel_of_a_recipe_and_only_once(folder, tmp_path, capsys):
    words = ["prepare", str(folder), "--features", "mel", "energy", "--audio", "tta_16k_80", "--processes", "1"]
    assert main([*words, "--json", "--cache", str(tmp_path / "cache")]) == 0
    found = json.loads(capsys.readouterr().out)["features"]
    assert found == {
        "folder": str(tmp_path / "cache"), "names": ["mel", "energy"], "computed": 82, "utterances": 41
    }  # fmt: skip
    assert not FeatureCache(Manifest(folder), FeaturePart.named("mel", mel="tta_16k_80"), tmp_path / "cache").missing()
    assert main([*words, "--cache", str(tmp_path / "cache")]) == 0
    assert "41 utterances, 0 computed now" in capsys.readouterr().out


def test_interrupted_features_continue_with_the_same_command(folder, capsys, monkeypatch):
    part = FeaturePart.named("mel", mel="tta_16k_80")
    steps = complete_features([FeatureCache(Manifest(folder), part)], processes=1)
    assert [next(steps).done, next(steps).done] == [0, 16]
    steps.close()
    assert main(["prepare", "--features", "mel", "--audio", "tta_16k_80", "--processes", "1", "--", str(folder)]) == 0
    assert "mel of 41 utterances, 25 computed now" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "--features", "mel"], "nowhere is not a prepared folder"),
        (["FOLDER"], "is prepared already"),
        (["FOLDER", "--features", "mell"], "mel"),
        (["FOLDER", "--features", "mel", "mel.fmin=3"], "fmin: no such field"),
        (["FOLDER", "--features", "{fmin: 3}"], "this has no name"),
        (["FOLDER", "--features", "mel", "--audio", "hifigan"], "--audio: there is no mel preset 'hifigan'"),
        (["FOLDER", "--features", "energy", "--device", "cuda:99"], "no device 'cuda:99'"),
        (["folder", "FOLDER", "--features", "mel"], "the folder for the manifests is missing"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(folder, words, message, capsys):
    assert main(["prepare", *(str(folder) if word == "FOLDER" else word for word in words)]) == 2
    assert message in capsys.readouterr().err
