"""The codec that a model or a feature works with: a place with its weights, opened once."""

from functools import lru_cache

import torch

from amphion_core.errors import InvalidComponent, UnknownComponent, WeightsError
from amphion_core.families import Codec
from amphion_core.loading import load
from amphion_core.parts import CodecPart

CodecSource = str | CodecPart
"""The type of a config field that names a codec.

A text is a card, a weights folder or a run. ``{name: codec/..., field: ...}`` is an untrained codec, for tests: its
weights are random and always the same.
"""


@lru_cache(maxsize=4)
def open_codec(source: CodecSource, device: str = "cpu") -> Codec:
    """The codec of a config, ready to encode and decode; opened once in each process for each device.

    Raises WeightsError: it is not a codec, or there are no weights at this place.
    """
    if isinstance(source, CodecPart):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net: Codec = source.build()
        return net.to(device).for_inference()
    try:
        net = load(source, device=device)
    except (UnknownComponent, InvalidComponent) as error:
        raise WeightsError(
            f"the codec {source!r} cannot be opened: {error.message}",
            hint="name a card, a weights folder or a run of a codec; amphion list --pretrained 'codec/*'",
        ) from error
    if not isinstance(net, Codec):
        raise WeightsError(f"{source} is not a codec", hint="amphion list --pretrained 'codec/*'")
    return net
