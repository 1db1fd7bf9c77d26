"""Codes of a codec as a cached feature: lengths, codebooks, and what happens without weights."""

import sys
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import Field

import amphion_core as amphion
from amphion_core import registry, weights
from amphion_core.api import SPOKEN, BaseConfig, Codec, CodecPart, Codes, FeaturePart, open_codec
from amphion_core.data.extraction import complete_features
from amphion_core.data.feature_cache import FeatureCache
from amphion_core.data.manifest import Manifest
from amphion_core.errors import RecipeError, WeightsError


class Looking(Codec):
    """A codec that looks ahead: its codes depend on the whole wave that it gets."""

    class Config(BaseConfig):
        """The hop."""

        hop: int = Field(default=4, gt=0, le=100, description="samples")

    sample_rate, n_codebooks, codebook_size = 8000, 2, 50

    def __init__(self, config):
        super().__init__(config)
        self.hop_length = config.hop
        self.scale = torch.nn.Parameter(torch.rand(1) + 1)

    @classmethod
    def example_config(cls):
        return cls.Config()

    def example_inputs(self) -> dict[str, Any]:
        return {"wave": torch.zeros(1, 1, 8)}

    def forward(self, wave):
        return wave, {}

    def encode(self, wave, n_codebooks=None):
        frames = wave.unfold(2, self.hop_length, self.hop_length).mean(3)[:, 0]  # (B, N)
        level = (frames.abs() * self.scale * 40 + wave.shape[2] % 7).long().clamp(0, 49)
        return Codes(torch.stack([level, 49 - level])[: n_codebooks or 2])

    def latents(self, codes):
        return codes.indices.transpose(0, 1).float()

    def decode_latents(self, latents):
        return latents[:, :1].repeat_interleave(self.hop_length, 2) / 50


@pytest.fixture(autouse=True)
def codec_is_known(monkeypatch):
    monkeypatch.setitem(sys.modules, "codec_codes_example", sys.modules[__name__])
    ref = registry.ComponentRef(
        "models", "codec/looking", "codec_codes_example:Looking", "amphion-test", "0.1", ">=0.1,<0.2", SPOKEN[-1]
    )
    with registry.temporary(ref):
        yield
    open_codec.cache_clear()


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(1)
    return str(weights.save(Looking(Looking.Config()), tmp_path / "codec"))


def test_a_batch_has_the_codes_of_each_recording_alone(folder):
    extractor = FeaturePart.named("codec_codes", codec=folder).build()
    assert (extractor.sample_rate, extractor.frame_shift, extractor.dim) == (8000, 4 / 8000, 2)
    wave = torch.randn(2, 30, generator=torch.Generator().manual_seed(0)) * 0.3
    both = extractor.extract(wave, torch.tensor([30, 17]))
    assert both.dtype == torch.int16 and both.shape == (2, 2, extractor.frames(30)) == (2, 2, 8)
    padded = torch.cat([wave[1, :17], torch.zeros(3)])[None, None]
    assert torch.equal(both[1, :, :5].long(), open_codec(folder).encode(padded).indices[:, 0])
    assert not both[1, :, 5:].any()
    first = FeaturePart.named("codec_codes", codec=folder, n_codebooks=1).build().extract(wave)
    assert torch.equal(first, extractor.extract(wave)[:, :1])


def test_codes_are_cached_as_integers_under_the_weights_of_the_codec(folder, prepared, tmp_path):
    waves = {"a": np.linspace(-0.5, 0.5, 8000, dtype=np.float32), "b": np.ones(6001, np.float32) * 0.2}
    manifest = Manifest(prepared({"train": waves}, rate=8000), "train")
    cache = FeatureCache(manifest, FeaturePart.named("codec_codes", codec=folder))
    list(complete_features([cache], processes=1))
    assert cache.read(0).dtype == np.int16 and cache.read(1).shape == (2, 1501)
    torch.manual_seed(2)
    other = str(weights.save(Looking(Looking.Config()), tmp_path / "other"))
    assert FeatureCache(manifest, FeaturePart.named("codec_codes", codec=other)).missing()


def test_an_untrained_codec_is_always_the_same():
    source = CodecPart.named("codec/looking", hop=8)
    state = torch.get_rng_state()
    one = open_codec(source).fingerprint()
    open_codec.cache_clear()
    assert open_codec(source).fingerprint() == one and torch.equal(state, torch.get_rng_state())
    assert FeaturePart.named("codec_codes", codec={"name": "codec/looking", "hop": 8}).build().frame_shift == 0.001


def test_folded_weight_norms_leave_the_fingerprint_as_it_was():
    encodec = amphion.get("models", "codec/encodec")
    codec = encodec(encodec.example_config())
    stored = codec.fingerprint()
    assert codec.for_inference().fingerprint() == stored
    assert encodec(encodec.example_config()).fingerprint() != stored


def test_a_codec_of_another_fingerprint_is_refused_with_the_next_command():
    source = CodecPart.named("codec/looking")
    own = open_codec(source).fingerprint()
    assert open_codec(source, "cpu", own) is open_codec(source, "cpu")
    with pytest.raises(WeightsError, match="codec/looking has other weights") as raised:
        open_codec(source, "cpu", "00000000")
    assert "amphion train RECIPE model.codec=codec/looking" in raised.value.hint


@pytest.mark.parametrize(("place", "message"), [
    ("codec/looking", "cannot be opened"), ("no/such/folder", "no folder"), ("vocoder/griffin_lim", "cannot be opened"),
])  # fmt: skip
def test_a_codec_without_weights_is_an_error_that_names_it(place, message):
    with pytest.raises(WeightsError, match=message):
        FeaturePart.named("codec_codes", codec=place).build().extract(torch.zeros(1, 8))


@pytest.mark.parametrize("place", ["codecs", "runs/small", "no/such/folder", "/no/such/folder"])
def test_a_codec_whose_folder_was_moved_is_missed_by_its_whole_path(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError) as raised:
        open_codec(place)
    assert f"no folder {tmp_path / place}" in raised.value.message  # an absolute place stays as it is
    assert f"ln -s PLACE {place}" in raised.value.hint


def test_the_error_of_a_damaged_codec_is_kept(tmp_path):
    place = weights.save(Looking(Looking.Config()), tmp_path / "codec")
    (place / "model.safetensors").write_bytes(b"x")
    with pytest.raises(WeightsError) as raised:
        open_codec(str(place))
    assert "missing" not in raised.value.message and "model.safetensors" in raised.value.message


def test_more_codebooks_than_the_codec_has_are_refused(folder):
    with pytest.raises(RecipeError, match="the codec has 2"):
        _ = FeaturePart.named("codec_codes", codec=folder, n_codebooks=3).build().dim
