"""A new plugin from templates: six files that pass the conformance kit untouched."""

import re
from pathlib import Path
from string import Template

import amphion_core
from amphion_core.errors import AmphionError

TEMPLATES = Path(__file__).with_name("templates")
KINDS = {
    "vocoder": ("models", "vocoder/{}"),
    "feature": ("features", "{}"),
    "frontend": ("frontends", "{}"),
    "metric": ("metrics", "{}"),
    "embedding": ("embeddings", "{}"),
    "recognizer": ("recognizers", "{}"),
    "dataset": ("datasets", "{}"),
}
"""What can be scaffolded: entry-point group and name of each kind."""


def new_plugin(dist: str, kind: str, folder: Path) -> list[Path]:
    """Write the plugin ``dist`` (such as ``amphion-repeat``) with one component into ``folder``; returns the files.

    Raises AmphionError: a name that cannot be a distribution, a kind without template, a folder that is not empty.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", dist):
        raise AmphionError(
            f"{dist!r} cannot name a distribution", hint="use small letters, digits and hyphens: amphion-repeat"
        )
    if kind not in KINDS:
        raise AmphionError(f"there is no template for {kind!r}", hint=f"kinds are {', '.join(KINDS)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AmphionError(f"{folder} exists and is not empty", hint="choose another folder with --out")
    package = dist.replace("-", "_")
    ident = package.removeprefix("amphion_")
    class_name = "".join(word.capitalize() for word in ident.split("_"))
    group, name = KINDS[kind]
    major, minor, *_ = amphion_core.__version__.split(".")
    values = {
        "dist": dist, "package": package, "ident": ident, "class_name": class_name, "kind": kind, "group": group,
        "name": name.format(ident), "title": f"{class_name}: a {kind} for Amphion.", "core": f"{major}.{minor}",
        "core_next": f"{major}.{int(minor) + 1}",
    }  # fmt: skip
    files = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"src/{package}/__init__.py": "init.py",
        f"src/{package}/{ident}.py": f"{kind}.py",
        "tests/test_conformance.py": "test_conformance.py",
        ".github/workflows/tests.yml": "ci.yml",
    }
    written = []
    for place, template in files.items():
        text = Template((TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")).substitute(values)
        path = folder / place
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise AmphionError(f"{path} cannot be written: {error}", hint="choose another folder with --out") from error
        written.append(path)
    return written
