"""HiFi-GAN's forward pass for a GPU, run on a CPU: the same sums as the plain network, also behind an item's end."""

import copy

import pytest
import torch

import amphion_core as amphion
from amphion_core.modules.folding import fold_weight_norms
from amphion_core.modules.gpu_convolutions import channels_last
from amphion_vocoders.models.hifigan_gpu import GPUGenerator

TINY = amphion.get("models", "vocoder/hifigan").example_config().model_dump()


def lively(**changes):
    """A small generator whose weights keep the level of the signal."""
    net = amphion.build("vocoder/hifigan", **TINY | changes)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            size = parameter[0].numel() if parameter.dim() > 1 else 100
            parameter.normal_(0, size**-0.5, generator=generator)
    fold_weight_norms(net.eval())
    return net.generator


def mel(batch, frames):
    return torch.randn(batch, 4, frames, generator=torch.Generator().manual_seed(frames))


@pytest.mark.parametrize("resblock", ["1", "2"])
def test_converted_weights_give_the_plain_networks_waveform(resblock):
    net, x = lively(resblock=resblock), mel(2, 40)
    with torch.no_grad():
        torch.testing.assert_close(GPUGenerator(net, "float32")(x), net(x), atol=1e-6, rtol=1e-5)


def test_bfloat16_stays_near_float32_and_gives_float32():
    net, x = lively(), mel(1, 40)
    with torch.no_grad():
        expected = net(x)
    wave = GPUGenerator(net, "bf16")(x)
    assert wave.dtype == torch.float32
    assert float((wave - expected).norm() / expected.norm()) < 0.03  # bfloat16 has 8 bits: 0.4 % a rounding


@pytest.mark.parametrize("tail", [None, 40])
def test_an_item_sounds_as_it_would_without_what_lies_behind_its_end(tail):
    net, x = lively(), mel(2, 40)
    lengths = [33, 40]
    wave = GPUGenerator(net, "float32").compute(x, frames=torch.tensor(lengths), tail=tail)
    for item, count in enumerate(lengths):
        with torch.no_grad():
            alone = net(x[item : item + 1, :, :count])[0]
        torch.testing.assert_close(wave[item, :, : alone.shape[1]], alone, atol=1e-6, rtol=1e-5)


def test_training_with_channels_last_has_the_same_gradients():
    net, x = lively(), mel(2, 12)
    found = []
    for function in (net, lambda x: net._equations(channels_last(x), None).squeeze(2)):
        parameters = [parameter.requires_grad_() for parameter in net.parameters()]
        wave = function(x)
        found.append([wave, *torch.autograd.grad(wave.square().sum(), parameters)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_a_prepared_generator_can_be_copied():
    first = GPUGenerator(lively(), "float32")
    second = copy.deepcopy(first)
    assert second.graphs is not first.graphs
    assert second.graphs.function.__self__ is second
