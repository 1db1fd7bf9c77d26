"""Embeddings on real audio with real weights, compared with their libraries, and the metrics that use them."""

import csv
import json
from importlib.util import find_spec
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core.api import Audio
from amphion_core.errors import DataError, WeightsError
from amphion_eval import Item, evaluate, plan
from amphion_eval.analysis.windows import windows
from amphion_eval.embeddings import panns_cnn14, vggish


def embedding(name, **fields):
    component = amphion.get("embeddings", name)
    return component(component.Config(**fields))


def metric(name, **fields):
    component = amphion.get("metrics", name)
    return component(component.Config(**fields))


@pytest.fixture(scope="module")
def tagger(weights_pack):
    return {"name": "efficientat", "weights": str(weights_pack / "efficientat_mn04/mn04_as_mAP_432.pt")}


@pytest.fixture(scope="module")
def sounds(data_pack):
    """Category -> files of environmental sounds."""
    found = {}
    with (data_pack / "esc10/manifest.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["category"], []).append(data_pack / "esc10" / row["path"])
    return found


def clip(path, rate):
    return Audio.load(path).mono().resample(rate)


def test_the_tagger_knows_its_classes(tagger, sounds):
    with Path(tagger["weights"]).with_name("class_labels_indices.csv").open(encoding="utf-8", newline="") as file:
        names = [row["display_name"] for row in csv.DictReader(file)]
    net = embedding("efficientat", weights=tagger["weights"])
    silence = net.embed(Audio(np.zeros(320000, np.float32), 32000)).logits[0]
    assert names[silence.argmax()] == "Silence" and 1 / (1 + np.exp(-silence.max())) == pytest.approx(0.54, abs=0.01)
    for category, wanted in (("rooster", "Chicken, rooster"), ("rain", "Rain"), ("helicopter", "Helicopter")):
        logits = np.mean([net.embed(clip(path, 32000)).logits[0] for path in sounds[category][:4]], axis=0)
        assert wanted in [names[index] for index in logits.argsort()[-3:]]
    long = net.embed(Audio(np.tile(clip(sounds["dog"][0], 32000).samples, 5), 32000))
    assert long.vectors.shape == (3, 384) and long.logits.shape == (3, 527)


def test_a_corpus_is_nearer_to_its_other_half_than_to_another(tagger, data_pack, sounds, tmp_path):
    speech = sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[:40]
    noises = [path for files in sounds.values() for path in files[:4]]
    systems = {
        "speech": [Item(path.stem, path, other) for path, other in zip(speech[:20], speech[20:], strict=True)],
        "noises": [Item(path.stem, path, other) for path, other in zip(noises[:20], speech[20:], strict=True)],
    }
    parts = plan(["fad", "kl", "inception_score"], {
        "fad": {"embedding": tagger}, "kl": {"embedding": tagger},
        "inception_score": {"embedding": tagger, "splits": 2},
    })  # fmt: skip
    report = evaluate(systems, parts, folder=tmp_path)
    near, far = (report.summary[system]["fad"] for system in ("speech", "noises"))
    assert near["value"] < far["value"] / 4
    assert near["interval_95"][0] < near["value"] < near["interval_95"][1]
    assert near["details"] == {"windows": 20.0, "reference_windows": 20.0}
    assert report.metrics["fad"]["variant"] == "efficientat, mn04_as"
    kinds = {system: found["inception_score"]["value"] for system, found in report.summary.items()}
    assert kinds["noises"] > 1.5 * kinds["speech"]
    assert report.summary["speech"]["kl"]["value"] < report.summary["noises"]["kl"]["value"]
    again = evaluate(systems, parts, folder=tmp_path, on_progress=lambda done, total: None)
    assert again.summary == report.summary


def test_sets_need_no_partners_and_unreadable_references_are_listed(tagger, data_pack, tmp_path, capsys):
    from amphion_core.cli.main import main

    clips = sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[:10]
    for number, path in enumerate(clips):
        folder = tmp_path / ("made" if number < 5 else "other")
        folder.mkdir(exist_ok=True)
        (folder / path.name).write_bytes(path.read_bytes())
    words = ["eval", str(tmp_path / "made"), "--ref", str(tmp_path / "other"), "--metrics", "fad", "--json"]
    words += ["--set", "fad.embedding=efficientat", "--set", f"fad.embedding.weights={tagger['weights']}"]
    assert main(words) == 0
    details = json.loads(capsys.readouterr().out)["systems"]["made"]["fad"]["details"]
    assert details == {"windows": 5.0, "reference_windows": 5.0}
    (tmp_path / "other/broken.wav").write_bytes(b"RIFF")
    assert main(words) == 1
    errors = capsys.readouterr().err
    assert "references" in errors and "broken.wav cannot be read: not readable audio" in errors


def test_weights_that_are_missing_or_wrong_are_named(tagger, tmp_path):
    second = Audio(np.ones(32000, np.float32), 32000)
    with pytest.raises(WeightsError, match="efficientat needs a file") as caught:
        embedding("efficientat").embed(second)
    assert "mn04_as_mAP_432.pt" in caught.value.hint
    with pytest.raises(WeightsError, match="does not exist"):
        embedding("efficientat", weights=str(tmp_path / "no.pt")).embed(second)
    state = torch.load(tagger["weights"], weights_only=True)
    state.pop("classifier.5.bias")
    torch.save(state, tmp_path / "less.pt")
    with pytest.raises(WeightsError, match=r"classifier\.5\.bias"):
        embedding("efficientat", weights=str(tmp_path / "less.pt")).embed(second)


def test_metrics_without_weights_are_skipped_or_an_error(tmp_path):
    path = Audio(0.1 * np.ones(16000, np.float32), 16000).save(tmp_path / "a.wav")
    systems = {"a": [Item("a", path, path)]}
    report = evaluate(systems, plan(["fad", "snr"]), lenient=True)
    assert "vggish-10086976.pth" in report.unavailable["fad"] and list(report.metrics) == ["snr"]
    with pytest.raises(WeightsError, match="vggish needs a file"):
        evaluate(systems, plan(["fad", "snr"]))


def test_vggish_front_end_and_layout(tmp_path):
    samples = np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    frames = librosa.util.frame(samples, frame_length=400, hop_length=160).T * np.hanning(401)[:-1]
    bank = librosa.filters.mel(sr=16000, n_fft=512, n_mels=64, fmin=125, fmax=7500, htk=True, norm=None)
    theirs = np.log(np.abs(np.fft.rfft(frames, 512)) @ bank.T + 0.01)
    assert np.abs(vggish.log_mel(samples) - theirs).mean() < 0.03  # librosa's triangles are straight in Hz, not in mel
    torch.manual_seed(0)
    network = vggish.VGG().eval()
    names = {key for key in network.state_dict() if key.endswith("weight")}
    assert names == {f"features.{index}.weight" for index in (0, 3, 6, 8, 11, 13)} | {
        f"embeddings.{index}.weight" for index in (0, 2, 4)
    }
    assert network.embeddings[0].in_features == 12288
    torch.save(network.state_dict(), tmp_path / "vggish.pth")
    net = embedding("vggish", weights=str(tmp_path / "vggish.pth"))
    found = net.embed(Audio(np.tile(samples, 2), 16000)).vectors
    assert found.shape == (2, 128)
    patch = torch.from_numpy(vggish.log_mel(np.tile(samples, 2))[96:192])[None, None]
    np.testing.assert_allclose(found[1], network(patch)[0].detach(), atol=1e-5)
    with pytest.raises(DataError, match=r"0\.975 seconds"):
        net.embed(Audio(samples[:15000], 16000))


@pytest.mark.parametrize("rate", [16000, 32000])
def test_panns_front_end_and_layout(rate, tmp_path):
    torch.manual_seed(0)
    network = panns_cnn14.CNN14(rate).eval()
    n_fft, _, top = panns_cnn14.SETTINGS[rate]
    bank = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=64, fmin=50, fmax=top)
    np.testing.assert_allclose(network.logmel_extractor.melW.numpy(), bank.T, atol=1e-6)
    state = {**network.state_dict(), "spectrogram_extractor.stft.conv_real.weight": torch.zeros(1)}
    assert sum(value.numel() for key, value in state.items() if "conv_block" in key and "weight" in key) > 75e6
    torch.save({"model": state}, tmp_path / "cnn14.pth")
    found = embedding("panns_cnn14", weights=str(tmp_path / "cnn14.pth"), rate=rate).embed(
        Audio(np.random.default_rng(0).standard_normal(rate).astype(np.float32), rate)
    )
    assert found.vectors.shape == (1, 2048) and found.logits.shape == (1, 527) and (found.vectors >= 0).all()


@pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed")
def test_clap_and_wavlm_are_those_of_transformers(tmp_path):
    from transformers import (
        ClapAudioConfig,
        ClapConfig,
        ClapFeatureExtractor,
        ClapModel,
        ClapTextConfig,
        Wav2Vec2FeatureExtractor,
        WavLMConfig,
        WavLMForXVector,
    )  # fmt: skip

    random = np.random.default_rng(0)
    torch.manual_seed(0)
    speech = Audio(random.standard_normal(32000).astype(np.float32) * 0.1, 16000)
    small = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 16}
    wavlm = WavLMForXVector(WavLMConfig(
        **small, conv_dim=(16,) * 7, tdnn_dim=(16,) * 5, xvector_output_dim=12, num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )).eval()  # fmt: skip
    wavlm.save_pretrained(tmp_path / "wavlm")
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(tmp_path / "wavlm")
    net = embedding("wavlm_xvector", model=str(tmp_path / "wavlm"))
    normal = (speech.samples - speech.samples.mean()) / np.sqrt(speech.samples.var() + 1e-7)
    with torch.inference_mode():
        theirs = wavlm(torch.from_numpy(normal)[None]).embeddings
    np.testing.assert_allclose(net.embed(speech).vectors, theirs, atol=1e-5)
    assert net.dim == 12 and net.variant == "wavlm"

    audio = ClapAudioConfig(
        patch_embeds_hidden_size=8, hidden_size=64, depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 1, 1],
        projection_dim=10, num_hidden_layers=4,
    )  # fmt: skip
    text = ClapTextConfig(**small, vocab_size=10, projection_dim=10)
    clap = ClapModel(ClapConfig(text_config=text.to_dict(), audio_config=audio.to_dict(), projection_dim=10)).eval()
    clap.save_pretrained(tmp_path / "clap")
    extractor = ClapFeatureExtractor(truncation="rand_trunc", padding="repeatpad")
    extractor.save_pretrained(tmp_path / "clap")
    sound = Audio(random.standard_normal(48000 * 3).astype(np.float32) * 0.1, 48000)
    with torch.inference_mode():
        theirs = clap.get_audio_features(**extractor(sound.samples, sampling_rate=48000, return_tensors="pt"))
    theirs = getattr(theirs, "pooler_output", theirs)
    np.testing.assert_allclose(embedding("clap", model=str(tmp_path / "clap")).embed(sound).vectors, theirs, atol=1e-5)
    with pytest.raises(WeightsError, match="cannot be loaded"):
        embedding("clap", model=str(tmp_path / "nowhere")).embed(sound)


