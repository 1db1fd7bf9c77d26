"""The checks of features, augmentations, text frontends, metrics, embeddings, recognisers and datasets."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from amphion_core.api import Audio, AugmentationConfig, BaseConfig, Metric
from amphion_core.errors import DataError, MissingPackage, RecipeError, WeightsError
from amphion_core.registry import ComponentRef
from amphion_core.testing.base import Check, CheckFailed, example_config, require


def checks_for(ref: ComponentRef) -> Iterator[Check]:
    """The checks that apply to a reference."""
    yield from KIND.get(ref.kind, ())


def check_feature(ref: ComponentRef) -> None:
    """Output is (B, dim, N), or (B, dim) for one vector per utterance; padding changes nothing; silence is finite."""
    extractor = ref.load()(example_config(ref))
    try:
        variant, rate = extractor.variant, extractor.sample_rate
    except (MissingPackage, WeightsError):  # as of codes, whose rate is that of the codec
        return
    require(isinstance(variant, str), "variant is not a text")
    wave = torch.randn(2, rate, generator=torch.Generator().manual_seed(0)) * 0.1
    lengths = torch.tensor([rate, rate // 2])
    try:
        both = extractor.extract(wave, lengths)
    except (MissingPackage, WeightsError):  # the error says what to install or to download
        return
    require(both.shape[:2] == (2, extractor.dim), f"extract gives {tuple(both.shape)}, dim is {extractor.dim}")
    alone = extractor.extract(wave[1:, : rate // 2])
    if extractor.frame_shift is None:
        require(both.ndim == 2, f"frame_shift is None, so (B, dim) is expected, not {tuple(both.shape)}")
        error = float((both[1:] - alone).abs().max())
    else:
        expected, found = 1 / extractor.frame_shift, both.shape[2]
        require(abs(found - expected) <= 2, f"one second has {found} frames of {extractor.frame_shift:.5f} s")
        known = extractor.frames(rate)
        require(known in (None, found), f"frames({rate}) is {known}, and extract gives {found} frames")
        error = float((both[1:, :, : alone.shape[2]] - alone).abs().max())
    require(error < 1e-4, f"an item differs by {error:.1e} from itself in a padded batch")
    silent = extractor.extract(torch.zeros(1, rate))
    require(bool(torch.isfinite(silent).all()), "silence gives numbers that are not finite")


def check_augmentation(ref: ComponentRef) -> None:
    """The same seed gives the same finite float32 samples, of the declared length; probability 0 changes nothing."""
    component = ref.load()
    require(isinstance(getattr(component, "keeps_length", None), bool), "keeps_length is not declared")
    config = example_config(ref)
    require(isinstance(config, AugmentationConfig), "Config is not a subclass of amphion_core.api.AugmentationConfig")
    rate, augmentation = 24000, component(config.replace(probability=1.0))
    times = np.arange(rate // 2) / rate
    wave = np.asarray(sum(np.sin(2 * np.pi * 140 * k * times) / k for k in range(1, 20)) * 0.1, np.float32)
    for samples in (wave, np.zeros_like(wave), wave[:1]):
        before = samples.copy()
        made, again = (augmentation.apply(samples, rate, np.random.default_rng(7)) for _ in range(2))
        require(np.array_equal(samples, before), "the samples given to apply are changed")
        require(made.dtype == np.float32 and made.ndim == 1, f"apply gives {made.dtype} of shape {made.shape}")
        require(made.size and np.isfinite(made).all(), f"{len(samples)} samples become none, or not finite")
        require(np.array_equal(made, again), "two generators with the same seed give different results")
        require(
            not component.keeps_length or made.shape == samples.shape,
            f"keeps_length, and {len(samples)} samples become {len(made)}",
        )
    never = component(config.replace(probability=0.0))
    require(np.array_equal(never.apply(wave, rate, np.random.default_rng(7)), wave), "probability 0 changes samples")


def check_frontend(ref: ComponentRef) -> None:
    """Tokens of a plain sentence have ids within the table; an unknown symbol is an error that names it."""
    frontend = ref.load()(example_config(ref))
    ids = frontend.ids(frontend.tokens("Hello there, how are you?"))
    require(ids and all(0 <= number < len(frontend.config.symbols) for number in ids), "ids outside the symbol table")
    try:
        frontend.ids(["\uffff"])
    except DataError as error:
        require("\\uffff" in error.message, "the error for an unknown symbol does not name it")
    else:
        raise CheckFailed("an unknown symbol has an id")
    for empty in ("", "  \n"):
        try:
            frontend.tokens(empty)
        except DataError:
            continue
        raise CheckFailed("an empty text is no DataError")


_UNDEFINED = (MissingPackage, WeightsError, DataError)  # no package or weights, or not defined for this signal


def _clean_and_noisy(rate: int, seconds: int = 2) -> tuple[Audio, Audio]:
    """A sound like a vowel, and the same in noise."""
    times = np.arange(seconds * rate) / rate
    harmonics = np.sum([np.sin(2 * np.pi * 140 * k * times) / k for k in range(1, 20)], 0)
    voice = harmonics * (1.2 + np.sin(2 * np.pi * 3 * times)) * 0.05
    noise = 0.1 * np.random.default_rng(0).standard_normal(len(times))
    return Audio(voice.astype(np.float32), rate), Audio((voice + noise).astype(np.float32), rate)


def check_metric_variant(ref: ComponentRef) -> None:
    """A field that changes the value of a metric changes its variant too, which a report shows beside the value."""
    component = ref.load()
    config = example_config(ref)
    metric = component(config)
    if component.needs != {"reference"} or component.of_sets:
        return
    clean, noisy = _clean_and_noisy(metric.sample_rate or 16000, seconds=1)
    try:
        value = metric.score(noisy, clean)
    except _UNDEFINED:
        return
    for name in type(config).model_fields:
        for other in _other_values(config, name):
            changed = component(other)
            try:
                differs = not np.isclose(changed.score(noisy, clean), value, rtol=1e-6)
            except _UNDEFINED:
                continue
            what = f"{name}={getattr(other, name)!r} changes the value and not the variant {metric.variant!r}"
            require(not differs or changed.variant != metric.variant, what)


def _other_values(config: BaseConfig, name: str) -> Iterator[BaseConfig]:
    """The config with other values of one field: true or false, the other choices, numbers around the given one."""
    value = getattr(config, name)
    if isinstance(value, bool):
        candidates: Iterable[object] = (not value,)
    elif isinstance(value, int | float):
        candidates = (value * 2, value + 1, type(value)(value * 0.5))
    else:
        candidates = get_args(type(config).model_fields[name].annotation)[:3]
    for candidate in candidates:
        if isinstance(candidate, bool | int | float | str) and candidate != value:
            with suppress(RecipeError):  # out of range, or it does not fit the other fields
                yield config.replace(**{name: candidate})


def check_metric(ref: ComponentRef) -> None:
    """Declares unit, direction and needs; identity is at least as good as noise; silence is no NaN."""
    component = ref.load()
    metric = component(example_config(ref))
    require(isinstance(component.unit, str), "unit is not declared")
    require(component.higher_is_better in (True, False, None), "higher_is_better is not declared")
    require(
        component.needs <= Metric.NEEDS, f"needs {set(component.needs)}; known are {', '.join(sorted(Metric.NEEDS))}"
    )
    require(len(component.needs - {"text"}) <= 1, f"needs {set(component.needs)}: one audio at most")
    if component.needs != {"reference"} or component.of_sets:
        return
    clean, noisy = _clean_and_noisy(metric.sample_rate or 16000)
    try:
        same, worse = metric.score(clean, clean), metric.score(noisy, clean)
    except _UNDEFINED:
        return
    if component.higher_is_better is not None:
        require(
            (same >= worse) == component.higher_is_better or same == worse, f"identity scores {same}, noise {worse}"
        )
    try:
        value = metric.score(Audio(np.zeros_like(clean.samples), clean.sample_rate), clean)
    except DataError:
        return
    require(np.isfinite(value), f"silence scores {value}, and is no DataError")


def check_embedding(ref: ComponentRef) -> None:
    """Vectors are (N, dim), finite, and the same each time, where the weights are there."""
    embedding = ref.load()(example_config(ref))
    random = np.random.default_rng(0)
    wave = Audio(0.1 * random.standard_normal(3 * embedding.sample_rate).astype(np.float32), embedding.sample_rate)
    try:
        found, again = embedding.embed(wave), embedding.embed(wave)
    except (MissingPackage, WeightsError):  # the error says what to install
        return
    count = len(found.vectors)
    require(found.vectors.shape == (count, embedding.dim) and count > 0, f"vectors of shape {found.vectors.shape}")
    require(bool(np.isfinite(found.vectors).all()), "vectors that are not finite")
    require(np.array_equal(found.vectors, again.vectors), "the same audio gives two different vectors")
    require(found.logits is None or len(found.logits) == count, "not as many logits as vectors")


def check_recognizer(ref: ComponentRef) -> None:
    """Silence is transcribed as text; a language that does not exist is a DataError, where the weights are there."""
    recognizer = ref.load()(example_config(ref))
    silence = Audio(np.zeros(recognizer.sample_rate, np.float32), recognizer.sample_rate)
    try:
        require(isinstance(recognizer.transcribe(silence, "en"), str), "a transcript is no text")
        recognizer.transcribe(silence, "qqq")
    except (MissingPackage, WeightsError, DataError):
        return
    raise CheckFailed("the language qqq is no DataError")


def check_dataset(ref: ComponentRef) -> None:
    """Ids are unique and every file exists, where ``example_config`` names a corpus that is there."""
    component = ref.load()
    if not hasattr(component, "example_config"):
        return
    items = list(component(component.example_config()).utterances())
    ids = [item.id for item in items]
    require(len(ids) == len(set(ids)), "two utterances have one id")
    lost = [item.path for item in items if not Path(item.path).is_file()]
    require(not lost, f"files that do not exist: {lost[:3]}")


KIND: dict[str, tuple[Check, ...]] = {
    "features": (check_feature,),
    "augmentations": (check_augmentation,),
    "frontends": (check_frontend,),
    "metrics": (check_metric, check_metric_variant),
    "embeddings": (check_embedding,),
    "recognizers": (check_recognizer,),
    "datasets": (check_dataset,),
}
