"""Speaks pieces of text: symbols -> acoustic model (-> vocoder) -> waves, several at once where that saves time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amphion_core.api import Audio, Synthesis, TextFrontend, TextToSpeech, Vocoder, is_recording, report
from amphion_tts.early import in_two
from amphion_tts.pieces import Piece
from amphion_tts.plan import Plan
from amphion_tts.spoken import Spoken

BATCH = 8  # pieces of similar length that are spoken at once
WINDOW = 128  # pieces among which those of similar length are looked for; their audio is in memory at once

Wave = np.ndarray[Any, np.dtype[np.float32]]
Planned = tuple[Plan, Piece]


@dataclass(frozen=True, slots=True)
class Voice:
    """The networks that speak; ``vocoder`` follows a network whose output is a mel. ``sample_rate`` is in Hz."""

    net: TextToSpeech
    vocoder: Vocoder | None
    frontend: TextFrontend
    sample_rate: int


def spoken_pieces(voice: Voice, pieces: Iterable[Planned], batch_size: int) -> Iterator[Spoken]:
    """The pieces in their order. A window of them is sorted by length and spoken in batches of ``batch_size``."""
    waiting = iter(pieces)
    while window := list(islice(waiting, 1 if batch_size == 1 else WINDOW)):
        order = sorted(range(len(window)), key=lambda index: len(window[index][1].ids))
        made: dict[int, Spoken] = {}
        for group in _groups(order, window, batch_size):
            for index, spoken in zip(group, _spoken(voice, [window[index] for index in group]), strict=True):
                made[index] = spoken
        for index in range(len(window)):
            yield made.pop(index)


def spoken_in_parts(voice: Voice, plan: Plan, piece: Piece) -> Iterator[Audio]:
    """One piece in parts, each as soon as it is decoded, and the silence after it; the audio of `spoken_pieces`."""
    if piece.ids:
        seed = plan.request.seed + piece.number
        inputs = _inputs(voice, [(plan, piece)], [seed])
        for made in voice.net.synthesize_parts(**inputs):
            for wave in _wave_parts(voice, made, seed):
                yield Audio(wave, voice.sample_rate)
    if piece.pause:
        yield Audio(np.zeros(round(piece.pause * voice.sample_rate), np.float32), voice.sample_rate)


def _wave_parts(voice: Voice, made: Synthesis, seed: int) -> Iterator[Wave]:
    count, vocoder = int(made.lengths[0]), voice.vocoder
    if made.mel is None or vocoder is None or vocoder.context is None or vocoder.needs_f0:
        yield _wave(voice, made, 0, count, seed)
        return
    mel = made.mel[:1, :, :count]
    for part in in_two(
        partial(vocoder.vocode, seed=seed), mel, context=vocoder.context, hop=vocoder.config.mel.hop_length,
        rate=voice.sample_rate,
    ):  # fmt: skip
        yield part[0].float().cpu().numpy()


def _groups(order: list[int], window: list[Planned], size: int) -> Iterator[list[int]]:
    """``order`` in groups of at most ``size`` pieces that the network can speak at once."""

    def kind(index: int) -> tuple[bool, Any, bool, int]:
        plan, piece = window[index]
        return bool(piece.ids), plan.controls, plan.speaker is None, -1 if plan.prompt is None else index

    for _, alike in groupby(order, kind):
        while group := list(islice(alike, size)):
            yield group


def _spoken(voice: Voice, group: list[Planned]) -> Iterator[Spoken]:
    """A group of pieces, spoken at once."""
    if not group[0][1].ids:
        for _, piece in group:
            yield _padded(voice, piece, np.zeros(0, np.float32))
        return
    seeds = [plan.request.seed + piece.number for plan, piece in group]
    made = _synthesized(voice, group, seeds)
    durations = None if made.durations is None else made.durations.tolist()
    if is_recording():
        _report(voice, group, made)
    for row, (count, (_, piece)) in enumerate(zip(made.lengths.tolist(), group, strict=True)):
        frames = tuple(durations[row][: len(piece.ids)]) if durations else None
        yield _padded(voice, piece, _wave(voice, made, row, count, seeds[row]), frames)


def _report(voice: Voice, group: list[Planned], made: Synthesis) -> None:
    """What a recorder wants to know about the first piece of a group."""
    piece = group[0][1]
    table, mel = voice.frontend.config.symbols, getattr(voice.net.config, "mel", None)
    report("text", piece.text)
    report("symbols", [table[number] for number in piece.ids])
    if made.durations is not None:
        report("durations", made.durations[:1, : len(piece.ids)], "BL", unit="frames", mel=mel)
    if made.mel is not None:
        report("mel", made.mel[:1, :, : int(made.lengths[0])], "BFN", mel=mel)


def _synthesized(voice: Voice, group: list[Planned], seeds: list[int]) -> Synthesis:
    return voice.net.synthesize(**_inputs(voice, group, seeds))


def _inputs(voice: Voice, group: list[Planned], seeds: list[int]) -> dict[str, Any]:
    """The arguments of ``synthesize`` for a group of pieces."""
    device = voice.net.device
    lengths = [len(piece.ids) for _, piece in group]
    ids = torch.zeros(len(group), max(lengths), dtype=torch.long)
    for row, (_, piece) in zip(ids, group, strict=True):
        row[: len(piece.ids)] = torch.tensor(piece.ids)
    speakers: list[Tensor] = [plan.speaker for plan, _ in group if plan.speaker is not None]
    seed: Any = seeds if len(seeds) > 1 else seeds[0]  # a list only for models that take one
    return {
        "ids": ids.to(device), "lengths": torch.tensor(lengths, device=device),
        "speaker": torch.cat(speakers) if speakers else None, "prompt": group[0][0].prompt, "seed": seed,
        "controls": group[0][0].controls,
    }  # fmt: skip


def _wave(voice: Voice, made: Synthesis, row: int, count: int, seed: int) -> Wave:
    """An item of a result, (T,); ``count`` are its valid samples or frames."""
    if made.wave is not None:
        wave = made.wave[row, :count]
    else:
        assert made.mel is not None and voice.vocoder is not None
        f0 = made.f0[row : row + 1, :count] if voice.vocoder.needs_f0 and made.f0 is not None else None
        wave = voice.vocoder.vocode(made.mel[row : row + 1, :, :count], f0, seed=seed)[0]
    return wave.float().cpu().numpy()


def _padded(voice: Voice, piece: Piece, wave: Wave, durations: tuple[int, ...] | None = None) -> Spoken:
    samples = np.pad(wave, (0, round(piece.pause * voice.sample_rate)))
    return Spoken(samples, voice.sample_rate, piece, voice.frontend, len(wave), durations)
