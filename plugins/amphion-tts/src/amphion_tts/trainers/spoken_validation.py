"""Validation by speaking: the network says the texts of the validation items, and metrics judge what it said."""

import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from amphion_core.api import Audio, Batch, FrontendPart, MetricPart, TextToSpeech, Validation, Vocoder, open_vocoder
from amphion_core.features.mel import mel_spectrogram
from amphion_core.training.metrics import validation_metrics, validation_score

CAN_BE_COMPARED = frozenset({"reference", "text"})
FACTOR = "real_time_factor"  # seconds of computing for each second of audio


class SpokenValidation:
    """Speaks the validation texts and scores them with ``metrics``, such as wer, cer, mcd, f0_rmse, speaker_similarity.

    A model whose output is a mel is heard through ``vocoder``: whatever `open_vocoder` takes. Without metrics nothing
    is spoken. The score of a validation is the mean over its items; so ``wer`` is the mean of the items' rates.
    A metric that states no other language than its default has the language of the model's frontend.
    Raises RecipeError for a metric of sets, or one that needs more than the recording and its text; and what
    `open_vocoder` raises, so that a wrong vocoder is found before the first step.
    """

    def __init__(self, metrics: Sequence[MetricPart], model: TextToSpeech, vocoder: str | None = None) -> None:
        metrics = [_in_language_of(model, part) for part in metrics]
        self.metrics = validation_metrics(metrics, CAN_BE_COMPARED, "recordings and their texts")
        self.mel, self._vocoder = model.config.mel, vocoder
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
        for index, wave, seconds in self._spoken(network, batch) if self.metrics else ():
            made = Audio(wave.clamp(-1, 1).numpy(), self.mel.sample_rate)
            real = Audio(batch["wave"][index, : batch["lengths"][index]].cpu().numpy(), self.mel.sample_rate)
            for name in self.metrics:
                scores[name].append(validation_score(self.metrics, name, made, real, batch.texts["text"][index]))
            scores[FACTOR].append(seconds / made.duration)
            name = f"spoken_{batch.ids[index].replace('/', '_')}"
            audio[name], pictures[name] = wave, mel_spectrogram(wave[None], self.mel)[0]
        return Validation(scores, audio, pictures)

    def _spoken(self, network: TextToSpeech, batch: Batch) -> Iterator[tuple[int, Tensor, float]]:
        """Each item's index, its wave (T,) on the CPU, and the seconds that it took."""
        speaker = batch.tensors.get("speaker")
        for index in range(len(batch)):
            length = batch["id_lengths"][index : index + 1]
            ids = batch["ids"][index : index + 1, : int(length)]
            start = time.perf_counter()
            made = network.synthesize(ids, length, None if speaker is None else speaker[index : index + 1], seed=0)
            if made.wave is not None:
                wave = made.wave[0, : int(made.lengths[0])]
            else:
                assert made.mel is not None
                vocoder, count = self._vocoder_on(ids.device), int(made.lengths[0])
                f0 = made.f0[:, :count] if vocoder.needs_f0 and made.f0 is not None else None
                wave = vocoder.vocode(made.mel[..., :count], f0, seed=0)[0]
            silence = max(0, self.mel.n_fft - len(wave))  # an untrained network may speak a single frame
            yield index, pad(wave.float().cpu(), (0, silence)), time.perf_counter() - start

    def _vocoder_on(self, device: torch.device) -> Vocoder:
        if self._open is None:
            self._open = open_vocoder(self._vocoder, self.mel, device=str(device))
        return self._open


def _in_language_of(model: TextToSpeech, part: MetricPart) -> MetricPart:
    """``part`` in the language of the model's frontend (``en`` for ``en-us``), if it has the default language."""
    field = type(part.config).model_fields.get("language")
    frontend: FrontendPart | None = model.config.frontend
    if field is None or frontend is None or dict(part.config)["language"] != field.default:
        return part
    language = str(dict(frontend.config)["language"]).partition("-")[0]
    return MetricPart(part.name, part.config.replace(language=language))
