"""The task and the command tta, with a model of tones: files, lists, edits, and one sentence for what cannot be."""

import json
import re
import shlex
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core import registry, weights
from amphion_core.api import Audio
from amphion_core.cli.main import main
from amphion_core.errors import AmphionError, DataError, RecipeError, WeightsError
from amphion_tta.edits import check_regions, joined
from amphion_tta.languages import foreign_note
from amphion_tta.opening import open_text_encoder
from amphion_tta.tta_command import EPILOG

RATE = 16000
PAGE = Path(__file__).parents[3] / "docs" / "text-to-audio.md"


@pytest.fixture(scope="module", autouse=True)
def registered():
    """The model of tones under the name tta/tones."""
    import sys

    sys.path.insert(0, str(Path(__file__).parent))
    ref = registry.ComponentRef(
        "models", "tta/tones", "tones:Tones", "amphion-tones", "0.1.0", ">=0.1,<0.2", "amphion_core.api:v1"
    )
    with registry.temporary(ref):
        yield
    sys.path.pop(0)


@pytest.fixture(scope="module")
def tones(registered, tmp_path_factory):
    """Weights folders of the model: of waves, of mels, broken, and one that cannot edit."""
    folder = tmp_path_factory.mktemp("tones")
    kinds = {
        "wave": {}, "mel": {"kind": "mel"}, "broken": {"broken": True}, "fixed": {"editable": False},
        "other": {"text_encoder_fingerprint": "00000000x"},
    }  # fmt: skip
    for name, fields in kinds.items():
        weights.save(amphion.build("tta/tones", **fields), folder / name)
    return folder


@pytest.fixture(scope="module")
def task(tones):
    return amphion.task("tta", model=str(tones / "wave"))


@pytest.fixture
def inside(tmp_path, monkeypatch, tones):
    """An empty folder to work in, with two seconds of noise in street.wav."""
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    Audio(noise, RATE).save(tmp_path / "street.wav")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_caption_becomes_a_file_of_the_wanted_length(inside, tones, capsys):
    words = ["tta", "a dog barks", "-o", "dog.wav", "--seconds", "1.5", "--steps", "5", "--model", str(tones / "wave")]
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("wrote dog.wav: 1.5 s at 16000 Hz by ")
    assert Audio.load("dog.wav").duration == pytest.approx(1.5)


def test_a_model_of_mels_is_heard_through_a_vocoder(tones):
    task = amphion.task("tta", model=str(tones / "mel"), vocoder="vocoder/griffin_lim")
    audio = task.generate(task.request(caption="rain", seconds=0.5))
    assert audio.duration == pytest.approx(0.5, abs=0.016) and audio.peak > 0.05


def test_a_vocoder_of_another_mel_convention_is_refused(tones, tmp_path):
    vocoder = amphion.build("vocoder/hifigan@v3", mel="hifigan_22k_80")
    weights.save(vocoder, tmp_path / "vocoder")
    with pytest.raises(AmphionError, match="sample_rate"):
        amphion.task("tta", model=str(tones / "mel"), vocoder=str(tmp_path / "vocoder"))


def test_a_list_is_generated_once_and_a_batch_changes_nothing(inside, tones, capsys):
    (inside / "list.csv").write_text('id,caption\ndog,"a dog barks, twice"\nrain,rain\nwind,wind\n')
    words = ["tta", "--file", "list.csv", "--seconds", "0.5", "--model", str(tones / "wave"), "-o"]
    assert main([*words, "sounds/", "--batch", "2"]) == 0
    assert main([*words, "alone/"]) == 0
    for name in ("dog", "rain", "wind"):
        both = [Audio.load(inside / folder / f"{name}.wav").samples for folder in ("sounds", "alone")]
        assert np.abs(both[0] - both[1]).max() < 1e-3
    capsys.readouterr()
    (inside / "sounds/rain.wav").unlink()
    assert main([*words, "sounds/", "--json"]) == 0
    assert [row["kept"] for row in json.loads(capsys.readouterr().out)["files"]] == [True, False, True]


def documented():
    """The words of every ``amphion tta`` of the page and of the help, but for those that need a trained CLAP."""
    for line in re.findall(r"^ *amphion (tta .*)$", PAGE.read_text(encoding="utf-8") + EPILOG, re.M):
        if "--ranker" not in line:
            yield pytest.param(shlex.split(line, comments=True), id=line)


