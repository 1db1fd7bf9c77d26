"""Writes a new plugin from templates. It passes the conformance kit without changes."""

import keyword
import re
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from string import Template

import amphion_core
from amphion_core import registry, source_text
from amphion_core.errors import AmphionError
from amphion_core.files import not_written

TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True, slots=True)
class Scaffold:
    """One kind of plugin: its entry points, and its files in the package, each with its template.

    ``entries`` are (group, name, module:class), of which the first is the component that the plugin is about.
    ``trains`` is True where the plugin needs the packages for training. ``$ident``, ``$model`` and others stand for
    values of the plugin.
    """

    entries: tuple[tuple[str, str, str], ...]
    files: tuple[tuple[str, str], ...]
    trains: bool = False


def _single(kind: str, group: str, name: str = "$ident") -> Scaffold:
    return Scaffold(((group, name, "$ident:$class_name"),), (("$ident.py", f"{kind}.py"),))


_RECIPES = ("recipes", "$dist", "recipes")

KINDS = {
    "vocoder": _single("vocoder", "models", "vocoder/$ident"),
    "codec": _single("codec", "models", "codec/$ident"),
    "tts": Scaffold(
        (
            ("models", "tts/$ident", "$ident:$class_name"),
            ("trainers", "$ident", "trainer:${class_name}Trainer"),
            ("frontends", "$ident", "letters:${class_name}"),
            _RECIPES,
        ),
        (
            ("$ident.py", "tts.py"), ("trainer.py", "tts_trainer.py"), ("letters.py", "frontend.py"),
            ("recipes/__init__.py", "recipes_init.py"), ("recipes/$ident.yaml", "tts.yaml"),
        ),
        trains=True,
    ),
    "trainer": Scaffold(
        (
            ("trainers", "$ident", "$ident:$class_name"),
            ("models", "vocoder/$ident", "model:$class_name"),
            _RECIPES,
        ),
        (
            ("$ident.py", "trainer.py"), ("model.py", "vocoder.py"),
            ("recipes/__init__.py", "recipes_init.py"), ("recipes/$ident.yaml", "trainer.yaml"),
        ),
        trains=True,
    ),
    "feature": _single("feature", "features"),
    "frontend": _single("frontend", "frontends"),
    "metric": _single("metric", "metrics"),
    "embedding": _single("embedding", "embeddings"),
    "recognizer": _single("recognizer", "recognizers"),
    "dataset": _single("dataset", "datasets"),
}  # fmt: skip
"""What ``amphion plugin new --kind`` can write."""


def new_plugin(dist: str, kind: str, folder: Path) -> list[Path]:
    """Write the plugin ``dist`` (such as ``amphion-repeat``) into ``folder``; returns the files.

    Raises AmphionError: a name that cannot be a distribution, a kind without template, a folder that is not empty.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", dist):
        raise AmphionError(
            f"{dist!r} cannot name a distribution", hint="use small letters, digits and hyphens: amphion-repeat"
        )
    if kind not in KINDS:
        raise AmphionError(f"there is no template for {kind!r}", hint=f"kinds are {', '.join(KINDS)}")
    if reason := _cannot_work(dist, kind):
        raise AmphionError(
            f"{dist!r} cannot name a plugin: {reason}", hint=f"amphion plugin new my-{kind} --kind {kind}"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AmphionError(f"{folder} exists and is not empty", hint="choose another folder with --out")
    values = _values(dist, kind)
    files = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        "src/$package/__init__.py": "init.py",
        **{f"src/$package/{path}": template for path, template in KINDS[kind].files},
        "tests/test_conformance.py": "test_conformance.py",
        ".github/workflows/tests.yml": "ci.yml",
    }
    texts = {
        folder / Template(name).substitute(values): Template(
            (TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")
        ).substitute(values)
        for name, template in files.items()
    }
    _write(folder, texts)
    return [*texts]


def _write(folder: Path, texts: Mapping[Path, str]) -> None:
    """Write all files of the new ``folder``, or none: with half of them there, the next try would be refused."""
    existed = folder.exists()
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            for name in {made.relative_to(folder).parts[0] for made in texts}:
                shutil.rmtree(folder / name, ignore_errors=True)
                with suppress(OSError):
                    (folder / name).unlink(missing_ok=True)
            if not existed:
                shutil.rmtree(folder, ignore_errors=True)
            raise not_written(error, path) from error


def clashes(dist: str, kind: str) -> list[str]:
    """A sentence for each registry name of the new plugin that an installed distribution has already."""
    values = _values(dist, kind)
    found = []
    for group, name, _ in KINDS[kind].entries:
        wanted = Template(name).substitute(values)
        if group in registry.BASES:
            others = sorted({ref.dist for ref in registry.refs(group) if ref.name == wanted} - {dist})
            found += [f"{other} has a {group[:-1]} named {wanted!r} too; who has both must choose" for other in others]
    return found


def _cannot_work(dist: str, kind: str) -> str:
    """Why a plugin of that name could not be imported; empty where it can."""
    values = _values(dist, kind)
    package, ident = values["package"], values["ident"]
    files = [Template(path).substitute(values) for path, _ in KINDS[kind].files]
    if keyword.iskeyword(ident) or keyword.iskeyword(package):
        return f"{ident!r} is a word of the Python language"
    if not ident.isidentifier():
        return f"{ident!r} cannot name a Python module"
    if package in sys.stdlib_module_names:
        return f"Python has a module {package!r}"
    if package in {name.replace("-", "_") for name in ("amphion-core", *registry.PROVIDERS.values())}:
        return f"{dist} belongs to Amphion itself"
    ours = any(ref.dist == dist for ref in registry.refs("api"))  # an installed plugin, written anew
    if source_text.module_path(package) and not ours:
        return f"a package {package!r} is installed already"
    if len(set(files)) < len(files) or f"{ident}/__init__.py" in files:
        return f"the template has a file {ident}.py already"
    return ""


def _values(dist: str, kind: str) -> dict[str, str]:
    """What stands for the variables of the templates."""
    package = dist.replace("-", "_")
    ident = package.removeprefix("amphion_")
    class_name = "".join(word.capitalize() for word in ident.split("_"))
    values = {"dist": dist, "package": package, "ident": ident, "class_name": class_name, "kind": kind}
    entries = [tuple(Template(part).substitute(values) for part in entry) for entry in KINDS[kind].entries]
    tables = [f'[project.entry-points."amphion.{group}"]\n"{name}" = "{package}.{at}"' for group, name, at in entries]
    major, minor, *_ = amphion_core.__version__.split(".")
    return values | {
        "name": entries[0][1], "model": next((name for group, name, _ in entries if group == "models"), ""),
        "title": f"{class_name}: a {kind} for Amphion.", "entry_points": "\n\n".join(tables),
        "core": f"{major}.{minor}", "core_next": f"{major}.{int(minor) + 1}",
        "extra": "[train]" if KINDS[kind].trains else "",
    }  # fmt: skip
