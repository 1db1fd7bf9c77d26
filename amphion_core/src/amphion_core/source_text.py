"""What a list shows of a component, read from its source as text: importing it could take seconds, or fail."""

import ast
from importlib.machinery import PathFinder
from pathlib import Path


def module_path(module: str) -> Path | None:
    """The file of a module, found without importing it or its package; None if there is none."""
    top, *rest = module.split(".")
    spec = PathFinder.find_spec(top)
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin else None
    for root in spec.submodule_search_locations or ():
        path = Path(root, *rest)
        for candidate in (path.with_name(path.name + ".py"), path / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


def summary(target: str, *, own: bool) -> str:
    """The first docstring line of a module; with ``own``, that of the class in ``module:class`` if it has one."""
    described = _class(target) if own else None
    if described and (text := ast.get_docstring(described)):
        return text.partition("\n")[0]
    path = module_path(target.partition(":")[0])
    if path is None:
        return ""
    with path.open(encoding="utf-8", errors="replace") as file:
        line = file.readline().strip()
    return line.strip('"').strip() if line.startswith('"""') else ""


def needed_packages(target: str) -> tuple[str, ...]:
    """``needs_packages`` of the class in ``module:class``: import names of the optional packages that it needs."""
    described = _class(target, containing="needs_packages")
    for statement in described.body if described else ():
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "needs_packages":
            return tuple(ast.literal_eval(statement.value))
    return ()


def _class(target: str, containing: str = "") -> ast.ClassDef | None:
    """The class statement behind ``module:class``, or None, also where the file lacks the word ``containing``."""
    module, _, name = target.partition(":")
    path = module_path(module)
    text = path.read_text(encoding="utf-8", errors="replace") if path else ""
    if containing not in text:
        return None
    try:
        body = ast.parse(text).body
    except SyntaxError:  # resolving the component says so
        return None
    return next((node for node in body if isinstance(node, ast.ClassDef) and node.name == name), None)
