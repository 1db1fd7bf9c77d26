"""The results of an evaluation as plain data, with its files scores.jsonl and summary.json."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amphion_core.errors import DataError
from amphion_core.files import atomic_write

FEW = 3  # a line names so many metrics; a larger number is counted


@dataclass(slots=True)
class Report:
    """Everything that the report page and the tables show.

    * ``metrics``: label -> name, variant, unit, higher_is_better, definition, library, sample_rate, config;
    * ``rows``: one dict per system and item: system, id, paths, text, heard, durations (seconds), rates (Hz), scores,
      details, problems (label -> reason), warnings;
    * ``summary``: system -> label -> value, interval_95, mean, median, std, n, failed, infinite, details; there
      is no value where nothing could be scored;
    * ``comparisons``: metric, a, b, difference (a - b), interval_95, p, p_corrected, n;
    * ``missing``: system -> a line for each missing partner;
    * ``unavailable``: label -> what has to be installed to measure it;
    * ``about``: date, versions, how intervals and comparisons are computed, and the seconds that each metric took,
      summed over the processes.
    """

    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    comparisons: list[dict[str, Any]] = field(default_factory=list)
    missing: dict[str, list[str]] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """A line for each missing partner, and for each reason why scores of a file could not be computed."""
        lines = [f"{system}: {line}" for system, found in self.missing.items() for line in found]
        for row in self.rows:
            reasons: dict[str, list[str]] = {}
            for label, why in row["problems"].items():
                reasons.setdefault(why, []).append(label)
            for why, labels in reasons.items():
                if f"{row['id']}: {why.removeprefix('the item has ')}" in self.missing.get(row["system"], ()):
                    continue  # as in "no reference"; `pair_folders` has said it
                named = ", ".join(labels) if len(labels) <= FEW else f"{len(labels)} metrics"
                lines.append(f"{row['system']}: {row['id']}: {named}: {why}")
        for system, found in self.summary.items():
            lines += [f"{system}: {label}: {row['reason']}" for label, row in found.items() if "reason" in row]
        return lines

    def write(self, folder: Path) -> None:
        """Write ``scores.jsonl``, one row per line, and ``summary.json``, all other fields. Infinity becomes text."""
        with atomic_write(folder / "scores.jsonl") as path, path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(finite(row)) + "\n" for row in self.rows)
        whole = {name: getattr(self, name) for name in self.__slots__ if name != "rows"}
        with atomic_write(folder / "summary.json") as path:
            path.write_text(json.dumps(finite(whole), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Report":
        """Read what ``write`` has written. Raises DataError when the folder contains no evaluation."""
        try:
            whole = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
            rows = [json.loads(line) for line in (folder / "scores.jsonl").read_text(encoding="utf-8").splitlines()]
            report = cls(rows=rows, **whole)
        except (OSError, ValueError, TypeError) as error:
            raise DataError(
                f"{folder} contains no evaluation: {error}", hint="amphion eval FOLDER -o SCORES"
            ) from error
        for row in report.rows:
            row["scores"] = {label: float(value) for label, value in row["scores"].items()}
        return report


def finite(data: Any) -> Any:
    """The same data with infinities and NaN as text, because JSON has no such numbers."""
    if isinstance(data, dict):
        return {key: finite(value) for key, value in data.items()}
    if isinstance(data, list):
        return [finite(value) for value in data]
    return str(data) if isinstance(data, float) and data - data != 0 else data
