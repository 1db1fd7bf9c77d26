"""PicoAudio by the command tta: a caption with times becomes a file, and what it cannot make is one sentence."""

import pytest
import torch

import amphion_core as amphion
from amphion_core import weights
from amphion_core.api import Audio
from amphion_core.cli.main import main
from amphion_tta.models.picoaudio import PicoAudio


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A weights folder of the example, whose events are hello there, how are you, good day and fine."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = PicoAudio(PicoAudio.example_config())
    return str(weights.save(net, tmp_path_factory.mktemp("picoaudio") / "weights"))


def run(model, out, caption, seconds="0.5"):
    return main(
        ["tta", caption, "--model", model, "--vocoder", "vocoder/griffin_lim", "--seconds", seconds, "-o", str(out)]
    )


def test_a_caption_with_times_becomes_a_file(model, tmp_path):
    for name, caption in {
        "early": "hello at 0-0.1 and fine at 0.1-0.2",
        "late": "hello at 0.3-0.4, fine at 0.4-0.5",
    }.items():
        assert run(model, tmp_path / f"{name}.wav", caption) == 0
    early, late = (Audio.load(tmp_path / f"{name}.wav") for name in ("early", "late"))
    assert early.sample_rate == 16000 and early.duration == pytest.approx(0.5, abs=0.01)
    assert abs(early.samples - late.samples).max() > 1e-3


@pytest.mark.parametrize(
    ("caption", "seconds", "message"),
    [
        ("horse at 0-0.2", "0.5", "the model has no event 'horse'"),
        ("fine at 0.3-0.2", "0.5", "ends before it begins"),
        ("fine at 0-0.3, 0.2-0.4", "0.5", "overlap"),
        ("fine at 0.2-0.8", "0.5", "not within the 0.5 s of the sound"),
        ("fine at 0-1", "5", "at most 2.56 seconds"),
        ("собака at 0-0.2", "0.5", "the model has no event 'собака'"),
        ("fine at 3600-3601", "0.5", "not within the 0.5 s of the sound"),
        ("fine at 0-0.1, " * 5000, "0.5", "tokens, and the text encoder reads at most 128"),
    ],
)
def test_what_cannot_be_made_is_said_before_anything_is_written(model, tmp_path, capsys, caption, seconds, message):
    assert run(model, tmp_path / "x.wav", caption, seconds) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "x.wav").exists()


@pytest.mark.parametrize(
    ("value", "message"), [(torch.nan, "(NaN or infinite)"), (3e38, "latents that are not finite")]
)
def test_damaged_weights_are_one_sentence_and_no_file(model, value, message, tmp_path, capsys):
    net = amphion.load(model)
    with torch.no_grad():
        for parameter in net.unet.parameters():
            parameter.fill_(value)
    damaged = str(weights.save(net, tmp_path / "damaged"))
    assert run(damaged, tmp_path / "x.wav", "fine at 0-0.2") == 2
    said = capsys.readouterr().err
    assert message in said and said.count("error: ") == 1 and "hint: " in said
    assert not (tmp_path / "x.wav").exists()
