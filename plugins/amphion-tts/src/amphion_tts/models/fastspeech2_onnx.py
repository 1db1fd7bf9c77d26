"""The inference of FastSpeech 2 as one graph for ONNX: symbols to a mel spectrogram.

Ren et al., arXiv:2006.04558. Letters: B batch, L tokens, F mel bands, N frames, C channels.
"""

from typing import Any

import torch
from torch import Tensor, nn

from amphion_core.api import OnnxGraph
from amphion_tts.models.fastspeech2_modules import valid
from amphion_tts.models.fastspeech2_variance import spread

FEWEST = 2  # frames of the mel in the file: torch.export treats a length of 1 as a constant


class MelOfText(nn.Module):
    """A batch of texts through a `FastSpeech2` of one speaker."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, ids: Tensor, lengths: Tensor, length_scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """ids (B, L), lengths (B), scale () -> mel (B, F, N), its lengths (B), durations (B, L) in frames."""
        return self.speak(ids, lengths, None, length_scale)

    def speak(
        self, ids: Tensor, lengths: Tensor, speaker: Tensor | None, length_scale: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The same with the index of a speaker for each item (B)."""
        net, adaptor = self.net, self.net.variance_adaptor
        tokens = valid(lengths, ids.shape[1])
        x, log_durations = net._encode(ids, tokens, speaker)
        x, *_ = adaptor.vary(x, tokens, "token", None, None)
        durations = adaptor.frames(log_durations, tokens, length_scale)
        counts = durations.sum(1)
        size: Any = counts.max().clamp_min(FEWEST).item()
        torch._check(size >= FEWEST)  # type: ignore[no-untyped-call]
        frames = valid(counts, size)
        x, *_ = adaptor.vary(spread(x, durations, size), frames, "frame", None, None)
        return net._decode(x, frames)[1].contiguous(), counts, durations


class MelOfTextOfSpeakers(MelOfText):
    """A batch of texts through a `FastSpeech2` of several speakers."""

    def forward(  # type: ignore[override]
        self, ids: Tensor, lengths: Tensor, speaker: Tensor, length_scale: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """ids (B, L), lengths (B), speaker (B), scale () -> mel (B, F, N), its lengths (B), durations (B, L)."""
        return self.speak(ids, lengths, speaker, length_scale)


def fastspeech2_graph(net: Any) -> OnnxGraph:
    """The graph of a `FastSpeech2`, for batches of texts."""
    several = net.config.n_speakers > 1

    def inputs(length: int) -> dict[str, Tensor]:
        draw = torch.Generator().manual_seed(0)
        made = {"ids": torch.randint(0, net.config.vocabulary_size, (2, length), generator=draw)}
        made["lengths"] = torch.tensor([length, length - length // 4])
        if several:
            made["speaker"] = torch.tensor([0, net.config.n_speakers - 1])
        return made | {"length_scale": torch.tensor(1.0)}

    by_item = {"lengths": {0: "batch"}} | ({"speaker": {0: "batch"}} if several else {})
    described = {
        "ids": "ids of the symbols, int64 (batch, tokens); see frontend: blank, begin and end belong to it",
        "lengths": "number of symbols of each item, int64 (batch)",
        "speaker": "index in speakers, int64 (batch)",
        "length_scale": "float32 (): factor on all durations; 1 is the model's own speed",
        "mel": "mel spectrogram of the convention `mel`, float32 (batch, bands, frames), 0 after each item's end",
        "mel_lengths": "number of frames of each item, int64 (batch)",
        "durations": "frames that each symbol takes, int64 (batch, tokens)",
    }
    return OnnxGraph(
        MelOfTextOfSpeakers(net) if several else MelOfText(net),
        inputs,
        ("mel", "mel_lengths", "durations"),
        {"ids": {0: "batch", 1: "tokens"}, **by_item},
        described,
        output_axes={"mel": {2: "frames"}},
    )
