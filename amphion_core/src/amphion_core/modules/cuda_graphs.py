"""CUDA graphs: a GPU repeats recorded work without waiting for Python to launch each operation.

Short inputs need this: a network of 300 operations takes longer to launch than to compute.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

KEPT = 16  # graphs of one function; each keeps its inputs and outputs in the GPU's memory
SMALLEST_STEP = 32  # sizes are rounded up to multiples of it


def rounded(size: int) -> int:
    """``size`` rounded up, by at most an eighth or ``SMALLEST_STEP``, so that few different sizes occur.

    >>> rounded(83), rounded(861)
    (96, 896)
    """
    step = step_of(size)
    return -(-size // step) * step


def step_of(size: int) -> int:
    """The distance between rounded sizes near ``size``: never more than ``rounded`` adds, plus one."""
    return max(SMALLEST_STEP, 1 << max(0, size.bit_length() - 4))


class GraphCache:
    """A function of tensors, recorded as a CUDA graph for each combination of input shapes.

    The first call with new shapes computes normally, the second records, later ones replay: a program that speaks once
    does not wait for a recording. The function must be made of GPU operations alone, without random numbers and without
    reading values back. Calls from several threads take turns. Inputs may be None. Results are copies.
    """

    def __init__(self, function: Callable[..., tuple[Tensor, ...]], *, kept: int = KEPT) -> None:
        self.function, self.kept = function, kept
        self._lock = threading.Lock()
        self._met: OrderedDict[Any, _Recording | None] = OrderedDict()  # None: met once, not yet recorded
        self._memory: Any = None  # shared by all graphs, because they never run at the same time

    def __reduce__(self) -> Any:
        return GraphCache, (self.function,)  # a copy records anew

    def __call__(self, *inputs: Tensor | None) -> tuple[Tensor, ...]:
        """The function's results for ``inputs``."""
        key = tuple(None if x is None else (x.shape, x.dtype, x.device) for x in inputs)
        with self._lock:
            if key not in self._met:
                self._met[key] = None
                if len(self._met) > self.kept:
                    self._met.popitem(last=False)
                return self.function(*inputs)
            self._met.move_to_end(key)
            if (recording := self._met[key]) is None:
                if self._memory is None:
                    self._memory = torch.cuda.graph_pool_handle()
                recording = self._met[key] = _Recording(self.function, inputs, self._memory)
            return recording.replay(inputs)


class _Recording:
    """One graph with the tensors that it reads and writes."""

    def __init__(
        self, function: Callable[..., tuple[Tensor, ...]], inputs: tuple[Tensor | None, ...], memory: Any
    ) -> None:
        with torch.inference_mode(False):  # such tensors can be written both inside and outside inference mode
            self.inputs = [None if x is None else torch.empty_like(x).copy_(x) for x in inputs]
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # libraries allocate their workspace on the first call
            function(*self.inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, pool=memory, stream=stream, capture_error_mode="thread_local"):
            self.outputs = function(*self.inputs)

    def replay(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        for mine, given in zip(self.inputs, inputs, strict=True):
            if mine is not None and given is not None:
                mine.copy_(given)
        self.graph.replay()
        return tuple(output.clone() for output in self.outputs)
