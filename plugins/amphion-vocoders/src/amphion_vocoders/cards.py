"""The cards of amphion-vocoders: the configurations of the HiFi-GAN paper. No model is imported here.

Published weights in the layouts jik876, amphion and transformers are brought in by ``amphion convert vocoder/hifigan``.
"""

from amphion_core.cards import Card

_V3 = {
    "channels": 256, "upsample_rates": (8, 8, 4), "upsample_kernels": (16, 16, 8), "resblock": "2",
    "resblock_kernels": (3, 5, 7), "resblock_dilations": ((1, 2), (2, 6), (3, 12)),
}  # fmt: skip

CARDS = [
    Card(name="vocoder/hifigan@v1", title="best quality: 512 channels, 13.9 M parameters"),
    Card(name="vocoder/hifigan@v2", title="small: 128 channels, 0.93 M parameters", config={"channels": 128}),
    Card(name="vocoder/hifigan@v3", title="fast: three stages, 256 channels, 1.46 M parameters", config=_V3),
]
