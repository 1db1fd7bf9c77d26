"""Loads models once, and computes for several clients at a time.

The pieces of an answer, such as sentences, are computed one by one. Between two pieces of a long text, others have
their turn. A piece is computed only when the piece before it has been sent, so a slow client costs no memory.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import amphion_core as amphion
from amphion_core.audio import Audio
from amphion_core.errors import AudioError
from amphion_core.serving.answers import Refused
from amphion_core.serving.offers import Offer
from amphion_core.serving.settings import Settings

RETRY = 2  # seconds after which a client that was refused may ask again


@dataclass(slots=True)
class Loaded:
    """A task with its networks, and the threads that compute for it."""

    task: Any
    pool: ThreadPoolExecutor
    users: int = 0  # requests that need it now
    used: float = field(default_factory=time.monotonic)


class Slot:
    """The place of one request in the queue. ``deadline`` is its end by the clock of the event loop."""

    def __init__(self, runner: "Runner", seconds: float) -> None:
        self._runner = runner
        self.start = asyncio.get_running_loop().time()
        self.deadline = self.start + seconds

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return max(0.0, self.deadline - asyncio.get_running_loop().time())

    def release(self) -> None:
        """Leave the queue. A second call does nothing."""
        self._runner.slots.discard(self)


class Runner:
    """The models in memory, the queue, and the threads."""

    def __init__(self, settings: Settings) -> None:
        import torch

        self.settings = settings
        self.threads = torch.get_num_threads()  # as many as the user allows: OMP_NUM_THREADS, or the cores
        self.workers = settings.workers or self.threads
        self.slots: set[Slot] = set()
        self._models: dict[Offer, asyncio.Task[Loaded]] = {}
        self._lock, self._running = threading.Lock(), 0

    def admit(self) -> Slot:
        """A place in the queue. Raises Refused (503) where it is full."""
        if len(self.slots) >= self.settings.queue:
            raise Refused(
                503, f"the server is busy: {self.settings.queue} requests are in work or wait", retry_after=RETRY,
                hint="ask again later; the server's option --queue is the limit",
            )  # fmt: skip
        self.slots.add(slot := Slot(self, self.settings.timeout))
        return slot

    @property
    def models(self) -> list[Offer]:
        """The models in memory."""
        return [offer for offer, made in self._models.items() if _is_ready(made)]

    @property
    def is_computing(self) -> bool:
        """Whether a thread computes a piece."""
        return self._running > 0

    async def loaded(self, offer: Offer) -> Loaded:
        """The task of a model, loaded at its first use. Those that wait for the same model wait for one loading.

        Raises what loading raises; the next request tries again.
        """
        if offer not in self._models:
            self._forget_unused()
            self._models[offer] = loading = asyncio.create_task(asyncio.to_thread(self._load, offer))
            # Also where nobody waits any more: an error that is kept would be the answer to the next request.
            loading.add_done_callback(lambda done: None if _is_ready(done) else self._models.pop(offer, None))
        found = await asyncio.shield(self._models[offer])
        found.used = time.monotonic()
        return found

    async def pieces(self, offer: Offer, request: Any, slot: Slot) -> AsyncIterator[Audio]:
        """The audio of a request, piece by piece. Raises the errors of the task, and Refused after the time limit."""
        loaded = await self.in_time(self.loaded(offer), slot)
        loaded.users += 1
        made = _Pieces(loaded.task, request)
        try:
            while (piece := await self.in_time(self.compute(loaded.pool, made), slot)) is not None:
                if not np.isfinite(piece.samples).all():
                    raise AudioError("the audio has samples that are not finite (NaN or infinite)")
                yield piece
        finally:
            made.close()
            loaded.users -= 1
            loaded.used = time.monotonic()

    async def compute(self, pool: ThreadPoolExecutor, work: Callable[[], Any]) -> Any:
        """The result of a function that computes in a thread of ``pool``."""
        return await asyncio.get_running_loop().run_in_executor(pool, self._step, work)

    def close(self) -> None:
        """Start nothing new. What is computed at present ends by itself."""
        for made in self._models.values():
            if _is_ready(made):
                made.result().pool.shutdown(wait=False, cancel_futures=True)

    async def in_time(self, waiting: Awaitable[Any], slot: Slot) -> Any:
        """What is awaited. Raises Refused (503) at the deadline of the slot."""
        try:
            return await asyncio.wait_for(waiting, slot.left)
        except TimeoutError as error:
            raise Refused(
                503, f"the request was not done after {self.settings.timeout:g} seconds", retry_after=RETRY,
                hint="ask for less at a time; the server's option --timeout is the limit",
            ) from error  # fmt: skip

    def _load(self, offer: Offer) -> Loaded:
        fields = {} if offer.place is None else {"model": offer.place}
        task = amphion.task(offer.task, precision=self.settings.precision, device=self.settings.device, **fields)
        workers = self.workers if task.is_thread_safe else 1
        return Loaded(task, ThreadPoolExecutor(workers, thread_name_prefix="amphion-serve"))

    def _forget_unused(self) -> None:
        """Make room for one more model: those that nobody uses and that were not used for longest go first."""
        ready = {offer: made.result() for offer, made in self._models.items() if _is_ready(made)}
        idle = sorted((offer for offer in ready if not ready[offer].users), key=lambda offer: ready[offer].used)
        for offer in idle[: max(0, len(self._models) + 1 - self.settings.max_models)]:
            del self._models[offer]  # its threads end with the last request that holds it

    def _step(self, work: Callable[[], Any]) -> Any:
        """Compute in this thread, with its share of torch's threads."""
        import torch

        with self._counted() as running:
            torch.set_num_threads(max(1, self.threads // running))
            return work()

    @contextmanager
    def _counted(self) -> Iterator[int]:
        with self._lock:
            self._running += 1
            running = self._running
        try:
            yield running
        finally:
            with self._lock:
                self._running -= 1


def _is_ready(made: asyncio.Task[Loaded]) -> bool:
    return made.done() and not made.cancelled() and made.exception() is None


class _Pieces:
    """The pieces that a task makes for a request. A call computes the next one; it is None at the end."""

    def __init__(self, task: Any, request: Any) -> None:
        self._task, self._request = task, request
        self._made: Iterator[Audio] | None = None
        self._lock, self._is_closed = threading.Lock(), False

    def __call__(self) -> Audio | None:
        """The next piece, by one thread at a time."""
        with self._lock:
            if self._is_closed:
                return None
            if self._made is None:
                self._made = iter(self._task.stream(self._request))
            found = next(self._made, None)
            if self._is_closed:  # while it was computed
                self._end()
            return found

    def close(self) -> None:
        """Compute nothing more. What a thread computes now is the last piece."""
        self._is_closed = True
        if self._lock.acquire(blocking=False):
            try:
                self._end()
            finally:
                self._lock.release()

    def _end(self) -> None:
        if isinstance(self._made, Generator):
            self._made.close()
        self._made = None