@pytest.fixture(scope="module")
def speakers(data_pack):
    """Speaker -> files, of readers with at least three clips."""
    found = {}
    with (data_pack / "librispeech_mini/manifest.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["spk"], []).append(data_pack / "librispeech_mini" / row["path"])
    return {speaker: files[:3] for speaker, files in found.items() if len(files) >= 3}


needs_speaker = pytest.mark.skipif(
    find_spec("resemblyzer") is None, reason="resemblyzer is not installed: pip install --no-deps resemblyzer==0.1.4"
)


@needs_speaker
@pytest.mark.filterwarnings("ignore")
def test_resemblyzer_is_the_packages(speakers):
    from resemblyzer import VoiceEncoder
    from resemblyzer.audio import normalize_volume

    theirs, ours = VoiceEncoder("cpu", verbose=False), embedding("resemblyzer")
    for files, length in zip(speakers.values(), (None, 60000, 20000, 8000)):
        samples = clip(files[0], 16000).samples[:length]
        wanted = theirs.embed_utterance(normalize_volume(samples, -30, increase_only=True))
        np.testing.assert_allclose(ours.embed(Audio(samples, 16000)).vectors[0], wanted, atol=1e-5)


@needs_speaker
def test_one_speaker_is_nearer_than_another(speakers):
    similarity = metric("speaker_similarity")
    people = [[clip(path, 16000) for path in files[:2]] for files in [*speakers.values()][:6]]
    same = [similarity.score(*pair) for pair in people]
    other = [similarity.score(a[0], b[1]) for a in people for b in people if a is not b]
    assert np.mean(same) > 0.8 > 0.7 > np.mean(other)
    assert similarity.score(people[0][0], people[0][0]) == pytest.approx(1)
    assert similarity.score(*people[0]) == pytest.approx(similarity.score(*reversed(people[0])))
    assert similarity.variant == "resemblyzer"


@needs_speaker
def test_overall_similarity_needs_no_partners(speakers, tmp_path):
    """The value is the mean over all pairs, and higher for the same speaker than for another."""
    (one, two, three), (other, *_) = list(speakers.values())[:2]
    systems = {"same": [Item("a", Path(one))], "other": [Item("b", Path(other))]}
    report = evaluate(systems, plan(["speaker_similarity_overall"]), references=[Path(two), Path(three)])
    similarity = metric("speaker_similarity")
    for system, path in (("same", one), ("other", other)):
        found = report.summary[system]["speaker_similarity_overall"]
        wanted = [similarity.score(clip(path, 16000), clip(target, 16000)) for target in (two, three)]
        assert found["value"] == pytest.approx(np.mean(wanted)) and found["details"] == {"pairs": 2.0}
    values = [report.summary[system]["speaker_similarity_overall"]["value"] for system in systems]
    assert values[0] > values[1] + 0.1


@needs_speaker
def test_sim_o_takes_the_prompt_and_sim_r_its_resynthesis(speakers):
    one, two, three = next(iter(speakers.values()))
    item = Item("a", Path(one), reference=None, prompt=Path(two), resynthesis=Path(three))
    report = evaluate({"a": [item]}, plan(["sim_o", "sim_r"]))
    similarity = metric("speaker_similarity")
    for label, path in (("sim_o", two), ("sim_r", three)):
        wanted = similarity.score(clip(one, 16000), clip(path, 16000))
        assert report.rows[0]["scores"][label] == pytest.approx(wanted)


@pytest.mark.parametrize(("name", "package"), [("dnsmos", "speechmos"), ("distillmos", "distillmos")])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_predicted_opinions_fall_with_noise(name, package, data_pack):
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    clean = clip(sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[3], 16000)
    noise = np.random.default_rng(0).standard_normal(len(clean.samples)).astype(np.float32)
    predicted = metric(name)
    scores = [predicted.score(Audio(clean.samples + level * noise, 16000)) for level in (0, 0.01, 0.1)]
    assert scores == sorted(scores, reverse=True) and scores[0] - scores[2] > 0.8
    with pytest.raises(DataError, match="silent"):
        predicted.score(Audio(np.zeros(16000, np.float32), 16000))


def test_dnsmos_is_the_packages(data_pack):
    dnsmos = pytest.importorskip("speechmos.dnsmos", reason='pip install "amphion-eval[quality]"')
    clean = clip(sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[4], 16000)
    theirs = dnsmos.run(clean.samples, 16000)
    found = metric("dnsmos").measure(clean)
    assert found.value == pytest.approx(theirs["ovrl_mos"], rel=1e-6)
    assert found.details["signal"] == pytest.approx(theirs["sig_mos"], rel=1e-6)


def test_utmos_calls_its_package_and_names_what_is_missing(monkeypatch):
    from types import ModuleType

    from amphion_core.errors import MissingPackage
    from amphion_eval.metrics import utmos

    wave = Audio(0.1 * np.ones(16000, np.float32), 16000)
    monkeypatch.setitem(__import__("sys").modules, "utmos", None)
    utmos._scorer.cache_clear()
    with pytest.raises(MissingPackage, match="needs the package utmos"):
        metric("utmos").score(wave)

    class Scorer:
        def calculate_wav(self, wave, rate):
            assert wave.shape == (1, 16000) and wave.dtype == torch.float32 and rate == 16000
            return np.float32(3.5)

    package = ModuleType("utmos")
    package.Score = Scorer
    monkeypatch.setitem(__import__("sys").modules, "utmos", package)
    assert metric("utmos").score(wave) == 3.5
    utmos._scorer.cache_clear()


def test_windows_cover_everything_once():
    samples = np.arange(2500)
    assert [len(part) for part in windows(samples, 1000, 1.0)] == [1000, 1000, 500]
    assert [len(part) for part in windows(samples[:2050], 1000, 1.0)] == [1000, 1050]
    assert np.array_equal(np.concatenate(windows(samples[:2050], 1000, 1.0)), samples[:2050])


CLIPS = {"dog": "a dog barking", "rain": "rain falling", "rooster": "a rooster crowing"}


def test_the_tagger_hears_the_class_of_a_real_recording(sounds, tagger):
    made = metric("tagger_accuracy", embedding=tagger)
    scores = []
    for category, caption in CLIPS.items():
        audio = clip(sounds[category][0], 32000)
        scores += [made.measure(audio, text=caption)]
        other = next(text for name, text in CLIPS.items() if name != category)
        assert made.score(audio, text=other) == 0
    assert made.aggregate(scores).value == 100
    assert scores[0].notes == {"wanted": "dog", "heard": "dog"}
    for caption, reason in (("a cat", "names none"), ("rain on a dog", "names dog and rain")):
        with pytest.raises(DataError, match=reason):
            made.score(audio, text=caption)


def test_the_clap_score_is_the_cosine_of_transformers(tmp_path):
    transformers = pytest.importorskip("transformers", reason='pip install "amphion-eval[transformers]"')
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(0)
    text = {
        "vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
        "max_position_embeddings": 40,
    }  # fmt: skip
    audio = {
        "hidden_size": 16, "patch_embeds_hidden_size": 8, "depths": [1, 1], "num_attention_heads": [1, 2],
        "num_hidden_layers": 2,
    }  # fmt: skip
    net = transformers.ClapModel(transformers.ClapConfig(text_config=text, audio_config=audio, projection_dim=8)).eval()
    net.save_pretrained(tmp_path)
    extractor = transformers.ClapFeatureExtractor(truncation="rand_trunc")
    extractor.save_pretrained(tmp_path)
    words = Tokenizer(models.WordLevel({"[UNK]": 3, "dog": 4, "barks": 5}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[UNK]").save_pretrained(tmp_path)
    wave = np.random.default_rng(0).normal(0, 0.1, 48000).astype(np.float32)
    with torch.no_grad():
        heard = net.get_audio_features(**extractor(wave, sampling_rate=48000, return_tensors="pt"))
        read = net.get_text_features(input_ids=torch.tensor([[4, 5]]), attention_mask=torch.ones(1, 2).long())
    vectors = [getattr(found, "pooler_output", found)[0] for found in (heard, read)]
    wanted = float(torch.nn.functional.cosine_similarity(*vectors, dim=0))
    made = metric("clap_score", model=str(tmp_path))
    assert made.score(Audio(wave, 48000), text="dog barks") == pytest.approx(wanted, abs=1e-5)
    with pytest.raises(DataError, match="a caption is needed"):
        made.score(Audio(wave, 48000), text=" ")
