"""The checks of each family of models: the methods that tasks and the command line call."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from amphion_core.errors import AudioError, DataError, MissingPackage, WeightsError
from amphion_core.families import Codes, Prompt, TextCondition
from amphion_core.registry import ComponentRef
from amphion_core.testing.base import Check, CheckFailed, example_config, require, tensors

NEAR = 1e-4  # difference that rounding may cause between an item alone and the same item in a batch


def checks_for(ref: ComponentRef) -> Iterator[Check]:
    """The checks that apply to a reference."""
    if ref.kind == "models":
        yield from FAMILY.get(ref.name.partition("/")[0], ())


def _ready(ref: ComponentRef) -> Any:
    """The example, ready to generate, always with the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ref.load()(example_config(ref)).for_inference()


def _repeatable(generate: Callable[[], Any], name: str) -> Any:
    """The result of ``generate``, which must be the same twice, without gradients and without global randomness."""
    before = torch.get_rng_state()
    one, other = generate(), generate()
    require(torch.equal(before, torch.get_rng_state()), f"{name} uses torch's global random generator")
    pairs = list(zip(tensors(one), tensors(other), strict=True))
    require(pairs, f"{name} returns no tensor")
    require(
        all(torch.equal(a, b) for a, b in pairs), f"the same call of {name} with the same seed gives another result"
    )
    require(not any(a.requires_grad for a, _ in pairs), f"{name} keeps gradients")
    return one


def _require_alone(batch: Any, alone: Any, item: int, name: str) -> None:
    """Raise CheckFailed unless an item has the same length and values alone and in a batch."""
    together, single = (found.wave if found.mel is None else found.mel for found in (batch, alone))
    require(together is not None, f"{name} returns neither mel nor wave")
    count, expected = int(batch.lengths[item]), int(alone.lengths[0])
    require(count == expected, f"item {item} is {expected} long alone, and {count} in a batch")
    error = float((single[0, ..., :count] - together[item, ..., :count]).abs().max())
    require(error < NEAR, f"item {item} differs by {error:.1e} from itself in a padded batch")


def check_vocode(ref: ComponentRef) -> None:
    """(B, F, N) -> (B, T), T = N * hop, in [-1, 1], float32; F0 is required exactly where ``needs_f0``."""
    net = _ready(ref)
    mel = torch.randn(2, net.config.mel.n_mels, 5, generator=torch.Generator().manual_seed(0)) - 3
    f0 = torch.full((2, 5), 150.0) if net.needs_f0 else None
    wave = _repeatable(lambda: net.vocode(mel, f0, seed=7), "vocode")
    size = (2, 5 * net.config.mel.hop_length)
    require(tuple(wave.shape) == size, f"vocode gives {tuple(wave.shape)}, not (B, N * hop_length) = {size}")
    require(wave.dtype == torch.float32, f"vocode gives {wave.dtype}, not float32")
    require(float(wave.abs().max()) <= 1, f"vocode reaches {float(wave.abs().max()):.3f}, outside [-1, 1]")
    part = net.vocode_part(mel, f0, start=0, seed=7)
    require(torch.equal(part, wave), "vocode_part of all frames is not vocode")
    if net.needs_f0:
        try:
            net.vocode(mel, seed=7)
        except AudioError:
            return
        raise CheckFailed("needs_f0 is True, and vocode without F0 raises no AudioError")


def check_discriminator(ref: ComponentRef) -> None:
    """(B, 1, T) -> scores and features, with one entry for each sub-discriminator."""
    net = _ready(ref)
    scores, features = net(**net.example_inputs())
    require(len(scores) == len(features) > 0, f"{len(scores)} scores, {len(features)} lists of features")
    require(all(isinstance(rows, list) and rows for rows in features), "a sub-discriminator has no features")


