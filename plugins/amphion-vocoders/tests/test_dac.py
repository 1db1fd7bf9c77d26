"""DAC's discriminators: the published formula, numbers of the authors' package, checkpoints, and what is refused."""

import math

import pytest
import torch
from torch.nn import functional as F

import amphion_core as amphion
from amphion_core.errors import AudioError, RecipeError, WeightsError
from amphion_vocoders.trainers.adversarial import discriminator_loss, feature_loss, generator_loss

BANDS = [[0.0, 0.3], [0.3, 1.0]]
RECIPE = {"Discriminator.periods": [2, 3], "Discriminator.fft_sizes": [128], "Discriminator.bands": BANDS}
STRIDES = ((1, 1), (1, 2), (1, 2), (1, 2), (1, 1))  # of the layers of a band


def published_state(channels, periods, windows, bands):
    """Weights under the names of the authors' checkpoints, from sines, so that they are the same everywhere."""
    widths = [1, *(channels * factor for factor in (1, 4, 16, 32, 32))]
    shapes = {}
    for index in range(periods + windows):
        start = f"discriminators.{index}"
        if index < periods:
            for layer in range(5):
                shapes[f"{start}.convs.{layer}.0"] = (widths[layer + 1], widths[layer], 5, 1)
            shapes[f"{start}.conv_post"] = (1, widths[5], 3, 1)
        else:
            for band in range(bands):
                for layer in range(5):
                    size = (channels, channels if layer else 2, 3, 3 if layer == 4 else 9)
                    shapes[f"{start}.band_convs.{band}.{layer}.0"] = size
            shapes[f"{start}.conv_post"] = (1, channels, 3, 3)
    state = {}
    for number, (name, shape) in enumerate(shapes.items()):
        steps = torch.arange(math.prod(shape), dtype=torch.float64)
        state[f"{name}.weight_v"] = (12.9898 * steps + number).sin().float().reshape(shape)
        state[f"{name}.weight_g"] = 1 + 0.3 * torch.arange(shape[0]).double().sin().float().reshape(-1, 1, 1, 1)
        state[f"{name}.bias"] = 0.1 * (torch.arange(shape[0]).double() + number).cos().float()
    return state


def sines(samples):
    """Two waves (2, 1, T) with an offset and different levels."""
    time = torch.arange(samples, dtype=torch.float64)
    waves = torch.stack([0.2 + 0.3 * (0.05 * time).sin() + 0.1 * (1.7 * time).cos(), 0.01 * (0.3 * time).sin()])
    return waves.float()[:, None]


def layer_of(state, name, x, stride, padding, last=False):
    g, v, bias = (state[f"{name}.{part}"] for part in ("weight_g", "weight_v", "bias"))
    x = F.conv2d(x, g * v / v.square().sum((1, 2, 3), keepdim=True).sqrt(), bias, stride, padding)
    return x if last else torch.where(x > 0, x, 0.1 * x)


def published_maps(state, index, x, window=0, period=0):
    """All maps of one part by the authors' formula, scores last: of a period, or of a window length."""
    start = f"discriminators.{index}"
    if period:
        x = F.pad(x, (0, period - x.shape[2] % period), "reflect").reshape(len(x), 1, -1, period)
        maps = [x := layer_of(state, f"{start}.convs.{n}.0", x, (1 if n == 4 else 3, 1), (2, 0)) for n in range(5)]
        return [*maps, layer_of(state, f"{start}.conv_post", x, 1, (1, 0), last=True)]
    hop, bins = window // 4, window // 2 + 1
    around, rest = (window - hop) // 2, math.ceil(x.shape[2] / hop) * hop - x.shape[2]
    padded = F.pad(x, (around, around + rest), "reflect")[:, 0]
    spectrum = torch.stft(padded, window, hop, window=torch.hann_window(window), center=True, return_complex=True)
    spectrum = torch.view_as_real(spectrum[..., 2:-2]).permute(0, 3, 2, 1)  # the authors leave out two frames each
    maps, ends = [], []
    for band, (low, high) in enumerate(BANDS):
        x = spectrum[..., int(low * bins) : int(high * bins)]
        for n, stride in enumerate(STRIDES):
            padding = (1, 1 if n == 4 else 4)
            maps.append(x := layer_of(state, f"{start}.band_convs.{band}.{n}.0", x, stride, padding))
        ends.append(x)
    return [*maps, layer_of(state, f"{start}.conv_post", torch.cat(ends, 3), 1, 1, last=True)]