@pytest.mark.parametrize("words", list(documented()))
def test_a_documented_command_makes_its_files(words, inside, tones):
    for name in ("dog", "street"):
        Audio(np.random.default_rng(0).normal(0, 0.1, 5 * RATE).astype(np.float32), RATE).save(inside / f"{name}.wav")
    (inside / "captions.csv").write_text("id,caption\na,rain\nb,wind\n")
    assert main([*words, "--model", str(tones / "wave")]) == 0  # the last --model is taken
    out = inside / words[words.index("-o") + 1]
    made = sorted(out.glob("*.wav")) if out.is_dir() else [out]
    assert len(made) == (2 if out.is_dir() else 1) and all(Audio.load(path).duration == 5 for path in made)


def test_a_first_batch_that_fails_leaves_no_folder(inside, tones, capsys):
    (inside / "list.csv").write_text("id,caption\na,rain\nb,wind\n")
    before = sorted(inside.rglob("*"))
    words = ["tta", "--file", "list.csv", "--seconds", "0.5", "--model", str(tones / "broken"), "-o", "new/sounds/"]
    assert main(words) == 2
    assert "numbers that are not finite" in capsys.readouterr().err
    assert sorted(inside.rglob("*")) == before


def test_spans_are_made_anew_and_the_rest_is_the_recording(inside, tones):
    words = ["tta", "a bell", "--from", "street.wav", "--inpaint", "0.5-1", "-o", "new.wav"]
    assert main([*words, "--model", str(tones / "wave")]) == 0
    old, new = Audio.load("street.wav").samples, Audio.load("new.wav").samples
    assert np.array_equal(old[: RATE // 2], new[: RATE // 2]) and np.array_equal(old[RATE:], new[RATE:])
    inner = slice(RATE * 6 // 10, RATE * 9 // 10)
    assert np.abs(new[inner]).mean() > 1.5 * np.abs(old[inner]).mean()  # the tone is louder than the noise


def test_a_small_strength_keeps_more_of_a_recording(task, inside):
    source = Audio.load("street.wav")
    weak, strong = (
        task.generate(task.request(caption="a bell", source=source, strength=strength)).samples
        for strength in (0.1, 1.0)
    )
    assert np.abs(weak - source.samples).mean() < 0.3 * np.abs(strong - source.samples).mean()


def test_the_candidate_that_is_nearest_to_the_caption_is_taken(tones, tmp_path):
    clap = amphion.get("models", "text_encoder/clap")
    torch.manual_seed(0)
    weights.save(clap(clap.example_config()), tmp_path / "clap")
    task = amphion.task("tta", model=str(tones / "wave"), ranker=str(tmp_path / "clap"))
    each = [task.generate(task.request(caption="a dog", seconds=0.2, seed=seed)) for seed in range(3)]
    best = task.generate(task.request(caption="a dog", seconds=0.2, candidates=3))
    scores = task.similarities("a dog", each)
    assert np.array_equal(best.samples, each[int(np.argmax(scores))].samples)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"caption": " "}, "the caption is empty"),
        ({"caption": "?! 🐶"}, "has no words"),
        ({"caption": "rain " * 5000}, "has 5,000 tokens, and the text encoder reads at most 128"),
        ({"caption": "rain", "negative": "rain " * 200}, "the negative caption .* has 200 tokens"),
        ({"caption": "rain", "seconds": 11}, "at most 10 seconds, and 11 are wanted"),
        ({"caption": "rain", "candidates": 2}, "2 candidates need a model that compares"),
        ({"caption": "rain", "inpaint": ["0-1"]}, "need a recording"),
        ({"caption": "rain", "strength": 0.5}, "a strength says how far a recording is changed"),
        ({"caption": "rain", "seconds": 1e-5}, "less than one sample of 16000 Hz"),
        ({"caption": "rain", "source": "street.wav", "inpaint": ["1-3"]}, "1-3 is not inside the recording"),
        ({"caption": "rain", "source": "street.wav", "inpaint": ["0-1", "0.5-2"]}, "0-1 and 0.5-2 overlap"),
    ],
)
def test_what_cannot_be_generated_is_one_sentence(task, inside, fields, message):
    with pytest.raises(DataError, match=message):
        task.generate(task.request(**fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"seconds": 0}, "seconds: input should be greater than 0"),
        ({"seconds": -3}, "seconds: input should be greater than 0"),
        ({"seconds": 3600}, "seconds: input should be less than or equal to 120"),
        ({"strength": 0}, "strength"),
        ({"inpaint": ["4-2"]}, "4-2 does not end after it begins"),
        ({"inpaint": ["soon"]}, "such as 2-4, got 'soon'"),
        ({"controls": {"stepz": 3}}, "controls of this model: steps, guidance"),
    ],
)
def test_a_wrong_request_is_refused_by_the_name_of_its_field(task, fields, message):
    with pytest.raises(RecipeError) as caught:
        task.generate(task.request(**{"caption": "rain"} | fields))
    assert (
        message
        in f"{caught.value.message.lower() if 'input should' in message else caught.value.message} {caught.value.hint}"
    )


