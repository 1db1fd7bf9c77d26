"""The cache of converted weights: the same bits, made again when anything has changed, and never in the way."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import amphion_core as amphion
from amphion_core import cards, loading, weights_cache
from amphion_core.api import Card, CardFile
from amphion_core.errors import WeightsError
from amphion_core.weights_cache import VARIABLE

NAME = "vocoder/hifigan@theirs"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The cache in an empty folder; files count as settled at once."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(weights_cache, "SETTLED", -1.0)
    return tmp_path / "cache"


@pytest.fixture
def card(golden, tmp_path, monkeypatch):
    """A card of a published checkpoint with its digest."""
    case = golden("hifigan_small_rb1")
    torch.save({"generator": case["state_dict"]}, tmp_path / "g.pt")
    (tmp_path / "config.json").write_text(json.dumps(case["config"]))
    digest = weights_cache._sha256(tmp_path / "g.pt")
    made = Card(
        name=NAME, title="t", source=str(tmp_path / "g.pt"), layout="jik876", sha256=digest,
        files={"config": CardFile("config.json")},
    )  # fmt: skip
    monkeypatch.setattr(cards, "cards", lambda pattern="": iter([made] if NAME.startswith(pattern) else []))
    return made


@pytest.fixture
def conversions(monkeypatch):
    """A list that grows with every conversion."""
    found = []
    convert = loading.read_published

    def counted(*args, **kwargs):
        found.append(args)
        return convert(*args, **kwargs)

    monkeypatch.setattr(loading, "read_published", counted)
    return found


def tensors():
    return dict(amphion.load(NAME).state_dict())


def same(state, other):
    torch.testing.assert_close(state, other, atol=0, rtol=0)


def test_the_second_load_reads_the_cache_and_gives_the_same_bits(card, cache, conversions, monkeypatch):
    monkeypatch.setenv(VARIABLE, "off")
    plain = tensors()
    assert not cache.exists()
    monkeypatch.setenv(VARIABLE, str(cache))
    same(tensors(), plain)
    assert len(conversions) == 2
    same(tensors(), plain)
    assert len(conversions) == 2
    assert loading.open_weights(NAME).origin == NAME


def cut(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def flip(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    with path.open("r+b") as file:
        file.write(content)


def other_number(path):
    path.write_bytes(path.read_bytes().replace(b"22050", b"22051"))


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
@pytest.mark.parametrize("damage", [cut, flip, Path.unlink, other_number, lambda path: path.write_bytes(b"[]")])
def test_a_damaged_entry_is_made_again(card, cache, conversions, suffix, damage):
    plain = tensors()
    (entry,) = (cache / "weights").glob(f"*{suffix}")
    damage(entry)
    same(tensors(), plain)
    same(tensors(), plain)
    assert len(conversions) <= 2


def test_other_sources_and_other_code_have_other_entries(card, cache, conversions, monkeypatch, tmp_path):
    tensors()
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "note": "changed"}))
    tensors()
    assert len(conversions) == 2
    monkeypatch.setattr(weights_cache, "_code", lambda _: ["changed"])
    tensors()
    assert len(conversions) == 3
    tensors()
    assert len(conversions) == 3


def test_a_changed_source_is_noticed(card, cache):
    tensors()
    flip(Path(card.source))
    with pytest.raises(WeightsError, match="is not the file of"):
        tensors()


def test_a_source_with_its_old_times_is_noticed(card, cache):
    tensors()
    source = Path(card.source)
    times = source.stat()
    flip(source)
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(WeightsError, match="is not the file of"):
        tensors()


def test_a_digest_is_computed_once_and_not_noted_for_a_file_that_may_still_change(cache, monkeypatch, tmp_path):
    path, reads = tmp_path / "file", []
    path.write_bytes(b"content")
    compute = weights_cache._sha256
    monkeypatch.setattr(weights_cache, "_sha256", lambda path: reads.append(path) or compute(path))
    assert weights_cache.sha256(path) == weights_cache.sha256(path) == compute(path)
    assert len(reads) == 1
    path.write_bytes(b"changed")
    monkeypatch.setattr(weights_cache, "SETTLED", 1000.0)
    assert weights_cache.sha256(path) == weights_cache.sha256(path) == compute(path)
    assert len(reads) == 3


def test_a_folder_that_cannot_be_written_costs_only_time(card, tmp_path, monkeypatch, conversions):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / "below"))
    same(tensors(), tensors())
    assert len(conversions) == 2


def test_a_full_disk_leaves_nothing(card, cache, monkeypatch):
    def full(path, _):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(weights_cache, "write_safetensors", full)
    tensors()
    assert not list((cache / "weights").iterdir())


def test_weights_that_were_not_used_for_longest_are_deleted(card, cache, monkeypatch):
    weights = loading.open_weights(NAME)
    (first,) = (cache / "weights").glob("*.safetensors")
    monkeypatch.setattr(weights_cache, "MOST_BYTES", int(2.5 * first.stat().st_size))
    for number, name in enumerate("abc"):
        weights_cache._write(first.with_name(f"{name}.safetensors"), weights)
        os.utime(first.with_name(f"{name}.json"), (10 + number, 10 + number))
    os.utime(first.with_suffix(".json"))
    weights_cache._write(first.with_name("d.safetensors"), weights)
    assert sorted(path.stem for path in (cache / "weights").glob("*.safetensors")) == sorted([first.stem, "d"])
    monkeypatch.setattr(weights_cache, "MOST_BYTES", first.stat().st_size)
    weights_cache._write(first.with_name("e.safetensors"), replace(weights))
    assert not first.with_name("e.safetensors").exists()


def test_the_place_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, "off")
    assert weights_cache.folder() is None
    assert weights_cache.described() == "off (AMPHION_CACHE)"
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights_cache.folder() == tmp_path / "amphion"
    assert weights_cache.described() == f"{tmp_path / 'amphion'}, 0 MB"
