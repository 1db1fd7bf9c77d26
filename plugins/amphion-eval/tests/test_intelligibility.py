"""Word and character error rates: recognition of real recordings, normalisation of texts, and errors."""

import csv
import json
from importlib.util import find_spec

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core.api import Audio
from amphion_core.errors import DataError, MissingPackage
from amphion_eval.recognizers.faster_whisper import BUNDLED, find_bundled

HAS_ASR = find_spec("faster_whisper") and any(all(map(find_spec, packages)) for packages in BUNDLED.values())
needs_asr = pytest.mark.skipif(not HAS_ASR, reason='no recogniser is installed: pip install "amphion-eval[asr-base]"')


def metric(name, **fields):
    component = amphion.get("metrics", name)
    return component(component.Config(**fields))


def recognizer(name, **fields):
    component = amphion.get("recognizers", name)
    return component(component.Config(**fields))


def audio(samples, rate=16000):
    return Audio(np.asarray(samples, np.float32), rate)


@needs_asr
def test_a_recording_is_understood_and_numbers_are_normalised(data_pack):
    with (data_pack / "kathleen_en/manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"][:6]
    wer = metric("wer")
    scores = [wer.measure(Audio.load(data_pack / "kathleen_en" / row["path"]), text=row["text"]) for row in rows]
    assert wer.aggregate(scores).value < 15  # measured 4.2 with whisper-base, 6 sentences of 9 words


def test_word_errors_are_summed_before_dividing():
    wer = metric("wer")
    short, long = wer.compare("a", "b"), wer.compare("a b c d e f g h i", "a b c d e f g h i")
    assert (short.value, long.value) == (100, 0)
    assert wer.aggregate([short, long]).value == pytest.approx(10)


def test_a_language_without_spaces_is_for_cer():
    with pytest.raises(DataError, match="written without spaces"):
        metric("wer", language="ja").measure(audio(np.ones(100)), text="今日は")


@needs_asr
def test_wer_and_cer_share_one_recognition_and_silence_has_no_words(data_pack, monkeypatch):
    path = sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[3]
    clip = Audio.load(path).resample(16000)
    wer, cer, against = metric("wer"), metric("cer"), metric("wer_reference")
    calls = []
    real = type(wer.recognizer).transcribe
    monkeypatch.setattr(type(wer.recognizer), "transcribe", lambda *args: calls.append(1) or real(*args))
    heard = wer.measure(clip, text="something else entirely").notes["heard"]
    assert cer.measure(clip, text=heard).value == 0 and against.score(clip, clip) == 0 and len(calls) == 1
    silent = wer.measure(audio(np.zeros(16000)), text="two words")
    assert silent.value == 100 and silent.details["deletions"] == 2 and silent.notes["heard"] == ""
    assert wer.variant.partition(", ")[0] in BUNDLED


@needs_asr
def test_the_error_for_an_unknown_language_names_it():
    with pytest.raises(DataError, match="does not know the language 'qqq'"):
        recognizer("faster_whisper").transcribe(audio(np.ones(1600)), "qqq")


def test_a_missing_text_or_recogniser_is_an_error(monkeypatch):
    with pytest.raises(DataError, match="no text"):
        metric("wer").measure(audio(np.ones(100)), text="...")
    monkeypatch.setattr("amphion_eval.recognizers.faster_whisper.PathFinder.find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match="no speech recogniser"):
        find_bundled()


def test_hubert_decodes_as_transformers_does(hubert):
    from transformers import HubertForCTC, Wav2Vec2Processor

    wave = 0.1 * np.random.default_rng(0).standard_normal(48000).astype(np.float32)
    model, processor = HubertForCTC.from_pretrained(hubert).eval(), Wav2Vec2Processor.from_pretrained(hubert)
    with torch.inference_mode():
        logits = model(processor(wave, sampling_rate=16000, return_tensors="pt").input_values).logits
    expected = processor.batch_decode(logits.argmax(-1))[0].strip()
    found = recognizer("hubert_ctc", model=str(hubert))
    assert found.transcribe(audio(wave), "en") == expected != "" and found.variant == hubert.name
    with pytest.raises(DataError, match="knows only 'en'"):
        found.transcribe(audio(wave), "de")


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    """The folder of a tiny multilingual Whisper with random weights."""
    transformers = pytest.importorskip("transformers", reason='pip install "amphion-eval[transformers]"')
    folder = tmp_path_factory.mktemp("whisper")
    special = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|transcribe|>", "<|notimestamps|>"]
    letters = {chr(code): index for index, code in enumerate(range(97, 123))}
    (folder / "vocab.json").write_text(json.dumps(letters | {"<|endoftext|>": 26}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.WhisperTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), additional_special_tokens=special[1:]
    )
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in special}
    extractor = transformers.WhisperFeatureExtractor(feature_size=80)
    transformers.WhisperProcessor(feature_extractor=extractor, tokenizer=tokenizer).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.WhisperConfig(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_target_positions=24,
        pad_token_id=ids["<|endoftext|>"], bos_token_id=ids["<|endoftext|>"], eos_token_id=ids["<|endoftext|>"],
        decoder_start_token_id=ids["<|startoftranscript|>"], suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    model = transformers.WhisperForConditionalGeneration(config)
    model.generation_config = transformers.GenerationConfig(
        is_multilingual=True, lang_to_id={"<|en|>": ids["<|en|>"], "<|de|>": ids["<|de|>"]},
        task_to_id={"transcribe": ids["<|transcribe|>"]}, no_timestamps_token_id=ids["<|notimestamps|>"],
        decoder_start_token_id=ids["<|startoftranscript|>"], eos_token_id=ids["<|endoftext|>"],
        pad_token_id=ids["<|endoftext|>"], max_length=20,
    )  # fmt: skip
    model.save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore")
def test_whisper_of_transformers_takes_any_length_and_knows_its_languages(whisper):
    found = recognizer("whisper", model=str(whisper), beam=2)
    wave = 0.1 * np.random.default_rng(0).standard_normal(16000 * 31).astype(np.float32)
    text = found.transcribe(audio(wave), "en")
    assert isinstance(text, str) and text == found.transcribe(audio(wave), "en") and found.variant == whisper.name
    with pytest.raises(DataError, match="does not know the language 'fr'"):
        found.transcribe(audio(wave[:16000]), "fr")


def test_stoi_is_not_defined_for_a_hundredth_of_a_second():
    short = Audio(np.sin(np.arange(160) / 9).astype(np.float32), 16000)
    with pytest.raises(DataError, match="STOI needs"):
        metric("stoi").score(short, short)
