"""Coqui's voices: files that coqui-tts wrote give the numbers that coqui-tts computed; others are refused by name.

The files are in ``coqui``, with a README that says how they were made.
"""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import amphion_core as amphion
from amphion_core import weights
from amphion_core.errors import AmphionError, RecipeError, WeightsError
from amphion_core.loading import convert
from amphion_core.modules.masks import length_mask
from amphion_tts.models.vits import VITS
from amphion_tts.models.vits_speech import Speech

FOLDER = Path(__file__).parent / "coqui"
VOICES = ("plain", "speakers", "stochastic")
NAMES = ("7", "ben", "anna")
CLOSE = {"atol": 1e-4, "rtol": 0}  # single precision through some thirty layers


@pytest.fixture(scope="module")
def voices():
    """(network, numbers, text) of each voice."""
    return {name: (load(name), *numbers(name)) for name in VOICES}


def load(name: str) -> VITS:
    folder = FOLDER / name
    files = {"speakers": folder / "speakers.pth"} if name != "plain" else None
    net = convert("tts/vits", folder / "checkpoint_0.pth", layout="coqui", files=files)
    return net.eval()


def numbers(name: str) -> tuple[dict[str, torch.Tensor], str]:
    with safe_open(FOLDER / name / "numbers.safetensors", "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()["text"]  # noqa: SIM118


def state_and_config(name: str) -> tuple[dict[str, torch.Tensor], dict]:
    stored = torch.load(FOLDER / name / "checkpoint_0.pth", weights_only=True)
    return stored["model"], json.loads((FOLDER / name / "config.json").read_text(encoding="utf-8"))


def changed(config: dict, path: tuple[str, ...], value: object) -> dict:
    """``config`` with another value at ``path``; ``...`` removes it."""
    name, *rest = path
    if rest:
        return config | {name: changed(config[name], tuple(rest), value)}
    without = {key: stated for key, stated in config.items() if key != name}
    return without if value is ... else without | {name: value}


def speaker(net: VITS, index: int = 1) -> torch.Tensor | None:
    return torch.tensor([index]) if net.config.n_speakers > 1 else None


@pytest.mark.parametrize("name", VOICES)
def test_the_text_becomes_the_ids_of_coqui(voices, name):
    net, found, text = voices[name]
    frontend = net.config.frontend.build()
    assert frontend.ids(frontend.tokens(text)) == found["ids"][0].tolist()


@pytest.mark.parametrize("name", VOICES)
@torch.no_grad()
def test_the_text_encoder_and_the_durations_are_those_of_coqui(voices, name):
    net, found, _ = voices[name]
    mask = length_mask(torch.tensor([found["ids"].shape[1]]), found["ids"].shape[1])
    hidden, mean, log_deviation = net.enc_p(found["ids"], mask)
    torch.testing.assert_close(hidden, found["hidden"], **CLOSE)
    torch.testing.assert_close(mean, found["mean"], **CLOSE)
    torch.testing.assert_close(log_deviation, found["log_deviation"], **CLOSE)
    if not net.config.stochastic_duration:
        g = net._speaker(speaker(net))
        torch.testing.assert_close(net.dp(hidden, mask, g), found["log_durations"], **CLOSE)
        net.dp.norm_1.epsilon = 1e-5  # the numbers show which epsilon it is
        assert float((net.dp(hidden, mask, g) - found["log_durations"]).abs().max()) > 1e-3
        net.dp.norm_1.epsilon = 1e-4


@pytest.mark.parametrize("name", VOICES)
def test_the_wave_is_that_of_coqui(voices, name):
    net, found, _ = voices[name]
    quiet = net.controls({"noise_scale": 0, "duration_noise_scale": 0})
    made = net.synthesize(found["ids"], torch.tensor([found["ids"].shape[1]]), speaker(net), controls=quiet)
    torch.testing.assert_close(made.durations, found["durations"][:, 0].long())
    torch.testing.assert_close(made.wave, found["wave"][:, 0], **CLOSE)


@pytest.mark.parametrize("name", VOICES)
@torch.no_grad()
def test_the_wave_with_the_noise_and_the_scales_of_the_config_is_that_of_coqui(voices, name):
    net, found, _ = voices[name]
    config = net.config
    assert (config.noise_scale, config.duration_noise_scale, config.length_scale) == (0.5, 0.75, 1.5)
    speech, g, lengths = Speech(net), net._speaker(speaker(net)), torch.tensor([found["ids"].shape[1]])
    noise = found["noise0"] * config.duration_noise_scale if config.stochastic_duration else None
    m_p, logs_p, durations, frames = speech.plan(found["ids"], lengths, noise, g, config.length_scale)
    torch.testing.assert_close(durations, found["noisy_durations"][:, 0])
    noise = found["noise1"] if config.stochastic_duration else found["noise0"]
    wave = speech.render(m_p, logs_p, durations, frames, noise, g, config.noise_scale, size=int(frames))
    torch.testing.assert_close(wave, found["noisy_wave"][:, 0], **CLOSE)


@pytest.mark.parametrize("name", ["speakers", "stochastic"])
def test_a_conversion_between_two_speakers_is_that_of_coqui(voices, name):
    net, found, _ = voices[name]
    source, target = torch.tensor([1]), torch.tensor([2])
    made = net.convert(found["spec"], torch.tensor([9]), source, target, noise=found["conversion_noise"])
    torch.testing.assert_close(made.wave, found["converted"][:, 0], **CLOSE)


def test_the_config_is_read(voices):
    net = voices["speakers"][0]
    mel = net.config.mel
    assert (mel.sample_rate, mel.n_fft, mel.hop_length, mel.n_mels, mel.fmax) == (16000, 128, 4, 10, None)
    assert net.config.speakers == NAMES
    assert voices["plain"][0].config.speakers == ()
    assert net.config.resblock == "2" and net.config.resblock_dilations == ((1, 3), (1, 2))
    assert voices["stochastic"][0].config.stochastic_width == 5 and net.config.stochastic_width is None
    assert net.config.duration_epsilon == 1e-4 and voices["stochastic"][0].config.duration_epsilon == 1e-5


def test_a_converted_voice_speaks_for_each_speaker_by_name(voices, tmp_path):
    net, found, text = voices["speakers"]
    task = amphion.task("tts", model=str(weights.save(net, tmp_path / "voice")))
    quiet = {"noise_scale": 0, "duration_noise_scale": 0}
    audio = task.generate(task.request(text=text, speaker="ben", controls=quiet))
    torch.testing.assert_close(torch.from_numpy(audio.samples), found["wave"][0, 0], **CLOSE)


def test_the_names_of_the_speakers_are_never_lost(tmp_path):
    state, config = state_and_config("speakers")
    with pytest.raises(WeightsError, match=r"speakers_file is 'speakers\.pth': the names of the 3 speakers") as caught:
        convert("tts/vits", state, layout="coqui", config=config)
    assert caught.value.hint == "give it: amphion convert --file speakers=speakers.pth"
    (tmp_path / "speakers.json").write_text('{"anna": 2, "ben": 1, "7": 0}', encoding="utf-8")
    files = {"speakers": tmp_path / "speakers.json"}
    assert convert("tts/vits", state, layout="coqui", config=config, files=files).config.speakers == NAMES
    ways = (
        config | {"speakers": ["7", "ben", "anna"]},
        config | {"speakers": {"anna": 2, "7": 0, "ben": 1}},
        config | {"speaker_ids": {"anna": 2, "7": 0, "ben": 1}},
        changed(config, ("model_args", "speakers"), ["7", "ben", "anna"]),
    )
    for way in ways:
        assert VITS.import_state_dict(state, layout="coqui", config=way)[0].speakers == NAMES
    without = changed(config, ("model_args", "speakers_file"), None)
    assert VITS.import_state_dict(state, layout="coqui", config=without)[0].speakers == ("0", "1", "2")


FIXED = [
    ("model_args.dilation_rate_flow", 2, "dilation_rate_flow is 2: our VITS has 1 only"),
    ("model_args.dilation_rate_posterior_encoder", 3, "dilation_rate_posterior_encoder is 3: our VITS has 1 only"),
    ("model_args.kernel_size_flow", 3, "kernel_size_flow is 3: our VITS has 5 only"),
    ("model_args.kernel_size_posterior_encoder", 3, "kernel_size_posterior_encoder is 3: our VITS has 5 only"),
    ("model_args.num_layers_flow", 6, "num_layers_flow is 6: our VITS has 4 only"),
    ("model_args.num_layers_posterior_encoder", 8, "num_layers_posterior_encoder is 8: our VITS has 16 only"),
    ("model_args.encoder_sample_rate", 8000, "encoder_sample_rate is 8000: its encoder has another rate"),
    ("model_args.use_d_vector_file", True, "use_d_vector_file is True: it takes the vector of a speaker from a file"),
    ("use_d_vector_file", True, "use_d_vector_file is True: it takes the vector of a speaker from a file"),
    ("model_args.use_language_embedding", True, "use_language_embedding is True: it has a table of languages"),
    ("model_args.condition_dp_on_speaker", False, "condition_dp_on_speaker is False: in our VITS every speaker has"),
    ("model_args.hidden_channels", 8, "hidden_channels is 8; in the checkpoint it is 4"),
    ("model_args.num_heads_text_encoder", 4, "num_heads_text_encoder is 4; in the checkpoint it is 2"),
    ("model_args.num_layers_text_encoder", 1, "num_layers_text_encoder is 1; in the checkpoint it is 2"),
    ("model_args.kernel_size_text_encoder", 5, "kernel_size_text_encoder is 5; in the checkpoint it is 3"),
    ("model_args.use_sdp", True, "use_sdp is True; the durations of the checkpoint are plain"),
    ("audio.hop_length", 8, r"product 4 is not mel\.hop_length 8"),
    ("audio.sample_rate", None, r"does not state audio\.sample_rate"),
    ("model", "glow_tts", "model is 'glow_tts'; this layout reads Coqui's vits"),
    ("use_phonemes", True, "phonemizer is None; our phonemes are those of espeak"),
    ("text_cleaner", "chinese_mandarin_cleaners", "text_cleaner is 'chinese_mandarin_cleaners', which our frontends"),
    ("characters.characters_class", "my.Table", "characters_class is 'Table', whose symbols are not known"),
    ("characters.is_sorted", False, "is_sorted is False with is_unique: Coqui then numbers the symbols in an order"),
    ("characters.bos", None, "does not state characters.bos"),
    ("characters.characters", "abcdefghijklmnop", "characters has 24 symbols; the checkpoint has 15"),
    ("characters", "abc", "characters is 'abc', not a section"),
    ("model_args.resblock_dilation_sizes_decoder", [1, 3], r"resblock_dilation_sizes_decoder is \[1, 3\], not a list"),
    ("model_args.upsample_rates_decoder", 8, "upsample_rates_decoder is 8, not a list of numbers"),
    ("model_args.length_scale", 0, "length_scale is 0, not a number from 0.001 to 100"),
]


@pytest.mark.parametrize(("path", "value", "message"), FIXED, ids=lambda value: str(value)[:30])
def test_a_setting_that_would_sound_wrong_is_refused_by_its_name(path, value, message):
    state, config = state_and_config("speakers")
    config = config | {"speakers": list(NAMES)}
    VITS.import_state_dict(state, layout="coqui", config=config)
    with pytest.raises((WeightsError, RecipeError), match=message):
        VITS.import_state_dict(state, layout="coqui", config=changed(config, tuple(path.split(".")), value))


def test_tensors_that_our_network_has_no_use_for_name_the_real_reason():
    state, config = state_and_config("speakers")
    config = config | {"speakers": list(NAMES)}
    vectors = {name: value for name, value in state.items() if name != "emb_g.weight"}
    cases = {
        "it takes the vector of a speaker from a file": vectors,
        "it has a table of languages": state | {"emb_l.weight": torch.zeros(2, 4)},
        "its encoder has another rate than its decoder": state | {"audio_resampler.kernel": torch.zeros(1, 1, 8)},
    }
    for message, tensors in cases.items():
        with pytest.raises(WeightsError, match=message):
            VITS.import_state_dict(tensors, layout="coqui", config=config)
    state, config = state_and_config("stochastic")
    with pytest.raises(WeightsError, match=r"unexpected: speaker_encoder\.conv"):
        extra = state | {"speaker_encoder.conv": torch.zeros(1), "disc.conv": torch.zeros(1)}
        convert("tts/vits", extra, layout="coqui", config=config | {"speakers": list(NAMES)})


def test_phonemes_of_espeak_and_a_frontend_of_the_user(voices):
    state, config = state_and_config("plain")
    spoken = config | {"use_phonemes": True, "phonemizer": "espeak", "phoneme_language": "de"}
    frontend = VITS.import_state_dict(state, layout="coqui", config=spoken)[0].frontend
    assert (frontend.name, frontend.config.language, frontend.config.blank) == ("espeak", "de", "<BLNK>")
    gruut = spoken | {"phonemizer": "gruut"}
    with pytest.raises(WeightsError, match="phonemizer is 'gruut'; our phonemes are those of espeak") as caught:
        VITS.import_state_dict(state, layout="coqui", config=gruut)
    assert '"frontend"' in caught.value.hint
    for stated in (None, {"name": "characters", "symbols": ["_", "a"]}):
        found = VITS.import_state_dict(state, layout="coqui", config=gruut | {"frontend": stated})[0].frontend
        assert (found and found.name) == (stated and stated["name"])
    assert VITS.import_state_dict(state, layout="coqui", config=spoken | {"characters": None})[0].frontend is None


WRONG = (None, 0, -3, 7, True, 0.5, float("nan"), 10**400, 1e300, "", "words", [], [1, "x"], {}, {"a": 1}, ...)


def test_any_value_in_place_of_any_other_gives_a_voice_or_one_error():
    """Each value of the config is replaced by each of ``WRONG``; the last one removes it."""
    state, config = state_and_config("speakers")
    read = ("text_encoder.", "emb_g.", "duration_predictor.", "waveform_decoder.conv_")  # the others show nothing
    state = {name: value for name, value in state.items() if name.startswith(read)}
    config = config | {"speakers": list(NAMES)}
    sections = ("model_args", "audio", "characters")
    paths = [(name,) for name in config] + [(section, name) for section in sections for name in config[section]]
    outcomes = []
    for path in paths:
        for value in WRONG:
            try:
                VITS.import_state_dict(state, layout="coqui", config=changed(config, path, value))
            except AmphionError as error:
                assert len(str(error)) < 1000, path
                outcomes.append(False)
            else:
                outcomes.append(True)
    assert len(outcomes) == len(paths) * len(WRONG)
    assert 200 < outcomes.count(False) < len(outcomes) / 2
