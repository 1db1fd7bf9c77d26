"""The models in memory, the queue, and the threads that compute for several clients at a time.

The pieces of an answer, such as sentences, are computed one by one. Between two pieces of a long text, others have
their turn. A piece is computed only when the piece before it has been sent, so a slow client costs no memory.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from amphion_core.audio import Audio
from amphion_core.errors import AudioError
from amphion_core.loaded_tasks import GIGABYTE, LoadedTasks
from amphion_core.serving.answers import RETRY, Refused
from amphion_core.serving.offers import Offer
from amphion_core.serving.settings import Settings
from amphion_core.system_errors import is_memory_error


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
        self.tasks = LoadedTasks(round(settings.memory * GIGABYTE))
        self.slots: set[Slot] = set()
        self._loading: dict[Offer, asyncio.Task[Any]] = {}
        self._shared = ThreadPoolExecutor(self.workers, thread_name_prefix="amphion-serve")
        self._alone: WeakKeyDictionary[Any, ThreadPoolExecutor] = WeakKeyDictionary()  # one thread for each such task
        self._lock, self._running = threading.Lock(), 0

    def admit(self) -> Slot:
        """A place in the queue. Raises Refused (503) where it is full."""
        if len(self.slots) >= self.settings.queue:
            raise Refused(
                503, f"the server is busy: {self.settings.queue} requests are in work or wait", retry_after=RETRY,
                hint="ask again later; the server's option --queue is the limit", unread=True,
            )  # fmt: skip
        self.slots.add(slot := Slot(self, self.settings.timeout))
        return slot

    @property
    def is_computing(self) -> bool:
        """Whether a thread computes a piece."""
        return self._running > 0

    async def load(self, offer: Offer) -> None:
        """Load the task of a model. Those that wait for the same model wait for one loading.

        Raises what loading raises; the next request tries again.
        """
        if offer not in self._loading:
            work = asyncio.to_thread(self.tasks.get, **self._fields(offer))
            self._loading[offer] = loading = asyncio.create_task(work)

            def ended(done: asyncio.Task[Any]) -> None:
                del self._loading[offer]
                if not done.cancelled():
                    done.exception()  # read here, since perhaps nobody waits any more

            loading.add_done_callback(ended)
        await asyncio.shield(self._loading[offer])

    def claim(self, offer: Offer) -> Any:
        """The task of a model if it is in memory, else None. ``tasks.release`` ends its use."""
        return self.tasks.claim(**self._fields(offer))

    @asynccontextmanager
    async def using(self, offer: Offer) -> AsyncIterator[Any]:
        """The task of a model, loaded at its first use. It stays in memory until the block ends."""
        while (found := self.claim(offer)) is None:
            await self.load(offer)
        try:
            yield found
        finally:
            self.tasks.release(found)

    async def pieces(self, offer: Offer, request: Any, slot: Slot) -> AsyncIterator[Audio]:
        """The audio of a request, piece by piece. Raises the errors of the task, and Refused after the time limit."""
        async with AsyncExitStack() as stack:
            task = await self.in_time(stack.enter_async_context(self.using(offer)), slot)
            pool = self._pool(task)
            early = len(self.slots) <= self.workers  # with more requests, what each takes in total matters most
            stack.callback((made := _Pieces(task.stream_early if early else task.stream, request)).close)
            while (piece := await self.in_time(self.compute(pool, made), slot)) is not None:
                if not np.isfinite(piece.samples).all():
                    raise AudioError("the audio has samples that are not finite (NaN or infinite)")
                yield piece

    async def compute(self, pool: ThreadPoolExecutor, work: Callable[[], Any]) -> Any:
        """The result of a function that computes in a thread of ``pool``.

        Where memory runs out, the models that nobody uses are unloaded, so that the next request may succeed.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, self._step, work)
        except Exception as error:
            if is_memory_error(error) or is_memory_error(error.__cause__):
                self.tasks.unload()
            raise

    def close(self) -> None:
        """Start nothing new. What is computed at present ends by itself."""
        for pool in (self._shared, *self._alone.values()):
            pool.shutdown(wait=False, cancel_futures=True)

    async def in_time(self, waiting: Awaitable[Any], slot: Slot) -> Any:
        """What is awaited. Raises Refused (503) at the deadline of the slot."""
        try:
            async with asyncio.timeout(slot.left):  # asyncio.wait_for of Python 3.11 may lose a cancellation
                return await waiting
        except TimeoutError as error:
            raise Refused(
                503, f"the request was not done after {self.settings.timeout:g} seconds", retry_after=RETRY,
                hint="ask for less at a time; the server's option --timeout is the limit",
            ) from error  # fmt: skip

    def _fields(self, offer: Offer) -> dict[str, Any]:
        """The arguments of ``amphion_core.task`` for a model."""
        model = {} if offer.place is None else {"model": offer.place}
        return {"name": offer.task, "precision": self.settings.precision, "device": self.settings.device, **model}

    def _pool(self, task: Any) -> ThreadPoolExecutor:
        """The threads that may compute for a task: those of all, or one where its networks bear no second one."""
        if task.is_thread_safe:
            return self._shared
        if task not in self._alone:  # its thread ends when the task is unloaded
            self._alone[task] = ThreadPoolExecutor(1, thread_name_prefix="amphion-serve-alone")
        return self._alone[task]

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


class _Pieces:
    """The pieces that a task makes for a request. A call computes the next one; it is None at the end."""

    def __init__(self, stream: Callable[[Any], Iterator[Audio]], request: Any) -> None:
        self._stream, self._request = stream, request
        self._made: Iterator[Audio] | None = None
        self._lock, self._is_closed = threading.Lock(), False

    def __call__(self) -> Audio | None:
        """The next piece, by one thread at a time."""
        with self._lock:
            if self._is_closed:
                return None
            if self._made is None:
                self._made = iter(self._stream(self._request))
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
