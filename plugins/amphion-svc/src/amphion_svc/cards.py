"""The cards of amphion-svc: published configurations. No model is imported here.

Weights are brought in by ``amphion convert svc/NAME --layout amphion``.
"""

from amphion_core.cards import Card

_PUBLISHED = {"mel": "amphion_24k_100", "melody": "coarse", "loudness_range": [1e-30, 1.5]}

_AMPHION_NOISE = {"c_skip": "edm", "noise_mean": "cond"}

CARDS = [
    Card(
        name="svc/diffcomo@amphion",
        title="published configuration: a teacher with 36.6 M parameters without the condition",
        config={**_PUBLISHED, "noise": _AMPHION_NOISE},
    ),
    Card(
        name="svc/diffwavenet@base",
        title="published configuration: 384 channels, 20 layers, 30.3 M parameters without the condition",
        config={**_PUBLISHED, "diffusion": {"clip": "every_step"}},
    ),
    Card(
        name="svc/diffwavenet@large",
        title="published recipe: 512 channels, 40 layers, 100.7 M parameters without the condition",
        config={**_PUBLISHED, "channels": 512, "layers": 40, "diffusion": {"clip": "every_step"}},
    ),
    Card(
        name="svc/transformer@conformer",
        title="published configuration: relative attention, 10.7 M parameters without the condition",
        config=_PUBLISHED,
    ),
    Card(
        name="svc/transformer@transformer",
        title="published configuration: sines as positions, 13.0 M parameters without the condition",
        config={**_PUBLISHED, "encoder": "transformer", "filter_channels": 2048},
    ),
    Card(
        name="svc/vits@nsf_hifigan",
        title="published configuration with NSF-HiFiGAN as decoder, 104.6 M parameters with 512 singers",
        config=_PUBLISHED,
    ),
    Card(
        name="svc/vits@hifigan",
        title="published sizes with HiFi-GAN as decoder, 86.9 M parameters with 512 singers",
        config={**_PUBLISHED, "decoder": "vocoder/hifigan"},
    ),
    Card(
        name="svc/vits@bigvgan",
        title="published sizes with BigVGAN as decoder, 86.9 M parameters with 512 singers",
        config={**_PUBLISHED, "decoder": "vocoder/bigvgan"},
    ),
]
