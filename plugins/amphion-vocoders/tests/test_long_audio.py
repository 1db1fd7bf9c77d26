"""Long audio: chunks equal the whole, files are read and written piece by piece, and interrupted work goes on."""

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file

import amphion_core as amphion
from amphion_core import weights
from amphion_core.api import Audio, MelConfig
from amphion_core.cli.main import main
from amphion_core.features.mel import mel_spectrogram
from amphion_vocoders import blocks as blocks_module, chunks as chunks_module
from amphion_vocoders.blocks import blocks_of_audio

CHUNKABLE = ["vocoder/hifigan", "vocoder/bigvgan", "vocoder/melgan", "vocoder/vocos"]
HOP_256 = {"upsample_rates": [8, 8, 4], "upsample_kernels": [16, 16, 8], "resblock_kernels": [3, 5], "channels": 16}
FIELDS = {
    "vocoder/hifigan": HOP_256 | {"resblock": "2", "resblock_dilations": [[1, 2], [2, 6]]},
    "vocoder/bigvgan": HOP_256 | {"resblock_dilations": [[1, 3], [1, 3]], "mel": "hifigan_22k_80"},
    "vocoder/melgan": {"channels": 32, "mel": "hifigan_22k_80"},
    "vocoder/vocos": {"channels": 16, "inner_channels": 24, "mel": "hifigan_22k_80"},
}


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(chunks_module, "CHUNK", 40)
    monkeypatch.setattr(blocks_module, "BLOCK", 24)


