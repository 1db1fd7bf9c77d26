"""What the task knows before it converts: everything is checked by then, and notes for the user are collected."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from amphion_core.audio import Samples
from amphion_svc.request import SVCRequest
from amphion_svc.slices import Slice

Contour = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class Plan:
    """A recording in slices, the voice that it gets, and how.

    ``samples`` (T,) are mono, at the rate of the model. ``speaker`` is (1) or (1, G), ``of_whole`` are the features of
    the whole recording by name, (1, G) each. ``key_shift`` is in semitones, ``why_shift`` says how it was chosen.
    ``notes`` are sentences about the recordings.
    """

    request: SVCRequest
    samples: Samples
    slices: list[Slice]
    speaker: Tensor
    of_whole: dict[str, Tensor]
    key_shift: float
    why_shift: str
    controls: Any
    notes: tuple[str, ...]
