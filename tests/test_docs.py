"""The documentation is true: its code runs and prints what it says, its commands parse, its links lead somewhere.

In a page, a block fenced as ``python`` is run, all blocks of a page in order in one process, and ``print(...)  # text``
must print that text. A block fenced as ``py`` is only shown. ``<!-- needs: package -->`` before a block names import
packages without which it is left out. In ``bash`` blocks every line that begins with ``amphion`` must parse.
"""

import importlib
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import amphion_core
from amphion_core import api, registry, source_text
from amphion_core.cli.main import joined, make_parser
from amphion_core.cli.parsing import parse
from amphion_core.mel import MelConfig

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GENERATED = DOCS / "reference" / "cli.md"
PAGES = [
    *(path for path in sorted(ROOT.glob("*.md"))),
    *(path for path in sorted(DOCS.rglob("*.md")) if path != GENERATED),
    *sorted(ROOT.glob("[!.]*/README.md")),
    *sorted(ROOT.glob("plugins/*/README.md")),
]
NEEDS = r"(?:<!-- needs: (?P<needs>[^>]*?) -->\n+)?"
BLOCK = re.compile(NEEDS + r"^```(?P<language>\w+)[^\n]*\n(?P<code>.*?)^```", re.M | re.S)
RUNNER = """
import contextlib, io, json, sys
namespace = {"__name__": "__main__"}
for line, code, expected in json.loads(sys.stdin.read()):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile("\\n" * (line - 1) + code, sys.argv[1], "exec"), namespace)
    found = printed.getvalue().splitlines()
    for text in expected:
        assert text in found, f"{sys.argv[1]}: the page says {text!r}, printed was {found}"
        found = found[found.index(text) + 1 :]
"""


def name_of(page):
    return str(page.relative_to(ROOT))


def blocks(page, *languages):
    """(line, code, needed packages) of every fenced block in one of the languages."""
    text = page.read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        if match["language"] in languages:
            line = text[: match.start("code")].count("\n") + 1
            yield line, match["code"], (match["needs"] or "").replace(",", " ").split()


def prose(page):
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


@pytest.mark.parametrize("page", [page for page in PAGES if any(blocks(page, "python"))], ids=name_of)
def test_the_code_of_a_page_runs_and_prints_what_it_says(page, tmp_path):
    absent, wanted = set(), []
    for line, code, needs in blocks(page, "python"):
        lacking = {package for package in needs if find_spec(package) is None}
        absent |= lacking
        if not lacking:
            wanted.append((line, code, re.findall(r"^print\(.*\)  # (.+)$", code, re.M)))
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, name_of(page)], input=json.dumps(wanted), cwd=tmp_path, env=environment,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if absent:
        pytest.skip(f"the other blocks ran; these packages are not installed: {', '.join(sorted(absent))}")


def typed_commands():
    """Every amphion command line of the documentation: (page, line number, words)."""
    for page in PAGES:
        for start, code, _ in blocks(page, "bash", "console"):
            for offset, line in enumerate(code.replace("\\\n", "  ").splitlines()):
                bare = re.sub(r"^(?:[A-Z_]+=\S+ )*(?:\S*/)?(?=amphion )", "", line.strip().removeprefix("$ "))
                if bare.startswith("amphion "):
                    words = shlex.split(re.split(r"\s+(?:\||>|<|&&)\s*", bare)[0], comments=True)[1:]
                    yield pytest.param(words, id=f"{name_of(page)}:{start + offset}")


@pytest.fixture(scope="module")
def parser():
    return make_parser(None, every=True)


@pytest.fixture
def docs_scripts(monkeypatch):
    """Lets a test import the scripts beside the pages."""
    monkeypatch.syspath_prepend(DOCS)


@pytest.mark.parametrize("words", list(typed_commands()))
def test_a_command_line_of_the_documentation_parses(words, parser, capsys):
    try:
        parse(parser, joined(words))
    except SystemExit as stop:  # argparse: 0 after --help or --version, 2 for what it does not know
        assert stop.code == 0, capsys.readouterr().err


