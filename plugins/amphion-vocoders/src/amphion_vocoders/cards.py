"""The cards of amphion-vocoders: configurations of vocoders and of published discriminators. No model is imported.

Published weights are brought in by ``amphion convert``; ``amphion info NAME`` lists the layouts that a model reads.
"""

from amphion_core.cards import Card

_V3 = {
    "channels": 256, "upsample_rates": (8, 8, 4), "upsample_kernels": (16, 16, 8), "resblock": "2",
    "resblock_kernels": (3, 5, 7), "resblock_dilations": ((1, 2), (2, 6), (3, 12)),
}  # fmt: skip

_VOCOS_SMALL = {"mel": "hifigan_22k_80", "channels": 256, "inner_channels": 640, "layers": 6}
_BIGVGAN = {"channels": 1536, "upsample_rates": (4, 4, 2, 2, 2, 2), "upsample_kernels": (8, 8, 4, 4, 4, 4)}
_V2 = {"tanh_at_final": False, "bias_at_final": False}
_HOP_512 = {"upsample_rates": (8, 4, 2, 2, 2, 2), "upsample_kernels": (16, 8, 4, 4, 4, 4)}
_NSF_AMPHION = {
    "mel": "amphion_24k_100", "channels": 768, "upsample_rates": (8, 4, 2, 2, 2), "upsample_kernels": (16, 8, 4, 4, 4),
}  # fmt: skip

_APNET2_SMALL = {"mel": "hifigan_22k_80", "channels": 256, "inner_channels": 640, "layers": 4}

