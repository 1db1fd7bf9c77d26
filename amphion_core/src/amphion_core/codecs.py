"""The codec that a model or a feature works with: a place with its weights, opened once."""

from functools import lru_cache

from amphion_core.errors import WeightsError
from amphion_core.families import Codec
from amphion_core.loading import open_source
from amphion_core.parts import CodecPart

CodecSource = str | CodecPart
"""The type of a config field that names a codec.

A text is a card, a weights folder or a run. ``{name: codec/..., field: ...}`` is an untrained codec, for tests: its
weights are random and always the same.
"""


@lru_cache(maxsize=8)
def open_codec(source: CodecSource, device: str = "cpu", fingerprint: str = "") -> Codec:
    """The codec of a config, ready to encode and decode; opened once in each process for each device.

    ``fingerprint`` is that of the codec with which a model was trained; empty: not known. Raises WeightsError: it is
    not a codec, there are no weights at this place, or they have another fingerprint.
    """
    if fingerprint:
        found = open_codec(source, device)
        if (theirs := found.fingerprint()) != fingerprint:
            place = source if isinstance(source, str) else source.name
            raise WeightsError(
                f"the codec {place} has other weights ({theirs}) than the codec that this model was trained with"
                f" ({fingerprint}), so its codes mean something else",
                hint=f"put the earlier weights back at {place}; or train the model again, in a new run:"
                f" amphion train RECIPE model.codec={place} -o FOLDER",
            )
        return found
    hint = "name a card, a weights folder or a run of a codec; amphion list --pretrained 'codec/*'"
    return open_source(source, Codec, "codec", hint, device)  # type: ignore[type-abstract]