def test_numbers_that_are_not_finite_are_an_error_and_no_file(inside, tones, capsys):
    assert main(["tta", "rain", "-o", "rain.wav", "--model", str(tones / "broken")]) == 2
    assert "gave numbers that are not finite" in capsys.readouterr().err
    assert not (inside / "rain.wav").exists()


def test_a_model_that_cannot_edit_and_another_text_encoder_are_refused(tones, inside):
    task = amphion.task("tta", model=str(tones / "fixed"))
    with pytest.raises(DataError, match="cannot start from a recording"):
        task.generate(task.request(caption="rain", source="street.wav"))
    with pytest.raises(WeightsError, match="trained with a text encoder of other weights"):
        amphion.task("tta", model=str(tones / "other"))
    with pytest.raises(WeightsError, match="does not make sounds from captions"):
        amphion.task("tta", model="text_encoder/words")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no caption is given"),
        (["rain", "--file", "list.txt"], "take one of them"),
        (["--file", "list.txt"], "need a folder"),
        (["--file", "no.csv", "-o", "out/"], "no.csv"),
        (["--file", "empty.txt", "-o", "out/"], "has no captions"),
        (["--file", "twice.csv", "-o", "out/"], "line 3: the id 'a' is also that of line 2"),
        (["rain", "-o", "rain.xyz"], "xyz"),
        (["rain", "--from", "nothing.wav"], "nothing.wav"),
        (["rain", "--seconds", "3600"], "seconds: input should be less than or equal to 120"),
        (["rain " * 5000], "has 5,000 tokens, and the text encoder reads at most 128"),
        (["rain", "--batch", "0"], "--batch 0 is not from 1 to 1024"),
        (
            ["rain", "--from", "street.wav", "-o", "./street.wav"],
            "street.wav would overwrite street.wav, which is read",
        ),
        (["--file", "one.csv", "--from", "street.wav", "-o", "."], "street.wav would overwrite street.wav"),
        (["rain", "--from", "street.wav", "--seconds", "1"], "with --from the sound is as long as the recording"),
        (["rain", "--from", "street.wav", "--inpaint", "0-1", "--seconds", "1"], "leave --seconds out"),
    ],
)
def test_bad_words_are_one_sentence_with_exit_code_2(inside, words, message, tones, capsys):
    (inside / "empty.txt").write_text("\n")
    (inside / "one.csv").write_text("id,caption\nstreet,rain\n")
    (inside / "twice.csv").write_text("id,caption\na,rain\na,wind\n")
    before = sorted(inside.iterdir())
    assert main(["tta", *words, "--model", str(tones / "wave")]) == 2
    said = capsys.readouterr().err
    assert message in said.lower() if "input should" in message else message in said
    assert said.count("error: ") == 1 and len(said) < 500
    assert sorted(inside.iterdir()) == before


def test_an_hour_is_refused_before_it_is_read(inside, tones, capsys, monkeypatch):
    size = 3600 * 8000 * 2
    with (inside / "hour.wav").open("wb") as file:  # it takes no space on the disk
        file.write(b"RIFF" + struct.pack("<I", size + 36) + b"WAVEfmt ")
        file.write(struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16) + b"data" + struct.pack("<I", size))
        file.truncate(44 + size)
    monkeypatch.setattr(Audio, "load", None)
    assert main(["tta", "rain", "--from", "hour.wav", "-o", "x.wav", "--model", str(tones / "wave")]) == 2
    said = capsys.readouterr().err
    assert "hour.wav lasts 3600 seconds, and at most 120 are changed at once" in said and "-t 120 PART.wav" in said


