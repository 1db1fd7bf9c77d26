"""Speaker vectors, several content features at the mel's frames, and classes of F0."""

from importlib.machinery import PathFinder

import numpy as np
import pytest
import torch

from amphion_core.api import Audio, FeaturePart, MelConfig
from amphion_core.errors import AudioError
from amphion_core.registry import get
from amphion_svc.features.mel_frames import at_mel_frames
from amphion_svc.features.melody import coarse_f0

MEL = MelConfig.preset("amphion_24k_100")


def test_a_speaker_vector_is_the_embeddings_with_unit_length():
    if PathFinder.find_spec("resemblyzer") is None:
        pytest.skip("the weights are not installed: pip install --no-deps resemblyzer==0.1.4")
    part = FeaturePart.named("speaker_embedding").build()
    wave = torch.randn(2, 48000, generator=torch.Generator().manual_seed(0)) * 0.1
    found = part.extract(wave, torch.tensor([48000, 30000]))
    embedding = get("embeddings", "resemblyzer")
    vectors = embedding(embedding.Config()).embed(Audio(wave[1, :30000].numpy(), 16000)).vectors
    expected = vectors.mean(0) / np.linalg.norm(vectors.mean(0))
    assert found.shape == (2, 256) and part.frame_shift is None
    np.testing.assert_allclose(found[1].numpy(), expected, atol=1e-6)
    assert not part.extract(torch.zeros(1, 16000)).any()


def test_features_of_different_rates_are_aligned_at_the_mels_centres():
    seconds, rate = 2.0, 16000
    extractors = {
        "contentvec": FeaturePart.named("contentvec").build(),
        "whisper": FeaturePart.named("whisper_encoder").build(),
        "loudness": FeaturePart.named("loudness", mel=MEL).build(),
    }
    count = MEL.frames(int(seconds * MEL.sample_rate))
    clock = {}  # a feature whose value is the time of the centre of its frame
    for name, extractor in extractors.items():
        frames = count if name == "loudness" else extractor.frames(int(seconds * rate))
        clock[name] = (extractor.first_centre + torch.arange(frames) * extractor.frame_shift)[None, None]
    found = at_mel_frames(clock, extractors, MEL, count)
    times = MEL.first_centre + torch.arange(count) * MEL.hop_length / MEL.sample_rate
    for name in extractors:  # the first and the last frames hold the value of the nearest centre
        torch.testing.assert_close(found[name][0, 0, 2:-3], times[2:-3], atol=1e-5, rtol=0)


def test_a_feature_of_another_recording_is_refused():
    extractors = {"whisper": FeaturePart.named("whisper_encoder").build()}
    with pytest.raises(AudioError, match="whisper has 100 frames of 20 ms, which are 188 frames of the mel"):
        at_mel_frames({"whisper": torch.zeros(1, 4, 100)}, extractors, MEL, 300)


def test_classes_of_f0_are_those_of_the_published_models(golden):
    case = golden("svc")
    given, expected = case["inputs"]["f0"], case["outputs"]["f0_coarse"]
    assert torch.equal(coarse_f0(given), expected.long().reshape(given.shape))
