"""Validation by speaking: the network says the texts of the validation items, and metrics judge what it said."""

import math
import time
import warnings
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from amphion_core.api import (
    Audio,
    Batch,
    FrontendPart,
    MelConfig,
    MetricPart,
    Prompt,
    Synthesis,
    TextToSpeech,
    Validation,
    Vocoder,
    open_vocoder,
)
from amphion_core.errors import DataError
from amphion_core.features.mel import mel_spectrogram
from amphion_core.training.metrics import validation_metrics, validation_score

CAN_BE_COMPARED = frozenset({"reference", "text"})
FACTOR = "real_time_factor"  # seconds of computing for each second of audio


class SpokenValidation:
    """Speaks the validation texts and scores them with ``metrics``, such as wer, cer, mcd, f0_rmse, speaker_similarity.

    A model whose output is a mel is heard through ``vocoder``: whatever `open_vocoder` takes. Without metrics nothing
    is spoken. The score of a validation is the mean over its items; so ``wer`` is the mean of the items' rates.
    A metric that states no other language than its default has the language of the model's frontend.
    A model that imitates a recording gets another item of the same speaker, which the trainer asks for by
    ``validation_partners``; ``speaker_similarity`` then compares with the item itself, ``sim_o`` with the prompt. An
    item whose speaker has no other is not spoken, and its scores are NaN. One for which ``synthesize`` raises
    DataError, because nothing was generated, is scored as silence, with a warning.
    Raises RecipeError for a metric of sets, or one that needs more than the recording and its text; and what
    `open_vocoder` raises, so that a wrong vocoder is found before the first step.
    """

    def __init__(self, metrics: Sequence[MetricPart], model: TextToSpeech, vocoder: str | None = None) -> None:
        metrics = [_in_language_of(model, part) for part in metrics]
        imitates = model.takes_prompt
        compared = CAN_BE_COMPARED | ({"prompt"} if imitates else set())
        has = "recordings, their texts and prompts" if imitates else "recordings and their texts"
        self.metrics = validation_metrics(metrics, compared, has)
        self.needs_prompts = imitates and bool(self.metrics)
        self.rate, self._vocoder = model.sample_rate, vocoder
        self.mel: MelConfig = getattr(model.config, "mel", None) or _mel_of_pictures(self.rate)
        self._open: Vocoder | None = None
        if vocoder is not None:
            open_vocoder(vocoder, self.mel)  # only a check: the device of the training is not known yet

    @property
    def higher_is_better(self) -> dict[str, bool | None]:
        """The direction of each score."""
        found = {name: metric.higher_is_better for name, metric in self.metrics.items()}
        return found | {FACTOR: False} if found else {}

    def __call__(self, network: TextToSpeech, batch: Batch) -> Validation:
        """The scores of each item, what was said, and its mel. ``batch`` is one of `TextCollator`."""
        scores: dict[str, list[float]] = {name: [] for name in self.higher_is_better}
        audio: dict[str, Tensor] = {}
        pictures: dict[str, Tensor] = {}
        if self.needs_prompts and "prompt" not in batch:
            return Validation({name: [math.nan] * len(batch) for name in scores})
        for index, wave, seconds in self._spoken(network, batch) if self.metrics else ():
            made = Audio(wave.clamp(-1, 1).numpy(), self.rate)
            real, text = self._recording(batch, "wave", "lengths", index), batch.texts["text"][index]
            heard = self._recording(batch, "prompt", "prompt_lengths", index) if "prompt" in batch else None
            for name in self.metrics:
                scores[name].append(validation_score(self.metrics, name, made, real, text, heard))
            scores[FACTOR].append(seconds / made.duration)
            name = f"spoken_{batch.ids[index].replace('/', '_')}"
            audio[name], pictures[name] = wave, mel_spectrogram(wave[None], self.mel)[0]
        return Validation(scores, audio, pictures)

    def _recording(self, batch: Batch, wave: str, lengths: str, index: int) -> Audio:
        """A recording of the item, by the names of its samples and of their number."""
        return Audio(batch[wave][index, : batch[lengths][index]].cpu().numpy(), self.rate)

    def _spoken(self, network: TextToSpeech, batch: Batch) -> Iterator[tuple[int, Tensor, float]]:
        """Each item's index, its wave (T,) on the CPU, and the seconds that it took."""
        speaker = batch.tensors.get("speaker")
        for index in range(len(batch)):
            length = batch["id_lengths"][index : index + 1]
            ids = batch["ids"][index : index + 1, : int(length)]
            start = time.perf_counter()
            own = None if speaker is None else speaker[index : index + 1]
            try:
                made = network.synthesize(ids, length, own, prompt=_prompt(network, batch, index), seed=0)
            except DataError as error:  # a language model that is hardly trained may end at once
                warnings.warn(f"item {batch.ids[index]} is scored as silence: {error.message}", stacklevel=2)
                made = Synthesis(length.new_zeros(1), wave=torch.zeros(1, 0))
            if made.wave is not None:
                wave = made.wave[0, : int(made.lengths[0])]
            else:
                assert made.mel is not None
                vocoder, count = self._vocoder_on(ids.device), int(made.lengths[0])
                f0 = made.f0[:, :count].float() if vocoder.needs_f0 and made.f0 is not None else None
                with torch.autocast(ids.device.type, enabled=False):  # the vocoder is not trained: float32
                    wave = vocoder.vocode(made.mel[..., :count].float(), f0, seed=0)[0]
            silence = max(0, self.mel.n_fft - len(wave))  # an untrained network may speak a single frame
            yield index, pad(wave.float().cpu(), (0, silence)), time.perf_counter() - start

    def _vocoder_on(self, device: torch.device) -> Vocoder:
        if self._open is None:
            self._open = open_vocoder(self._vocoder, self.mel, device=str(device))
        return self._open


def _mel_of_pictures(rate: int) -> MelConfig:
    """A mel for the pictures of a model of waves that states none."""
    return MelConfig(sample_rate=rate, n_fft=1024, win_length=1024, hop_length=256, n_mels=80, fmin=0.0, fmax=rate / 2)


def _prompt(network: TextToSpeech, batch: Batch, index: int) -> Prompt | None:
    """The prompt of an item without padding; None for a model that takes none."""
    if not network.takes_prompt:
        return None
    row = slice(index, index + 1)
    lengths, id_lengths = batch["prompt_lengths"][row], batch["prompt_id_lengths"][row]
    wave, ids = batch["prompt"][row, : int(lengths)], batch["prompt_ids"][row, : int(id_lengths)]
    return Prompt(wave, lengths, ids, id_lengths)


def _in_language_of(model: TextToSpeech, part: MetricPart) -> MetricPart:
    """``part`` in the language of the model's frontend (``en`` for ``en-us``), if it has the default language."""
    field = type(part.config).model_fields.get("language")
    frontend: FrontendPart | None = model.config.frontend
    if field is None or frontend is None or dict(part.config)["language"] != field.default:
        return part
    language = str(dict(frontend.config)["language"]).partition("-")[0]
    return MetricPart(part.name, part.config.replace(language=language))
