"""FastSpeech 2 as a voice: the task with a vocoder that is named, its own, or of another convention."""

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core import registry, weights
from amphion_core.api import Audio, Card, MelConfig
from amphion_core.cli.main import main
from amphion_core.errors import AudioError, DataError
from amphion_core.vocoding import own_vocoder
from amphion_tts.models.fastspeech2 import FastSpeech2


def vocoder_of(mel):
    hifigan = amphion.get("models", "vocoder/hifigan")
    sizes = {
        "channels": 16,
        "upsample_rates": (8, 8, 2, 2),
        "upsample_kernels": (16, 16, 4, 4),
        "resblock_kernels": (3,),
    }
    return hifigan(hifigan.Config(mel=mel, resblock_dilations=((1, 3, 5),), **sizes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A voice of two speakers with its vocoder beside it, and a vocoder of 100 bands."""
    folder = tmp_path_factory.mktemp("voice")
    torch.manual_seed(0)
    mel = MelConfig.preset("hifigan_22k_80")
    config = FastSpeech2.example_config().replace(
        vocabulary=None, frontend={"name": "amphion_symbols"}, mel=mel, speakers=("ann", "ben"), aligner=False
    )
    net = FastSpeech2(config)
    net.variance_adaptor.duration_predictor.linear_layer.bias.data.fill_(1.6)
    weights.save(net, folder / "voice", vocoder="../vocoder")
    weights.save(net, folder / "bare")
    weights.save(vocoder_of(mel), folder / "vocoder")
    weights.save(vocoder_of(MelConfig.preset("bigvgan_24k_100")), folder / "other")
    return folder


def test_a_voice_speaks_through_its_own_vocoder(folder, tmp_path):
    task = amphion.task("tts", model=folder / "voice")
    assert task.vocoder.config.upsample_rates == (8, 8, 2, 2) and task.vocoder.config.channels == 16
    one = task.generate(task.request(text="Good morning.", speaker="ann"))
    made = task.net.synthesize(*_ids(task, "Good morning."), torch.tensor([0]))
    assert len(one.samples) == int(made.durations.sum()) * 256
    assert not np.array_equal(one.samples, task.generate(task.request(text="Good morning.", speaker="ben")).samples)
    with pytest.raises(DataError, match="has 2 speakers, and none is chosen"):
        task.generate("Good morning.")
    words = [
        "tts",
        "Good morning.",
        "--model",
        str(folder / "voice"),
        "--speaker",
        "ann",
        "--control",
        "length_scale=2",
    ]
    assert main([*words, "-o", str(tmp_path / "slow.wav")]) == 0
    assert Audio.load(tmp_path / "slow.wav").duration > 1.5 * one.duration


def _ids(task, text):
    row = task.frontend.ids(task.frontend.tokens(text))
    return torch.tensor([row]), torch.tensor([len(row)])


def test_info_names_the_vocoder(folder, capsys):
    assert main(["info", str(folder / "voice")]) == 0
    assert f"vocoder: {folder / 'voice' / '../vocoder'}" in capsys.readouterr().out


def test_a_named_vocoder_is_used_instead(folder):
    task = amphion.task("tts", model=folder / "voice", vocoder="vocoder/griffin_lim")
    assert registry.name_of(type(task.vocoder)) == "vocoder/griffin_lim"
    assert own_vocoder(folder / "bare") is None and own_vocoder(folder / "voice") == str(
        folder / "voice" / "../vocoder"
    )


def test_a_vocoder_of_another_convention_is_refused_with_all_fields(folder):
    with pytest.raises(AudioError) as caught:
        amphion.task("tts", model=folder / "voice", vocoder=folder / "other")
    for part in ("sample_rate: 22050 and 24000", "n_mels: 80 and 100", "fmax: 8000.0 and None"):
        assert part in caught.value.message


def test_the_vocoder_of_a_card_is_used(folder, monkeypatch):
    card = Card("tts/fastspeech2@mine", "a voice", source=str(folder / "bare"), vocoder=str(folder / "vocoder"))
    monkeypatch.setattr("amphion_core.cards.cards", lambda pattern="": iter([card]))
    assert own_vocoder("tts/fastspeech2@mine") == str(folder / "vocoder")
    task = amphion.task("tts", model="tts/fastspeech2@mine")
    assert task.vocoder.config.channels == 16


def test_the_vocoder_of_a_run_is_that_of_its_trainer(tmp_path):
    step = tmp_path / "run" / "checkpoints" / "step-5"
    step.mkdir(parents=True)
    (step / "state.json").write_text("{}")
    (tmp_path / "run" / "config.yaml").write_text(
        "model: tts/fastspeech2\ntrainer: {name: x, vocoder: vocoder/griffin_lim}\n"
    )
    assert own_vocoder(tmp_path / "run") == own_vocoder(step) == "vocoder/griffin_lim"
