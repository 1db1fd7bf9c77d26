"""Voices of Piper as VITS: a training checkpoint or an exported ONNX graph, with the voice's JSON.

A JSON states more than Piper's own programs need. Read are the rate, the phoneme table, the language, the speakers and
the three scales; null counts as left out. A voice that would sound wrong is refused, with the name of the value.
"""

from collections.abc import Mapping
from typing import Any

import torch

from amphion_core.checkpoints.publisher_values import Values
from amphion_core.checkpoints.weight_names import unwrap
from amphion_core.errors import shown
from amphion_tts.models.vits_shapes import fields_of_tensors, mel_fields, scales, vocabulary
from amphion_tts.models.vits_speakers import speaker_names

MARKS = {"_": "the blank between symbols", "^": "the begin of a text", "$": "the end of a text"}
SCALES = {"noise_scale": "noise_scale", "noise_w": "duration_noise_scale", "length_scale": "length_scale"}
REASONS = {
    "pinyin": "Chinese syllables with tones, which our frontends do not make",
    "raw": "phonemes that another program makes; text cannot become them here",
}
OTHER = "use a voice whose phoneme_type is espeak or text"


def read(state: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(fields of ``VITS.Config``, state dict) of a voice and its JSON. Raises WeightsError."""
    given = Values(config, file="the voice's JSON", hint="give the JSON that came with the voice: --config FILE")
    given.require("phoneme_id_map")
    named = _named(state)
    rows = vocabulary(named, "piper")
    ids = _phoneme_ids(given, rows)
    symbols = sorted(ids, key=lambda symbol: ids[symbol])
    order = [ids[symbol] for symbol in symbols]
    if order != list(range(len(order))):  # ids with gaps, or symbols that share one: our ids have neither
        order += sorted(set(range(rows)) - set(order))
        named["enc_p.emb.weight"] = named["enc_p.emb.weight"][order]
    fields = fields_of_tensors(named)
    _check_speakers(given, fields["n_speakers"])
    audio, inference = given.section("audio"), given.section("inference")
    hop = next((part.whole("hop_length") for part in (audio, given) if "hop_length" in part), 256)
    mel = mel_fields(audio, {}, named, hop) | {"sample_rate": audio.whole("sample_rate")}
    names = speaker_names([given], fields["n_speakers"])
    frontend = _frontend(given, symbols)
    fields |= _decoder(named) | scales(inference, SCALES)
    return {**fields, "mel": mel, "speakers": names, "frontend": frontend}, named


def _named(state: Mapping[str, Any]) -> dict[str, Any]:
    """The generator's tensors under the authors' names.

    A Lightning checkpoint has the prefix ``model_g.``. In the graph of an exported voice some names have changed.
    """
    named = dict(unwrap(state, "state_dict"))
    if any(name.startswith("model_g.") for name in named):
        return {name.removeprefix("model_g."): value for name, value in named.items() if name.startswith("model_g.")}
    if any(name == "sid" or name.startswith(("/", "onnx::")) for name in named):
        return _onnx_names(named)
    return named


def _onnx_names(state: dict[str, Any]) -> dict[str, Any]:
    """The tensors of an exported voice. The export has folded weight norms, and exp(-logs) into one constant.

    In voices of one speaker the text embedding is called ``sid``, after an input that they do not have.
    """
    if "sid" in state:
        state["enc_p.emb.weight"] = state.pop("sid")
    if "/dp/flows.0/Exp_output_0" in state:
        state["dp.flows.0.logs"] = -torch.log(state.pop("/dp/flows.0/Exp_output_0")).reshape(2, 1)
    parts = ("enc_p.", "enc_q.", "flow.", "dp.", "dec.", "emb_g.")
    return {name: value for name, value in state.items() if name.startswith(parts)}


def _decoder(state: Mapping[str, Any]) -> dict[str, Any]:
    """Piper has two decoders: medium and lower (residual block 2, 256 channels), and high (block 1, 512 channels)."""
    if "dec.resblocks.0.convs1.0.bias" in state:
        return {}  # the defaults
    return {
        "channels": 256, "upsample_rates": (8, 8, 4), "upsample_kernels": (16, 16, 8), "resblock": "2",
        "resblock_kernels": (3, 5, 7), "resblock_dilations": ((1, 2), (2, 6), (3, 12)),
    }  # fmt: skip


def _phoneme_ids(given: Values, rows: int) -> dict[str, int]:
    """The row of the text embedding that each symbol has. Raises WeightsError for a table that means something else."""
    table = given.section("phoneme_id_map")
    ids: dict[str, int] = {}
    for symbol in table:
        ids[symbol] = table.only(symbol, "one id: our frontends give each symbol one whole number")
        if ids[symbol] >= rows:
            raise table.problem(symbol, f"is {ids[symbol]}; the voice has the ids 0 to {rows - 1}")
    if missing := [f"{mark!r}, {use}" for mark, use in MARKS.items() if mark not in ids]:
        raise given.problem("phoneme_id_map", f"has no {'; no '.join(missing)}")
    return ids


def _check_speakers(given: Values, count: int) -> None:
    """Raise WeightsError if the JSON states another number of speakers than the checkpoint has."""
    stated = max(1, given.whole("num_speakers", count, least=0))
    if stated != count:
        raise given.problem("num_speakers", f"is {stated}; the checkpoint has {count}")


def _frontend(given: Values, symbols: list[str]) -> dict[str, Any]:
    """The frontend that makes the voice's symbols. Raises WeightsError where none of ours does."""
    kind, phoneme_map = given.text("phoneme_type", "espeak").lower(), given.get("phoneme_map")
    if phoneme_map:
        raise given.problem(
            "phoneme_map", f"is {shown(phoneme_map)}: our frontends do not replace phonemes", hint=OTHER
        )
    common = {"symbols": symbols, "blank": "_", "begin": "^", "end": "$", "blank_ends": False}
    if kind == "espeak":
        return {"name": "espeak", "language": _espeak_voice(given), **common}
    if kind == "text":
        code = given.section("language").text("code", "und")  # und: a language that is not stated, in BCP 47
        lower = not any(symbol.isupper() for symbol in symbols)
        return {"name": "characters", "language": code.replace("_", "-"), "lower_case": lower, **common}
    reason = REASONS.get(kind, "of a kind that our frontends do not make")
    raise given.problem("phoneme_type", f"is {shown(kind)}: the symbols are {reason}", hint=OTHER)


def _espeak_voice(given: Values) -> str:
    """The eSpeak voice that the JSON states. It is not guessed: another language would be spoken without an error."""
    espeak, language = given.section("espeak"), given.section("language")
    if espeak.get("voice") in (None, ""):
        family = language.text("family", language.text("code", "de").partition("_")[0])
        raise given.problem(
            "espeak.voice",
            "is left out, so the language of the text is not known",
            hint=f'add it to the JSON, such as "espeak": {{"voice": "{family}"}}',
        )
    return espeak.text("voice")
