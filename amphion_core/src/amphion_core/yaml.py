"""Read and write YAML by the core schema of YAML 1.2; a key that is given twice is an error.

PyYAML implements YAML 1.1, where ``5e-4`` is text, ``no`` is false and ``12:30`` is 750. Here the reader and the writer
share one table of types, so that ``parse(dump(x)) == x``. Texts that would take all memory or all of Python's stack are
refused: more than `DEEPEST` levels, or more than `MOST` values once every alias is replaced by what it stands for.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from amphion_core.errors import RecipeError
from amphion_core.files import read_file

_TABLE = (
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("tag:yaml.org,2002:int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+0123456789."),
    ),
)

DEEPEST = 100  # levels of lists and mappings; Python's stack ends at about 250
MOST = 200_000  # values of one text
LARGEST = 10_000_000  # bytes of one file


class _Reader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._values = 0
        self._sizes: dict[int, int] = {}  # values below each node, by the node's id

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """The next node. Raises ComposerError: nested too deep, too many values, an alias inside what it stands for."""
        mark, before = self.peek_event().start_mark, self._values  # type: ignore[no-untyped-call]
        is_alias = self.check_event(yaml.AliasEvent)
        self._depth += 1
        self._values += 1
        if self._depth > DEEPEST:
            raise yaml.composer.ComposerError(None, None, f"nested more than {DEEPEST} levels deep", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if is_alias:
            if id(node) not in self._sizes:
                raise yaml.composer.ComposerError(None, None, "the alias stands for what contains it", mark)
            self._values += self._sizes[id(node)]
        else:
            self._sizes[id(node)] = self._values - before
        if self._values > MOST:
            raise yaml.composer.ComposerError(None, None, f"more than {MOST} values", mark)
        return node


class _Writer(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[str, Any] = {}

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, _pattern, _first in _TABLE:
    for _class in (_Reader, _Writer):
        _class.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), _first)


def _int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = str(node.value)
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


def _float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    text = str(node.value).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


def _number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    """A scalar of the table. Raises ConstructorError: a tag on another text, or more digits than Python reads."""
    read = {"int": _int, "float": _float, "bool": yaml.SafeLoader.construct_yaml_bool}[node.tag.rpartition(":")[2]]
    try:
        return read(loader, node)
    except (ValueError, KeyError) as error:
        problem = f"{str(node.value)[:40]!r} is not a number that can be read"
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str | int | float | bool | None):
            raise yaml.constructor.ConstructorError(None, None, "a key must be a plain value", key_node.start_mark)
        if key in result:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is given twice", key_node.start_mark)
        result[key] = loader.construct_object(value_node, deep=True)
    return result


def _write_float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    text = repr(value).replace("inf", ".inf").replace("nan", ".nan")
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


def _write_text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    """Quote text with line breaks or unprintable characters, because PyYAML would lose some of them otherwise."""
    style = None if value.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_KINDS = ("null", "str", "seq")  # as PyYAML reads them; its other tags, such as !!timestamp, are not read
_Reader.yaml_constructors = {
    tag: read
    for tag, read in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.rpartition(":")[2] in _KINDS
} | {f"tag:yaml.org,2002:{kind}": _number for kind in ("int", "float", "bool")}
_Reader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Writer.add_representer(float, _write_float)
_Writer.add_representer(str, _write_text)
_Writer.add_representer(tuple, yaml.SafeDumper.represent_list)


def parse(text: str, *, where: str = "") -> Any:
    """The value of a YAML text. ``where`` names the file in errors.

    Raises RecipeError with line and column: broken syntax, a key given twice, an object tag, nested too deep.
    """
    try:
        return yaml.load(text, Loader=_Reader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = str(error.problem or error)
        raise RecipeError(f"{where or 'YAML'}{position}: {problem}", hint=_hint(problem)) from error
    except (yaml.YAMLError, ValueError) as error:
        raise RecipeError(f"{where or 'YAML'}: {' '.join(str(error).split())}", hint=_hint(str(error))) from error


def _hint(problem: str) -> str:
    """What to do about a message of PyYAML."""
    known = {
        "\\t": "indent with spaces, not with tabs",
        "could not determine a constructor": "write plain values: tags such as !!python are not read",
        "given twice": "remove one of the two",
        "mapping values are not allowed": "put text that contains ': ' between quotes",
        "levels deep": "a recipe has few levels; look for a bracket that is not closed",
        " values": "write out less, or correct the aliases: *NAME stands for all that &NAME marks",
        "alias": "write the value itself in place of *NAME; text that begins with * or & needs quotes",
        "not a number": "put text between quotes",
        "unacceptable character": "save the file as plain text in UTF-8",
    }
    general = "close every bracket and quote, and put text that contains ': ', ' #' or brackets between quotes"
    return next((hint for part, hint in known.items() if part in problem), general)


def read(path: Path) -> Any:
    """The value of a YAML file, as ``parse`` reads it. Raises RecipeError, also when it is no file of readable text."""
    content = read_file(path, RecipeError, wanted="a YAML file", largest=LARGEST)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} cannot be read: {error}", hint="save it as plain text in UTF-8") from error
    return parse(text, where=str(path))


def dump(value: Any) -> str:
    """YAML text of a value made of dicts, lists, tuples, strings, numbers, booleans and None. Keys keep their order."""
    text: str = yaml.dump(value, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=120)
    return text
