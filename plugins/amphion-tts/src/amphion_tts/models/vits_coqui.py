"""Voices of Coqui TTS as VITS: the checkpoint with its ``config.json``.

Coqui's networks have settings that no tensor shows. Those that our VITS has with one value only are in ``FIXED``, and a
voice with another value is refused. The norms of its plain duration predictor have an epsilon of 1e-4.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from amphion_core.checkpoints.publisher_values import Values
from amphion_core.checkpoints.weight_names import strip_prefix, unwrap
from amphion_core.errors import WeightsError, shown
from amphion_tts.models.vits_shapes import check_sizes, fields_of_tensors, mel_fields, scales, shape, vocabulary
from amphion_tts.models.vits_speakers import speaker_names

PARTS = {
    "text_encoder.": "enc_p.", "posterior_encoder.": "enc_q.", "flow.": "flow.", "duration_predictor.": "dp.",
    "waveform_decoder.": "dec.", "emb_g.": "emb_g.",
}  # fmt: skip
DILATIONS = {1: 3, 2: 2}  # so many of each row are used by a residual block of type 1, and of type 2
PLAIN_DURATION_EPSILON = 1e-4
LANGUAGES = "it has a table of languages, which our VITS does not have"
VECTORS = "it takes the vector of a speaker from a file, our VITS from a table in the checkpoint"
ENCODER_RATE = "its encoder has another rate than its decoder, in our VITS they have the same"
FIXED: dict[str, tuple[Any, str]] = {  # value of our VITS, and why another one cannot be read
    "kernel_size_posterior_encoder": (5, ""), "dilation_rate_posterior_encoder": (1, ""),
    "num_layers_posterior_encoder": (16, ""), "kernel_size_flow": (5, ""), "dilation_rate_flow": (1, ""),
    "num_layers_flow": (4, ""), "encoder_sample_rate": (None, ENCODER_RATE),
    "use_language_embedding": (False, LANGUAGES), "use_d_vector_file": (False, VECTORS),
}  # fmt: skip
SHOWN_BY_TENSORS = {
    "hidden_channels": "hidden_channels", "hidden_channels_ffn_text_encoder": "filter_channels",
    "num_heads_text_encoder": "n_heads", "num_layers_text_encoder": "n_layers", "kernel_size_text_encoder": "kernel",
    "upsample_initial_channel_decoder": "channels",
}  # fmt: skip
MEL = {
    "sample_rate": "sample_rate", "fft_size": "n_fft", "win_length": "win_length", "hop_length": "hop_length",
    "num_mels": "n_mels", "mel_fmin": "fmin", "mel_fmax": "fmax",
}  # fmt: skip
SCALES = {
    "inference_noise_scale": "noise_scale", "inference_noise_scale_dp": "duration_noise_scale",
    "length_scale": "length_scale",
}  # fmt: skip
LOWERING = (
    "basic_cleaners", "basic_german_cleaners", "english_cleaners", "french_cleaners", "italian_cleaners",
    "multilingual_cleaners", "portuguese_cleaners", "transliteration_cleaners",
)  # fmt: skip
KEEPING = ("", "no_cleaners", "phoneme_cleaners", "multilingual_phoneme_cleaners")
OWN_FRONTEND = 'state a frontend in the config, such as "frontend": {"name": "espeak", ...}, or null to use ids only'


def read(state: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(fields of ``VITS.Config``, state dict) of a voice and its config. Raises WeightsError."""
    given = Values(
        config, file="the publisher's config", hint="give the voice's config.json: amphion convert --config FILE"
    )
    network, audio = given.section("model_args"), given.section("audio")
    tensors = strip_prefix(unwrap(state, "model"), "module.")
    named = _named(tensors)
    rows = vocabulary(named, "coqui")
    if (kind := given.text("model", "vits")) != "vits":
        raise given.problem("model", f"is {shown(kind)}; this layout reads Coqui's vits", hint="amphion list models")
    network.require(
        "upsample_rates_decoder", "upsample_kernel_sizes_decoder", "resblock_type_decoder",
        "resblock_kernel_sizes_decoder", "resblock_dilation_sizes_decoder",
    )  # fmt: skip
    audio.require("sample_rate")
    _check_fixed([network, given], tensors)
    fields = fields_of_tensors(named)
    check_sizes(network, SHOWN_BY_TENSORS, fields)
    stochastic = fields["stochastic_duration"]
    if network.flag("use_sdp", stochastic) != stochastic:
        kind = "stochastic" if stochastic else "plain"
        raise network.problem("use_sdp", f"is {not stochastic}; the durations of the checkpoint are {kind}")
    upsample_rates = network.wholes("upsample_rates_decoder")
    block = network.whole("resblock_type_decoder")
    dilations = network.rows("resblock_dilation_sizes_decoder")
    fields |= {
        "mel": mel_fields(audio, MEL, named, math.prod(upsample_rates)),
        "upsample_rates": upsample_rates,
        "upsample_kernels": network.wholes("upsample_kernel_sizes_decoder"),
        "resblock": str(block),
        "resblock_kernels": network.wholes("resblock_kernel_sizes_decoder"),
        "resblock_dilations": tuple(row[: DILATIONS.get(block)] for row in dilations),
        "duration_noise_scale": 1.0,  # Coqui's default, which is not ours
        **scales(network, SCALES),
        "speakers": _speakers(given, network, fields["n_speakers"]),
        "frontend": config["frontend"] if "frontend" in config else _frontend(given, rows),
    }
    if not stochastic:
        fields["duration_epsilon"] = PLAIN_DURATION_EPSILON
    return fields, named


