"""RawNet3 compared with the published network with the same weights: its values, segments and file."""

import math
import zlib

import numpy as np
import pytest
import torch

from amphion_core.api import Audio
from amphion_core.errors import DataError, WeightsError
from amphion_eval.embeddings.rawnet3 import Network, RawNet3, segments

# Origin of the numbers: evaluation/metrics/similarity/models/RawNetModel.py (53ff2fb) and RawNetBasicBlock.py (9682d0c)
# of open-mmlab/Amphion on asteroid-filterbanks 0.4.0, torch 2.13, CPU, float64, with `filled` and `recording` below;
# averages over segments as in python/RawNet3/inference.py (ac87f9f) of Jungjee/RawNet.
# VECTORS has the first eight components and the norm, FEATURES some of the logarithms that the first block hears.
VECTORS = {  # of so many samples
    48000: ([-0.459654503, 1.365319553, -0.100906134, 1.287404424, -0.508693095, 1.300942075, 1.546792252, 1.023131721],
            21.616430711),
    20000: ([-0.470980719, 1.364689822, -0.094430873, 1.278456521, -0.490199313, 1.289793542, 1.548227773, 1.036462273],
            21.702060172),
    48003: ([-0.453919725, 1.352085842, -0.092029734, 1.282209289, -0.499172082, 1.309248183, 1.552696111, 1.034233091],
            21.621735106),
}  # fmt: skip
FEATURES = {  # (channel, frame)
    (0, 0): 0.514215852, (0, 4774): 0.150775327, (77, 1000): -0.344260265, (127, 2000): -0.117675379,
    (128, 0): 0.346487399, (200, 3000): 0.844000758, (255, 4774): 1.437776555,
}  # fmt: skip
FEATURES_NORM = 1215.511775775


def noise(name, shape):
    return np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)


def filled(state):
    """Weights computed from their names, so that any implementation can compute the same ones."""
    found = {}
    for name, value in state.items():
        drawn, leaf = noise(name, tuple(value.shape)), name.rsplit(".", 1)[-1]
        if leaf in ("num_batches_tracked", "flipped_filter", "window_", "n_"):
            found[name] = value.clone()
            continue
        if leaf == "low_hz_":
            drawn = np.linspace(-30, 7800, 128)[:, None]  # Hz; both signs, and up to where the upper edge is clipped
        elif leaf == "band_hz_":
            drawn = 100 * drawn
        elif leaf == "running_mean":
            drawn = 0.1 * drawn
        elif leaf == "running_var":
            drawn = 1 + 0.1 * np.abs(drawn)
        elif leaf == "bias":
            drawn = 0.05 * drawn
        elif leaf == "alpha" or drawn.ndim == 1:
            drawn = 1 + 0.1 * drawn
        else:
            drawn = drawn / math.sqrt(math.prod(value.shape[1:]))
        found[name] = torch.from_numpy(np.asarray(drawn, np.float32))
    return found


def recording(length):
    """A sawtooth of 125 Hz with noise whose level rises four times a second; computed alike on every machine."""
    index = np.arange(length)
    swelling = 0.02 * noise("rawnet3", 48003)[:length] * (1 + index % 4000 / 4000)
    return (0.2 * (index % 128 / 128 - 0.5) + swelling).astype(np.float32)


@pytest.fixture(scope="module")
def state():
    return filled(Network().state_dict())


@pytest.fixture(scope="module")
def embedding(state, tmp_path_factory):
    """The component with a file in the published format."""
    path = tmp_path_factory.mktemp("rawnet3") / "model.pt"
    torch.save({"model": state}, path)
    return RawNet3(RawNet3.Config(weights=str(path)))


def cosine(a, b):
    return float((a @ b.T).item() / np.linalg.norm(a) / np.linalg.norm(b))