def test_a_recording_that_is_too_long_for_the_model_is_refused(task):
    source = Audio(np.zeros(11 * 8000, np.float32), 8000)
    with pytest.raises(DataError, match="at most 10 seconds, and 11 are wanted") as caught:
        task.plan(task.request(caption="rain", source=source))
    assert caught.value.hint == "cut the recording: ffmpeg -i FILE -t 10 PART.wav"


def test_a_vocoder_that_gives_nan_is_named(tones, monkeypatch):
    task = amphion.task("tta", model=str(tones / "mel"), vocoder="vocoder/griffin_lim")
    monkeypatch.setattr(task.vocoder, "vocode", lambda mel, seed: torch.full((1, mel.shape[2] * 160), torch.nan))
    with pytest.raises(DataError, match="the vocoder gave numbers that are not finite"):
        task.generate(task.request(caption="rain", seconds=0.5))


def test_a_caption_in_another_language_is_noted(task):
    assert task.plan(task.request(caption="ein Hund bellt")).notes == ()  # words have no language
    assert foreign_note("ein Hund bellt zweimal im Regen", ("en",)).startswith("the caption seems to be German")
    assert "another script (cyrillic)" in foreign_note("собака лает", ("en",))
    for text in (
        "a dog barks twice",
        "rain",
        "footsteps on gravel",
        "a man speaks then a door slams",
        "techno 120 bpm",
    ):
        assert foreign_note(text, ("en",)) is None, text


def test_joined_sounds_fade_at_the_ends_of_a_span():
    made = joined(np.zeros(RATE, np.float32), np.ones(RATE, np.float32), [(0.25, 0.75)], RATE)
    assert made[RATE // 4 - 1] == 0 and made[RATE // 2] == 1 and 0 < made[RATE // 4 + 10] < 0.1
    with pytest.raises(DataError, match="overlap"):
        check_regions([(0.5, 0.8), (0.1, 0.6)], 1.0)


def test_a_validation_makes_the_sounds_of_its_captions(tones, weights_pack):
    from amphion_core.api import Batch
    from amphion_tta.sampled_validation import SampledValidation, SoundMetrics

    net = amphion.load(str(tones / "wave"))
    embedding = {"name": "efficientat", "weights": str(weights_pack / "efficientat_mn04/mn04_as_mAP_432.pt")}
    config = SoundMetrics(metrics=[{"name": "tagger_accuracy", "embedding": embedding}], items=2, seconds=1.0)
    wave = torch.randn(3, RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    captions = ["a dog barks", "wind", "rain"]
    lengths = torch.tensor([RATE] * 3)
    batch = Batch(
        ["a", "b/c", "d"], {"wave": wave, "lengths": lengths}, {"items": 3}, {"items": 3}, {"caption": captions}
    )
    validation = SampledValidation(config, net)
    found = validation(net, open_text_encoder("text_encoder/words"), batch)
    accuracy = found.scores["tagger_accuracy"]
    assert accuracy[0] in (0.0, 100.0) and np.isnan(accuracy[1]) and np.isnan(accuracy[2])  # wind is no class of ESC-10
    assert found.audio.keys() == found.pictures.keys() == {"sampled_a", "sampled_b_c"}
    assert found.audio["sampled_a"].shape == (RATE,) and found.pictures["sampled_a"].shape[0] == 80
    assert validation.higher_is_better == {"tagger_accuracy": True, "real_time_factor": False}
    for fields, reason in (({"metrics": ["fad"]}, "whole sets of files"), ({"controls": {"stepz": 2}}, "stepz")):
        with pytest.raises(RecipeError, match=reason):
            SampledValidation(SoundMetrics(**fields), net)


def test_in_a_training_in_bf16_the_vocoder_still_computes_in_float32(tones):
    from amphion_core.api import Batch
    from amphion_tta.sampled_validation import SampledValidation, SoundMetrics

    net = amphion.load(str(tones / "mel"))
    tensors = {"wave": torch.zeros(1, RATE), "lengths": torch.tensor([RATE])}
    batch = Batch(["a"], tensors, {"items": 1}, {"items": 1}, {"caption": ["rain"]})
    validation = SampledValidation(SoundMetrics(items=1, seconds=0.5, vocoder="vocoder/griffin_lim"), net)
    encoder = open_text_encoder("text_encoder/words")
    with torch.autocast("cpu", torch.bfloat16):
        found = validation(net, encoder, batch)
    assert torch.equal(found.audio["sampled_a"], validation(net, encoder, batch).audio["sampled_a"])