def check_codec(ref: ComponentRef) -> None:
    """Rates and sizes are stated; (K, B, N) indices; fewer codebooks are the first ones; lengths and latents fit."""
    net = _ready(ref)
    for name in ("sample_rate", "hop_length", "n_codebooks", "codebook_size"):
        require(isinstance(getattr(net, name, None), int) and getattr(net, name) > 0, f"{name} is not a positive int")
    wave = net.example_inputs()["wave"]
    codes = _repeatable(lambda: net.encode(wave), "encode")
    indices, frames = codes.indices, wave.shape[2] // net.hop_length
    size = (net.n_codebooks, len(wave), frames)
    require(tuple(indices.shape) == size, f"indices are {tuple(indices.shape)}, not (K, B, T / hop_length) = {size}")
    require(not indices.is_floating_point(), "indices are not integers")
    inside = int(indices.min()) >= 0 and int(indices.max()) < net.codebook_size
    require(inside, f"an index is outside of the {net.codebook_size} entries")
    first = net.encode(wave, 1).indices
    require(torch.equal(first, indices[:1]), "encode(wave, 1) is not the first codebook of encode(wave)")
    decoded = _repeatable(lambda: net.decode(codes), "decode")
    require(decoded.shape == wave.shape, f"decode gives {tuple(decoded.shape)}, not {tuple(wave.shape)}")
    latents = net.latents(codes)
    fits = latents.ndim == 3 and (latents.shape[0], latents.shape[2]) == (len(wave), frames)
    require(fits and latents.is_floating_point(), f"latents are {tuple(latents.shape)}, not (B, C, N)")
    error = float((net.decode_latents(latents) - decoded).abs().max())
    require(error < NEAR, f"decode_latents(latents(codes)) differs from decode(codes) by {error:.1e}")
    ratio = net.bitrate() / net.bitrate(1)
    require(abs(ratio - net.n_codebooks) < 1e-6, f"bitrate() is {ratio:.3f} times bitrate(1)")


