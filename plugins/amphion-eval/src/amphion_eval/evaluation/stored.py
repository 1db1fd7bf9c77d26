"""Scores on disk, ours and VERSA's, as rows of a report; and ours written as VERSA's JSON lines.

VERSA (Shi et al., arXiv:2412.17667) writes an object a line, with a ``key`` and a number for each metric. Its names are
used where the definitions are the same; other scores of ours get the prefix ``amphion_``, and other scores of VERSA's
come in as ``versa_...``, so that no two definitions share a name.
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
"""Our metric -> VERSA's name of the same definition."""
EDITS = {"insertions": "insert", "deletions": "delete", "substitutions": "replace"}
OURS = {theirs: ours for ours, theirs in NAMES.items()}


def read_scores(path: Path) -> list[dict[str, Any]]:
    """Rows of a report from a scores.jsonl of ours, or from VERSA's result; the system is the file's stem.

    Raises DataError with the line that is neither.
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
                f"{path} line {number} is no score of ours and none of VERSA's",
                hint='each line is an object with "key" and numbers, or a line of scores.jsonl',
            ) from error
    if not rows:
        raise DataError(f"{path} holds no scores")
    return rows


def write_versa(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """The rows of one system as VERSA's JSON lines. Edits of words heard are counts, as VERSA's are."""
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
