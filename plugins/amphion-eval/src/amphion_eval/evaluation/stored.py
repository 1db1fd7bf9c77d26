"""Read scores from files, ours and those of VERSA, and write our scores in the format of VERSA.

VERSA (Shi et al., arXiv:2412.17667) writes one JSON object per line, with a ``key`` and a number for each metric. Where
VERSA has the same definition, its name is used. Our other scores get the prefix ``amphion_``, and VERSA's other scores
get the prefix ``versa_``, so two definitions never share a name.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from amphion_core.errors import DataError
from amphion_core.files import atomic_write

NAMES = {
    "pesq_wb": "pesq", "stoi": "stoi", "estoi": "estoi", "si_snr": "si_snr", "dnsmos": "dns_overall", "utmos": "utmos",
}  # fmt: skip
"""Our name of a metric -> VERSA's name of the same definition."""
EDITS = {"insertions": "insert", "deletions": "delete", "substitutions": "replace"}
OURS = {theirs: ours for ours, theirs in NAMES.items()}


def read_scores(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a report from our scores.jsonl or from a result of VERSA.

    The rows of VERSA name no system: they get the stem of the file. Raises DataError with the number of a line that has
    neither format.
    """
    rows: list[dict[str, Any]] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
            rows.append(_ours(found) if "scores" in found else _versa(found, path.stem))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path} line {number} is neither a score of amphion eval nor one of VERSA",
                hint='each line is a JSON object: a line of scores.jsonl, or "key" with numbers',
            ) from error
    if not rows:
        raise DataError(f"{path} contains no scores", hint="amphion eval FOLDER -o SCORES writes scores.jsonl")
    return rows


def write_versa(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the rows of one system in VERSA's format. Word errors are written as counts of edits, as VERSA does."""
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for row in rows:
            line: dict[str, Any] = {"key": row["id"]}
            for label, value in row.get("scores", {}).items():
                line[NAMES.get(label, f"amphion_{label}")] = value if abs(value) != float("inf") else str(value)
            if edits := row.get("details", {}).get("wer"):
                line |= {f"whisper_wer_{theirs}": int(edits[ours]) for ours, theirs in EDITS.items()}
                line["whisper_wer_equal"] = int(edits["count"] - edits["deletions"] - edits["substitutions"])
                line["whisper_hyp_text"] = row.get("heard") or ""
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _ours(found: dict[str, Any]) -> dict[str, Any]:
    scores = {str(label): float(value) for label, value in found["scores"].items()}
    return {"details": {}, "problems": {}, "warnings": [], **found, "system": str(found["system"]), "scores": scores}


def _versa(found: dict[str, Any], system: str) -> dict[str, Any]:
    scores = {}
    for name, value in found.items():
        if name != "key" and isinstance(value, int | float) and not isinstance(value, bool) and value == value:
            ours = name.removeprefix("amphion_") if name.startswith("amphion_") else OURS.get(name, f"versa_{name}")
            scores[ours] = float(value)
    return {
        "system": system, "id": str(found["key"]), "scores": scores, "details": {}, "problems": {}, "warnings": [],
        "heard": found.get("whisper_hyp_text"), "text": found.get("ref_text"),
    }  # fmt: skip
