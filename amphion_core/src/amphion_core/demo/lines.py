"""The command line and the Python lines that make the same audio as a request of the demo page."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OUT = "result.wav"


@dataclass(frozen=True, slots=True)
class Typed:
    """What a user filled in for one task: only the fields that differ from their defaults.

    A recording stands there as the name of its file. ``config`` chooses the networks.
    """

    task: str
    config: Mapping[str, Any] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    precision: str = "float32"


def command_line(typed: Typed, pattern: str) -> str:
    """The command of a task, whose ``command`` is ``pattern``; empty without a pattern.

    >>> typed = Typed("vocoder", {"model": "runs/a b"}, {"audio": "song.wav", "seed": 3})
    >>> command_line(typed, "vocode {audio} --vocoder {model}")
    "amphion vocode song.wav --vocoder 'runs/a b' --seed 3 -o result.wav"
    """
    if not pattern:
        return ""
    fields = {**typed.config, **typed.request}
    words, behind, used = ["amphion"], list[str](), set[str]()
    for part in re.findall(r"--?[\w-]+ \{\w+\}|\S+", pattern):
        option, _, name = part.rpartition(" ")
        found = re.fullmatch(r"\{(\w+)\}", name)
        if found is None:
            words.append(part)
        elif found[1] in fields:
            used.add(found[1])
            value = str(fields[found[1]])
            if option:
                words += [option, value]
            else:
                (behind if value.startswith("-") else words).append(value)
    for name, value in fields.items():
        if name not in used:
            words += _option(name, value)
    for name, value, usual in (("device", typed.device, "cpu"), ("precision", typed.precision, "float32")):
        if value != usual:
            words += [f"--{name}", value]
    words += ["-o", OUT, *(["--", *behind] if behind else [])]
    return shlex.join(words)


def _option(name: str, value: Any) -> list[str]:
    flag = "--" + name.replace("_", "-")
    if isinstance(value, Mapping):
        flag = flag.removesuffix("s")
        return [word for key, each in value.items() for word in (flag, f"{key}={_word(each)}")]
    if isinstance(value, bool):
        return [flag if value else flag.replace("--", "--no-", 1)]
    if isinstance(value, list | tuple):
        return [flag, *map(_word, value)]
    text = _word(value)
    return [f"{flag}={text}"] if text.startswith("-") else [flag, text]


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def python_lines(typed: Typed) -> str:
    """Lines of Python that write the same file.

    >>> print(python_lines(Typed("tts", {}, {"text": "Hello."})))
    import amphion_core as amphion
    <BLANKLINE>
    task = amphion.task('tts')
    request = task.request(text='Hello.')
    task.generate(request).save('result.wav')
    """
    options = dict(typed.config)
    if typed.device != "cpu":
        options["device"] = typed.device
    if typed.precision != "float32":
        options["precision"] = typed.precision
    chosen = "".join(f", {name}={value!r}" for name, value in options.items())
    asked = ", ".join(f"{name}={value!r}" for name, value in typed.request.items())
    return "\n".join([
        "import amphion_core as amphion", "", f"task = amphion.task({typed.task!r}{chosen})",
        f"request = task.request({asked})", f"task.generate(request).save({OUT!r})",
    ])  # fmt: skip
