"""amphion codec: files of codes and audio, refusals in one sentence, folders that go on, and what roundtrip reports."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import amphion_core as amphion
from amphion_core import weights
from amphion_core.api import Audio
from amphion_core.cli.main import main
from amphion_vocoders.code_files import read_codes

RATE = 8000
SIZES = {"sample_rate": RATE, "filters": 2, "dim": 4, "strides": (8, 5), "codebooks": 3, "codebook_size": 16}


def stored(folder: Path, seed: int, name: str = "codec/encodec") -> Path:
    """A weights folder of a small codec with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = amphion.build(name, **SIZES)
        for book in net.quantizer.layers:
            book.embed.normal_()
    weights.save(net, folder)
    return folder


@pytest.fixture(scope="module")
def codec(tmp_path_factory) -> Path:
    return stored(tmp_path_factory.mktemp("weights") / "codec", 0)


@pytest.fixture
def sounds(tmp_path) -> Path:
    """Three recordings: mono, stereo at another rate, and silence."""
    folder = tmp_path / "sounds"
    folder.mkdir()
    tone = (0.3 * np.sin(np.arange(12345) / 9)).astype(np.float32)
    Audio(tone, RATE).save(folder / "mono.wav")
    Audio(np.stack([tone, -0.5 * tone]), 16000).save(folder / "stereo.wav")
    Audio(np.zeros(4000, np.float32), RATE).save(folder / "silence.wav")
    return folder


def run(action: str, *words: object) -> int:
    return main(["codec", action, *map(str, words)])


def test_a_code_file_states_its_codec_and_decodes_to_the_length_of_the_recording(codec, sounds, tmp_path, capsys):
    assert run("encode", sounds / "mono.wav", "-o", tmp_path / "a.safetensors", "--codec", codec, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["codebooks"] == 3 and result["frames"] == 309 and result["bitrate"] == 2400
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        about = file.metadata()
    assert about["codec"] == "codec/encodec" and about["sample_rate"] == "8000" and about["samples"] == "12345"
    assert run("decode", tmp_path / "a.safetensors", "-o", tmp_path / "a.wav", "--codec", codec) == 0
    made = Audio.load(tmp_path / "a.wav")
    assert made.samples.shape == (12345,) and made.sample_rate == RATE
    net = amphion.load(codec)
    wave = torch.from_numpy(Audio.load(sounds / "mono.wav").samples)[None, None]
    padded = torch.nn.functional.pad(wave, (0, 15))
    assert torch.equal(read_codes(tmp_path / "a.safetensors").codes.indices, net.encode(padded).indices)


def test_fewer_codebooks_are_the_first_ones(codec, sounds, tmp_path):
    for name, words in {"all": (), "one": ("--codebooks", 1)}.items():
        assert run("encode", sounds / "mono.wav", "-o", tmp_path / f"{name}.safetensors", "--codec", codec, *words) == 0
    every, one = (read_codes(tmp_path / f"{name}.safetensors").codes.indices for name in ("all", "one"))
    assert torch.equal(every[:1], one)


def test_another_codec_refuses_the_codes_in_one_sentence(codec, sounds, tmp_path, capsys):
    codes = tmp_path / "a.safetensors"
    assert run("encode", sounds / "mono.wav", "-o", codes, "--codec", codec) == 0
    others = {
        "other weights": stored(tmp_path / "trained", 1),
        "codes of codec/encodec, and the codec is codec/speechtokenizer": stored(
            tmp_path / "other", 0, "codec/speechtokenizer"
        ),
    }
    for message, other in others.items():
        capsys.readouterr()
        assert run("decode", codes, "-o", tmp_path / "a.wav", "--codec", other) == 2
        shown = capsys.readouterr().err
        assert message in shown and "hint: --codec" in shown
    assert not (tmp_path / "a.wav").exists()


def test_a_folder_is_encoded_and_a_second_run_keeps_it(codec, sounds, tmp_path, capsys):
    (sounds / "broken.wav").write_bytes(b"RIFF")
    words = (sounds, "-o", tmp_path / "codes", "--codec", codec)
    assert run("encode", *words) == 1
    shown = capsys.readouterr()
    assert "encoded 3 of 4 files" in shown.out and "broken.wav" in shown.err
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "codes").glob("*.safetensors")}
    assert len(before) == 3
    assert run("encode", *words) == 1
    assert "3 files of the same source and codec are there already" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert run("decode", tmp_path / "codes", "-o", tmp_path / "audio", "--codec", codec) == 0
    assert sorted(path.name for path in (tmp_path / "audio").glob("*.wav")) == ["mono.wav", "silence.wav", "stereo.wav"]
    capsys.readouterr()
    other = stored(tmp_path / "trained", 1)
    assert run("decode", tmp_path / "codes", "-o", tmp_path / "noise", "--codec", other) == 1
    shown = capsys.readouterr().err
    assert (
        f"not decoded: {tmp_path / 'codes' / 'mono.safetensors'}: holds codes of a codec/encodec with other weights"
        in shown
    )


