"""Mels on disk: both layouts, the stated convention, and files that are no mel."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import amphion_core as amphion
from amphion_core import weights
from amphion_core.api import Audio, MelConfig
from amphion_core.cli.main import main
from amphion_core.errors import AudioError, RecipeError
from amphion_vocoders import blocks as blocks_module
from amphion_vocoders.mel_files import MelFile, stated_mel

MEL = MelConfig.preset("hifigan_22k_80")
TINY = {"channels": 8, "upsample_kernels": [16, 16, 8], "upsample_rates": [8, 8, 4], "resblock": "2"}
TINY |= {"resblock_kernels": [3], "resblock_dilations": [[1, 2]]}


@pytest.fixture(scope="module")
def vocoder(tmp_path_factory):
    """A folder with a tiny HiFi-GAN for `MEL`, with random weights."""
    torch.manual_seed(0)
    return weights.save(amphion.build("vocoder/hifigan", **TINY), tmp_path_factory.mktemp("net") / "tiny")


@pytest.fixture
def mel():
    """A mel (F, N) of 30 frames."""
    return torch.randn(80, 30, generator=torch.Generator().manual_seed(1)) - 4


@pytest.mark.parametrize("suffix", ["npy", "safetensors"])
@pytest.mark.parametrize(
    ("stored", "kind"),
    [(lambda m: m, torch.float32), (lambda m: m.mT, torch.float16), (lambda m: m[None].double(), torch.float64),
     (lambda m: m.mT[None], torch.float32)],
)  # fmt: skip
def test_both_layouts_are_recognised_by_the_number_of_bands(mel, tmp_path, suffix, stored, kind):
    path = tmp_path / f"a.{suffix}"
    array = stored(mel).to(kind).contiguous()
    np.save(path, array.numpy()) if suffix == "npy" else save_file({"any": array}, path)
    file = MelFile(path, 80)
    assert file.frames == 30
    found = torch.cat([file.read(0, 7), file.read(7, 30)], 2)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, mel[None].to(kind).float(), atol=0, rtol=0)


def test_an_array_with_the_other_order_of_bytes_is_read(mel, tmp_path):
    np.save(tmp_path / "a.npy", mel.numpy().astype(">f4"))
    torch.testing.assert_close(MelFile(tmp_path / "a.npy", 80).read(0, 30)[0], mel, atol=0, rtol=0)


def test_a_bfloat16_tensor_is_read(mel, tmp_path):
    save_file({"mel": mel.bfloat16(), "other": mel}, tmp_path / "a.safetensors")
    torch.testing.assert_close(MelFile(tmp_path / "a.safetensors", 80).read(0, 30)[0], mel.bfloat16().float())


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((80, 80), np.float32), r"may be \(bands, frames\) or \(frames, bands\)"),
        (np.zeros((100, 30), np.float32), "has no axis of the 80 mel bands"),
        (np.zeros(80, np.float32), r"shape \(80,\) is no mel"),
        (np.zeros((2, 80, 30), np.float32), "is no mel"),
        (np.zeros((80, 30), np.int16), "its values are int16"),
        (np.zeros((80, 30), np.complex64), "its values are complex64"),
        (np.zeros((80, 0), np.float32), "no frames|no mel"),
        (np.array([{}]), "it is no mel"),
    ],
)
def test_other_arrays_are_refused_with_the_reason(tmp_path, array, reason):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(AudioError, match=reason):
        MelFile(tmp_path / "a.npy", 80)


def test_files_that_hold_no_array_are_refused(tmp_path, mel):
    np.save(tmp_path / "cut.npy", mel.numpy())
    data = (tmp_path / "cut.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(data[:-100])
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "header.npy").write_bytes(data.replace(b"}", b"("))
    (tmp_path / "text.safetensors").write_text("no tensors")
    save_file({"one": mel, "two": mel.clone()}, tmp_path / "two.safetensors")
    for name in ("cut.npy", "text.npy", "header.npy", "text.safetensors", "two.safetensors", "missing.npy"):
        with pytest.raises(AudioError, match=f"{name} cannot be read"):
            MelFile(tmp_path / name, 80)


def test_a_file_that_is_no_npy_gives_no_advice_to_unpickle_it(tmp_path):
    (tmp_path / "a.npy").write_text("no array")
    with pytest.raises(AudioError, match=r"it does not begin as a \.npy file does"):
        MelFile(tmp_path / "a.npy", 80)


def test_the_convention_is_that_of_the_file_else_that_of_its_folder(tmp_path, mel):
    np.save(tmp_path / "a.npy", mel.numpy())
    assert stated_mel(tmp_path / "a.npy") is None
    (tmp_path / "mel.yaml").write_text("{preset: hifigan_22k_80, log: log10}")
    assert stated_mel(tmp_path / "a.npy") == MEL.replace(log="log10")
    save_file({"mel": mel}, tmp_path / "b.safetensors", metadata={"mel": "bigvgan_24k_100"})
    assert stated_mel(tmp_path / "b.safetensors") == MelConfig.preset("bigvgan_24k_100")
    save_file({"mel": mel}, tmp_path / "c.safetensors", metadata={"mel": json.dumps(MEL.model_dump())})
    assert stated_mel(tmp_path / "c.safetensors") == MEL
    save_file({"mel": mel}, tmp_path / "d.safetensors", metadata={"mel": "{fmix: 3}"})
    with pytest.raises(RecipeError, match="did you mean fmi"):
        stated_mel(tmp_path / "d.safetensors")


def test_a_mel_becomes_what_the_network_makes_of_it(vocoder, mel, tmp_path, monkeypatch):
    monkeypatch.setattr(blocks_module, "BLOCK", 8)
    save_file({"mel": mel}, tmp_path / "a.safetensors", metadata={"mel": "hifigan_22k_80"})
    task = amphion.task("vocoder", model=str(vocoder))
    made = task.generate(tmp_path / "a.safetensors").samples
    np.testing.assert_allclose(made, task.net.vocode(mel[None])[0].numpy(), atol=1e-6)


def run(*words):
    return main(["vocode", *map(str, words)])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("network", ["trained", "vocoder/griffin_lim"])
def test_a_mel_that_is_not_finite_is_named(vocoder, mel, tmp_path, capsys, network, value):
    mel[3, 5] = value
    np.save(tmp_path / "a.npy", mel.numpy())
    name = vocoder if network == "trained" else network
    words = ("--vocoder", name, "--mel", "hifigan_22k_80")
    assert run(tmp_path / "a.npy", "-o", tmp_path / "a.wav", *words) == 2
    shown = capsys.readouterr().err
    assert "a.npy cannot be read: it has values that are not finite" in shown and "hint: " in shown
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


def test_an_error_of_one_file_names_it_and_gives_a_hint(vocoder, mel, tmp_path, capsys):
    Audio(np.zeros(1, np.float32), 22050).save(tmp_path / "short.wav")
    assert run(tmp_path / "short.wav", "-o", tmp_path / "a.wav", "--vocoder", vocoder) == 2
    assert f"error: {tmp_path / 'short.wav'}: 0.000 seconds are too short" in capsys.readouterr().err
    np.save(tmp_path / "huge.npy", mel.numpy() * 0 + 1000)
    words = ("--vocoder", "vocoder/griffin_lim", "--mel", "hifigan_22k_80")
    assert run(tmp_path / "huge.npy", "-o", tmp_path / "a.wav", *words) == 2
    shown = capsys.readouterr().err
    assert "huge.npy: " in shown and "samples that are not finite" in shown
    assert "hint: check what it was made of" in shown
    assert not (tmp_path / "a.wav").exists()


def test_a_mel_of_another_or_no_convention_is_one_clear_sentence(vocoder, mel, tmp_path, capsys):
    np.save(tmp_path / "a.npy", mel.numpy())
    assert run(tmp_path / "a.npy", "-o", tmp_path / "a.wav", "--vocoder", vocoder) == 2
    shown = capsys.readouterr().err
    assert "a.npy does not state its mel convention" in shown and "--mel hifigan_22k_80" in shown
    other = "{preset: hifigan_22k_80, log: log10, padding: center}"
    (tmp_path / "mel.yaml").write_text(other)
    assert run(tmp_path / "a.npy", "-o", tmp_path / "a.wav", "--vocoder", vocoder) == 2
    shown = capsys.readouterr().err
    assert "the mels of the file and the vocoder differ (log: log10 and ln; padding: center and same)" in shown
    (tmp_path / "mel.yaml").unlink()
    assert run(tmp_path / "a.npy", "-o", tmp_path / "a.wav", "--vocoder", vocoder, "--mel", other) == 2
    assert "differ (log: log10 and ln; padding: center and same)" in capsys.readouterr().err
    assert not (tmp_path / "a.wav").exists()
    assert run(tmp_path / "a.npy", "-o", tmp_path / "a.wav", "--vocoder", vocoder, "--mel", "hifigan_22k_80") == 0
    assert Audio.load(tmp_path / "a.wav").samples.shape == (30 * 256,)


def test_bad_mels_of_a_folder_are_named_and_the_rest_is_made(vocoder, mel, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, preset in {"a": "hifigan_22k_80", "b": "melgan_22k_80", "c": "bigvgan_24k_100"}.items():
        save_file({"mel": mel}, folder / f"{name}.safetensors", metadata={"mel": preset})
    np.save(folder / "d.npy", mel.numpy())
    Audio(np.full(9000, 0.1, np.float32), 22050).save(folder / "e.wav")
    assert run(folder, "-o", tmp_path / "out", "--vocoder", vocoder) == 1
    shown = capsys.readouterr()
    assert "vocoded 2 of 5 files" in shown.out
    for name, reason in {"b": "log: log10 and ln", "c": "sample_rate: 24000 and 22050", "d": "does not state"}.items():
        assert sum(f"/{name}." in line and reason in line for line in shown.err.splitlines()) == 1
    assert sorted(path.name for path in (tmp_path / "out").glob("*.*")) == [".vocoded.jsonl", "a.wav", "e.wav"]


def test_without_a_vocoder_the_convention_of_the_mels_decides(mel, tmp_path, capsys):
    preset = MelConfig.preset("bigvgan_24k_100")
    save_file({"mel": torch.full((100, 12), -5.0)}, tmp_path / "a.safetensors", metadata={"mel": "bigvgan_24k_100"})
    assert run(tmp_path / "a.safetensors", "-o", tmp_path / "a.flac") == 0
    assert "so vocoder/griffin_lim is used" in capsys.readouterr().err
    made = Audio.load(tmp_path / "a.flac")
    assert made.sample_rate == preset.sample_rate and len(made.samples) == 12 * preset.hop_length


def test_the_file_of_a_weights_folder_is_not_converted_again(vocoder, tmp_path, capsys):
    words = [str(vocoder / "model.safetensors"), "-o", str(tmp_path / "out")]
    assert main(["convert", "vocoder/hifigan", *words]) == 2
    assert f"{vocoder} is a weights folder of Amphion already" in capsys.readouterr().err
