"""Inference of VITS in two halves: from text to durations, and from durations to audio.

Between them one number must be read back, the number of frames. On a GPU each half is recorded as a CUDA graph, because
launching its several hundred operations takes longer than computing them.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from amphion_core.api import Prompt
from amphion_core.errors import DataError
from amphion_core.modules.cuda_graphs import GraphCache, rounded
from amphion_core.modules.item_noise import draw_noise, generators
from amphion_core.modules.masks import length_mask
from amphion_core.modules.workers import run_on_one_thread
from amphion_core.recording import is_recording, report
from amphion_tts.early import in_two
from amphion_tts.models.alignment import expand, path_of_durations
from amphion_tts.models.stochastic_duration import StochasticDurationPredictor
from amphion_tts.models.token_checks import checked_lengths

LONGEST_TOKEN = 5.0  # seconds; limits the memory that a wrong network or text can need
GRAPH_TOKENS, GRAPH_FRAMES = 2048, 1024  # up to so many in a batch, launching takes longer than computing


class Speech:
    """Both halves as a `VITS` computes them on any device."""

    def __init__(self, net: Any) -> None:
        self.net = net

    def planned(
        self, ids: Tensor, lengths: Tensor, speaker: Tensor | None, prompt: Prompt | None,
        seed: int | Sequence[int] | None, controls: Any,
    ) -> tuple[dict[str, Any], Tensor]:  # fmt: skip
        """The arguments of ``render`` for a text except ``size``, and its durations (B, L). Errors of `synthesize`."""
        net = self.net
        sizes = checked_lengths(ids, lengths, net.config.vocabulary_size, model="VITS")
        if prompt is not None:
            raise DataError("VITS cannot imitate a recording", hint="leave the prompt out, or use another model")
        draws, g = generators(seed, len(ids), ids.device), net._speaker(speaker)
        noise, noise_scale = None, net._scale(controls, "noise_scale")
        if isinstance(net.dp, StochasticDurationPredictor):
            noise = draw_noise(draws, 2, sizes, ids.shape[1]) * net._scale(controls, "duration_noise_scale")
        m_p, logs_p, durations, frames = self.plan(ids, lengths, noise, g, net._scale(controls, "length_scale"))
        counts = frames.tolist()
        noise = draw_noise(draws, net.config.latent_channels, counts, max(counts)) if noise_scale else None
        planned = {"m_p": m_p, "logs_p": logs_p, "durations": durations, "frames": frames, "noise": noise, "g": g}
        return planned | {"noise_scale": noise_scale}, durations[:, : ids.shape[1]].long()

    def plan(
        self, ids: Tensor, lengths: Tensor, noise: Tensor | None, g: Tensor | None, length_scale: float | Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """ids (B, L), noise (B, 2, L) -> prior's mean and log deviation (B, C, L), durations (B, L), frames (B)."""
        net = self.net
        mask = length_mask(lengths, ids.shape[1])
        h, m_p, logs_p = net.enc_p(ids, mask)
        if isinstance(net.dp, StochasticDurationPredictor):
            assert noise is not None
            log_durations = net.dp.sample(h, mask, noise, g)
        else:
            log_durations = net.dp(h, mask, g)
        longest = LONGEST_TOKEN * net.config.mel.sample_rate / net.config.mel.hop_length
        durations = torch.ceil((torch.exp(log_durations) * length_scale).clamp(max=longest) * mask)[:, 0]
        return m_p, logs_p, durations, durations.sum(1).clamp_min(1).long()

    def render(
        self, m_p: Tensor, logs_p: Tensor, durations: Tensor, frames: Tensor, noise: Tensor | None, g: Tensor | None,
        noise_scale: float | Tensor, *, size: int,
    ) -> Tensor:  # fmt: skip
        """What ``plan`` gives, noise (B, C, N) or None -> wave (B, N * hop), N = ``size``, 0 after each item's end."""
        return self.decode(self.latent(m_p, logs_p, durations, frames, noise, g, noise_scale, size), frames, g)

    def parts(self, *, frames: Tensor, g: Tensor | None, **planned: Any) -> Iterator[Tensor]:
        """The wave of ``render`` for one item in parts (1, T), of which the first is ready early."""
        yield self.render(**planned, frames=frames, g=g, size=int(frames[0]))

    def latent(
        self, m_p: Tensor, logs_p: Tensor, durations: Tensor, frames: Tensor, noise: Tensor | None, g: Tensor | None,
        noise_scale: float | Tensor, size: int,
    ) -> Tensor:  # fmt: skip
        """The latents (B, C, N) of what ``plan`` gives."""
        path = path_of_durations(durations, size)
        mask = length_mask(frames, size)
        z_p = expand(m_p, path)
        if noise is not None:
            z_p = z_p + noise * torch.exp(expand(logs_p, path)) * noise_scale
        report("prior", z_p, "BCN")
        z = self.net.flow.reverse(z_p * mask, mask, g)
        report("latents", z, "BCN")
        return z

    def decode(self, z: Tensor, frames: Tensor, g: Tensor | None) -> Tensor:
        """(B, C, N) -> (B, T); each item at its own length."""
        if bool((frames == z.shape[2]).all()):
            return self.net.dec(z, g)[:, 0]
        wave = z.new_zeros(len(z), z.shape[2] * self.net.config.mel.hop_length)
        for item, count in enumerate(frames.tolist()):
            own = self.net.dec(z[item : item + 1, :, :count], None if g is None else g[item : item + 1])
            wave[item, : own.shape[-1]] = own[0, 0]
        return wave


