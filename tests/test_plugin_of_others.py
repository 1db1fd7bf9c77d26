"""A plugin of somebody else with a small component of every family: trained, exported, loaded and used.

The plugin in ``plugin_amphion_sketch`` is installed as a real distribution into a temporary folder. Nothing in the core
knows its names.
"""

import csv
import json
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from pydantic import Field

import amphion_core as amphion
from amphion_core import onnx_export, registry, weights, yaml
from amphion_core.api import BaseConfig, Codes, Synthesis, TextCondition, Update, vocoder_graph
from amphion_core.cli.main import main
from amphion_core.errors import RecipeError
from amphion_core.testing import CheckFailed, checks_of, family_checks, network_checks, run_checks, trainer_checks
from amphion_core.training import checkpoint
from amphion_core.training.run_folder import RunFolder

SOURCE = Path(__file__).with_name("plugin_amphion_sketch")
STEPS = 12  # of each of the plugin's recipes


class Noise(torch.nn.Module):
    """The module of a graph that draws."""

    def forward(self, mel):
        return torch.rand_like(mel[:, 0])


class Unbounded(BaseConfig):
    """A control without a range."""

    speed: float | None = Field(default=None, description="factor")


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory):
    """The plugin, installed by pip into a folder on the path."""
    site = tmp_path_factory.mktemp("site")
    command = ["install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", *command, "--target", str(site), str(SOURCE)], check=True)
    sys.path.insert(0, str(site))
    registry.refresh()
    with pytest.MonkeyPatch.context() as patch:  # for ten clips, starting processes takes longer than the features
        patch.setenv("PYTHONPATH", str(site))
        patch.setattr("amphion_core.data.extraction.default_processes", lambda: 1)
        yield site
    sys.path.remove(str(site))
    registry.refresh()