def _named(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors under the authors' names, without the discriminator.

    Coqui's lists of flows do not count the channel swaps between them, so their indices are doubled here. The norms of
    its plain duration predictor are (1, C, 1).
    """
    named: dict[str, Any] = {}
    for name, value in tensors.items():
        if name.startswith("disc."):
            continue
        head = next((part for part in PARTS if name.startswith(part)), "")
        name = PARTS.get(head, "") + name.removeprefix(head)
        name = re.sub(r"^flow\.flows\.(\d+)\.", lambda match: f"flow.flows.{2 * int(match[1])}.", name)
        name = re.sub(r"^dp\.(post_)?flows\.([1-9]\d*)\.", lambda m: f"dp.{m[1] or ''}flows.{2 * int(m[2]) - 1}.", name)
        name = name.replace(".translation", ".m").replace(".log_scale", ".logs").replace("dec.cond_layer.", "dec.cond.")
        if re.match(r"dp\.norm_\d\.(gamma|beta)$", name) and (size := shape({name: value}, name, 3)) == (1, size[1], 1):
            value = value.flatten()
        named[name] = value
    return named


def _check_fixed(sections: list[Values], tensors: Mapping[str, Any]) -> None:
    """Raise WeightsError for a setting of which our VITS has one value, and the voice has another."""
    for section in sections:
        for name, (fixed, reason) in FIXED.items():
            stated = section.get(name)
            if name in section and stated != fixed and not (stated == 0 and fixed is None):
                why = reason or f"our VITS has {shown(fixed)} only"
                raise section.problem(name, f"is {shown(stated)}: {why}", hint="use another voice of Coqui")
    network = sections[0]
    if "emb_g.weight" in tensors and not network.flag("condition_dp_on_speaker", True):
        why = "in our VITS every speaker has other durations"
        raise network.problem("condition_dp_on_speaker", f"is False: {why}", hint="use another voice of Coqui")
    for name, reason in {"emb_l.weight": LANGUAGES, "audio_resampler.kernel": ENCODER_RATE}.items():
        if name in tensors:
            raise WeightsError(f"this checkpoint of Coqui cannot be read: {reason}", hint="use another voice of Coqui")
    if "emb_g.weight" not in tensors and "waveform_decoder.cond_layer.weight" in tensors:
        raise WeightsError(f"this checkpoint of Coqui cannot be read: {VECTORS}", hint="use another voice of Coqui")


def _speakers(given: Values, network: Values, count: int) -> tuple[str, ...]:
    """The names of the speakers, which Coqui keeps in a separate file."""
    names = speaker_names([given, network], count)
    section = next((each for each in (network, given) if each.get("speakers_file")), None)
    numbers = tuple(map(str, range(count)))
    if section and count > 1 and names == numbers and not (given.get("speakers") or network.get("speakers")):
        stated = section.get("speakers_file")
        raise section.problem(
            "speakers_file",
            f"is {shown(stated)}: the names of the {count} speakers are in that file",
            hint=f"give it: amphion convert --file speakers={Path(stated).name if isinstance(stated, str) else 'PATH'}",
        )
    return names


def _frontend(given: Values, rows: int) -> dict[str, Any] | None:
    """The frontend that makes the voice's symbols; None if the config states no symbols.

    Raises WeightsError where none of our frontends makes them.
    """
    if "characters" not in given:
        return None
    symbols, blank = _symbols(given.section("characters"), given.flag("add_blank", True))
    marks = {"blank": blank, "symbols": symbols}
    if given.flag("enable_eos_bos_chars", False):
        marks |= _ends(given.section("characters"))
    if len(symbols) > rows:
        raise given.problem("characters", f"has {len(symbols)} symbols; the checkpoint has {rows}")
    cleaner = given.text("text_cleaner", "")
    if cleaner not in (*LOWERING, *KEEPING):
        reason = f"is {shown(cleaner)}, which our frontends do not do"
        raise given.problem("text_cleaner", reason, hint=OWN_FRONTEND)
    if not given.flag("use_phonemes", False):
        language = given.text("phoneme_language", "und")  # und: a language that is not stated, in BCP 47
        return {"name": "characters", "language": language, "lower_case": cleaner in LOWERING, **marks}
    if given.text("phonemizer", "none") != "espeak":
        reason = f"is {shown(given.get('phonemizer'))}; our phonemes are those of espeak"
        raise given.problem("phonemizer", reason, hint=OWN_FRONTEND)
    return {"name": "espeak", "language": given.text("phoneme_language"), **marks}


def _symbols(table: Values, add_blank: bool) -> tuple[list[str], str | None]:
    """The symbols of a ``characters`` section in the order of their ids, and the blank if there is one."""
    kind = table.text("characters_class").rpartition(".")[2]
    punctuation, characters = list(table.text("punctuations", "")), list(table.text("characters", ""))
    phonemes = list(table.text("phonemes", ""))
    if kind == "VitsCharacters":
        symbols = [table.text("pad"), *punctuation, *characters, *phonemes, "<BLNK>"]
        return symbols, "<BLNK>" if add_blank else None
    if kind not in ("Graphemes", "IPAPhonemes"):
        raise table.problem("characters_class", f"is {shown(kind)}, whose symbols are not known", hint=OWN_FRONTEND)
    if kind == "IPAPhonemes" and phonemes:
        characters = phonemes
    unique, in_order = table.flag("is_unique", True), table.flag("is_sorted", True)
    if unique and not in_order:
        reason = "is False with is_unique: Coqui then numbers the symbols in an order that the config does not state"
        raise table.problem("is_sorted", reason, hint=OWN_FRONTEND)
    if unique:
        characters = list(dict.fromkeys(characters))
    if in_order:
        characters.sort()
    marks = [mark for mark in (table.text(name, "") for name in ("pad", "eos", "bos", "blank")) if mark]
    symbols = [*marks, *characters, *punctuation]
    blank = table.text("blank", "")
    if add_blank and not blank:  # Coqui then takes the first id after its symbols
        blank = "<BLNK>"
        symbols.append(blank)
    return symbols, blank if add_blank else None


def _ends(table: Values) -> dict[str, Any]:
    """The marks around a text, which stand outside the blanks."""
    if table.text("characters_class").endswith("VitsCharacters"):
        raise table.problem("characters_class", "has no marks for enable_eos_bos_chars", hint=OWN_FRONTEND)
    return {"begin": table.text("bos"), "end": table.text("eos"), "blank_ends": False}
