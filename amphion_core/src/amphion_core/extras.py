"""The pip command that installs the optional packages of an installed distribution: its extras, read from metadata."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, metadata


def pip_command(dist: str, packages: Sequence[str]) -> str:
    """Installs ``packages`` through an extra of ``dist`` that has all of them; else by their own names.

    Several such extras are joined by "or".

    >>> pip_command("amphion-core", ["pyworld"])
    'pip install "amphion-core[f0]"'
    """
    from packaging.utils import canonicalize_name

    wanted = {canonicalize_name(name) for name in packages}
    fitting = [f'"{dist}[{extra}]"' for extra, names in _extras(dist).items() if wanted <= names]
    return f"pip install {' or '.join(fitting) or ' '.join(packages)}"


def _extras(dist: str) -> dict[str, set[str]]:
    """The packages of each extra of ``dist``; none for a distribution that is not installed.

    A requirement such as ``amphion-core[praat]`` has the packages of that extra.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    try:
        about = metadata(dist)
    except PackageNotFoundError:
        return {}
    found: dict[str, set[str]] = {extra: set() for extra in about.get_all("Provides-Extra") or ()}
    for requirement in map(Requirement, about.get_all("Requires-Dist") or ()):
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}):
            continue
        names: set[str] = {canonicalize_name(requirement.name)}
        for extra in requirement.extras:
            names |= _extras(requirement.name).get(extra, set())
        for extra, known in found.items():
            if marker.evaluate({"extra": extra}):
                known |= names
    return found