def check_codec_stream(ref: ComponentRef) -> None:
    """A causal codec gives the same piece by piece as for the whole; ``stream`` of other codecs is a DataError."""
    net = _ready(ref)
    wave = net.example_inputs()["wave"]
    frames = wave.shape[2] // net.hop_length
    if not net.causal:
        try:
            net.stream()
        except DataError:
            return
        raise CheckFailed("causal is False, and stream() raises no DataError")
    whole = net.encode(wave)
    cut = net.hop_length * (frames // 2)
    require(cut > 0, "example_inputs has fewer than two frames")
    coder = net.stream()
    indices = torch.cat([coder.encode(piece).indices for piece in (wave[..., :cut], wave[..., cut:])], 2)
    require(torch.equal(indices, whole.indices), "the codes of two pieces differ from those of the whole")
    decoder = net.stream()
    pieces = (whole.indices[..., : frames // 2], whole.indices[..., frames // 2 :])
    made = torch.cat([decoder.decode(Codes(piece.contiguous())) for piece in pieces], 2)
    error = float((made - net.decode(whole)).abs().max())
    require(error < NEAR, f"the wave of two pieces differs by {error:.1e} from that of the whole")


def check_synthesize(ref: ComponentRef) -> None:
    """One seed gives one result; default controls change nothing; an item is the same alone and in a batch."""
    net = _ready(ref)
    inputs = net.example_inputs()
    ids, lengths, speaker = inputs["ids"], inputs["lengths"], inputs.get("speaker")
    prompt = _prompt(net, ids, lengths) if net.takes_prompt else None
    both = _repeatable(lambda: net.synthesize(ids, lengths, speaker, prompt=prompt, seed=3), "synthesize")
    require((both.mel is None) == (net.output == "wave"), f"output is {net.output!r}, and the result has another kind")
    same = net.synthesize(ids, lengths, speaker, prompt=prompt, seed=3, controls=net.controls({}))
    equal = all(torch.equal(a, b) for a, b in zip(tensors(both), tensors(same), strict=True))
    require(equal, "controls that are all None change the result")
    for item in range(len(ids)):
        size = int(lengths[item])
        own = None if speaker is None else speaker[item : item + 1]
        heard = None if prompt is None else _prompt_of(prompt, item)
        alone = net.synthesize(ids[item : item + 1, :size], lengths[item : item + 1], own, prompt=heard, seed=3 + item)
        _require_alone(both, alone, item, "synthesize")


def _prompt(net: Any, ids: Tensor, lengths: Tensor) -> Prompt:
    """One second of noise for each item, with the item's own symbols as its text."""
    rate = net.sample_rate
    wave = torch.randn(len(ids), rate, generator=torch.Generator().manual_seed(5)) * 0.1
    return Prompt(wave, torch.full((len(ids),), rate), ids, lengths)


def _prompt_of(prompt: Prompt, item: int) -> Prompt:
    assert prompt.ids is not None and prompt.id_lengths is not None
    row, size = slice(item, item + 1), int(prompt.id_lengths[item])
    return Prompt(prompt.wave[row], prompt.lengths[row], prompt.ids[row, :size], prompt.id_lengths[row])


def check_convert(ref: ComponentRef) -> None:
    """``convert`` works with the features that the extractors give; an item is the same alone and in a batch.

    ``example_inputs`` has ``speaker``, (B) or (B, G). Where an extractor's package or weights are missing, the check
    takes its ``features`` and ``lengths`` instead.
    """
    net = _ready(ref)
    mel, inputs = net.config.mel, net.example_inputs()
    speaker = inputs["speaker"]
    features, lengths = _features(net, [1.0, 0.6][: len(speaker)]) or (inputs["features"], inputs["lengths"])
    require(set(features) == set(net.features), f"features are {sorted(net.features)}, the example has others")
    f0 = torch.full((len(speaker), int(lengths.max())), 150.0)
    both = _repeatable(lambda: net.convert(features, lengths, speaker, f0=f0, seed=3), "convert")
    require((both.mel is None) == (net.output == "wave"), f"output is {net.output!r}, and the result has another kind")
    hop = 1 if net.output == "mel" else mel.hop_length
    require(torch.equal(both.lengths, lengths * hop), f"lengths are {both.lengths.tolist()}, not the requested ones")
    for item in range(len(speaker)):
        row, count = slice(item, item + 1), int(lengths[item])
        share = count / int(lengths.max())
        own = {name: _shorter(value[row], share) for name, value in features.items()}
        alone = net.convert(own, lengths[row], speaker[row], f0=f0[row, :count], seed=3 + item)
        _require_alone(both, alone, item, "convert")


def _features(net: Any, seconds: list[float]) -> tuple[dict[str, Tensor], Tensor] | None:
    """The features of noise of the given durations, and the mel frames; None where an extractor cannot be used."""
    mel, found = net.config.mel, {}
    for name, part in net.features.items():
        try:
            extractor = part.build()
            lengths = torch.tensor([int(time * extractor.sample_rate) for time in seconds])
            wave = torch.randn(len(seconds), int(lengths.max()), generator=torch.Generator().manual_seed(5)) * 0.1
            found[name] = extractor.extract(wave, lengths)
        except (MissingPackage, WeightsError):
            return None
    return found, torch.tensor([mel.frames(int(time * mel.sample_rate)) for time in seconds])


def _shorter(feature: Tensor, share: float) -> Tensor:
    """The frames of one item without its padding; vectors stay."""
    return feature if feature.ndim < 3 else feature[..., : round(feature.shape[2] * share)]


def check_sample(ref: ComponentRef) -> None:
    """The duration is the requested one; the same seed gives the same result; item b draws from ``seed + b``.

    ``example_inputs`` has ``condition``, a TextCondition.
    """
    net = _ready(ref)
    condition = net.example_inputs()["condition"]
    require(isinstance(condition, TextCondition), "example_inputs has no condition: a TextCondition")
    both = _repeatable(lambda: net.sample(condition, duration=0.5, seed=3), "sample")
    require((both.mel is None) == (net.output == "wave"), f"output is {net.output!r}, and the result has another kind")
    net.sample(condition, duration=0.5, negative=condition, seed=3)
    for item in range(len(condition.states)):
        row = slice(item, item + 1)
        pooled = None if condition.pooled is None else condition.pooled[row]
        own = TextCondition(condition.states[row], condition.mask[row], pooled)
        _require_alone(both, net.sample(own, duration=0.5, seed=3 + item), item, "sample")
    longer = net.sample(condition, duration=1.0, seed=3)
    ratio = int(longer.lengths[0]) / int(both.lengths[0])
    require(1.8 < ratio < 2.2, f"twice the duration is {ratio:.2f} times as long")


def check_edit(ref: ComponentRef) -> None:
    """``edit`` lasts as long as the recording and draws from the seed alone; it is a DataError unless ``can_edit``.

    ``example_inputs`` has ``condition``, a TextCondition.
    """
    net = _ready(ref)
    condition = net.example_inputs()["condition"]
    rate, count = net.sample_rate, len(condition.states)
    wave = torch.randn(count, rate // 2, generator=torch.Generator().manual_seed(5)) * 0.1
    if not net.can_edit:
        try:
            net.edit(condition, wave)
        except DataError:
            return
        raise CheckFailed("can_edit is False, and edit() raises no DataError")
    whole = net.sample(condition, duration=0.5, seed=3)
    asked: dict[str, dict[str, Any]] = {
        "edit": {"strength": 0.5}, "edit of a region": {"strength": 1.0, "regions": [(0.1, 0.3)]}
    }  # fmt: skip
    for name, given in asked.items():
        made = _repeatable(partial(net.edit, condition, wave, seed=3, **given), name)
        same = abs(int(made.lengths[0]) / int(whole.lengths[0]) - 1) < 0.1
        require(same, f"{name} of half a second has the length {int(made.lengths[0])}, not {int(whole.lengths[0])}")
        for item in range(count):
            row = slice(item, item + 1)
            pooled = None if condition.pooled is None else condition.pooled[row]
            own = TextCondition(condition.states[row], condition.mask[row], pooled)
            _require_alone(made, net.edit(own, wave[row], seed=3 + item, **given), item, name)


def check_text_encoder(ref: ComponentRef) -> None:
    """States (B, L, dim) and a mask; a caption gives the same alone and in a batch; an empty caption is valid."""
    net = _ready(ref)
    texts = ["a dog barks in the rain", "wind", ""]
    both = _repeatable(lambda: net.encode(texts), "encode")
    require(both.states.shape[:1] == (3,) and both.states.shape[2] == net.dim, f"states are {tuple(both.states.shape)}")
    require(both.mask.dtype == torch.bool and both.mask.shape == both.states.shape[:2], "mask is not bool (B, L)")
    require(all(bool(torch.isfinite(found).all()) for found in tensors(both)), "encode gives numbers not finite")
    for item, text in enumerate(texts):
        alone = net.encode([text])
        own, together = alone.states[0][alone.mask[0]], both.states[item][both.mask[item]]
        require(own.shape == together.shape, f"{text!r} has {len(own)} states alone, {len(together)} in a batch")
        error = float((own - together).abs().max()) if own.numel() else 0.0
        require(error < NEAR, f"{text!r} differs by {error:.1e} from itself in a padded batch")
    sizes = (0 if both.pooled is None else both.pooled.shape[1], net.pooled_dim)
    require(sizes[0] == sizes[1], f"pooled has {sizes[0]} values, and pooled_dim is {sizes[1]}")
    if net.max_tokens is not None:
        long = net.encode(["wind and rain " * net.max_tokens])
        require(long.states.shape[1] <= net.max_tokens, f"a long caption has {long.states.shape[1]} states")


FAMILY: dict[str, tuple[Check, ...]] = {
    "vocoder": (check_vocode,),
    "discriminator": (check_discriminator,),
    "codec": (check_codec, check_codec_stream),
    "tts": (check_synthesize,),
    "svc": (check_convert,),
    "tta": (check_sample, check_edit),
    "text_encoder": (check_text_encoder,),
}
