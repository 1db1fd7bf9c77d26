"""The cards of the models of latent diffusion: published configurations. No model is imported.

Weights are brought in by ``amphion convert``: cvssp/audioldm* with ``--layout diffusers``, the authors' single files
with ``--layout haoheliu``, amphion/text_to_audio with ``--layout amphion``.
"""

from typing import Any

from amphion_core.cards import Card

_4X5X39: dict[str, Any] = {
    "mel": "tta_16k_80", "channels": [128, 128, 256, 256, 512], "latent_channels": 4, "attention": False,
    "time_first": False,
}  # fmt: skip
_4X10X78 = {**_4X5X39, "channels": [128, 256, 256, 512]}


def _original(channels: int) -> dict[str, Any]:
    """The UNet of AudioLDM with that many channels in its first level; each head has 32 values."""
    sizes = [channels * factor for factor in (1, 2, 3, 5)]
    attention = [False, True, True, True]
    return {"unet": {"channels": sizes, "attention": attention, "heads": [size // 32 for size in sizes]}}


CARDS = [
    Card(
        name="autoencoder/kl@audioldm",
        title="published configuration of AudioLDM: latents 8 x 256 x 16 of 10.24 s, 55.4 M parameters",
    ),
    Card(
        name="autoencoder/kl@amphion-4x5x39",
        title="published configuration of Amphion: latents 4 x 5 x 39 of 9.98 s, 62.1 M parameters",
        config=_4X5X39,
    ),
    Card(
        name="autoencoder/kl@amphion-4x10x78",
        title="published configuration of Amphion: latents 4 x 10 x 78 of 9.98 s, 60.3 M parameters",
        config=_4X10X78,
    ),
    Card(
        name="tta/audioldm@s",
        title="published configuration of audioldm-s-full and audioldm-s-full-v2: UNet of 185 M parameters",
        config=_original(128),
    ),
    Card(
        name="tta/audioldm@m",
        title="published configuration of audioldm-m-full: UNet with 192 channels",
        config=_original(192),
    ),
    Card(
        name="tta/audioldm@l",
        title="published configuration of audioldm-l-full: UNet with 256 channels",
        config=_original(256),
    ),
    Card(
        name="tta/audioldm_t5@4x5x39",
        title="published configuration of Amphion: UNet of 400 M parameters on latents 4 x 5 x 39",
    ),
    Card(
        name="tta/audioldm_t5@4x10x78",
        title="published configuration of Amphion: UNet of 400 M parameters on latents 4 x 10 x 78",
        config={"autoencoder": {"name": "autoencoder/kl", **_4X10X78}},
    ),
    Card(
        name="tta/picoaudio@published",
        title="published configuration: UNet of 145 M parameters, an onset matrix of 32 rows and 10.24 s",
        config={"several": "first"},
    ),
]
