"""Generating codes one after another: the cache of keys and values, sampling, and the rules that end generation.

Wang et al.: "Neural Codec Language Models are Zero-Shot Text to Speech Synthesizers", arXiv:2301.02111, section 4.
Repetition-aware sampling is that of VALL-E 2, Chen et al., arXiv:2406.05370, section 3.3.
Letters: B batch, C channels, H heads, D channels of a head, N frames, V vocabulary.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import BaseConfig

LONGEST_PERIOD = 8  # frames: codes that repeat with such a period for STUCK seconds are no speech
STUCK = 2.0  # seconds; the longest pauses of read speech are shorter
FRAMES_PER_SYMBOL = 16  # the longest speech for a symbol of the text, as published
WEIGHT_STD = 0.02  # of new embeddings

log = logging.getLogger("amphion_tts")


class CodeControls(BaseConfig):
    """How codes are drawn, for every model that generates them one after another."""

    temperature: float | None = Field(
        default=None, ge=0, le=10, description="below 1: likelier codes, above 1: more variety; 0: always the likeliest"
    )
    top_k: int | None = Field(default=None, ge=1, le=65536, description="draw from the so many likeliest codes only")
    top_p: float | None = Field(
        default=None, gt=0, le=1, description="draw from the likeliest codes that have this probability together"
    )
    repetition_penalty: float | None = Field(
        default=None, ge=1, le=10, description="divides the scores of codes that were generated before; 1: none"
    )
    repetition_window: int | None = Field(
        default=None, ge=0, le=1000,
        description="frames in which a code that fills more than a tenth is drawn again from all codes; 0: off; "
        "VALL-E 2 uses 10",
    )  # fmt: skip
    longest: float | None = Field(
        default=None, gt=0, le=600, description="seconds after which generation ends at the latest"
    )
    continuation: bool | None = Field(
        default=None,
        description="the text begins with the words of the prompt, and only what follows them is spoken",
    )


@dataclass(frozen=True, slots=True)
class Sampling:
    """Controls with a value for each field; the defaults draw from the whole distribution."""

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    repetition_window: int = 0

    @classmethod
    def of(cls, controls: CodeControls | None, **own: float | int | None) -> "Sampling":
        """The values of a request, and those of the model (``own``) where the request gives none."""
        given = {name: getattr(controls, name, None) for name in cls.__slots__}
        return cls(**own | {name: value for name, value in given.items() if value is not None})


REPEATED = 0.1  # share of the window, as in the paper


def draw(logits: Tensor, before: Sequence[int], how: Sampling, generator: torch.Generator) -> int:
    """The next code for its scores ``logits`` (V); ``before`` are the codes generated so far.

    ``generator`` is on the CPU, so that a seed gives the same codes on every device.
    """
    scores = logits.float().cpu()
    if how.repetition_penalty != 1 and before:
        seen = torch.tensor(sorted({*before}))
        old = scores[seen]
        scores = scores.index_copy(
            0, seen, torch.where(old > 0, old / how.repetition_penalty, old * how.repetition_penalty)
        )
    if how.temperature == 0 or how.top_k == 1:
        return int(scores.argmax())
    scores = scores / how.temperature
    code = _draw(_kept(scores, how), generator)
    recent = before[-how.repetition_window :] if how.repetition_window else ()
    if recent and recent.count(code) > REPEATED * how.repetition_window:
        return _draw(scores, generator)
    return code


def _draw(scores: Tensor, generator: torch.Generator) -> int:
    return int(torch.multinomial(scores.softmax(0), 1, generator=generator))


def _kept(scores: Tensor, how: Sampling) -> Tensor:
    """The scores (V) with -inf for codes that top-k and top-p leave out; at least the likeliest code stays."""
    if how.top_k is not None and how.top_k < len(scores):
        scores = scores.masked_fill(scores < scores.topk(how.top_k).values[-1], -torch.inf)
    if how.top_p < 1:
        ordered, order = scores.sort(descending=True)
        shares = ordered.softmax(0)
        dropped = shares.cumsum(0) - shares >= how.top_p  # the likelier codes already have this probability
        scores = scores.scatter(0, order, ordered.masked_fill(dropped, -torch.inf))
    return scores


class KeyValueCache:
    """Keys and values of all earlier positions in each layer, in memory that is allocated once."""

    def __init__(self, n_layers: int, n_heads: int, head_channels: int, size: int, like: Tensor) -> None:
        """Memory for ``size`` positions of one sequence, with the type and the device of ``like``."""
        shape = (1, n_heads, size, head_channels)
        self.keys = [like.new_empty(shape) for _ in range(n_layers)]
        self.values = [like.new_empty(shape) for _ in range(n_layers)]
        self.length = 0  # positions that all layers have seen

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (1, H, n, D) of new positions -> those of all positions (1, H, length + n, D)."""
        end = self.length + keys.shape[2]
        self.keys[layer][:, :, self.length : end] = keys
        self.values[layer][:, :, self.length : end] = values
        return self.keys[layer][:, :, :end], self.values[layer][:, :, :end]

    def advance(self, count: int) -> None:
        """All layers have seen ``count`` more positions."""
        self.length += count


def generate(
    scores: Callable[[int | None], Tensor], *, end: int, most: int, frame_rate: float, how: Sampling,
    generator: torch.Generator,
) -> list[int]:  # fmt: skip
    """Codes until ``end`` is drawn or is the likeliest, at most ``most``; for loops and long texts it says so.

    ``scores(code)`` gives the scores (V) that follow the code just drawn, None at the beginning. A loop, in which a few
    frames repeat for two seconds, is cut off.
    """
    codes: list[int] = []
    stuck = round(STUCK * frame_rate)
    following = scores(None)
    while len(codes) < most:
        code = draw(following, codes, how, generator)
        if code == end or int(following.argmax()) == end:
            return codes
        codes.append(code)
        if period := repeating(codes, stuck):
            log.warning("the model repeats itself, so its speech ends here; another seed may speak the whole text")
            return codes[: len(codes) - stuck + period]
        if len(codes) < most:
            following = scores(code)
    log.warning("the speech did not end after %.1f seconds and is cut off; another seed may end it", most / frame_rate)
    return codes


def repeating(codes: Sequence[int], count: int) -> int:
    """The period with which the last ``count`` codes repeat, at most ``LONGEST_PERIOD``; 0: they do not repeat."""
    if len(codes) < count:
        return 0
    last = codes[-count:]
    return next((p for p in range(1, LONGEST_PERIOD + 1) if last[p:] == last[:-p]), 0)


def new_embedding(rows: int, channels: int) -> nn.Embedding:
    """An embedding whose initial values have a small deviation, as language models have."""
    table = nn.Embedding(rows, channels)
    nn.init.normal_(table.weight, std=WEIGHT_STD)
    return table