def test_a_command_mentioned_in_a_sentence_exists():
    known = {name.partition("/")[0] for name in registry.names("commands")} | {"COMMAND"}
    for page in PAGES:
        for command in re.findall(r"`amphion ([a-zA-Z]+)", prose(page)):
            assert command in known, f"{name_of(page)} mentions amphion {command}"


def anchors(page):
    """The ids of a page's headings, as the site makes them."""
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.M):
        words = re.sub(r"[^\w\s-]", "", heading.lower()).strip()
        yield re.sub(r"[\s-]+", "-", words)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_relative_link_leads_to_a_file_and_a_heading(page):
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", prose(page)):
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists() or found == GENERATED, f"{target} leads nowhere"
        if anchor and found != GENERATED:
            assert anchor in anchors(found), f"{target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_package_extra_that_is_mentioned_is_declared(page):
    import tomllib

    for dist, extras in re.findall(r"(amphion[-_][a-z]+)\[([a-z, -]+)\]", page.read_text(encoding="utf-8")):
        folder = ROOT / "amphion_core" if "core" in dist else ROOT / "plugins" / dist
        declared = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
        assert {extra.strip() for extra in extras.split(",")} <= {*declared["project"]["optional-dependencies"]}, dist


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_dotted_name_of_ours_exists(page):
    text = prose(page)
    found = re.findall(r"^::: (amphion_[\w.]+)", text, re.M) + re.findall(r"`(amphion_\w+(?:\.\w+)+)(?=[`(])", text)
    for name in found:
        assert exists(name), f"there is no {name}"


def exists(name):
    """Whether a dotted name is a module, or an attribute of one."""
    module, _, attribute = name.rpartition(".")
    if source_text.module_path(name):
        return True
    if source_text.module_path(module):
        return hasattr(importlib.import_module(module), attribute)
    owner, _, inner = module.rpartition(".")
    return bool(source_text.module_path(owner)) and hasattr(
        getattr(importlib.import_module(owner), inner, None), attribute
    )


def test_every_public_name_is_documented_in_the_code_and_on_the_reference_page():
    page = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    for name in {*api.__all__, *amphion_core.__all__}:
        home = api if name in api.__all__ else amphion_core
        thing = getattr(home, name)
        assert re.search(rf"\b{name}\b", page), f"{name} is not on the reference page"
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), f"{name} has no docstring"
        if inspect.isclass(thing) and thing.__module__.startswith("amphion_core"):
            for member, value in vars(thing).items():
                if not member.startswith("_") and inspect.isfunction(getattr(value, "__func__", value)):
                    assert inspect.getdoc(value), f"{name}.{member} has no docstring"


def test_the_reference_page_says_what_the_docstrings_say(docs_scripts):
    from reference_entries import ENTRY, on_page_markdown, refreshed

    page = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    assert len(ENTRY.findall(page)) > 50 and ":::" not in page
    assert refreshed(page) == page, "run: python docs/reference_entries.py"
    assert on_page_markdown(page).count("\n::: amphion_") == len(ENTRY.findall(page))


def test_the_table_of_mel_presets_is_what_the_code_says():
    page = (DOCS / "concepts" / "audio-and-mel.md").read_text(encoding="utf-8")
    table = page.partition("<!-- presets -->")[2].partition("<!-- end -->")[0].strip().splitlines()
    columns = [cell.strip(" `") for cell in table[0].strip("|").split("|")]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table[2:]]
    assert {row[0] for row in rows} == {*MelConfig.presets()}
    for name, *values in rows:
        preset = MelConfig.preset(name)
        for column, value in zip(columns[1:], values, strict=True):
            stated = getattr(preset, column)
            assert value == (f"{stated:g}" if isinstance(stated, float) else str(stated)), f"{name}: {column}"


def test_the_command_line_reference_names_every_argument(docs_scripts):
    from make_cli_reference import reference

    text = reference()
    for name in registry.names("commands"):
        assert f"## amphion {name.replace('/', ' ')}" in text
    assert "--control NAME=VALUE" in text and "silence between sentences, seconds; 0 to 10" in text
