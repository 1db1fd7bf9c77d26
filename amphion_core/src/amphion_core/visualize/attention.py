"""Chapter (d): attention and monotonic alignment, each with a score of how diagonal it is."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from amphion_core.errors import DataError
from amphion_core.recording import Recorder, record
from amphion_core.visualize.explanations import ATTENTION, SELF_ATTENTION
from amphion_core.visualize.page import Page, card, columns
from amphion_core.visualize.pictures import Array, Line, chart
from amphion_core.visualize.sounds import shortened_recording

WIDTH = 0.2  # g of guided attention: how wide the diagonal is
MOST_HEADS = 12  # pictures of attention on a page


def diagonality(weights: Array) -> float:
    """How near to the diagonal the weights (N, L) of N frames lie, 0 to 1; rows need not sum to 1.

    Tachibana et al., arXiv:1710.08969, section 4.1: one minus the guided attention loss with g = 0.2,
    summed over symbols.

    >>> round(diagonality(np.eye(50)), 3)
    1.0
    """
    frames, tokens = weights.shape
    along = (np.arange(frames) + 0.5)[:, None] / frames - (np.arange(tokens) + 0.5) / tokens
    near = np.exp(-(along**2) / (2 * WIDTH**2))
    total = weights.sum(1, keepdims=True)
    return float((weights * near / np.where(total > 0, total, 1)).sum() / max(1, int((total > 0).sum())))


def focus(weights: Array) -> float:
    """The mean over frames of the largest weight in (N, L), 0 to 1: how decided the alignment is.

    Ren et al.: "FastSpeech", arXiv:1905.09263, equation 6.
    """
    return float(weights.max(1).mean())


def add_attention(page: Page, recorder: Recorder) -> None:
    """The chapters about the alignment and about the attention that were recorded."""
    if recorder.last("alignment") is not None:
        _add_alignment(page, recorder)
    if recorder.last("attention") is not None:
        _add_heads(page, recorder)


def _add_alignment(page: Page, recorder: Recorder, sound: str = "") -> None:
    parts = []
    alignment, path = recorder.last("alignment"), recorder.last("path")
    if alignment is not None:
        soft = alignment.array[0]
        parts.append(_matrix(page, "Soft alignment", soft, "frames", "symbols"))
        page.data["alignment"] = {"diagonality": diagonality(soft), "focus": focus(soft)}
    if path is not None:
        hard = path.array[0]
        parts.append(_matrix(page, "Monotonic path", hard, "frames", "symbols"))
        counts = hard.sum(0)
        steps = chart(
            "Durations on the path", [Line("frames", np.arange(len(counts)), counts, step=True)], x_label="symbol",
            y_label="frames",
        )  # fmt: skip
        parts.append(card("Durations", steps, sound, note="How many frames each symbol takes on the path."))
    page.chapter(ATTENTION, [columns(*parts)])


def _add_heads(page: Page, recorder: Recorder) -> None:
    heads = [
        (f"layer {layer + 1}, head {head + 1}", weights)
        for layer, stage in enumerate(recorder.all("attention"))
        for head, weights in enumerate(stage.array[0])
    ]
    scores = [(name, diagonality(weights), focus(weights)) for name, weights in heads]
    page.data["attention"] = [{"head": name, "diagonality": d, "focus": f} for name, d, f in scores]
    shown = [heads[index] for index in sorted({round(place) for place in np.linspace(0, len(heads) - 1, MOST_HEADS)})]
    pictures = [_matrix(page, name.capitalize(), weights, "what is read", "who reads") for name, weights in shown]
    note = (
        f"{len(shown)} of {len(heads)} heads. Who reads is from bottom to top, what is read from left to right. "
        "Diagonality is 1 when each reads its own place; focus is 1 when each reads one place only."
    )
    page.chapter(SELF_ATTENTION, [card("Heads", columns(*pictures, small=True), _table(scores), note=note)])


def add_aligned(page: Page, task: Any, recording: str, fields: Mapping[str, Any]) -> None:
    """The chapter about a recording whose text a model for text to speech aligns with it. Raises DataError."""
    text = fields.get("text")
    if not isinstance(text, str):
        raise DataError("a recording is aligned with its text, and none is given", hint='--set text="WHAT IS SAID"')
    audio = shortened_recording(recording).resample(task.net.sample_rate)
    ids = task.frontend.ids(task.frontend.tokens(text))
    wave = torch.from_numpy(audio.samples.copy())[None].to(task.net.device)
    with record() as recorder:
        task.net.align(
            torch.tensor([ids], device=task.net.device), torch.tensor([len(ids)], device=task.net.device), wave,
            torch.tensor([wave.shape[1]], device=task.net.device), None,
        )  # fmt: skip
    page.facts.append(("text", text))
    page.facts.append(("symbols", f"{len(ids)} for {audio.duration:.2f} s"))
    _add_alignment(page, recorder, page.player("recording", audio, "The recording"))


def _matrix(page: Page, title: str, weights: Array, rows: str, columns_name: str) -> str:
    """Weights (N, L) as a picture with their scores; frames run to the right and symbols upwards."""
    score = diagonality(weights)
    label = f"{title}: {rows} from left to right, {columns_name} from bottom to top, diagonality {score:.2f}"
    name = title.lower().replace(",", "").replace(" ", "-")
    turned = weights.T if columns_name == "symbols" else weights
    picture = page.spectrum(name, np.sqrt(np.clip(turned, 0, None)), label, low=0.0)  # the root shows small weights
    picture = picture.replace("<img ", '<img class="square" ')
    return card(title, picture, f'<p class="score">diagonality {score:.2f}</p>', note=f"focus {focus(weights):.2f}")


def _table(scores: list[tuple[str, float, float]]) -> str:
    rows = "".join(f"<tr><th>{name}</th><td>{d:.2f}</td><td>{f:.2f}</td></tr>" for name, d, f in scores)
    return (
        "<details><summary>All scores</summary><table><thead><tr><th>head</th><th>diagonality</th><th>focus</th></tr>"
        f"</thead><tbody>{rows}</tbody></table></details>"
    )
