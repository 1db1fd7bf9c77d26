"""The inference of VITS as one graph for ONNX: one text to its audio, with the noise drawn inside of the graph.

Kim, Kong, Son, arXiv:2106.06103. Letters: L tokens, T samples, C channels, N frames.
"""

from typing import Any

import torch
from torch import Tensor, nn

from amphion_core.api import OnnxGraph
from amphion_tts.models.stochastic_duration import StochasticDurationPredictor
from amphion_tts.models.vits_speech import Speech

SCALES = ("noise_scale", "length_scale", "duration_noise_scale")


class SpokenText(nn.Module):
    """One text through a `VITS` with one speaker."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(
        self, ids: Tensor, noise_scale: Tensor, length_scale: Tensor, duration_noise_scale: Tensor
    ) -> tuple[Tensor, Tensor]:
        """ids (1, L), scales () -> wave (1, T), durations (1, L) in frames."""
        return self.speak(ids, None, noise_scale, length_scale, duration_noise_scale)

    def speak(
        self, ids: Tensor, g: Tensor | None, noise_scale: Tensor, length_scale: Tensor, duration_noise_scale: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The same with the vector of a speaker (1, G, 1)."""
        net, speech = self.net, Speech(self.net)
        lengths = torch.full((1,), ids.shape[1], dtype=torch.long)
        noise = None
        if isinstance(net.dp, StochasticDurationPredictor):
            noise = torch.randn(1, 2, ids.shape[1]) * duration_noise_scale
        m_p, logs_p, durations, frames = speech.plan(ids, lengths, noise, g, length_scale)
        size: Any = frames[0].item()
        torch._check(size >= 1)  # type: ignore[no-untyped-call]
        noise = torch.randn(1, net.config.latent_channels, size)
        z = speech.latent(m_p, logs_p, durations, frames, noise, g, noise_scale, size)
        return net.dec(z, g)[:, 0], durations.long()


class SpokenTextOfSpeakers(SpokenText):
    """One text through a `VITS` of several speakers."""

    def forward(  # type: ignore[override]
        self, ids: Tensor, speaker: Tensor, noise_scale: Tensor, length_scale: Tensor, duration_noise_scale: Tensor
    ) -> tuple[Tensor, Tensor]:
        """ids (1, L), speaker (1), scales () -> wave (1, T), durations (1, L) in frames."""
        g = self.net.emb_g(speaker)[..., None]  # (1, G, 1)
        return self.speak(ids, g, noise_scale, length_scale, duration_noise_scale)


def vits_graph(net: Any) -> OnnxGraph:
    """The graph of a `VITS`. It is compared without noise, because onnxruntime has its own random numbers."""
    several = net.config.n_speakers > 1

    def inputs(length: int) -> dict[str, Tensor]:
        draw = torch.Generator().manual_seed(0)
        made = {"ids": torch.randint(0, net.config.vocabulary_size, (1, length), generator=draw)}
        if several:
            made["speaker"] = torch.tensor([net.config.n_speakers - 1])
        return made | dict(zip(SCALES, torch.tensor([0.0, 1.0, 0.0]).unbind(), strict=True))

    described = {
        "ids": "ids of the symbols, int64 (1, tokens); see frontend: blank, begin and end belong to it",
        "speaker": "index in speakers, int64 (1)",
        "noise_scale": f"float32 (): variation of the voice; the model's own value is {net.config.noise_scale:g}",
        "length_scale": f"float32 (): factor on all durations; the model's own value is {net.config.length_scale:g}",
        "duration_noise_scale": "float32 (): variation of the rhythm; the model's own value is "
        f"{net.config.duration_noise_scale:g}",
        "wave": "samples, about -1 to 1, float32 (1, samples)",
        "durations": "frames of hop_length samples that each symbol takes, int64 (1, tokens)",
    }
    return OnnxGraph(
        SpokenTextOfSpeakers(net) if several else SpokenText(net),
        inputs,
        ("wave", "durations"),
        {"ids": {1: "tokens"}},
        described,
        output_axes={"wave": {1: "samples"}},
    )
