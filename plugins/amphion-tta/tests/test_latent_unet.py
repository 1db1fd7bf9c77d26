"""The UNet of latent diffusion: reference numbers with odd sizes, sizes of published networks, padding of captions."""

import pytest
import torch

from amphion_core.api import TextCondition
from amphion_core.errors import DataError
from amphion_tta.models.compvis_names import unet_names
from amphion_tta.models.latent_unet import LatentUNet, UNetConfig

TINY = UNetConfig(channels=(8, 16), blocks=1, attention=(False, True), heads=(1, 2), groups=4)


def all_valid(states):
    return TextCondition(states, torch.ones(states.shape[:2], dtype=torch.bool))


def test_reference_numbers(golden):
    case = golden("audioldm_amphion")
    config = UNetConfig(channels=(32, 64), blocks=1, attention=(True, True), heads=(4, 4))
    net = LatentUNet(config, in_channels=4, out_channels=4, context_dim=24).eval()
    state = {name.removeprefix("unet."): tensor for name, tensor in case["state_dict"]["unet"].items()}
    net.network.load_state_dict(unet_names(state, blocks=1))
    given = case["inputs"]["unet"]
    with torch.no_grad():  # the height is 5, and 3 below
        found = net(given["x"], torch.tensor(given["t"]), all_valid(given["ctx"]))
    torch.testing.assert_close(found, case["outputs"]["unet"]["y"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("cross", [True, False])
def test_padding_of_a_caption_changes_nothing(cross):
    size = {"context_dim": 6} if cross else {"pooled_dim": 6}
    net = LatentUNet(TINY, in_channels=2, out_channels=3, **size).eval()
    draw = torch.Generator().manual_seed(0)
    x, states, pooled = (torch.randn(shape, generator=draw) for shape in ((2, 2, 5, 7), (2, 3, 6), (2, 6)))
    padded = torch.cat([states, torch.full((2, 2, 6), 9.0)], 1)
    mask = torch.tensor([[True] * 3 + [False] * 2] * 2)
    with torch.no_grad():
        found = net(x, torch.tensor([0, 999]), TextCondition(states, mask[:, :3], pooled))
        torch.testing.assert_close(net(x, torch.tensor([0, 999]), TextCondition(padded, mask, pooled)), found)
        other = net(x, torch.tensor([0, 999]), TextCondition(states + 1, mask[:, :3], pooled - 1))
    assert found.shape == (2, 3, 5, 7)
    assert not torch.allclose(found, other)


def test_a_condition_without_a_vector_is_one_sentence():
    net = LatentUNet(TINY, in_channels=2, out_channels=2, pooled_dim=6)
    with pytest.raises(DataError, match="its text encoder gives none"):
        net(torch.zeros(1, 2, 4, 4), torch.tensor([0]), all_valid(torch.zeros(1, 2, 6)))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [("heads", (1,), "heads: 2 values are needed"), ("attention", (True,) * 3, "attention: 2 values"),
     ("channels", (8, 18), "18 is not a positive multiple of groups 4, heads 2")],
)  # fmt: skip
def test_levels_that_do_not_agree_are_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        UNetConfig(**TINY.model_dump() | {field: value})
