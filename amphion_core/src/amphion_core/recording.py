"""Records what happens inside a model while it works: durations, attention, mels, the steps of a sampler.

A model or a task reports its stages; ``amphion visualize`` makes a page of them::

    report("durations", durations, "BL", unit="frames")      # anywhere in a model or a task

    with record() as recorder:                               # whoever wants to see the stages
        task.generate("Good morning.")
    recorder.last("durations").values                        # a numpy array

Outside of ``record`` a report reads one variable and returns. Nothing is copied. What costs time to compute for a
report alone stands behind ``if is_recording():``.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    Array = np.ndarray[Any, np.dtype[Any]]

STEP = "step"  # the name of the stages that ``report_step`` reports


@dataclass(frozen=True, slots=True)
class Stage:
    """What was reported once. ``axes`` has one letter for each axis of ``values``, such as BFN; text has none.

    ``details`` are further facts about the stage, such as ``unit`` or ``mel``, the convention of a mel.
    """

    name: str
    values: "Array | str | list[str]"
    axes: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def array(self) -> "Array":
        """``values`` of a stage that holds numbers. Raises TypeError for text."""
        if isinstance(self.values, str | list):
            raise TypeError(f"the stage {self.name!r} holds text, not numbers")
        return self.values


class Recorder:
    """The stages that models reported, in their order.

    Several threads may report at once: their stages are in the order in which they were reported, and the steps of each
    run of a sampler become mels as this run says.
    """

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self._runs = count()  # its next number is taken by one thread at a time

    def all(self, name: str) -> list[Stage]:
        """Every stage called ``name``."""
        return [stage for stage in self.stages if stage.name == name]

    def last(self, name: str) -> Stage | None:
        """The last stage called ``name``, or None."""
        return next((stage for stage in reversed(self.stages) if stage.name == name), None)

    def add(self, name: str, values: Any, axes: str, details: dict[str, Any]) -> None:
        """Store a copy of ``values``. Raises ValueError unless ``axes`` has a letter for each axis of the numbers."""
        if not (isinstance(values, str) or (isinstance(values, list | tuple) and values and _is_text(values))):
            values = _array(values)
            if values.ndim != len(axes):
                raise ValueError(f"the stage {name!r} has shape {values.shape}, and its axes are {axes!r}")
        elif not isinstance(values, str):
            values = list(values)
        self.stages.append(Stage(name, values, axes, details))

    def add_step(self, data: "Tensor", details: dict[str, Any]) -> None:
        """Store what a sampler holds, as a mel (B, F, N) inside of ``steps_as_mels``, else as it is."""
        run = _run.get()
        if run is not None and run.recorder is self:
            self.add(STEP, run.convert(data), "BFN", {**run.details, **details})
        else:
            self.add(STEP, data, "BCDEFGH"[: data.ndim], details)

    @contextmanager
    def steps_as_mels(self, convert: "Callable[[Tensor], Tensor]", mel: Any) -> Iterator[None]:
        """One run of a sampler: its steps have the detail ``run``, a number that counts the runs from 0."""
        token = _run.set(_Run(self, convert, {"mel": mel, "run": next(self._runs)}))
        try:
            yield
        finally:
            _run.reset(token)


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of a sampler: how its steps become mels, and what they have in common."""

    recorder: Recorder
    convert: Callable[[Any], Any]
    details: dict[str, Any]


_run: ContextVar[_Run | None] = ContextVar("amphion_run_of_sampler", default=None)
_recorder: ContextVar[Recorder | None] = ContextVar("amphion_recorder", default=None)


def is_recording() -> bool:
    """Whether somebody records the stages of this thread."""
    return _recorder.get() is not None


@contextmanager
def record() -> Iterator[Recorder]:
    """Record the stages that are reported while the block runs, in this thread and in the workers that it uses.

    A thread that is started otherwise is recorded where it runs in a copy of this thread's context:
    ``pool.submit(contextvars.copy_context().run, work)``. Each thread may have a recorder for itself.
    """
    recorder = Recorder()
    token = _recorder.set(recorder)
    try:
        yield recorder
    finally:
        _recorder.reset(token)


def report(name: str, values: "Tensor | Array | Sequence[Any] | str", axes: str = "", **details: Any) -> None:
    """Tell a recorder, if there is one, what a model has computed.

    ``values`` is a tensor or an array, whose ``axes`` are named by the usual letters (B, L, F, N, ...), or a text or a
    list of texts. ``details`` describe it: ``unit``, ``mel=MelConfig`` of a mel, ``sample_rate`` of a wave.
    Raises ValueError unless ``axes`` has a letter for each axis.
    """
    recorder = _recorder.get()
    if recorder is not None:
        recorder.add(name, values, axes, details)


def report_step(data: "Tensor", **details: Any) -> None:
    """Report the data (B, ...) of a sampler after one of its steps; ``details`` such as ``time``, the training step."""
    recorder = _recorder.get()
    if recorder is not None:
        recorder.add_step(data, details)


def steps_as_mels(convert: "Callable[[Tensor], Tensor]", mel: Any) -> AbstractContextManager[None]:
    """Say how the steps of one run of a sampler, which the block contains, become mels (B, F, N) of a convention.

    A sampler does not know what its data are: scaled mels, or latents of an autoencoder. ``mel`` is a ``MelConfig``.
    """
    recorder = _recorder.get()
    return nullcontext() if recorder is None else recorder.steps_as_mels(convert, mel)


def _is_text(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _array(values: Any) -> "Array":
    import numpy as np

    if hasattr(values, "detach"):
        values = values.detach().float().cpu().numpy()
    return np.array(values)
