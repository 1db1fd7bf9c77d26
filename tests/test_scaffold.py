"""A new plugin is written, installed and tested as its author would, in a folder of its own."""

import os
import subprocess
import sys

import pytest

from amphion_core.errors import AmphionError
from amphion_core.scaffold import KINDS, new_plugin


def run(*words, cwd, paths=()):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return subprocess.run([sys.executable, *map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_new_plugin_installs_and_passes_its_own_tests(tmp_path, kind):
    folder = tmp_path / "plugin"
    files = new_plugin(f"amphion-fresh-{kind}", kind, folder)
    assert len(files) == 6
    site = tmp_path / "site"
    installed = run(
        "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", site, folder, cwd=tmp_path
    )
    assert installed.returncode == 0, installed.stderr
    tested = run("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=folder, paths=[site])
    assert tested.returncode == 0, tested.stdout + tested.stderr
    listed = run("-m", "amphion_core.cli.main", "list", KINDS[kind][0], cwd=tmp_path, paths=[site])
    assert f"\t{KINDS[kind][1].format(f'fresh_{kind}')}\tamphion-fresh-{kind} 0.1.0\tok\t" in listed.stdout


def test_a_broken_plugin_fails_its_checks_and_hurts_nobody_else(tmp_path):
    folder, site = tmp_path / "plugin", tmp_path / "site"
    new_plugin("amphion-broken", "vocoder", folder)
    module = folder / "src/amphion_broken/broken.py"
    module.write_text("import no_such_package\n", encoding="utf-8")
    run("-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", site, folder, cwd=tmp_path)
    checked = run("-m", "amphion_core.cli.main", "plugin", "check", "amphion-broken", cwd=tmp_path, paths=[site])
    assert checked.returncode == 1
    assert "No module named 'no_such_package'" in checked.stdout
    listed = run("-m", "amphion_core.cli.main", "list", "models", cwd=tmp_path, paths=[site])
    assert listed.returncode == 0 and "vocoder/broken" in listed.stdout and "vocoder/hifigan" in listed.stdout
    asked = run("-m", "amphion_core.cli.main", "info", "vocoder/broken", cwd=tmp_path, paths=[site])
    assert asked.returncode == 2
    assert (
        "'vocoder/broken' is provided by amphion-broken 0.1.0 but amphion_broken.broken failed to import"
        in asked.stderr
    )
    assert "hint: pip install no_such_package" in asked.stderr


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [("Bad Name", "vocoder", "cannot name a distribution"), ("amphion-x", "teapot", "no template for 'teapot'")],
)
def test_what_cannot_be_scaffolded_is_told(tmp_path, name, kind, told):
    with pytest.raises(AmphionError, match=told):
        new_plugin(name, kind, tmp_path / "plugin")
    assert not (tmp_path / "plugin").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(AmphionError, match="not empty"):
        new_plugin("amphion-x", "vocoder", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
