"""Metrics of one pair of files."""

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from amphion_core import registry
from amphion_core.api import Audio, Metric
from amphion_core.errors import AmphionError, DataError
from amphion_core.serving.fields import Reader, check_length
from amphion_core.serving.settings import Settings

ROLES = ("reference", "prompt", "resynthesis")
FIELDS = ("generated", *ROLES, "text", "metrics")


class Evaluator:
    """Measures pairs, one at a time. Metrics are made at first use and kept, with their networks."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="amphion-evaluate")
        self._metrics: dict[str, Metric] = {}

    def scores(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """``{"scores": {metric: {value, unit, ...}}, "problems": {metric: reason}}``.

        Raises DataError for missing or unknown fields and where no metric gives a value, UnknownComponent for a metric,
        AudioError for a file that is no audio.
        """
        if unknown := [name for name in body if name not in FIELDS]:
            raise DataError(f"unknown field {unknown[0]!r}", hint=f"the fields are {', '.join(FIELDS)}")
        names = self._names(body.get("metrics"))
        with Reader(self.settings) as reader:
            audio = {
                name: reader.recording(name, body[name]).mono()
                for name in ("generated", *ROLES)
                if body.get(name) is not None
            }
        if "generated" not in audio:
            raise DataError("the generated audio is missing", hint="-F generated=@FILE")
        text = body.get("text")
        if text is not None and not isinstance(text, str):
            raise DataError("text: a text is needed", hint="-F text='What is said.'")
        check_length(text, self.settings)
        scores: dict[str, Any] = {}
        problems: dict[str, str] = {}
        for name in names:
            try:
                scores[name] = self._score(name, audio, text)
            except AmphionError as error:
                if len(names) == 1:
                    raise
                problems[name] = "; ".join(filter(None, (error.message, error.hint)))
        if not scores:
            raise DataError("no metric gives a value: " + "; ".join(f"{name}: {why}" for name, why in problems.items()))
        return {"scores": scores, "problems": problems}

    def _names(self, given: Any) -> list[str]:
        words: Any = given.split(",") if isinstance(given, str) else given or ()
        if not isinstance(words, list | tuple):
            raise DataError("metrics: names are needed", hint="metrics=NAME,NAME")
        names = [str(word).strip() for word in words if str(word).strip()]
        if not names:
            known = [name for name in registry.names("metrics") if not registry.get("metrics", name).of_sets]
            raise DataError("no metric is named", hint=f"metrics=NAME,NAME of {', '.join(known)}")
        for name in names:
            if registry.find("metrics", name).load().of_sets:
                raise DataError(f"{name} compares sets of files, and one pair is given", hint="amphion eval FOLDER")
        return list(dict.fromkeys(names))

    def _score(self, name: str, audio: Mapping[str, Audio], text: str | None) -> dict[str, Any]:
        found: Any = registry.get("metrics", name)
        if absent := sorted(found.needs - {*audio, *(("text",) if text else ())}):
            raise DataError(f"the metric {name} needs {' and '.join(absent)}", hint=f"send the field {absent[0]}")
        if name not in self._metrics:
            self._metrics[name] = found(found.Config())
        metric = self._metrics[name]
        generated = audio["generated"].resample(metric.sample_rate or audio["generated"].sample_rate)
        role = next(iter(metric.needs - {"text"}), None)
        other = audio[role].resample(generated.sample_rate) if role else None
        score = metric.measure(generated, other, text=text)
        if math.isnan(score.value):
            raise DataError(f"the metric {name} is not defined for this pair")
        details = {key: value for key, value in score.details.items() if math.isfinite(value)}
        return {
            "value": score.value if math.isfinite(score.value) else None, "unit": metric.unit,
            "higher_is_better": metric.higher_is_better, "variant": metric.variant, "details": details,
            "notes": score.notes,
        }  # fmt: skip
