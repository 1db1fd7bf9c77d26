"""No module of ours imports, directly or through others, a module that imports it.

Imports inside functions and for type checkers count too. The lazy tables of public names are left out: the
``__init__`` of each package and ``amphion_core.api`` name modules that themselves import from them.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = {path.name: path for path in ROOT.glob("*/src/*")} | {
    path.name: path for path in ROOT.glob("plugins/*/src/*")
}
TABLES = {"amphion_core.api"}  # beside the __init__ of each package at the top


def modules():
    """The file of every module by its dotted name."""
    found = {}
    for top, root in SOURCES.items():
        for path in root.rglob("*.py"):
            found[".".join([top, *path.relative_to(root).with_suffix("").parts]).removesuffix(".__init__")] = path
    return found


def imported(path, known, own):
    """The modules among ``known`` that a file imports anywhere."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parent = own.split(".")[: -node.level] if node.level else []
            base = ".".join([*parent, *filter(None, [node.module])])
            names |= {f"{base}.{alias.name}" for alias in node.names}
    found = set()
    for name in names:
        while name and name not in known:
            name = name.rpartition(".")[0]
        found |= {name} - {"", own}
    return found


def circle(graph):
    """The modules of one circle in order, or nothing."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return path[path.index(name) :]
        if name in done:
            return []
        path.append(name)
        for other in sorted(graph[name]):
            if found := visit(other):
                return found
        done.add(path.pop())
        return []

    return next(filter(None, map(visit, sorted(graph))), [])


def test_no_module_imports_itself_through_others():
    known = modules()
    assert {
        "amphion_core",
        "amphion_vocoders",
        "amphion_tts",
        "amphion_svc",
        "amphion_tta",
        "amphion_eval",
    } <= known.keys()
    tables = TABLES | SOURCES.keys()
    graph = {name: set() if name in tables else imported(path, known, name) for name, path in known.items()}
    assert graph["amphion_core.loading"]
    assert not circle(graph), " -> ".join(circle(graph))


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, ["b", "c"]),
        ({"a": {"b", "c"}, "b": {"c"}, "c": set()}, []),
    ],
)
def test_a_circle_is_found(graph, expected):
    assert circle(graph) == expected


def test_imports_in_functions_and_for_type_checkers_count(tmp_path):
    path = tmp_path / "x.py"
    path.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.a import A\n"
        "def f():\n    import p.b.c\n    from p import d\n    from . import e\n"
    )
    assert imported(path, {"p", "p.a", "p.b.c", "p.d", "p.e"}, "p.x") == {"p.a", "p.b.c", "p.d", "p.e"}
