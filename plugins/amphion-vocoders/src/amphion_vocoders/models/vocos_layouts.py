"""The author's Vocos checkpoints: his config and tensor names converted to ours.

"charactr": ``pytorch_model.bin`` with ``config.yaml``, or a training checkpoint with the config of the training; both
name classes and their arguments. Read are networks of mel features, a ConvNeXt backbone and an ISTFT head.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from amphion_core.checkpoints.publisher_values import Values
from amphion_core.checkpoints.weight_names import strip_prefix, unwrap
from amphion_core.errors import WeightsError
from amphion_core.features.mel import mel_filterbank
from amphion_core.mel import MelConfig

HINT = "give the config.yaml that came with the weights: amphion convert --config FILE"
CLASSES = {"feature_extractor": "MelSpectrogramFeatures", "backbone": "VocosBackbone", "head": "ISTFTHead"}
"""The classes that we read, without their modules, by the sections of the config that name them."""

NETWORK = ("backbone.", "head.out.")
"""How the names of trained tensors begin. The others are computed, or belong to the discriminators of a training."""

WINDOW, FILTERBANK = "feature_extractor.mel_spec.spectrogram.window", "feature_extractor.mel_spec.mel_scale.fb"
NEAR = 1e-3  # relative difference that the rounding of stored windows and filterbanks may have


def fields_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of our Config. Raises WeightsError for a network that we do not have."""
    given = Values(config, file="the publisher's config", hint=HINT)
    if "model" in given:  # the config of a training
        given = given.section("model").section("init_args")
    parts = {name: _arguments(given, name, wanted) for name, wanted in CLASSES.items()}
    features, backbone, head = parts["feature_extractor"], parts["backbone"], parts["head"]
    if "adanorm_num_embeddings" in backbone:
        raise backbone.problem("adanorm_num_embeddings", "is set: networks of EnCodec's bandwidths are not read")
    mel = _mel(features)
    for name in ("n_fft", "hop_length"):
        if head.whole(name) != mel[name]:
            raise head.problem(name, f"is {head.whole(name)}, and that of the mel is {mel[name]}; they must agree")
    return {
        "mel": mel,
        "channels": backbone.whole("dim"),
        "inner_channels": backbone.whole("intermediate_dim"),
        "layers": backbone.whole("num_layers"),
        "padding": None if _padding(head, "same") == mel["padding"] else _padding(head, "same"),
    }


def _arguments(given: Values, name: str, wanted: str) -> Values:
    """The arguments of the class that the section ``name`` names, which must be ``wanted``."""
    section = given.section(name)
    if section.text("class_path").rpartition(".")[2] != wanted:
        raise section.problem("class_path", f"is {section.text('class_path')}; only {wanted} is read")
    return section.section("init_args")


def _mel(features: Values) -> dict[str, Any]:
    """The fields of the mel. The defaults are those of the author's class, which uses torchaudio's spectrograms."""
    n_fft = features.whole("n_fft", 1024)
    mel: dict[str, Any] = MelConfig.preset("vocos_24k_100").model_dump() | {
        "sample_rate": features.whole("sample_rate", 24000),
        "n_fft": n_fft,
        "win_length": n_fft,
        "hop_length": features.whole("hop_length", 256),
        "n_mels": features.whole("n_mels", 100),
        "padding": _padding(features, "center"),
        "fmin": features.number("f_min", 0.0),
        "fmax": features.number("f_max") if "f_max" in features else None,
        "scale": features.text("mel_scale", "htk"),
        "norm": features.text("norm", "none"),
    }
    return mel


def _padding(part: Values, default: str) -> str:
    padding = part.text("padding", default)
    if padding not in ("same", "center"):
        raise part.wrong("padding", "same or center")
    return padding


def network_tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The generator's tensors, which have the same names in our network."""
    return {name: tensor for name, tensor in _all_tensors(state).items() if name.startswith(NETWORK)}


def check_mel_tensors(state: Mapping[str, Any], config: Any) -> None:
    """Raise WeightsError if a window or filterbank in the checkpoint is not the one that the config describes.

    The author's checkpoints hold them. A network that was trained on another mel convention would give noise.
    """
    tensors, mel = _all_tensors(state), config.mel
    expected = {
        WINDOW: torch.hann_window(mel.win_length),
        FILTERBANK: mel_filterbank(mel).T,
        "head.istft.window": torch.hann_window(mel.n_fft),
    }
    for name, computed in expected.items():
        stored = tensors.get(name)
        if stored is None:
            continue
        if stored.shape != computed.shape or float((stored - computed).abs().max()) > NEAR * float(computed.max()):
            raise WeightsError(f"{name} of the checkpoint is not what its config describes", hint=HINT)


def _all_tensors(state: Mapping[str, Any]) -> dict[str, Any]:
    return strip_prefix(unwrap(state, "state_dict"), "module.")
