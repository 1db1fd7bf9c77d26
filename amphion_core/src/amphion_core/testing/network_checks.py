"""The checks of networks: what every model promises, and the conventions of its family."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor

from amphion_core.registry import ComponentRef
from amphion_core.testing.checks import Check, example_config, require

LIMIT = 1_000_000  # parameters of an example


def of(ref: ComponentRef) -> Iterator[Check]:
    """The checks that apply to a reference."""
    if ref.kind == "models":
        yield from MODEL
        yield from FAMILY.get(ref.name.partition("/")[0], ())


@cache
def _build(ref: ComponentRef) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ref.load()(example_config(ref))


def _outputs(value: Any) -> Iterator[Tensor]:
    """Every tensor of a nested result: tuples, lists, dicts, dataclasses."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _outputs(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _outputs(item)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            yield from _outputs(getattr(value, name))


def check_example_is_small(ref: ComponentRef) -> None:
    """``example_config`` builds a network under a million parameters."""
    count = sum(parameter.numel() for parameter in _build(ref).parameters())
    require(count < LIMIT, f"the example has {count:,} parameters")


def check_forward(ref: ComponentRef) -> None:
    """``forward(**example_inputs())`` works on the CPU and gives finite numbers."""
    net = _build(ref)
    found = list(_outputs(net(**net.example_inputs())))
    require(found, "forward returns no tensor")
    require(all(bool(torch.isfinite(tensor).all()) for tensor in found), "forward gives numbers that are not finite")


def check_gradient(ref: ComponentRef) -> None:
    """A gradient reaches every parameter."""
    net = _build(ref).train()
    if not list(net.parameters()):
        return
    net.zero_grad()
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(1)
        total = sum(
            (tensor.float() * torch.rand(tensor.shape)).sum()
            for tensor in _outputs(net(**net.example_inputs()))
            if tensor.requires_grad
        )
    require(isinstance(total, Tensor), "no output of forward depends on the parameters")
    total.backward()  # type: ignore[union-attr]
    dead = [name for name, parameter in net.named_parameters() if parameter.grad is None]
    require(not dead, f"no gradient reaches {dead[:5]}")
    net.zero_grad()


def check_state_dict(ref: ComponentRef) -> None:
    """The state dict goes through safetensors bit for bit and loads into a new network."""
    from safetensors.torch import load, save

    net = _build(ref)
    state = {name: tensor.contiguous().clone() for name, tensor in net.state_dict().items()}
    again = load(save(state)) if state else {}
    require(all(torch.equal(state[name], again[name]) for name in state), "safetensors changes the state dict")
    ref.load()(example_config(ref)).load_state_dict(again)


def check_vocode(ref: ComponentRef) -> None:
    """(B, F, N) -> (B, T), T = N * hop, in [-1, 1], repeatable by seed; the global generator is left alone."""
    net = ref.load()(example_config(ref)).for_inference()
    mel = torch.randn(2, net.config.mel.n_mels, 5, generator=torch.Generator().manual_seed(0)) - 3
    before = torch.get_rng_state()
    one, other = net.vocode(mel, seed=7), net.vocode(mel, seed=7)
    require(torch.equal(before, torch.get_rng_state()), "vocode uses torch's global random generator")
    size = (2, 5 * net.config.mel.hop_length)
    require(tuple(one.shape) == size, f"vocode gives {tuple(one.shape)}, not (B, N * hop_length) = {size}")
    require(one.dtype == torch.float32, f"vocode gives {one.dtype}, not float32")
    require(float(one.abs().max()) <= 1, f"vocode reaches {float(one.abs().max()):.3f}, outside [-1, 1]")
    require(torch.equal(one, other), "the same seed gives another wave")
    require(not one.requires_grad, "vocode keeps gradients")


def check_discriminator(ref: ComponentRef) -> None:
    """(B, 1, T) -> scores and features, one entry a sub-discriminator."""
    net = _build(ref)
    scores, features = net(**net.example_inputs())
    require(len(scores) == len(features) > 0, f"{len(scores)} scores, {len(features)} lists of features")
    require(all(isinstance(rows, list) and rows for rows in features), "a sub-discriminator has no features")


def check_codec(ref: ComponentRef) -> None:
    """``decode(encode(wave))`` has the length of the wave; indices are (K, B, N) integers."""
    net = ref.load()(example_config(ref)).for_inference()
    wave = net.example_inputs()["wave"]
    codes = net.encode(wave)
    require(
        codes.indices.dim() == 3 and codes.indices.shape[1] == len(wave),
        f"indices are {tuple(codes.indices.shape)}, not (K, B, N)",
    )
    require(not codes.indices.is_floating_point(), "indices are not integers")
    require(
        net.decode(codes).shape == wave.shape, f"decode gives {tuple(net.decode(codes).shape)}, not {tuple(wave.shape)}"
    )


def check_synthesize(ref: ComponentRef) -> None:
    """Seeded, without the global generator; an item in a padded batch is what it is alone."""
    net = ref.load()(example_config(ref)).for_inference()
    inputs = net.example_inputs()
    ids, lengths, speaker = inputs["ids"], inputs["lengths"], inputs.get("speaker")
    before = torch.get_rng_state()
    both = net.synthesize(ids, lengths, speaker, seed=3)
    require(torch.equal(before, torch.get_rng_state()), "synthesize uses torch's global random generator")
    again = net.synthesize(ids, lengths, speaker, seed=3)
    made, repeated = (result.wave if result.mel is None else result.mel for result in (both, again))
    require(torch.equal(made, repeated), "the same seed gives another result")
    for item in range(len(ids)):
        size = int(lengths[item])
        own = None if speaker is None else speaker[item : item + 1]
        alone = net.synthesize(ids[item : item + 1, :size], lengths[item : item + 1], own, seed=3 + item)
        result = alone.wave if alone.mel is None else alone.mel
        count = int(alone.lengths[0])
        require(
            count == int(both.lengths[item]), f"item {item} is {count} long alone, {int(both.lengths[item])} in a batch"
        )
        error = float((result[0, ..., :count] - made[item, ..., :count]).abs().max())
        require(error < 1e-4, f"item {item} differs by {error:.1e} from itself in a padded batch")


MODEL: tuple[Check, ...] = (check_example_is_small, check_forward, check_gradient, check_state_dict)
FAMILY: dict[str, tuple[Check, ...]] = {
    "vocoder": (check_vocode,),
    "discriminator": (check_discriminator,),
    "codec": (check_codec,),
    "tts": (check_synthesize,),
}