def test_roundtrip_reports_the_bitrate_and_metrics(codec, sounds, tmp_path, capsys):
    (sounds / "silence.wav").unlink()
    words = (sounds, "-o", tmp_path / "audio", "--codec", codec, "--metrics", "m_stft", "--json")
    assert run("roundtrip", *words) == 0
    results = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [result["bitrate"] for result in results] == [2400, 2400]
    assert all(result["m_stft"] > 0 for result in results)
    assert Audio.load(tmp_path / "audio/stereo.wav").samples.ndim == 1


@pytest.mark.parametrize(
    ("action", "source", "out", "message"),
    [
        ("encode", "mono.wav", "a.npz", "is no name of a code file"),
        ("encode", "nothing.wav", "a.safetensors", "there is no such file"),
        ("decode", "mono.wav", "a.wav", "is no code file"),
        ("decode", "other.safetensors", "a.wav", "it is no file of codes"),
        ("decode", "bad.safetensors", "a.wav", "its codes do not fit the sizes"),
        ("roundtrip", "nothing.wav", "a.wav", "there is no such file"),
    ],
)
def test_mistakes_end_with_one_sentence_and_exit_code_2(codec, sounds, tmp_path, capsys, action, source, out, message):
    save_file({"x": torch.zeros(1)}, sounds / "other.safetensors")
    about = {"format": "amphion codes 1", "codec": "codec/encodec", "identity": "x", "sample_rate": "8000",
             "samples": "40", "hop_length": "40", "codebook_size": "16"}  # fmt: skip
    save_file({"codes": torch.full((3, 1), 99, dtype=torch.int16)}, sounds / "bad.safetensors", about)
    assert run(action, sounds / source, "-o", tmp_path / out, "--codec", codec) == 2
    shown = capsys.readouterr().err
    assert message in shown and "hint:" in shown
    assert not (tmp_path / out).exists()


def test_too_many_codebooks_are_refused(codec, sounds, tmp_path, capsys):
    words = (sounds / "mono.wav", "-o", tmp_path / "a.safetensors", "--codec", codec, "--codebooks", 9)
    assert run("encode", *words) == 2
    assert "codebooks: 9" in capsys.readouterr().err


@pytest.mark.parametrize(("codes", "size"), [(torch.full((3, 9), 99), 1000), (torch.zeros(4, 9), 16), (None, 16)])
def test_damaged_codes_of_the_same_codec_are_refused(codec, sounds, tmp_path, capsys, codes, size):
    path = tmp_path / "a.safetensors"
    assert run("encode", sounds / "mono.wav", "-o", path, "--codec", codec) == 0
    with safe_open(path, "pt") as file:
        about, right = file.metadata(), file.get_tensor("codes")
    wrong = right.float() if codes is None else codes.to(torch.int16).repeat(1, 40)
    save_file({"codes": wrong}, path, about | {"codebook_size": str(size)})
    assert run("decode", path, "-o", tmp_path / "a.wav", "--codec", codec) == 2
    assert "its codes do not fit" in capsys.readouterr().err
    assert not (tmp_path / "a.wav").exists()
