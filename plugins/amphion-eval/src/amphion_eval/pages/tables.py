"""Tables of a report for papers and readmes, in Markdown and LaTeX: three significant digits, the best in bold.

Notes below a table state the variant of each metric, such as the normalisation of a word error rate.
"""

import re
from collections.abc import Callable
from typing import Any

from amphion_eval.evaluation.report import Report

SIGNIFICANT = 0.05  # a difference with a corrected p below this is not regarded as chance
_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_TEX_ARROWS = {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "": ""}
_TEX |= {char: "\\" + char for char in "&%$#_{}"}


def markdown(report: Report) -> str:
    """A table with a line per system and a column per metric; each value has half the width of its 95 % interval."""
    heads = [" ".join(filter(None, [label, arrow(about), _unit(about)])) for label, about in report.metrics.items()]
    lines = ["| system | " + " | ".join(map(_cell, heads)) + " |", "| --- |" + " ---: |" * len(heads)]
    for row in _rows(report, "**{}**".format, " ± "):
        lines.append("| " + " | ".join(map(_cell, row)) + " |")
    notes = [f"- {_cell(note)}" for note in _notes(report)]
    return "\n".join([*lines, *(["", *notes] if notes else [])]) + "\n"


def latex(report: Report) -> str:
    """The same table as a ``tabular`` with the rules of the package booktabs."""
    heads = [
        " ".join(filter(None, [tex(label), _TEX_ARROWS[arrow(about)], tex(_unit(about))]))
        for label, about in report.metrics.items()
    ]
    lines = [r"\begin{tabular}{l" + "r" * len(heads) + "}", r"\toprule", " & ".join(["system", *heads]) + r" \\"]
    lines.append(r"\midrule")
    for name, *cells in _rows(report, r"\textbf{{{}}}".format, r" $\pm$ "):
        lines.append(" & ".join([tex(name), *cells]) + r" \\")
    notes = tex("; ".join(_notes(report)))
    below = [rf"\par{{\footnotesize {notes}\par}}"] if notes else []
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *below]) + "\n"


def winners(report: Report, label: str) -> set[str]:
    """The best system of a metric, if it differs significantly from every other one; otherwise the empty set."""
    direction = report.metrics[label]["higher_is_better"]
    values = {system: found[label]["value"] for system, found in report.summary.items() if "value" in found[label]}
    if direction is None or len(values) < 2:
        return set()
    best = (max if direction else min)(values, key=values.__getitem__)
    beaten = {
        row["b"] if row["a"] == best else row["a"]
        for row in report.comparisons
        if row["metric"] == label and best in (row["a"], row["b"]) and row["p_corrected"] < SIGNIFICANT
    }
    return {best} if values.keys() - {best} <= beaten else set()


def arrow(about: dict[str, Any]) -> str:
    """↑ if higher values of a metric are better, ↓ if lower ones are, otherwise nothing."""
    return {True: "↑", False: "↓", None: ""}[about["higher_is_better"]]


def digits(value: float) -> str:
    """A number with three significant digits.

    >>> [digits(value) for value in (0.01234, 4.6439, 123.4, -0.0, 98765.0)]
    ['0.0123', '4.64', '123', '0', '98800']
    """
    text = f"{float(f'{value:.3g}'):.6f}" if abs(value) < 100 else f"{float(f'{value:.3g}'):.0f}"
    if "." in text:
        whole, _, part = text.partition(".")
        lead = len(part) - len(part.lstrip("0")) if whole.strip("-") == "0" else 0
        keep = 3 + lead - (0 if whole.strip("-") == "0" else len(whole.strip("-")))
        text = f"{whole}.{part[: max(0, keep)]}" if float(value) else "0"
    return text


def tex(text: str) -> str:
    """Text with all characters escaped that LaTeX would interpret."""
    return "".join(_TEX.get(char, char) for char in text)


def _rows(report: Report, bold: Callable[[str], str], plus_minus: str) -> list[list[str]]:
    best = {label: winners(report, label) for label in report.metrics}
    rows = []
    for system, found in report.summary.items():
        row = [system]
        for label in report.metrics:
            about = found[label]
            if "value" not in about:
                row.append("-")
                continue
            value = bold(digits(about["value"])) if system in best[label] else digits(about["value"])
            span = about.get("interval_95")
            row.append(f"{value}{plus_minus}{(span[1] - span[0]) / 2:.2g}" if span else value)
        rows.append(row)
    return rows


def _notes(report: Report) -> list[str]:
    return [f"{label}: {about['variant']}" for label, about in report.metrics.items() if about["variant"]]


def _unit(about: dict[str, Any]) -> str:
    return f"({about['unit']})" if about["unit"] else ""


def _cell(text: str) -> str:
    return re.sub(r"([|\\`<])", r"\\\1", text.replace("\n", " "))
