"""What the server counts for Prometheus: requests, times, audio, models."""

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

TIMES = (0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)  # seconds


class Counters:
    """The numbers of one server, each with a prefix ``amphion_``."""

    def __init__(self, *, in_work: Callable[[], int], models: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        own: dict[str, Any] = {"namespace": "amphion", "registry": self._registry}
        ProcessCollector(namespace="amphion", registry=self._registry)
        self.requests = Counter("requests", "requests by path and HTTP status", ("path", "status"), **own)
        self.seconds = Histogram("request_seconds", "seconds until an answer was sent", ("path",), buckets=TIMES, **own)
        self.first_audio = Histogram(
            "first_audio_seconds", "seconds until the first audio of an answer", ("task",), buckets=TIMES, **own
        )
        self.audio = Counter("audio_seconds", "seconds of audio that were generated", ("task",), **own)
        Gauge("requests_in_work", "requests that are computed or wait", **own).set_function(in_work)
        Gauge("models_loaded", "models in memory", **own).set_function(models)

    def text(self) -> bytes:
        """The page for Prometheus."""
        return generate_latest(self._registry)