@pytest.fixture(scope="module")
def speech(data_pack):
    return data_pack / "kathleen_en/wavs/kathleen_a0001.flac"


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A weights folder of a small network of each kind, with random weights that are loud enough to compare."""
    torch.manual_seed(0)
    found = {}
    for name in CHUNKABLE:
        net = amphion.build(name, **FIELDS[name])
        if name == "vocoder/vocos":
            with torch.no_grad():
                net.head["out"].weight.mul_(20)
        found[name] = str(weights.save(net, tmp_path_factory.mktemp("nets") / name.partition("/")[2]))
    return found


@pytest.mark.parametrize("name", CHUNKABLE)
def test_chunks_of_a_file_equal_the_whole_mel_vocoded_at_once(name, places, speech, small_chunks):
    task = amphion.task("vocoder", model=places[name])
    audio = Audio.load(speech)
    whole = task.net.vocode(mel_spectrogram(torch.from_numpy(audio.samples)[None], task.mel))[0].numpy()
    pieces = [piece.samples for piece in task.stream(speech)]
    assert len(pieces) > 5 and float(whole.std()) > 1e-3
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-4)
    in_memory = Audio.concatenate(list(task.stream(audio))).samples
    np.testing.assert_array_equal(np.concatenate(pieces), in_memory)


@pytest.mark.parametrize("preset", ["hifigan_22k_80", "tacotron2_22k_80", "apnet_16k_80", "wavernn_22k_80"])
@pytest.mark.parametrize("length", [3000, 24 * 256 + 1024, 20011])
def test_the_mel_of_blocks_equals_the_mel_of_the_whole(preset, length, monkeypatch):
    monkeypatch.setattr(blocks_module, "BLOCK", 24)
    mel = MelConfig.preset(preset)
    wave = torch.randn(length, generator=torch.Generator().manual_seed(0)) * 0.1
    pieces = [wave[start : start + 700].numpy() for start in range(0, length, 700)]
    found = [block.mel for block in blocks_of_audio(pieces, mel, None, "cpu")]
    assert all(each.shape[2] == 24 for each in found[:-1])
    torch.testing.assert_close(torch.cat(found, 2), mel_spectrogram(wave[None], mel), atol=2e-4, rtol=0)


def test_f0_of_blocks_follows_a_gliding_tone(monkeypatch):
    pytest.importorskip("pyworld", reason='pip install "amphion-core[f0]"')
    monkeypatch.setattr(blocks_module, "BLOCK", 100)
    mel = MelConfig.preset("hifigan_22k_80")
    tracker = amphion.get("features", "f0_dio")(amphion.get("features", "f0_dio").Config(mel=mel))
    time = np.arange(22050 * 4) / 22050
    wave = (0.3 * np.sin(2 * np.pi * (150 * time + 20 * time**2))).astype(np.float32)  # 150 Hz and 40 Hz/s
    found = list(blocks_of_audio([wave], mel, tracker, "cpu"))
    f0 = torch.cat([block.f0 for block in found], 1)[0]
    assert len(found) > 2 and len(f0) == mel.frames(len(wave))
    centres = torch.arange(len(f0)) * 256 / 22050 + mel.first_centre
    assert float((f0 - (150 + 40 * centres)).abs()[20:-20].max()) < 3


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_an_interrupted_file_goes_on_and_equals_an_uninterrupted_one(
    places, speech, small_chunks, tmp_path, monkeypatch, capsys, suffix
):
    words = ["vocode", str(speech), "--vocoder", places["vocoder/hifigan"], "-o"]
    whole, target = tmp_path / f"whole{suffix}", tmp_path / f"a{suffix}"
    assert main([*words, str(whole)]) == 0
    hifigan = amphion.get("models", "vocoder/hifigan")
    calls, vocode = [], hifigan.vocode

    def interrupted(self, mel, *args, **fields):
        calls.append(mel.shape)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return vocode(self, mel, *args, **fields)

    with monkeypatch.context() as patch:
        patch.setattr(hifigan, "vocode", interrupted)
        assert main([*words, str(target)]) == 130
    assert "are kept in a" in capsys.readouterr().err
    assert not target.exists() and len(list(tmp_path.glob("*.part"))) == 1
    calls = [None] * 10
    with monkeypatch.context() as patch:
        patch.setattr(hifigan, "vocode", interrupted)
        assert main([*words, str(target)]) == 0
    assert "are there from an earlier run, which goes on" in capsys.readouterr().err
    assert len(calls) == 10 + -(-soundfile.info(speech).frames // 256 // 40) - 2  # 3 are there; the last is made again
    assert target.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([whole.name, target.name])


def test_another_seed_or_a_changed_file_begins_anew(places, speech, small_chunks):
    task = amphion.task("vocoder", model=places["vocoder/vocos"])
    work = task.work(task.request(audio=speech))
    assert work == task.work(task.request(audio=str(speech)))
    assert work != task.work(task.request(audio=speech, seed=1))
    other = amphion.task("vocoder", model=places["vocoder/hifigan"])
    assert work["weights"] != other.work(other.request(audio=speech))["weights"]


def test_a_file_that_is_damaged_in_the_middle_leaves_nothing_behind(places, small_chunks, tmp_path, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    wave = np.full(60000, 0.1, np.float32)
    soundfile.write(source / "good.wav", wave, 22050, subtype="FLOAT")
    wave[50000] = np.nan
    soundfile.write(source / "bad.wav", wave, 22050, subtype="FLOAT")
    assert main(["vocode", str(source), "-o", str(out), "--vocoder", places["vocoder/hifigan"]]) == 1
    assert "bad.wav: it has samples that are not finite" in capsys.readouterr().err
    assert sorted(path.name for path in out.glob("*")) == [".vocoded.jsonl", "good.wav"]


def test_no_more_of_a_file_is_read_than_what_is_vocoded(places, tmp_path, small_chunks, monkeypatch):
    """A file of 100 chunks: after the first piece, the frames of few chunks have been in memory."""
    save_file({"mel": torch.zeros(80, 4000)}, tmp_path / "a.safetensors", metadata={"mel": "hifigan_22k_80"})
    read, vocoded = [], []
    original = blocks_module.MelFile.read
    monkeypatch.setattr(
        blocks_module.MelFile, "read", lambda self, start, stop: read.append(stop) or original(self, start, stop)
    )
    task = amphion.task("vocoder", model=places["vocoder/vocos"])
    vocode = task.net.vocode
    monkeypatch.setattr(task.net, "vocode", lambda mel, *args, **named: vocoded.append(mel.shape[2]) or vocode(mel))
    pieces = task.stream(tmp_path / "a.safetensors")
    assert next(pieces).samples.shape == (40 * 256,)
    assert read[-1] <= 40 + 80 + 24
    assert sum(len(piece.samples) for piece in pieces) == (4000 - 40) * 256
    assert len(vocoded) == 100 and max(vocoded) <= 40 + 2 * 80


def test_short_files_of_equally_many_frames_are_vocoded_together(places, tmp_path, monkeypatch, capsys):
    from amphion_vocoders.task import VocoderTask

    source = tmp_path / "in"
    source.mkdir()
    random = np.random.default_rng(0)
    sizes = {"a": 9000, "b": 12000, "c": 9100, "d": 9001, "e": 12001}
    for name, size in sizes.items():
        Audio(random.standard_normal(size).astype(np.float32) * 0.1, 22050).save(source / f"{name}.wav")
    (source / "f.wav").write_text("no audio")
    words = ["vocode", str(source), "--vocoder", places["vocoder/hifigan"], "-o"]
    assert main([*words, str(tmp_path / "one")]) == 1
    shapes = []
    hifigan = amphion.get("models", "vocoder/hifigan")
    vocode = hifigan.vocode
    monkeypatch.setattr(
        hifigan,
        "vocode",
        lambda self, mel, *rest, **named: shapes.append(mel.shape) or vocode(self, mel, *rest, **named),
    )
    monkeypatch.setattr(VocoderTask, "batch_size", property(lambda task: 2 if task.net.alike_in_batches else 1))
    assert main([*words, str(tmp_path / "many")]) == 1
    assert sorted(tuple(shape[::2]) for shape in shapes) == [(1, 35), (2, 35), (2, 46)]
    assert "vocoded 5 of 6 files" in capsys.readouterr().out
    for name in sizes:
        one, many = (Audio.load(tmp_path / place / f"{name}.wav").samples for place in ("one", "many"))
        np.testing.assert_allclose(one, many, atol=2 / 32768)  # a step of 16 bits
