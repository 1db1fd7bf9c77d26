"""All checks of a distribution, and those that every component and the distribution itself must pass."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from amphion_core import registry, source_text
from amphion_core.errors import AmphionError, RecipeError
from amphion_core.registry import SPOKEN, ComponentRef
from amphion_core.testing.base import Check, CheckFailed, example_config, require
from amphion_core.testing.fresh_imports import modules_of


def checks_of(dist: str) -> Iterator[tuple[Check, ComponentRef]]:
    """Every (check, reference) of a distribution. Raises AmphionError when it is not installed or offers nothing."""
    from amphion_core.testing import family_checks, kind_checks, network_checks, run_checks, trainer_checks

    name = dist.lower().replace("_", "-")
    try:
        version = distribution(name).version
    except PackageNotFoundError as error:
        raise AmphionError(f"no distribution {dist!r} is installed", hint=f"pip install -e {dist}") from error
    mine = [ref for kind in (*registry.BASES, "commands", "recipes") for ref in registry.refs(kind) if ref.dist == name]
    if not mine:
        raise AmphionError(
            f"{dist} {version} offers no component", hint="its pyproject.toml needs entry points amphion.*"
        )
    whole = ComponentRef("dist", name, mine[0].target, name, version, mine[0].requires_core, mine[0].api)
    for check in DIST:
        yield check, whole
    for ref in mine:
        for check in {"commands": COMMAND, "recipes": ()}.get(ref.kind, EVERY):
            yield check, ref
        for module in (network_checks, family_checks, kind_checks, trainer_checks, run_checks):
            for check in module.checks_for(ref):
                yield check, ref


def check_bounds_on_core(ref: ComponentRef) -> None:
    """The distribution states the versions of the core that it works with, with an upper bound."""
    if ref.dist == "amphion-core":
        return
    require(ref.requires_core, "dependencies lack amphion-core")
    require("<" in ref.requires_core, f"amphion-core{ref.requires_core} has no upper bound, such as <0.2")


def check_interface_marker(ref: ComponentRef) -> None:
    """``amphion.api`` names an interface that this core speaks."""
    require(set(ref.api.split(",")) & set(SPOKEN), f"the marker amphion.api is {ref.api!r}; this core speaks {SPOKEN}")


def check_aliases(ref: ComponentRef) -> None:
    """Every alias points to an entry that exists, and no two entries share a target."""
    entries = [other for kind in registry.BASES for other in registry.refs(kind) if other.dist == ref.dist]
    targets = [(other.kind, other.target) for other in entries]
    double = {target for target in targets if targets.count(target) > 1}
    require(not double, f"two names for one target: {double}; declare one of them in amphion.aliases")
    for alias in registry.refs("aliases"):
        if alias.dist == ref.dist:
            known = any(target == alias.target for _, target in targets)
            require(known, f"the alias {alias.name!r} points to {alias.target}, which has no other name")


def check_installed_as_declared(ref: ComponentRef) -> None:
    """The installed entry points agree with the ``pyproject.toml`` of an editable install."""
    import tomllib

    direct = distribution(ref.dist).read_text("direct_url.json")
    address = json.loads(direct).get("url", "") if direct else ""
    path = Path(address.removeprefix("file://"), "pyproject.toml")
    if not address.startswith("file://") or not path.is_file():
        return
    declared = tomllib.loads(path.read_text(encoding="utf-8"))["project"].get("entry-points", {})
    groups = {group: entries for group, entries in declared.items() if group.startswith("amphion.")}
    found: dict[str, dict[str, str]] = {}
    for entry in distribution(ref.dist).entry_points:
        if entry.group.startswith("amphion."):
            found.setdefault(entry.group, {})[entry.name] = entry.value
    require(found == groups, f"the entry points changed since it was installed: pip install -e {path.parent}")


def check_cards(ref: ComponentRef) -> None:
    """Cards read without error, their configs are valid, and weights have a checksum and licences."""
    mine = [other for other in registry.refs("pretrained") if other.dist == ref.dist]
    for card in [card for other in mine for card in other.load()]:
        base, _, tag = card.name.partition("@")
        require(registry.NAME.fullmatch(card.name) and tag, f"{card.name!r} is not family/ident@tag")
        component = registry.get("models", base)
        if not card.layout:
            component.Config.model_validate(card.config)
        if card.source is not None:
            for name in ("sha256", "licence", "data_licence"):
                require(getattr(card, name), f"{card.name} has weights, and no {name}")
            require(not card.layout or card.layout in component.layouts, f"{card.name}: unknown layout {card.layout}")


def check_imports_are_light(ref: ComponentRef) -> None:
    """The package, its cards and its commands load no torch."""
    mine = [other for kind in ("pretrained", "commands") for other in registry.refs(kind) if other.dist == ref.dist]
    modules = {ref.target.partition(":")[0].partition(".")[0], *(other.target.partition(":")[0] for other in mine)}
    heavy = "torch", "transformers", "librosa"
    done = _run(f"import importlib; [importlib.import_module(m) for m in {sorted(modules)}]", heavy)
    require(done.returncode == 0, f"importing {sorted(modules)} fails: {done.stderr.strip().splitlines()[-1:]}")
    require(done.stdout.strip() == "[]", f"importing {sorted(modules)} loads {done.stdout.strip()}")


def check_no_unsafe_calls(ref: ComponentRef) -> None:
    """No pickle, eval or exec in the package, and no torch.load without ``weights_only=True``."""
    top = source_text.module_path(ref.target.partition(":")[0].partition(".")[0])
    for path in sorted(top.parent.rglob("*.py")) if top else ():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if found := _unsafe(node):
                raise CheckFailed(f"{path.name} line {getattr(node, 'lineno', '?')}: {found}")


def _unsafe(node: ast.AST) -> str:
    if isinstance(node, ast.Import) and any(name.name in ("pickle", "dill", "joblib") for name in node.names):
        return f"imports {node.names[0].name}"
    if isinstance(node, ast.ImportFrom) and node.module in ("pickle", "dill", "joblib"):
        return f"imports from {node.module}"
    if not isinstance(node, ast.Call):
        return ""
    called = ast.unparse(node.func)
    if called in ("eval", "exec"):
        return f"calls {called}"
    safe = any(word.arg == "weights_only" and getattr(word.value, "value", None) is True for word in node.keywords)
    return "torch.load without weights_only=True" if called == "torch.load" and not safe else ""


def check_name(ref: ComponentRef) -> None:
    """The name is ``family/ident`` for models, and ``ident`` for all else."""
    match = registry.NAME.fullmatch(ref.name)
    require(match and not match["tag"], f"{ref.name!r} is not a component name")
    require(
        bool(match and match["family"]) == (ref.kind == "models"),
        f"{ref.kind} are called {'family/' * (ref.kind == 'models')}ident",
    )


def check_resolves_to_one_module(ref: ComponentRef) -> None:
    """Resolving the name works, and imports no module of another component of the distribution."""
    ref.load()
    module = ref.target.partition(":")[0]
    others = {
        other.target.partition(":")[0]
        for kind in registry.BASES
        for other in registry.refs(kind)
        if other.dist == ref.dist
    }
    error, imported = modules_of(ref.kind, ref.name)
    require(not error, f"resolving fails in a new process: {error}")
    extra = [name for name in sorted((others - {module}) & imported) if not _is_base(ref, name)]
    require(not extra, f"resolving {ref.name} also imports {extra}")


def _run(code: str, modules: Iterable[str]) -> subprocess.CompletedProcess[str]:
    """Run code in a new process, which then prints the names in ``modules`` that it has imported."""
    code = f"import sys; {code}; print([m for m in {list(modules)} if m in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def _is_base(ref: ComponentRef, module: str) -> bool:
    """Whether the component is a subclass of a class in that module, and so needs it."""
    return any(base.__module__ == module for base in ref.load().__mro__)


def check_first_line(ref: ComponentRef) -> None:
    """The module begins with a docstring whose first line a list can show."""
    require(ref.summary, f"{ref.target.partition(':')[0]} does not begin with a docstring on line 1")


def check_config(ref: ComponentRef) -> None:
    """Config is nested, frozen, described, refuses unknown keys by name, and survives JSON."""
    from amphion_core.config import validate

    config = ref.load().Config
    bare = [name for name, field in config.model_fields.items() if not field.description]
    require(not bare, f"Config fields without a description: {bare}")
    require(config.model_config.get("frozen"), "Config is not frozen")
    example = example_config(ref)
    name = next(iter(config.model_fields), None)
    if name:
        try:
            validate(config, {**example.model_dump(mode="json"), name + "x": 1})
        except RecipeError as error:
            require(name in error.message, f"the error for the unknown key {name}x does not name {name}")
        else:
            raise CheckFailed(f"Config accepts the unknown key {name}x")
    again = config.model_validate(json.loads(example.model_dump_json()))
    require(again == example, "Config changes when written as JSON and read again")


def check_command(ref: ComponentRef) -> None:
    """The subcommand configures a parser, sets ``run``, and describes every argument."""
    import argparse

    parser = argparse.ArgumentParser()
    ref.load()(parser)
    require(callable(parser.get_default("run")), "configure(parser) does not set run")
    silent = [action.dest for action in parser._actions if action.help is None]
    require(not silent, f"arguments without help: {silent}")


DIST: tuple[Check, ...] = (
    check_bounds_on_core, check_interface_marker, check_aliases, check_installed_as_declared, check_cards,
    check_imports_are_light, check_no_unsafe_calls,
)  # fmt: skip
EVERY: tuple[Check, ...] = (check_name, check_first_line, check_resolves_to_one_module, check_config)
COMMAND: tuple[Check, ...] = (check_first_line, check_command)
