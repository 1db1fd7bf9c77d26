"""Makes a page: runs the model while its stages are recorded, and adds the chapters that fit what was recorded."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import amphion_core as amphion
from amphion_core import loading, registry
from amphion_core.audio import Audio
from amphion_core.errors import DataError, UnknownComponent
from amphion_core.families import TextEncoder, Vocoder, VoiceConverter
from amphion_core.files import is_file
from amphion_core.recording import STEP, Recorder, record
from amphion_core.visualize.page import Page, check_out, short_name, whole_folder
from amphion_core.visualize.sounds import shortened_recording
from amphion_core.vocoding import needs_no_weights

if TYPE_CHECKING:
    from amphion_core.component import TaskFramework

KNOWN = {  # stages that a chapter other than the general one shows
    "text", "symbols", "durations", "mel", "f0", "pitch", "energy", "prior", "latents", "attention", "alignment",
    "path", "key_shift", "codes", STEP,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Made:
    """One request, what a task made of it, and what the model reported on the way."""

    label: str
    request: Any
    audio: Audio
    recorder: Recorder
    seconds: float  # of computing


def make_page(
    model: str, inputs: Sequence[str], out: Path, *, fields: Mapping[str, Any] | None = None,
    others: Mapping[str, Any] | None = None, vocoder: str | None = None, against: Sequence[str] = (),
    device: str = "cpu", credit: str = "",
) -> Path:  # fmt: skip
    """Write the page about ``model`` and ``inputs`` into the folder ``out``; returns its ``index.html``.

    ``fields`` are further fields of the task's request. ``others``, or a second input, is a second condition, shown
    beside the first. ``against`` are further vocoders of a page about vocoders. A run folder without inputs gives its
    curves. ``credit`` is shown at the top of the page: who made the recordings, and their licences. Raises AmphionError
    for everything that a user can get wrong; then nothing is written.
    """
    out = Path(out)
    check_out(out)
    fields, others = dict(fields or {}), dict(others or {})
    if not inputs:
        from amphion_core.visualize.training import add_training

        with whole_folder(out) as folder:
            page = Page(folder, f"How {short_name(model)} learned", [])
            add_training(page, Path(model))
            page.finish(credit)
        return out / "index.html"
    name = architecture(model)
    family = name.partition("/")[0]
    with whole_folder(out) as folder:
        shown = " and ".join(map(short_name, inputs))
        page = Page(folder, f"Inside {short_name(model)}", [("model", short_name(model)), ("input", shown)])
        if family == "vocoder":
            from amphion_core.visualize.vocoders import add_vocoders

            recording = shortened_recording(_only(inputs, "a page about vocoders shows"))
            add_vocoders(page, [model, *against], recording, device=device)
        elif family == "codec":
            from amphion_core.visualize.codec import add_codec

            recording = shortened_recording(_only(inputs, "a page about a codec shows"))
            add_codec(page, loading.load(model, device=device), recording)
        else:
            _add_task(page, model, family, inputs, fields, others, vocoder, device)
        page.finish(credit)
    return out / "index.html"


def architecture(model: str) -> str:
    """The registry name of the model at a place. Raises UnknownComponent, WeightsError."""
    for family in (Vocoder, VoiceConverter, TextEncoder):
        if needs_no_weights(model, family):
            return registry.find("models", model).name
    return loading.open_weights(model).name


def _only(inputs: Sequence[str], what: str) -> str:
    if len(inputs) > 1:
        raise DataError(f"{len(inputs)} inputs are given, and {what} one", hint="name one INPUT")
    return inputs[0]


def _add_task(
    page: Page, model: str, family: str, inputs: Sequence[str], fields: dict[str, Any], others: dict[str, Any],
    vocoder: str | None, device: str,
) -> None:  # fmt: skip
    """The chapters of a model that a task drives."""
    if family not in registry.names("tasks"):
        known = ", ".join(registry.names("tasks"))
        raise UnknownComponent(f"no task runs models of the family {family!r}", hint=f"models of these can: {known}")
    own: dict[str, Any] = {"vocoder": vocoder} if vocoder else {}
    task: TaskFramework = amphion.task(family, model=model, device=device, **own)
    if family == "tts" and is_file(inputs[0]):
        from amphion_core.visualize.attention import add_aligned

        add_aligned(page, task, _only(inputs, "an alignment needs"), fields)
        return
    if len(inputs) > 2 or (len(inputs) > 1 and others):
        raise DataError("a page compares two conditions", hint="name at most two INPUTs, or one and --compare")
    conditions = [(given, fields) for given in inputs]
    if others:
        conditions.append((inputs[0], fields | others))
    made = [_generate(task, given, own) for given, own in conditions]
    made = _labelled(made, inputs, fields, others)
    page.facts.append(("time to compute", f"{made[0].seconds:.2f} s for {made[0].audio.duration:.2f} s of sound"))
    add_chapters(page, task, made)


def add_chapters(page: Page, task: "TaskFramework", made: Sequence[Made]) -> None:
    """The chapters that fit what was recorded."""
    from amphion_core.visualize import attention, sampling, singing, speech, stages

    first = made[0].recorder
    page.data["stages"] = [stages.described(stage) for stage in first.stages if stage.name != STEP]
    if first.last("symbols") is not None:
        for one in made:
            speech.add_speech(page, one, condition=one.label if len(made) > 1 else "")
    net = getattr(task, "net", None)
    if isinstance(net, VoiceConverter):
        tracker = net.pitch_feature.build()
        for one in made:
            singing.add_singing(page, one, tracker, condition=one.label if len(made) > 1 else "")
    if first.last(STEP) is not None:
        sampling.add_sampling(page, task, made)
    if first.last("attention") is not None or first.last("alignment") is not None:
        attention.add_attention(page, first)
    others = [stage for stage in first.stages if stage.name not in KNOWN]
    if others or not page.has_chapters:
        stages.add_stages(page, others or first.stages, made[0].audio)


def _generate(task: "TaskFramework", given: str, fields: Mapping[str, Any]) -> Made:
    """The first piece of what a task makes of an input, recorded."""
    name = main_field(task)
    value: Any = given
    if name == "audio":
        value = shortened_recording(given)
    request = task.request(**{name: value, **fields})
    began = time.perf_counter()
    with record() as recorder:
        pieces = [next(task.stream(request))] if name == "text" else list(task.stream(request))
        audio = Audio.concatenate(pieces)
    return Made(given, request, audio, recorder, time.perf_counter() - began)


def main_field(task: "TaskFramework") -> str:
    """The field of a task's request that the input of a page fills: the first one that has no default."""
    return next(name for name, field in task.Request.model_fields.items() if field.is_required())


def _labelled(
    made: list[Made], inputs: Sequence[str], fields: Mapping[str, Any], others: Mapping[str, Any]
) -> list[Made]:
    """With labels that say in what two conditions differ."""
    if others:
        labels = [
            ", ".join(f"{key} {short_name(str(own.get(key, 'as by default')))}" for key in others)
            for own in (fields, others)
        ]
    else:
        labels = [Path(one).stem if is_file(one) else one for one in inputs]
    return [
        Made(label, one.request, one.audio, one.recorder, one.seconds) for label, one in zip(labels, made, strict=True)
    ]