@pytest.fixture(scope="module")
def corpus(data_pack, tmp_path_factory):
    """A prepared folder of two real speakers, with texts and captions."""
    root, out = tmp_path_factory.mktemp("corpus"), tmp_path_factory.mktemp("prepared") / "corpus"
    rows = []
    for folder in ("kathleen_en", "kerstin_de"):
        with (data_pack / folder / "manifest.csv").open(encoding="utf-8") as file:
            found = sorted(csv.DictReader(file), key=lambda row: float(row["duration"]))
        for row in [row for row in found if float(row["duration"]) > 1][:5]:
            path = data_pack / folder / row["path"]
            caption = "a woman speaks " + ("English" if folder == "kathleen_en" else "German")
            rows.append({"id": row["id"], "path": str(path), "text": row["text"], "speaker": row["spk"],
                         "caption": caption, "split": "train"})  # fmt: skip
    for speaker in sorted({row["speaker"] for row in rows}):
        mine = [row for row in rows if row["speaker"] == speaker]
        known = {row["id"]: letters([other for other in rows if other is not row]) for row in mine}
        next(row for row in mine if letters([row]) <= known[row["id"]])["split"] = "dev"
    for row in rows:  # the table names files below its own folder
        target = root / f"{row['id']}.wav"
        samples, rate = soundfile.read(row["path"], dtype="float32")
        soundfile.write(target, samples, rate)
        row["path"] = target.name
    with (root / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    assert main(["prepare", "folder", str(root), str(out)]) == 0
    return out


def letters(rows):
    return {char for row in rows for char in row["text"].lower() if char.isalpha()}


def train(recipe, corpus, run, *overrides):
    """``amphion train``; returns the weights folder."""
    torch.set_num_threads(1)
    assert main(["train", recipe, f"data.root={corpus}", "-o", str(run), *overrides]) == 0
    return run / "weights"


def curve(run, name):
    """The values of a logged score, by step."""
    return [line[name] for line in RunFolder(run).curve() if name in line]


@pytest.fixture(scope="module")
def speech(corpus, tmp_path_factory):
    return train("sketch_speech", corpus, tmp_path_factory.mktemp("runs") / "speech")


@pytest.fixture(scope="module")
def converter(corpus, tmp_path_factory):
    return train("sketch_converter", corpus, tmp_path_factory.mktemp("runs") / "converter")


@pytest.fixture(scope="module")
def codec(corpus, tmp_path_factory):
    return train("sketch_codec", corpus, tmp_path_factory.mktemp("runs") / "codec")


@pytest.fixture(scope="module")
def sound(corpus, codec, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "sound"
    return train("sketch_sound", corpus, run, f"engine.init_from={{model.autoencoder: {codec}}}")


def records(corpus, split="dev"):
    return [json.loads(line) for line in (corpus / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


def recording(corpus, rate):
    """A real recording of the dev split at ``rate``, (1, T)."""
    root = Path(yaml.read(corpus / "dataset.yaml")["root"])
    audio = amphion.Audio.load(root / records(corpus)[0]["path"])
    return torch.from_numpy(audio.mono().resample(rate).samples.copy())[None]


def test_every_check_of_the_kit_passes(capsys):
    kinds = {ref.kind for _, ref in checks_of("amphion-sketch")}
    assert kinds >= {"models", "features", "frontends", "trainers", "recipes", "dist"}
    assert main(["plugin", "check", "amphion-sketch"]) == 0, capsys.readouterr().out


def test_two_parts_of_the_model_are_trained_each_by_its_own_optimiser(speech):
    run = speech.parent
    losses = curve(run, "speech/loss")
    assert np.mean(losses[-3:]) < 0.92 * losses[0]
    tensors, _ = checkpoint.read(run / "checkpoints" / f"step-{STEPS}")
    assert {name.partition(".")[0] for name in tensors["networks"]} == {"text", "speech"}
    net = amphion.load(speech)
    last = {name: tensor for name, tensor in tensors["networks"].items() if name.startswith("text.")}
    for name, tensor in last.items():
        torch.testing.assert_close(net.get_parameter(name.replace("text.", "encoder.", 1)), tensor, rtol=0, atol=0)
    averaged = tensors["ema"]["speech.out.weight"]
    torch.testing.assert_close(net.decoder.out.weight.detach(), averaged, rtol=0, atol=0)
    assert not torch.equal(averaged, tensors["networks"]["speech.out.weight"])


def test_what_depends_on_the_corpus_is_filled_in_and_stored(speech, corpus):
    texts = "".join(record["text"].lower() for record in records(corpus, "train"))
    for stored in (amphion.load(speech).config, yaml.read(speech.parent / "config.yaml")["model"]):
        model = stored if isinstance(stored, dict) else stored.model_dump(mode="json")
        assert list(model["speakers"]) == sorted({record["speaker"] for record in records(corpus, "train")})
        assert set(model["frontend"]["symbols"]) == {"~", *(char for char in texts if char.isalpha() or char == " ")}
        assert len(model["mel_mean"]) == len(model["mel_deviation"]) == 80
        assert -12 < np.mean(model["mel_mean"]) < 0  # natural logarithms of magnitudes of speech


def test_a_sentence_is_spoken_from_the_command_line_with_a_vocoder(speech, tmp_path, capsys):
    speaker = amphion.load(speech).config.speakers[1]
    words = ["tts", "Good day to all of you.", "--model", str(speech), "--vocoder", "vocoder/griffin_lim"]
    durations = []
    for scale in (1, 2):
        out = tmp_path / f"{scale}.wav"
        assert main([*words, "--speaker", speaker, "--control", f"length_scale={scale}", "-o", str(out)]) == 0
        audio = amphion.Audio.load(out)
        assert np.abs(audio.samples).max() > 0.001
        durations.append(audio.duration)
    assert durations[1] == pytest.approx(2 * durations[0], rel=0.15)  # each letter is rounded to whole frames
    assert main([*words, "--speaker", "nobody", "-o", str(tmp_path / "x.wav")]) == 2
    assert "has no speaker 'nobody'" in capsys.readouterr().err
    assert main([*words, "--speaker", speaker, "--control", "steps=3", "-o", str(tmp_path / "x.wav")]) == 2
    assert "length_scale, variation" in capsys.readouterr().err


def test_an_imitator_is_validated_with_the_voice_of_another_item_of_the_same_speaker(corpus, tmp_path):
    copy = tmp_path / "corpus"  # with two items of each speaker in the split dev
    shutil.copytree(corpus, copy)
    items = sorted(records(copy) + records(copy, "train"), key=lambda record: record["id"])
    speakers = sorted({record["speaker"] for record in items})
    dev = [[record for record in items if record["speaker"] == speaker][:2] for speaker in speakers]
    lines = "".join(json.dumps(record) + "\n" for pair in dev for record in pair)
    (copy / "dev.jsonl").write_text(lines, encoding="utf-8")
    weights = train("sketch_imitator", copy, tmp_path / "run")
    assert curve(weights.parent, "model/loss")[-1] < curve(weights.parent, "model/loss")[0]
    assert np.isfinite(curve(weights.parent, "loudness")).all()
    root = Path(yaml.read(copy / "dataset.yaml")["root"])
    for item, other in zip(dev[0], dev[0][::-1], strict=True):  # audio of the first three items is kept
        (heard,) = weights.parent.glob(f"samples/**/*{item['id']}_prompt*.wav")
        recorded = amphion.Audio.load(root / other["path"]).mono().resample(22050)
        assert amphion.Audio.load(heard).duration == pytest.approx(recorded.duration, abs=0.001)


def test_a_converter_learns_from_features_of_three_rates_and_uses_them(converter, corpus):
    losses = curve(converter.parent, "converter/loss")
    assert np.mean(losses[-3:]) < 0.92 * losses[0]
    net = amphion.load(converter)
    assert 150 < net.config.f0_mean < 300  # two women
    mel = net.config.mel
    extractors = {name: part.build() for name, part in net.features.items()}
    found = {name: one.extract(recording(corpus, one.sample_rate)) for name, one in extractors.items()}
    wave = recording(corpus, mel.sample_rate)
    f0 = amphion.get("features", "f0_dio")
    tracked = f0(f0.Config(mel=mel)).extract(wave)[:, 0]
    lengths = torch.tensor([mel.frames(wave.shape[1])])
    assert found["content"].shape[2] == pytest.approx(50 * wave.shape[1] / mel.sample_rate, abs=1)
    assert found["energy"].shape[2] == lengths[0]
    voice = amphion.get("features", "sketch_voice")
    vector = voice(voice.Config()).extract(recording(corpus, 16000))
    made = net.convert(found, lengths, vector, f0=tracked, controls=net.controls({"pitch_scale": 1.5}))
    assert made.mel.shape == (1, 80, lengths[0]) and torch.isfinite(made.mel).all()
    torch.testing.assert_close(made.f0, tracked * 1.5)
    other = net.convert(found, lengths, vector + 1, f0=tracked)
    assert (made.mel - other.mel).abs().mean() > 0.01  # the voice is heard
    pulse = amphion.build("vocoder/sketch_pulse", mel=mel.model_dump()).for_inference()
    assert pulse.needs_f0
    assert pulse.vocode(made.mel, made.f0).shape == (1, lengths[0] * mel.hop_length)


@pytest.mark.skipif(not all(map(find_spec, onnx_export.PACKAGES)), reason='pip install "amphion-core[onnx]"')
def test_a_vocoder_of_others_is_exported_by_the_command(tmp_path, capsys):
    net = amphion.build("vocoder/sketch_pulse")
    weights.save(net, tmp_path / "pulse")
    assert main(["export", str(tmp_path / "pulse"), "-o", str(tmp_path / "pulse.onnx")]) == 0
    assert "input f0: Hz, everywhere above 0" in capsys.readouterr().out
    mel, f0 = torch.randn(1, 80, 7) - 4, torch.full((1, 7), 200.0)
    found = onnx_export.run(tmp_path / "pulse.onnx", {"mel": mel.numpy(), "f0": f0.numpy()})
    torch.testing.assert_close(torch.from_numpy(found["wave"]), net(mel, f0), atol=1e-4, rtol=0)


def test_the_task_svc_converts_with_a_converter_of_others_and_a_vocoder(converter, corpus, tmp_path, capsys):
    root = Path(yaml.read(corpus / "dataset.yaml")["root"])
    song, singer = str(root / records(corpus)[0]["path"]), str(tmp_path / "singer.wav")
    voice = amphion.Audio.load(root / records(corpus)[1]["path"])
    amphion.Audio.concatenate([voice] * 3).save(singer)  # a clip of a second has too little voice
    words = ["svc", song, "--singer", singer, "--vocoder", "vocoder/griffin_lim", "-o", str(tmp_path / "made.wav")]
    assert main([*words, "--model", str(converter), "--control", "pitch_scale=1.1"]) == 0
    made, source = amphion.Audio.load(tmp_path / "made.wav"), amphion.Audio.load(song)
    assert made.sample_rate == 22050 and made.duration == pytest.approx(source.duration, abs=0.001)
    assert made.loudness() == pytest.approx(source.loudness(), abs=1)
    other = tmp_path / "other"
    shutil.copytree(converter, other)
    stored = yaml.read(other / "config.yaml")
    stored["config"]["voice_variant"] = "of another day"
    (other / "config.yaml").write_text(yaml.dump(stored), encoding="utf-8")
    assert main([*words, "--model", str(other)]) == 2
    assert "trained with the feature voice of other weights (of another day)" in capsys.readouterr().err


def test_a_page_shows_the_stages_that_the_plugin_reports(speech, tmp_path, capsys):
    speaker = amphion.load(speech).config.speakers[1]
    words = ["visualize", str(speech), "Good day.", "--set", f"speaker={speaker}", "--vocoder", "vocoder/griffin_lim"]
    assert main([*words, "-o", str(tmp_path / "page")]) == 0
    html = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert "<h3>spread states</h3>" in html and "axes B C N" in html
    assert '<img src="pictures/spread_states.png"' in html and "<h3>Durations and alignment</h3>" in html
    assert (tmp_path / "page" / "pictures" / "spread_states.png").read_bytes().startswith(b"\x89PNG")
    assert "index.html" in capsys.readouterr().out.splitlines()[-1]


def test_a_codec_is_trained_against_a_discriminator_and_encodes_real_speech(codec, corpus):
    run = codec.parent
    assert curve(run, "codec/distance")[-1] < curve(run, "codec/distance")[0]
    assert len(curve(run, "judge/loss")) == STEPS
    net = amphion.load(codec)
    wave = recording(corpus, net.sample_rate)[:, None]
    wave = wave[..., : wave.shape[2] // net.hop_length * net.hop_length]
    codes = net.encode(wave)
    assert codes.indices.shape == (3, 1, wave.shape[2] // net.hop_length)
    assert net.decode(codes).shape == wave.shape
    assert net.bitrate(2) == 2 * 100 * 5  # frames in each second, bits of one of 32 entries


def test_a_text_to_audio_model_is_trained_over_a_frozen_autoencoder(sound, codec):
    net, frozen = amphion.load(sound), amphion.load(codec)
    for name, tensor in frozen.state_dict().items():  # in the export as it was trained, and not changed since
        torch.testing.assert_close(net.autoencoder.state_dict()[name], tensor, rtol=0, atol=0)
    tensors, state = checkpoint.read(sound.parent / "checkpoints" / f"step-{STEPS}")
    assert {name.partition(".")[0] for name in tensors["networks"]} == {"flow"}
    assert "encoders.text" in json.dumps(state) and "model.autoencoder" in json.dumps(state)
    losses = curve(sound.parent, "flow/loss")
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    words = amphion.build("text_encoder/sketch_words").for_inference()
    condition: TextCondition = words.encode(["a woman speaks German", ""])
    made = net.sample(condition, duration=0.5, seed=4, controls=net.controls({"steps": 3}))
    assert made.wave.shape == (2, 8000)
    guided = net.sample(
        condition, duration=0.5, seed=4, negative=words.encode(["noise", "noise"]),
        controls=net.controls({"steps": 3, "guidance": 3}),
    )  # fmt: skip
    assert not torch.equal(made.wave, guided.wave)


@pytest.mark.parametrize("name", ["sketch_speech", "sketch_sound"])
def test_a_collator_with_frontend_speakers_or_words_pickles(name):
    component = registry.get("trainers", name)
    model = registry.get("models", component.example_model)
    trainer = component(component.Config(), model=model(model.example_config()))
    pickle.loads(pickle.dumps(trainer.collator()))


def broken(kind, name, **changes):
    """A subclass of an installed component that breaks a promise, with a reference whose ``load`` returns it."""

    class Reference(registry.ComponentRef):
        def load(self):
            return type("Broken", (registry.get(kind, name),), changes)

    ref = registry.find(kind, name)
    return Reference(ref.kind, ref.name, ref.target, ref.dist, ref.version, ref.requires_core, ref.api)


def mean_of_the_batch(self, batch, step):
    distance, _ = self._losses(batch)
    yield Update("text", distance.sum() / batch.counts["mel"])
    distance, _ = self._losses(batch)
    yield Update("speech", distance.sum() / batch.counts["mel"])


def padding_counted(self, batch, step):
    made, _ = self.model(batch["ids"], batch["id_lengths"], batch["mel_lengths"], batch["speaker"])
    size = made.shape[2]
    yield Update("text", (made - batch["mel"]).abs().mean(1).sum() / batch.totals["items"] / size)
    made, _ = self.model(batch["ids"], batch["id_lengths"], batch["mel_lengths"], batch["speaker"])
    yield Update("speech", (made - batch["mel"]).abs().mean(1).sum() / batch.totals["items"] / size)


@pytest.mark.parametrize(
    ("check", "changes", "reason"),
    [
        (trainer_checks.check_split_batch, {"training_step": mean_of_the_batch}, "divide by batch.totals"),
        (trainer_checks.check_padding, {"training_step": padding_counted}, "mask each item by its lengths"),
        (trainer_checks.check_example, {"example_model": ""}, "states no example_model"),
    ],
)
def test_the_kit_finds_what_is_wrong_with_a_trainer(check, changes, reason, monkeypatch):
    trainer = registry.get("trainers", "sketch_speech")
    for name, value in changes.items():  # the recipe finds the class by its name
        monkeypatch.setattr(trainer, name, value)
    with pytest.raises(CheckFailed, match=reason):
        check(registry.find("trainers", "sketch_speech"))


def unseeded(self, condition, **arguments):
    return Synthesis(torch.tensor([8, 8]), wave=torch.randn(2, 8))


def noise_of_the_batch(self, condition, *, seed=None, **arguments):
    count = len(condition.states)
    drawn = torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))
    return Synthesis(torch.full((count,), 8), wave=drawn)


def all_codebooks(self, wave, n_codebooks=None):
    return Codes(self.quantise(self.analyse(wave, None), self.n_codebooks)[0].detach())


def stream_without_memory(self):
    stream = type(registry.get("models", "codec/sketch_codec").stream(self))
    return type("Forgetful", (stream,), {"frames": None, "latents": None, "__setattr__": remember_codec})(self)


def remember_codec(self, name, value):
    object.__setattr__(self, name, value if name == "codec" else None)


def mean_with_padding(self, texts):
    found = self(*self.word_ids(texts))
    return TextCondition(found.states + found.states.mean(1, keepdim=True), found.mask)


@pytest.mark.parametrize(
    ("name", "check", "changes", "reason"),
    [
        ("tta/sketch_sound", family_checks.check_sample, {"sample": unseeded}, "global random generator"),
        ("tta/sketch_sound", family_checks.check_sample, {"sample": noise_of_the_batch}, "differs by"),
        ("codec/sketch_codec", family_checks.check_codec, {"encode": all_codebooks}, "not the first codebook"),
        ("codec/sketch_codec", family_checks.check_codec_stream, {"stream": stream_without_memory}, "two pieces"),
        ("codec/sketch_codec", family_checks.check_codec_stream, {"causal": False}, "raises no DataError"),
        ("text_encoder/sketch_words", family_checks.check_text_encoder, {"encode": mean_with_padding}, "differs by"),
        ("vocoder/sketch_pulse", family_checks.check_vocode,
         {"vocode": lambda self, mel, f0=None, *, seed=None: torch.zeros(2, mel.shape[2] * 256)}, "no AudioError"),
        ("tts/sketch_speech", family_checks.check_synthesize, {"output": "wave"}, "another kind"),
        ("svc/sketch_converter", family_checks.check_convert,
         {"convert": lambda self, features, lengths, speaker, **other: Synthesis(lengths, mel=speaker.sum()
          * torch.ones(len(lengths), 8, int(lengths.max())))}, "differs by"),
        ("tts/sketch_speech", network_checks.check_controls, {"Controls": Unbounded}, "without a range"),
        ("vocoder/sketch_pulse", network_checks.check_onnx_graph,
         {"onnx_graph": lambda self: replace(vocoder_graph(self), module=Noise())}, "the graph is random"),
    ],
)  # fmt: skip
def test_the_kit_finds_what_is_wrong_with_a_model(name, check, changes, reason):
    with pytest.raises(CheckFailed, match=reason):
        check(broken("models", name, **changes))


def test_the_kit_finds_a_request_without_ranges():
    with pytest.raises(CheckFailed, match=r"numbers without a range .*'speed'"):
        run_checks.check_request(broken("tasks", "tts", Request=Unbounded, command=""))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name: made_up\nmodel: codec/sketch_codec\ntrainer: sketch_codec\n", "does not begin with a comment"),
        ("# A recipe.\nname: other\nmodel: codec/sketch_codec\ntrainer: sketch_codec\n", "has the name 'other'"),
        ("# A recipe.\nmodel: codec/sketch_codec\n", "has no trainer"),
        ("# A recipe.\nmodel: {name: codec/sketch_codec, chanels: 3}\ntrainer: sketch_codec\n", "channels"),
        ("# A recipe.\nmodel: codec/sketch_codec\ntrainer: nothing\n", "nothing"),
    ],
)
def test_the_kit_finds_what_is_wrong_with_a_recipe(text, reason, tmp_path, monkeypatch):
    package = tmp_path / "made_up_recipes"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "made_up.yaml").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises((CheckFailed, RecipeError), match=reason):
        run_checks.check_recipes(registry.ComponentRef("recipes", "x", "made_up_recipes", "x", "0.1.0"))
