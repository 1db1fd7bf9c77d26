"""The fields of a ``Request`` or a ``Config`` as components of Gradio, and the filled form as values."""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, get_origin

import gradio as gr
from pydantic.fields import FieldInfo

from amphion_core import registry
from amphion_core.config import limits
from amphion_core.demo import models
from amphion_core.request_fields import choices_of, is_file, is_mapping, is_recording, kind_of, named
from amphion_core.requests import Named

SLOTS = 16  # text fields for the controls of a model
WIDEST = 1000  # of a range that a slider can show


class Field:
    """One field: its component is made once, inside of the layout of the page."""

    def __init__(self, name: str, info: FieldInfo, prefix: str, *, own_places: bool) -> None:
        self.name = name
        self.info = info
        self.kind = kind_of(info.annotation)
        self.is_optional = not info.is_required() and info.get_default(call_default_factory=True) is None
        self.default = None if info.is_required() else info.get_default(call_default_factory=True)
        self.range = None if self.is_optional else _range(self.kind, info)
        self._own_places = own_places
        self._id = f"{prefix}-{name}"

    @property
    def is_prominent(self) -> bool:
        """Whether it stands above, and not among the further options."""
        in_sight = is_recording(self.kind) or self.range is not None
        return self.info.is_required() or in_sight or (self.is_optional and self.kind in (str, int, float))

    def component(self) -> Any:
        """A new component for this field."""
        about: dict[str, Any] = {"label": label(self.name), "info": described(self.info), "elem_id": self._id}
        if is_file(self.kind):  # Gradio shows no text below their labels
            gr.HTML(f"<p class='amphion-about'>{html.escape(label(self.name))}: {html.escape(about.pop('info'))}</p>")
        if is_recording(self.kind):
            about |= {"elem_classes": "amphion-audio", "sources": ["upload", "microphone"], "buttons": []}
            return gr.Audio(**about, type="filepath", interactive=True)
        if is_file(self.kind):
            return gr.File(**about, interactive=True, height=120)
        if self.kind is bool:
            return gr.Checkbox(bool(self.default), **about)
        if self.range:
            low, high, step = self.range
            return gr.Slider(low, high, self.default, step=step, **about)
        if self.kind in (int, float) and not self.is_optional:  # an empty field for numbers is 0 in the browser
            return gr.Number(self.default, precision=0 if self.kind is int else None, **about)
        if choices := choices_of(self.kind):
            value = None if self.default is None else str(getattr(self.default, "value", self.default))
            return gr.Dropdown(choices, value=value, **about)
        if self.name in registry.FAMILIES:
            ready = models.choices(self.name)
            return gr.Dropdown(["", *ready], value="", allow_custom_value=self._own_places, **about)
        several = get_origin(self.kind) in (tuple, list)
        text = "" if several or self.default is None else str(self.default)
        return gr.Textbox(text, lines=4 if self.info.is_required() or several else 1, **about)

    def read(self, value: Any) -> Any:
        """What the user filled in; None where it is the default."""
        if value is None or (value == "" and not (self.info.is_required() and self.kind is str)):
            return None
        if self.is_optional and self.kind in (int, float):
            return _number(str(value))
        if get_origin(self.kind) in (tuple, list):
            return [line.strip() for line in str(value).splitlines() if line.strip()] or None
        if isinstance(value, str) and not self.info.is_required() and value == str(self.default):
            return None
        return None if not self.info.is_required() and value == self.default else value


class NamedField(Field):
    """The names that a field for a recording takes instead of one, such as those of stored voices."""

    def __init__(self, name: str, info: FieldInfo, prefix: str, known: Named) -> None:
        super().__init__(name, info, prefix, own_places=False)
        self._known = known

    def component(self) -> Any:
        """A list that is read anew whenever it gets the focus."""

        def choices() -> list[str]:
            return ["", *self._known.names()]

        text = f"{label(self.name)}: {self._known.what}"
        box = gr.Dropdown(choices(), value="", label=text, info="instead of a recording", elem_id=f"{self._id}-named")
        box.focus(lambda: gr.update(choices=choices()), None, box, queue=False, api_visibility="private")
        return box

    def read(self, value: Any) -> Any:
        """The chosen name; None where there is none."""
        return value if value in self._known.names() else None


def fields(
    schema: Mapping[str, FieldInfo], prefix: str, *, skip: Iterable[str] = (), own_places: bool = True
) -> list[Field]:
    """The fields of a schema that a form shows: all but those of ``skip`` and those with a ``dict``."""
    found: list[Field] = []
    for name, info in schema.items():
        if name in {*skip} or is_mapping(kind_of(info.annotation)):
            continue
        found.append(Field(name, info, prefix, own_places=own_places))
        if known := named(info.annotation) or next((one for one in info.metadata if isinstance(one, Named)), None):
            found.append(NamedField(name, info, prefix, known))
    return found


def read(form: Sequence[Field], values: Sequence[Any]) -> dict[str, Any]:
    """The values that differ from their defaults, by the names of their fields."""
    found = ((field.name, field.read(value)) for field, value in zip(form, values, strict=True))
    return {name: value for name, value in found if value is not None}


def control_slots(prefix: str, shown: Mapping[str, FieldInfo]) -> list[gr.Textbox]:
    """Text fields for the controls of the model that is chosen at first; the others are hidden."""
    return [gr.Textbox(elem_id=f"{prefix}-control-{index}", **_slot(index, shown)) for index in range(SLOTS)]


def changed_slots(shown: Mapping[str, FieldInfo]) -> list[Any]:
    """Updates of the text fields when another model is chosen."""
    return [gr.update(value="", **_slot(index, shown)) for index in range(SLOTS)]


def read_controls(shown: Mapping[str, FieldInfo], values: Sequence[str | None]) -> list[str]:
    """``NAME=VALUE`` of each control that was filled in."""
    return [f"{name}={value}" for name, value in zip(shown, values, strict=False) if value]


def _slot(index: int, shown: Mapping[str, FieldInfo]) -> dict[str, Any]:
    names = list(shown)
    if index >= len(names):
        return {"visible": False, "label": "control", "info": None}
    return {"visible": True, "label": label(names[index]), "info": described(shown[names[index]])}


def label(name: str) -> str:
    """The name of a field for people: ``prompt_text`` is "Prompt text"."""
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]


def described(info: FieldInfo) -> str:
    """Description and range of a field."""
    return "; ".join(filter(None, (info.description, limits(info))))


def _number(text: str) -> float | str:
    """The number that a text states, else the text, of which the request says what is wrong."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def _range(kind: Any, info: FieldInfo) -> tuple[float, float, float] | None:
    """(least, most, step) of a number that a slider can show, else None."""
    bounds = {name: getattr(each, name) for each in info.metadata for name in ("gt", "ge", "lt", "le")
              if getattr(each, name, None) is not None}  # fmt: skip
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    if kind not in (int, float) or low is None or high is None or not 0 < high - low <= WIDEST:
        return None
    step = 1 if kind is int else 10.0 ** math.floor(math.log10((high - low) / 100) + 0.5)
    return low + (step if "gt" in bounds else 0), high - (step if "lt" in bounds else 0), step