def test_in_double_precision_it_is_the_published_network(state):
    network = Network()
    network.load_state_dict(state)
    network.double().eval()
    wave = torch.from_numpy(recording(48000)).double()[None]
    with torch.inference_mode():
        features, vector = network.features(wave), network(wave)
    assert features.shape == (1, 256, 4775)
    assert [features[0, *index].item() for index in FEATURES] == pytest.approx([*FEATURES.values()], abs=1e-7)
    assert features.norm().item() == pytest.approx(FEATURES_NORM, rel=1e-8)
    some, norm = VECTORS[48000]
    assert vector[0, :8].tolist() == pytest.approx(some, abs=1e-7)
    assert vector.norm().item() == pytest.approx(norm, rel=1e-8)


@pytest.mark.parametrize("length", VECTORS)
def test_a_recording_has_the_vector_of_the_published_inference(embedding, length):
    """One segment, audio that is repeated, and four segments, three of which count three times."""
    found = embedding.embed(Audio(recording(length), embedding.sample_rate)).vectors
    assert found.shape == (1, embedding.dim) == (1, 256) and found.dtype == np.float32
    some, norm = VECTORS[length]
    assert found[0, :8].tolist() == pytest.approx(some, abs=5e-4)
    assert np.linalg.norm(found) == pytest.approx(norm, rel=1e-5)


def test_the_state_is_that_of_the_release():
    """The counts of the reference; users of the published model.pt (SHA-256 1ab283bc...) report the same."""
    network = Network()
    state = network.state_dict()
    assert len(state) == 234 and sum(value.numel() for value in state.values()) == 16_305_693
    assert sum(value.numel() for value in network.parameters()) == 16_280_322
    unused = sum(value.numel() for value in [*network.bn1.parameters(), *network.bn6.parameters()])
    assert unused == 2 * 256 + 2 * 256
    names = {"conv1.filterbank.low_hz_", "layer1.residual.0.weight", "layer3.afms.alpha", "attention.3.bias"}
    assert names <= set(state) and "layer2.residual.0.weight" not in state


@pytest.mark.parametrize("length", [1, 7, 20000, 24000, 47999, 48000, 48001, 48003, 80000, 123456])
def test_segments_are_those_of_the_published_inference(length):
    samples = np.arange(length, dtype=np.float32)
    pieces, counts = segments(samples)
    whole = samples if length >= 48000 else np.pad(samples, (0, 48001 - length), "wrap")
    starts = [int(start) for start in np.linspace(0, len(whole) - 48000, 10)]
    wanted = np.stack([whole[start : start + 48000] for start in starts])
    assert np.array_equal(np.repeat(pieces, counts, axis=0), wanted)
    assert len(pieces) == len(set(starts))  # none is computed twice


def test_the_same_voice_repeated_is_the_same_and_another_sound_is_not(embedding):
    once = recording(20000)
    vectors = [
        embedding.embed(Audio(samples, 16000)).vectors for samples in (once, np.tile(once, 2), noise("other", 20000))
    ]
    assert cosine(vectors[0], vectors[1]) == pytest.approx(1, abs=1e-6)
    assert cosine(vectors[0], vectors[2]) < 0.9999


def test_a_file_that_is_missing_or_incomplete_is_named(state, tmp_path):
    sound = Audio(recording(48000), 16000)
    with pytest.raises(WeightsError, match="rawnet3 needs a file") as caught:
        RawNet3(RawNet3.Config()).embed(sound)
    assert "model.pt of huggingface.co/jungjee/RawNet3" in caught.value.hint
    less = {name: value for name, value in state.items() if name != "layer2.afms.alpha"}
    more = {**state, "__L__.weight": torch.zeros(2, 256)}  # a training's own checkpoint has its classifier
    for changed, name in ((less, r"layer2\.afms\.alpha"), (more, r"__L__\.weight")):
        torch.save({"model": changed}, tmp_path / "model.pt")
        with pytest.raises(WeightsError, match=name):
            RawNet3(RawNet3.Config(weights=str(tmp_path / "model.pt"))).embed(sound)


def test_audio_without_a_sample_is_an_error(embedding):
    with pytest.raises(DataError, match="not empty"):
        embedding.embed(Audio(np.zeros(0, np.float32), 16000))
