"""Chapter for stages that no other chapter shows, such as those of a plugin of somebody else."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from amphion_core.audio import Audio
from amphion_core.recording import Stage
from amphion_core.visualize.explanations import STAGES
from amphion_core.visualize.page import Page, card
from amphion_core.visualize.pictures import Line, chart, wave_svg

MOST = 24  # stages on a page


def add_stages(page: Page, stages: Sequence[Stage], audio: Audio) -> None:
    """A picture, a curve or a text for each stage, and the sound that the model made."""
    parts = [_shown(page, stage) for stage in stages[:MOST]]
    if len(stages) > MOST:
        parts.append(f'<p class="note">{len(stages) - MOST} more stages were reported.</p>')
    parts.append(
        card("Result", wave_svg(audio.samples, f"The wave, {audio.duration:.2f} seconds"),
             page.player("result", audio, "What the model made"))
    )  # fmt: skip
    page.chapter(STAGES, parts)


def described(stage: Stage) -> dict[str, Any]:
    """A stage in values of JSON, without its numbers."""
    size = [] if isinstance(stage.values, str | list) else list(stage.values.shape)
    return {"name": stage.name, "axes": stage.axes, "shape": size, "unit": stage.details.get("unit", "")}


def _shown(page: Page, stage: Stage) -> str:
    title, unit = stage.name.replace("_", " "), stage.details.get("unit", "")
    if isinstance(stage.values, str):
        return card(title, f"<blockquote>{escape(stage.values)}</blockquote>")
    if isinstance(stage.values, list):
        return card(title, f'<ol class="tokens">{"".join(f"<li>{escape(one)}</li>" for one in stage.values)}</ol>')
    values = np.asarray(stage.values, float)
    while values.ndim > 2 or (values.ndim == 2 and len(values) == 1 and stage.axes[0] == "B"):
        values = values[0]  # the first item, the first head
    note = f"shape {' x '.join(map(str, stage.values.shape))}, axes {' '.join(stage.axes)}{f', {unit}' if unit else ''}"
    if values.ndim == 2:
        return card(title, page.spectrum(stage.name, values, f"{title}, {note}"), note=note)
    curve = chart(title, [Line(title, np.arange(values.size), values.reshape(-1))], x_label=stage.axes[-1:].lower(),
                  y_label=unit)  # fmt: skip
    return card(title, curve, note=note)
