"""The codec that a model or a feature works with: a place with its weights, opened once."""

from functools import lru_cache

from amphion_core.families import Codec
from amphion_core.loading import open_source
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
    hint = "name a card, a weights folder or a run of a codec; amphion list --pretrained 'codec/*'"
    return open_source(source, Codec, "codec", hint, device)  # type: ignore[type-abstract]
