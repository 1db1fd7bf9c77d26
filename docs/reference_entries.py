"""The entries of the Python reference: plain Markdown in the file, the full documentation on the site.

An entry is a list item: a dotted name in code font, and the first paragraph of its docstring. mkdocs calls
`on_page_markdown`, and mkdocstrings then replaces the entry. Run ``python docs/reference_entries.py`` after a docstring
has changed.
"""

import inspect
import re
import textwrap
from importlib import import_module
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "reference" / "api.md"
ENTRY = re.compile(r"^\* `(amphion_[\w.]+)`: (.+(?:\n  .+)*)$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with a directive of mkdocstrings in place of each entry."""

    def directive(entry: re.Match[str]) -> str:
        is_method = entry[1].split(".")[-2][:1].isupper()
        return f"\n::: {entry[1]}\n    options: {{heading_level: {4 if is_method else 3}}}\n"

    return ENTRY.sub(directive, markdown)


def refreshed(markdown: str) -> str:
    """The page whose entries say what the docstrings say now."""

    def line(entry: re.Match[str]) -> str:
        about = (inspect.getdoc(_named(entry[1])) or "").partition("\n\n")[0].replace("\n", " ")
        text = f"* `{entry[1]}`: {about}"
        return textwrap.fill(text, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)

    return ENTRY.sub(line, markdown)


def _named(name: str) -> Any:
    """The object with a dotted name: a module, or something inside one."""
    owner, _, attribute = name.rpartition(".")
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return getattr(_named(owner), attribute)


if __name__ == "__main__":
    PAGE.write_text(refreshed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {PAGE}")
