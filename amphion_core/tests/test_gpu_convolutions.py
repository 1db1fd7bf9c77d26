"""The forms in which a GPU computes a discriminator's convolutions give torch's values and gradients."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from amphion_core.modules import gpu_convolutions as fast


def agree(ours, theirs, *tensors):
    """Both functions of the same tensors have the same value and the same gradients, in float64."""
    found = []
    for function in (ours, theirs):
        own = [None if t is None else t.clone().requires_grad_() for t in tensors]
        y = function(*own)
        weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=y.dtype)
        given = [t for t in own if t is not None]
        found.append([y, *torch.autograd.grad((y * weight).sum(), given)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


@pytest.mark.parametrize("length", [41, 64, 127, 130])
@pytest.mark.parametrize(
    ("inputs", "outputs", "taps", "stride", "groups"),
    [(8, 8, 41, 2, 4), (16, 32, 41, 4, 16), (16, 16, 41, 1, 16), (1, 8, 15, 1, 1), (4, 6, 5, 3, 2)],
)
@pytest.mark.parametrize("bias", [True, False])
def test_blocks_of_outputs_equal_torchs_convolution(length, inputs, outputs, taps, stride, groups, bias):
    x, weight = draw(2, inputs, length), draw(outputs, inputs // groups, taps)
    agree(
        lambda x, w, b: fast.blocked_conv1d(x, w, b, stride, taps // 2, groups),
        lambda x, w, b: F.conv1d(x, w, b, stride, taps // 2, groups=groups),
        x, weight, draw(outputs) if bias else None,
    )  # fmt: skip


@pytest.mark.parametrize(("length", "stride"), [(9, 3), (10, 3), (7, 1)])
def test_one_input_channel_equals_torchs_convolution(length, stride):
    agree(
        lambda x, w, b: fast.single_input(x, w, b, stride, 2),
        lambda x, w, b: F.conv2d(x, w, b, (stride, 1), (2, 0)),
        draw(2, 1, length, 3), draw(4, 1, 5, 1), draw(4),
    )  # fmt: skip


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("padding", [0, 1])
def test_one_output_channel_equals_torchs_convolution(columns, padding):
    agree(
        lambda x, w, b: fast.single_output(x.flatten(2), w[..., 0], b, padding, step=columns),
        lambda x, w, b: F.conv2d(x, w, b, 1, (padding, 0)).flatten(2),
        draw(2, 4, 6, columns), draw(1, 4, 3, 1), draw(1),
    )  # fmt: skip


def test_autocast_computes_blocks_in_its_own_type():
    x, weight = draw(1, 4, 50).float(), draw(4, 1, 5).float()
    with torch.autocast("cpu", torch.bfloat16):
        y = fast.blocked_conv1d(x, weight, draw(4).float(), 1, 2, 4)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), F.conv1d(x, weight, draw(4).float(), 1, 2, groups=4), atol=0.1, rtol=0.02)


@pytest.mark.parametrize("conv", [fast.BlockedConv1d(4, 4, 3, groups=2), fast.ColumnConv2d(4, 4, (3, 1))])
def test_on_a_cpu_torchs_own_convolution_runs(conv):
    x = torch.randn(1, 4, 8, 2)[..., : 1 + (conv.weight.dim() == 4)].squeeze(-1)
    plain = type(conv).__mro__[1](4, 4, conv.kernel_size, groups=conv.groups)
    assert isinstance(plain, nn.Conv1d | nn.Conv2d)
    plain.load_state_dict(conv.state_dict())
    assert torch.equal(conv(x), plain(x))
