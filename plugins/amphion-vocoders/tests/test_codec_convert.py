"""amphion codec convert: another voice says the same, with the redecoder or without; what cannot be is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core import weights
from amphion_core.api import Audio
from amphion_core.cli.main import main


@pytest.fixture(scope="module")
def codec(tmp_path_factory) -> Path:
    """A weights folder of a small FACodec with a redecoder."""
    tiny = amphion.get("models", "codec/facodec").example_config().model_dump(exclude_unset=True)
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights") / "facodec"
    weights.save(amphion.build("codec/facodec", **tiny, redecoder_channels=8), folder)
    return folder


@pytest.fixture
def sounds(tmp_path) -> Path:
    """A folder of two sources; beside it a target, another, and silence."""
    folder = tmp_path / "sources"
    folder.mkdir()
    for name, size, pitch in (("a", 3001, 9), ("b", 4000, 5), ("../target", 20000, 31), ("../other", 900, 77)):
        Audio((0.3 * np.sin(np.arange(size) / pitch)).astype(np.float32), 16000).save(folder / f"{name}.wav")
    Audio(np.zeros(4000, np.float32), 16000).save(tmp_path / "silence.wav")
    return folder


def run(source: Path, out: Path, target: Path, codec: Path, *words: object) -> int:
    command = ["codec", "convert", source, "-o", out, "--target", target, "--codec", codec, *words]
    return main([str(word) for word in command])


def test_the_wave_is_that_of_the_codes_with_the_targets_timbre(codec, sounds, tmp_path, capsys):
    target = tmp_path / "target.wav"
    assert run(sounds / "a.wav", tmp_path / "made.wav", target, codec, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["target"] == str(target) and result["frames"] == 751
    assert run(sounds / "a.wav", tmp_path / "swapped.wav", target, codec, "--swap") == 0
    net = amphion.load(codec)
    source, voice = (net.encode(torch.from_numpy(Audio.load(path).samples)[None, None]) for path in (
        sounds / "a.wav", target,
    ))  # fmt: skip
    for name, swap in (("made", False), ("swapped", True)):
        made = Audio.load(tmp_path / f"{name}.wav")
        wanted = net.convert(source, voice.extra["speaker"], swap=swap)[0, 0, :3001].clamp(-1, 1).numpy()
        assert made.samples.shape == (3001,)
        np.testing.assert_allclose(made.samples, wanted, atol=1e-4)  # 16 bits


def test_a_folder_is_converted_again_for_another_target_only(codec, sounds, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(sounds, out, tmp_path / "target.wav", codec) == 0
    first = (out / "a.wav").read_bytes()
    capsys.readouterr()
    assert run(sounds, out, tmp_path / "target.wav", codec) == 0
    assert "2 files of the same source and codec are there already" in capsys.readouterr().err
    assert run(sounds, out, tmp_path / "other.wav", codec) == 0
    err = capsys.readouterr().err
    assert "there already" not in err and "the target has 0.1 seconds" in err
    assert (out / "a.wav").read_bytes() != first


def test_what_cannot_be_converted_is_refused_in_one_sentence(codec, sounds, tmp_path, capsys):
    assert run(sounds / "a.wav", tmp_path / "x.wav", tmp_path / "silence.wav", codec) == 2
    assert "the target has no sound" in capsys.readouterr().err
    small = {"sample_rate": 8000, "filters": 2, "dim": 4, "strides": (8, 5), "codebooks": 3, "codebook_size": 16}
    weights.save(amphion.build("codec/encodec", **small), tmp_path / "encodec")
    assert run(sounds / "a.wav", tmp_path / "x.wav", tmp_path / "target.wav", tmp_path / "encodec") == 2
    assert "does not keep the timbre" in capsys.readouterr().err
    assert not (tmp_path / "x.wav").exists()


def test_neither_the_source_nor_the_target_is_overwritten(sounds, tmp_path, capsys):
    target, nothing = tmp_path / "target.wav", tmp_path / "no codec"  # is refused before the codec is opened
    before = target.read_bytes()
    for out in (target, sounds / "a.wav"):
        assert run(sounds / "a.wav", out, target, nothing) == 2
        said = capsys.readouterr().err
        assert f"{out.name} would overwrite" in said and f"{out.stem}_converted.wav" in said
    assert run(sounds, tmp_path, tmp_path / "a.wav", nothing) == 2
    assert "a.wav, which is read\nhint: choose another folder" in capsys.readouterr().err
    assert target.read_bytes() == before