@pytest.mark.parametrize("samples", [600, 601])  # 600 is a multiple of both periods, and is mirrored nevertheless
def test_a_published_checkpoint_gives_the_maps_of_the_authors_formula(samples):
    state = published_state(2, periods=2, windows=1, bands=2)
    checkpoint = {"state_dict": state, "metadata": {"kwargs": {"periods": [2, 3, 5, 7, 11], "rates": []}}}
    net = amphion.import_model("discriminator/dac", checkpoint, layout="descriptinc", config=RECIPE)
    wave = sines(samples)
    with torch.no_grad():
        scores, features = net(wave)
    x = wave - wave.mean(2, keepdim=True)
    x = 0.8 * x / (x.abs().amax(2, keepdim=True) + 1e-9)
    for index, part in enumerate(({"period": 2}, {"period": 3}, {"window": 128})):
        *maps, score = published_maps(state, index, x, **part)
        torch.testing.assert_close(scores[index].flatten(), score.flatten(), atol=1e-5, rtol=0)
        assert len(maps) == len(features[index])  # the scores are not among them
        for ours, theirs in zip(features[index], maps, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_numbers_of_the_authors_package():
    """Measured with descript-audio-codec 1.0.0, its GANLoss and these weights."""
    state = published_state(32, periods=1, windows=1, bands=2)
    config = {"periods": [3], "fft_sizes": [128], "bands": BANDS}
    net = amphion.import_model("discriminator/dac", state, layout="descriptinc", config=config)
    with torch.no_grad():
        scores, features = net(sines(601))
        fake, made = net(sines(601).flip(2))
    found = [float(one.double().abs().mean()) for one in (features[0][0], scores[0], features[1][0], scores[1])]
    assert found == pytest.approx([0.3508008, 0.0295501, 0.5593941, 0.1494507], rel=1e-5)
    assert float(discriminator_loss(scores, fake).mean()) == pytest.approx(2.2816024, rel=1e-5)
    assert float(generator_loss(fake).mean()) == pytest.approx(2.2574611, rel=1e-5)
    assert float(feature_loss(features, made).mean()) == pytest.approx(2.4878860, rel=1e-5)


def test_the_default_is_the_published_size():
    with torch.device("meta"):
        net = amphion.build("discriminator/dac")
    assert sum(parameter.numel() for parameter in net.parameters()) == 42_519_760
    assert len(net.discriminators) == 8


def test_a_checkpoint_of_other_parts_is_refused():
    state = published_state(2, periods=2, windows=1, bands=2)
    lost = {name: tensor for name, tensor in state.items() if name != "discriminators.2.band_convs.1.3.0.bias"}
    with pytest.raises(WeightsError, match=r"1 missing: discriminators\.2\.band_convs\.1\.3\.bias"):
        amphion.import_model("discriminator/dac", lost, layout="descriptinc", config=RECIPE)
    with pytest.raises(WeightsError, match="has 2 periods and 1 window lengths, the config 5 and 3"):
        amphion.import_model("discriminator/dac", state, layout="descriptinc")
    with pytest.raises(WeightsError, match=r"discriminator\.rates is not empty"):
        rates = {"Discriminator.rates": [1, 2]}
        amphion.import_model("discriminator/dac", state, layout="descriptinc", config=RECIPE | rates)
    with pytest.raises(RecipeError, match="bands"):
        wrong = {"Discriminator.bands": [[0.5, 0.5]]}
        amphion.import_model("discriminator/dac", state, layout="descriptinc", config=RECIPE | wrong)


def test_audio_that_cannot_be_mirrored_and_a_set_without_parts_are_refused():
    net = amphion.build("discriminator/dac", channels=2, periods=(3,), ffts=(64,))
    with pytest.raises(AudioError, match="47 samples are too few: at least 48"):
        net(torch.zeros(1, 1, 47))
    for samples in range(48, 65):
        net(torch.zeros(1, 1, samples))
    assert len(amphion.build("discriminator/dac", channels=2, periods=(), ffts=(64,))(sines(64))[0]) == 1
    assert len(amphion.build("discriminator/dac", channels=2, periods=(3,), ffts=())(sines(64))[0]) == 1
    with pytest.raises(RecipeError, match="without periods and ffts there is no discriminator"):
        amphion.build("discriminator/dac", periods=(), ffts=())