class CPUSpeech(Speech):
    """Both halves on a CPU: one thread does the work, and other threads compute pieces of the flow and the decoder."""

    def plan(
        self, ids: Tensor, lengths: Tensor, noise: Tensor | None, g: Tensor | None, length_scale: float | Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As `Speech.plan`."""
        return run_on_one_thread(partial(super().plan, ids, lengths, noise, g, length_scale))

    def render(
        self, m_p: Tensor, logs_p: Tensor, durations: Tensor, frames: Tensor, noise: Tensor | None, g: Tensor | None,
        noise_scale: float | Tensor, *, size: int,
    ) -> Tensor:  # fmt: skip
        """As `Speech.render`."""
        return run_on_one_thread(
            partial(super().render, m_p, logs_p, durations, frames, noise, g, noise_scale, size=size)
        )

    def parts(self, *, frames: Tensor, g: Tensor | None, **planned: Any) -> Iterator[Tensor]:
        """As `Speech.parts`: the decoder computes the beginning before the rest."""
        net = self.net
        if not net.dec.keeps_length or is_recording():
            yield from super().parts(frames=frames, g=g, **planned)
            return
        z = run_on_one_thread(partial(super().latent, **planned, frames=frames, g=g, size=int(frames[0])))
        mel = net.config.mel

        def decode(part: Tensor) -> Tensor:
            return run_on_one_thread(lambda: net.dec(part, g)[:, 0])

        yield from in_two(decode, z, context=net.dec.context, hop=mel.hop_length, rate=mel.sample_rate)


class GPUSpeech(Speech):
    """Both halves with sizes rounded up, so that they repeat, and recorded as CUDA graphs. Equal to rounding."""

    def __init__(self, net: Any) -> None:
        super().__init__(net)
        self.decoder: Any = net.dec.packed  # a copy of weights: a network with another one needs other recordings
        self._plans, self._renders = GraphCache(self._recorded_plan), GraphCache(self._recorded_render)

    def plan(
        self, ids: Tensor, lengths: Tensor, noise: Tensor | None, g: Tensor | None, length_scale: float | Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As `Speech.plan`, with L rounded up."""
        more = (0, rounded(ids.shape[1]) - ids.shape[1])
        ids, noise = F.pad(ids, more), None if noise is None else F.pad(noise, more)
        call = self._plans if ids.numel() <= GRAPH_TOKENS else self._recorded_plan
        found = call(ids, lengths, noise, g, torch.full((), float(length_scale), device=ids.device))
        return found[0], found[1], found[2], found[3]

    def render(
        self, m_p: Tensor, logs_p: Tensor, durations: Tensor, frames: Tensor, noise: Tensor | None, g: Tensor | None,
        noise_scale: float | Tensor, *, size: int,
    ) -> Tensor:  # fmt: skip
        """As `Speech.render`."""
        padded = rounded(size)
        if noise is None:
            noise, noise_scale = m_p.new_zeros(len(m_p), m_p.shape[1], padded), 0.0
        noise = F.pad(noise, (0, padded - noise.shape[2]))
        call = self._renders if len(m_p) * padded <= GRAPH_FRAMES else self._recorded_render
        scale = torch.full((), float(noise_scale), device=m_p.device)
        return call(m_p, logs_p, durations, frames, noise, g, scale)[0][:, : size * self.net.config.mel.hop_length]

    def decode(self, z: Tensor, frames: Tensor, g: Tensor | None) -> Tensor:
        """As `Speech.decode`, all items at once: the decoder sets to zero what lies behind their ends."""
        condition = None if g is None else self.net.dec.cond(g)
        tail = None if len(z) == 1 else z.shape[2]
        return self.decoder.compute(z, condition, frames, tail=tail)[:, 0]

    def _recorded_plan(self, *inputs: Any) -> tuple[Tensor, ...]:
        return super().plan(*inputs)

    def _recorded_render(self, *inputs: Any) -> tuple[Tensor, ...]:
        return (super().render(*inputs, size=inputs[4].shape[2]),)
