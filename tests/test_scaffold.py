"""A new plugin is written, installed and tested as its author would do it, in a separate folder."""

import csv
import json
import os
import resource
import shutil
import subprocess
import sys

import pytest
from safetensors.torch import load_file

from amphion_core.errors import AmphionError
from amphion_core.scaffold import KINDS, new_plugin


def run(*words, cwd, paths=()):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return subprocess.run([sys.executable, *map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_new_plugin_installs_and_passes_its_own_tests(tmp_path, kind):
    folder = tmp_path / "plugin"
    files = new_plugin(f"amphion-fresh-{kind}", kind, folder)
    assert len(files) == 5 + len(KINDS[kind].files)
    site = tmp_path / "site"
    installed = run(
        "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", site, folder, cwd=tmp_path
    )
    assert installed.returncode == 0, installed.stderr
    tested = run("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=folder, paths=[site])
    assert tested.returncode == 0, tested.stdout + tested.stderr
    group, name, _ = KINDS[kind].entries[0]
    listed = run("-m", "amphion_core.cli.main", "list", group, cwd=tmp_path, paths=[site])
    assert f"\t{name.replace('$ident', f'fresh_{kind}')}\tamphion-fresh-{kind} 0.1.0\tok\t" in listed.stdout


@pytest.mark.parametrize("kind", [kind for kind in sorted(KINDS) if KINDS[kind].trains])
def test_the_recipe_of_a_new_plugin_trains(tmp_path, data_pack, kind):
    folder, site, corpus = tmp_path / "plugin", tmp_path / "site", tmp_path / "corpus"
    new_plugin("amphion-fresh", kind, folder)
    run("-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", site, folder, cwd=tmp_path)
    corpus.mkdir()
    with (data_pack / "kathleen_en/manifest.csv").open(encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: float(row["duration"]))[:6]
    for row in rows:
        path = data_pack / "kathleen_en" / row["path"]
        shutil.copy(path, corpus)
        (corpus / path.name).with_suffix(".txt").write_text(row["text"], encoding="utf-8")
    words = ["prepare", "folder", corpus, tmp_path / "prepared", "dev=0.2", "test=0"]
    prepared = run("-m", "amphion_core", *words, cwd=tmp_path, paths=[site])
    assert prepared.returncode == 0, prepared.stderr
    words = ["train", "fresh", f"data.root={tmp_path / 'prepared'}", "engine.device=cpu", "engine.log_every=1"]
    trained = run("-m", "amphion_core", *words, "engine.steps=8", "-o", tmp_path / "run", cwd=tmp_path, paths=[site])
    assert trained.returncode == 0, trained.stderr
    if kind == "trainer":  # the vocoder of this template has one number to learn
        weights = load_file(tmp_path / "run/weights/model.safetensors")
        assert weights["gain"] != 0.1 and 0 < weights["gain"] < 1
    else:
        lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
        losses = [line["model/mel"] for line in lines if "model/mel" in line]
        assert losses[-1] < 0.95 * losses[0]
        words = ["tts", "Good day.", "--model", tmp_path / "run", "--vocoder", "vocoder/griffin_lim", "-o", "out.wav"]
        spoken = run("-m", "amphion_core", *words, cwd=tmp_path, paths=[site])
        assert spoken.returncode == 0, spoken.stderr
        assert (tmp_path / "out.wav").stat().st_size > 1000


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
    info = run("-m", "amphion_core.cli.main", "info", "vocoder/broken", cwd=tmp_path, paths=[site])
    assert info.returncode == 2
    assert (
        "'vocoder/broken' is provided by amphion-broken 0.1.0 but amphion_broken.broken failed to import" in info.stderr
    )
    assert "hint: pip install no_such_package" in info.stderr


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("Bad Name", "vocoder", "cannot name a distribution"),
        ("amphion-x", "teapot", "no template for 'teapot'"),
        ("amphion-eval", "metric", "belongs to Amphion itself"),
        ("amphion-core", "metric", "belongs to Amphion itself"),
    ],
)
def test_what_cannot_be_scaffolded_says_why(tmp_path, name, kind, reason):
    with pytest.raises(AmphionError, match=reason):
        new_plugin(name, kind, tmp_path / "plugin")
    assert not (tmp_path / "plugin").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(AmphionError, match="not empty"):
        new_plugin("amphion-x", "vocoder", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_plugin_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "new").mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))  # bytes of a file, as on a full disk
    try:
        with pytest.raises(AmphionError, match="the disk is full"):
            new_plugin("amphion-fresh", "metric", tmp_path / "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not [*(tmp_path / "new").iterdir()]
    assert new_plugin("amphion-fresh", "metric", tmp_path / "new")
