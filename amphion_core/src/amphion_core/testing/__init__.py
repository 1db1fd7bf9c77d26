"""The conformance kit: the checks that each component of a plugin must pass. For pytest and ``amphion plugin check``.

In a plugin's ``pyproject.toml``::

    [tool.pytest.ini_options]
    addopts = "-p amphion_core.testing --amphion-dist amphion-repeat"
    amphion_expected_failures = ["vocoder/repeat-check_gradient: it has no parameters"]

and in one test file::

    def test_component(amphion_check):
        check, ref = amphion_check
        check(ref)

A check is a function of a ComponentRef that raises CheckFailed. An expected failure needs a reason; when the check
passes after all, that is an error.
"""

from typing import TYPE_CHECKING, Any

from amphion_core.testing.base import CheckFailed
from amphion_core.testing.checks import checks_of

if TYPE_CHECKING:
    import pytest

__all__ = ["CheckFailed", "checks_of"]


def pytest_addoption(parser: "pytest.Parser") -> None:
    """Add ``--amphion-dist`` and the ini list ``amphion_expected_failures``."""
    parser.addoption(
        "--amphion-dist", action="append", default=[], help="check the components of this distribution (repeatable)"
    )
    parser.addini("amphion_expected_failures", "lines of 'NAME-CHECK: reason'", type="linelist", default=[])


def pytest_generate_tests(metafunc: "pytest.Metafunc") -> None:
    """Make one test for each check of each component, for test functions with the argument ``amphion_check``."""
    if "amphion_check" not in metafunc.fixturenames:
        return
    import pytest

    config = metafunc.config
    lines = (line.partition(":") for line in config.getini("amphion_expected_failures"))
    expected = {name.strip(): reason.strip() for name, _, reason in lines}
    rows: list[Any] = []
    for dist in config.getoption("--amphion-dist"):
        for check, ref in checks_of(dist):
            name = f"{ref.name}-{check.__name__}"
            marks = (
                [pytest.mark.xfail(reason=expected.pop(name), raises=CheckFailed, strict=True)]
                if name in expected
                else []
            )
            rows.append(pytest.param((check, ref), id=name, marks=marks))
    if expected:
        raise pytest.UsageError(f"amphion_expected_failures names no check: {', '.join(expected)}")
    if not rows:
        raise pytest.UsageError("name the distribution to check: --amphion-dist NAME")
    metafunc.parametrize("amphion_check", rows)
