"""What resolving a component imports in a new process: the fork of a warm one and a cold one say the same."""

import os
import sys

import pytest

from amphion_core.registry import refs
from amphion_core.testing import fresh_imports
from amphion_core.testing.base import CheckFailed
from amphion_core.testing.checks import check_resolves_to_one_module

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def ours(modules):
    return {name for name in modules if name.partition(".")[0] == "amphion_core"}


@needs_fork
def test_a_fork_of_a_warm_process_imports_what_a_cold_process_imports():
    error, forked = fresh_imports.modules_of("features", "mel")
    cold_error, cold = fresh_imports._alone("features", "mel")
    assert error == cold_error == ""
    assert ours(forked) == ours(cold) and "amphion_core.features.mel" in forked
    assert "amphion_core.testing.checks" not in forked and "amphion_core.testing.checks" in sys.modules
    error, after = fresh_imports.modules_of("datasets", "folder")
    assert not error and "amphion_core.features.mel" not in after  # what one fork imports, the next one has not


@pytest.mark.parametrize("cold", [False, pytest.param(True, id="without fork")])
def test_a_name_that_cannot_be_resolved_is_an_error_and_ends_nothing(cold, monkeypatch):
    if cold:
        monkeypatch.delattr(os, "fork", raising=False)
    error, _ = fresh_imports.modules_of("features", "no_such_feature")
    assert "no_such_feature" in error
    assert fresh_imports.modules_of("datasets", "folder")[0] == ""


def test_a_component_that_imports_another_one_fails_the_check(monkeypatch):
    (mel,) = (ref for ref in refs("features") if ref.name == "mel")
    (other,) = (ref for ref in refs("features") if ref.name == "energy")
    module = other.target.partition(":")[0]
    monkeypatch.setattr("amphion_core.testing.checks.modules_of", lambda *_: ("", {module, "torch"}))
    with pytest.raises(CheckFailed, match=f"resolving mel also imports .'{module}'"):
        check_resolves_to_one_module(mel)