CARDS = [
    Card(
        name="codec/dac@16k",
        title="16 kHz, 12 codebooks",
        config={"sample_rate": 16000, "strides": (2, 4, 5, 8), "codebooks": 12},
    ),
    Card(
        name="codec/dac@24k",
        title="24 kHz, 32 codebooks",
        config={"sample_rate": 24000, "strides": (2, 4, 5, 8), "codebooks": 32},
    ),
    Card(name="codec/dac@44k", title="44.1 kHz, 9 codebooks: 76.7 M parameters"),
    Card(name="codec/encodec@24k", title="24 kHz, 32 codebooks: 14.9 M parameters"),
    Card(name="codec/speechtokenizer@hubert_avg", title="16 kHz, 8 codebooks: 103.7 M parameters"),
    Card(
        name="codec/facodec@v1",
        title="as published, with the redecoder: 16 kHz, 80 frames a second, 65.2 M parameters",
        config={"redecoder_channels": 1280},
    ),
    Card(
        name="codec/facodec@v2",
        title="the second version, with prosody of a mel: 36.2 M parameters",
        config={"mel_prosody": True},
    ),
    Card(name="vocoder/apnet@paper", title="the authors' configuration: 16 kHz, 72.2 M parameters"),
    Card(
        name="vocoder/apnet@amphion",
        title="the same network for 100 bands at 24 kHz: 72.3 M parameters",
        config={"mel": "amphion_24k_100"},
    ),
    Card(name="vocoder/apnet2@paper", title="the authors' configuration: 22.05 kHz, 31.4 M parameters"),
    Card(name="vocoder/apnet2@small", title="22.05 kHz, for laptops: 5.7 M parameters, 23 MB", config=_APNET2_SMALL),
    Card(name="vocoder/bigvgan@base", title="version 1, base: 24 kHz, 14.0 M parameters"),
    Card(name="vocoder/bigvgan@base_22k", title="version 1, base: 22.05 kHz", config={"mel": "hifigan_22k_80"}),
    Card(
        name="vocoder/bigvgan@small",
        title="for a laptop: 22.05 kHz, 128 channels, 0.93 M parameters",
        config={"mel": "hifigan_22k_80", "channels": 128},
    ),
    Card(name="vocoder/bigvgan@v1", title="version 1, large: 24 kHz, 112 M parameters", config=_BIGVGAN),
    Card(
        name="vocoder/bigvgan@v1_22k",
        title="version 1, large: 22.05 kHz, 112 M parameters",
        config=_BIGVGAN | {"mel": "hifigan_22k_80"},
    ),
    Card(
        name="vocoder/bigvgan@v2_22k",
        title="version 2: 22.05 kHz, all bands, 112 M parameters",
        config=_BIGVGAN | _V2 | {"mel": "bigvgan_22k_80_full"},
    ),
    Card(
        name="vocoder/bigvgan@v2_22k_fmax8k",
        title="version 2: 22.05 kHz, mel up to 8 kHz, 112 M parameters",
        config=_BIGVGAN | _V2 | {"mel": "bigvgan_22k_80_fmax8k"},
    ),
    Card(name="vocoder/bigvgan@v2_24k", title="version 2: 24 kHz, 112 M parameters", config=_BIGVGAN | _V2),
    Card(
        name="vocoder/bigvgan@v2_44k",
        title="version 2: 44.1 kHz, hop 512, 122 M parameters",
        config=_BIGVGAN | _V2 | _HOP_512 | {"mel": "bigvgan_44k_128_512"},
    ),
    Card(
        name="vocoder/bigvgan@v2_44k_256",
        title="version 2: 44.1 kHz, hop 256, 112 M parameters",
        config=_BIGVGAN | _V2 | {"mel": "bigvgan_44k_128_256"},
    ),
    Card(name="vocoder/diffwave@base", title="of the published weights: 30 layers, 2.62 M parameters"),
    Card(
        name="vocoder/diffwave@amphion",
        title="of Amphion v0.1: 24 kHz, 100 bands, 2.70 M parameters",
        config={"mel": "amphion_24k_100"},
    ),
    Card(
        name="vocoder/diffwave@small",
        title="for two CPU cores: 16 layers of 32 channels, 0.81 M parameters",
        config={"layers": 16, "channels": 32, "cycle": 8},
    ),
    Card(name="vocoder/hifigan@v1", title="best quality: 512 channels, 13.9 M parameters"),
    Card(name="vocoder/hifigan@v2", title="small: 128 channels, 0.93 M parameters", config={"channels": 128}),
    Card(name="vocoder/hifigan@v3", title="fast: three stages, 256 channels, 1.46 M parameters", config=_V3),
    Card(name="vocoder/melgan@paper", title="the authors' configuration: 512 channels, 4.27 M parameters"),
    Card(
        name="vocoder/melgan@small",
        title="for two CPU cores: 256 channels, 1.2 M parameters",
        config={"channels": 256},
    ),
    Card(name="vocoder/nsf_hifigan@44k", title="openvpi's community vocoder: 44.1 kHz, 14.2 M parameters"),
    Card(
        name="vocoder/nsf_hifigan@mini",
        title="openvpi's mini_nsf: one sine in the second stage, 14.1 M parameters",
        config={"source": "mini"},
    ),
    Card(
        name="vocoder/nsf_hifigan@amphion",
        title="of Amphion v0.1, with its source in use: 24 kHz, 30.8 M parameters",
        config=_NSF_AMPHION,
    ),
    Card(
        name="vocoder/nsf_hifigan@small",
        title="for two CPU cores: 22.05 kHz, 1.5 M parameters",
        config=_V3 | {"mel": "hifigan_22k_80"},
    ),
    Card(name="vocoder/waveglow@256channels", title="of the published weights: 12 flows, 87.9 M parameters"),
    Card(
        name="vocoder/waveglow@512channels",
        title="of NVIDIA's first weights: 268 M parameters",
        config={"channels": 512},
    ),
    Card(
        name="vocoder/waveglow@small",
        title="for two CPU cores: 4 flows of 64 channels",
        config={"flows": 4, "early_every": 2, "layers": 7, "channels": 64},
    ),
    Card(name="vocoder/wavenet@logistics", title="as published: a mixture of 10 logistics, 3.72 M parameters"),
    Card(
        name="vocoder/wavenet@gaussian",
        title="as published: one normal distribution, 3.72 M parameters",
        config={"output": "gaussian"},
    ),
    Card(
        name="vocoder/wavenet@mu_law",
        title="as published: 256 classes of the mu-law, 3.78 M parameters",
        config={"output": "mu_law"},
    ),
    Card(
        name="vocoder/wavenet@small",
        title="for two CPU cores: 12 layers of 64 channels, 0.56 M parameters",
        config={"layers": 12, "stacks": 2, "channels": 64, "gate_channels": 128, "skip_channels": 64},
    ),
    Card(name="vocoder/wavernn@logistics", title="as published: a mixture of 10 logistics, 4.23 M parameters"),
    Card(
        name="vocoder/wavernn@raw",
        title="as published: 512 classes of the mu-law (9 bits), 4.48 M parameters",
        config={"output": "mu_law"},
    ),
    Card(
        name="vocoder/wavernn@torchaudio",
        title="of torchaudio's published weights: 256 classes of the mu-law, 4.35 M parameters",
        config={"output": "mu_law", "classes": 256},
    ),
    Card(
        name="vocoder/wavernn@small",
        title="for two CPU cores: GRUs of 256 channels, 256 classes of the mu-law, 1.10 M parameters",
        config={
            "output": "mu_law",
            "classes": 256,
            "channels": 256,
            "head_channels": 256,
            "residual_channels": 64,
            "residual_blocks": 4,
            "auxiliary_channels": 64,
        },
    ),
    Card(
        name="discriminator/msd@melgan",
        title="three scales, of MelGAN's authors: 16.9 M parameters",
        config={"convolutions": "descriptinc", "channels": 16},
    ),
    Card(name="vocoder/vocos@mel-24khz", title="as published, for mels at 24 kHz: 13.5 M parameters"),
    Card(name="vocoder/vocos@small", title="22.05 kHz, for laptops: 2.4 M parameters, 9.6 MB", config=_VOCOS_SMALL),
    Card(
        name="discriminator/mpd@amphion",
        title="8 periods, for singing too: 65.8 M parameters",
        config={"periods": (2, 3, 5, 7, 11, 17, 23, 37), "last_stride": 3},
    ),
    Card(
        name="discriminator/mpd@nsf",
        title="7 periods, of NSF-HiFiGAN at 44.1 kHz: 57.5 M parameters",
        config={"periods": (3, 5, 7, 11, 17, 23, 37)},
    ),
    Card(
        name="discriminator/mrd@vocos",
        title="of Vocos and APNet2: other convolutions, 0.60 M parameters",
        config={
            "resolutions": ((1024, 256, 1024), (2048, 512, 2048), (512, 128, 512)),
            "channels": 64,
            "convolutions": "vocos",
        },
    ),
    Card(
        name="discriminator/ms_stftd@amphion",
        title="hops 256, 512, 256",
        config={"hops": (256, 512, 256)},
    ),
    Card(
        name="discriminator/ms_sb_cqtd@bigvgan",
        title="of BigVGAN v2: 128 filters, 4.45 M parameters",
        config={"filters": 128},
    ),
    Card(
        name="discriminator/ms_sb_cqtd@48k",
        title="10 octaves, for audio at 44.1 and 48 kHz",
        config={"sample_rate": 48000, "octaves": 10, "hops": (1024, 512, 512)},
    ),
]
