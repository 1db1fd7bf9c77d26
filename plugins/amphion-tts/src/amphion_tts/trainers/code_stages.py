"""Training of models of codes in two stages: first the AR model (valle_ar), then the NAR model (valle_nar).

Wang et al., arXiv:2301.02111, section 4.2: cross-entropy of the first codebook, code after code with the end, and of
one of the other codebooks, drawn for each batch, after a prefix of the same recording whose codebooks are all seen. The
second stage begins with the first one's weights: ``engine.init_from=RUN``.
Deviations: both losses are means over predicted codes; in the published code they are sums, so that the length of a
batch changes the step. The length of the prefix is drawn for each recording, not for a batch.
"""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.api import (
    BaseConfig,
    Batch,
    Codes,
    Collate,
    Example,
    FeaturePart,
    MetricPart,
    ModelArchitecture,
    ModelTrainer,
    Update,
    Utterance,
    Validation,
)  # fmt: skip
from amphion_core.data.batch import Partners
from amphion_core.data.usable import NO_TEXT
from amphion_core.errors import DataError, RecipeError
from amphion_tts.models.codec_speech import CodecSpeech, Scores
from amphion_tts.trainers.spoken_validation import SpokenValidation
from amphion_tts.trainers.text_batch import TextCollator, required_frontend

LONGEST_PREFIX = 3.0  # seconds, as published: 225 frames of EnCodec
PREFIX_SHARE = (0.25, 0.5)  # of a recording, as published
TOP = 10  # a code counts as found if it is among so many likeliest ones


CODE_SCORES = {"cross_entropy": False, "accuracy": True, "top10_accuracy": True}


class CodeTrainer(ModelTrainer):
    """What both stages do alike: batches of texts and codes, and the cross-entropy of codes."""

    stage: ClassVar[Literal["ar", "nar"]]

    class Config(BaseConfig):
        """Nothing to choose."""

    config: Config
    trains = "tts"
    example_model = "tts/valle"

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        super().__init__(config, model=model)
        if not isinstance(model, CodecSpeech):
            raise RecipeError(
                f"the trainer valle_{self.stage} cannot train {type(model).__name__}",
                hint="write model: tts/valle or model: tts/valle_v1 in the recipe",
            )
        self.network = model
        codec = model.codec
        self._rate, self._hop = codec.sample_rate, codec.hop_length
        self._texts = TextCollator(required_frontend(model))

    @property
    def sample_rate(self) -> int:
        """The rate of the codec, Hz."""
        return self._rate

    @property
    def hop_length(self) -> int:
        """The hop of the codec, samples."""
        return self._hop

    def features(self) -> dict[str, FeaturePart]:
        """The codes of the recordings."""
        part: FeaturePart = self.network.config.codes_feature
        return {"codes": part}

    def networks(self) -> dict[str, nn.Module]:
        """The network of the stage."""
        return {self.stage: getattr(self.model, self.stage)}

    def collator(self) -> Collate:
        """Codes of whole recordings, and their texts as ids."""
        return CodeCollator(self._texts, self._rate)

    def unusable(self, utterance: Utterance) -> str | None:
        """An item needs a text."""
        return None if utterance.text.strip() else NO_TEXT

    def scores(self, batch: Batch, stage: int, prefix: Tensor | None) -> Scores:
        """The scores of the network with the current weights, or of its average in a validation."""
        network = self.ema.get(self.stage, getattr(self.model, self.stage))
        given = batch["ids"], batch["id_lengths"], batch["codes"].long(), batch["codes_lengths"]
        found: Scores = network(*given) if self.stage == "ar" else network(*given, stage, prefix)
        return found


class ARTrainer(CodeTrainer):
    """One update for each step: the cross-entropy of the first codebook and of the end."""

    stage = "ar"

    class Config(BaseConfig):
        """What padding counts as."""

        pad_is_eos: bool = Field(
            default=False,
            description="the padding of a batch counts as end symbols in the loss of tts/valle_v1, as published",
        )

    config: Config  # type: ignore[assignment]

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        super().__init__(config, model=model)  # type: ignore[arg-type]
        self.higher_is_better = CODE_SCORES

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """``ids``, ``codes`` and their lengths -> the update of the AR model."""
        found = self.scores(batch, 0, None)
        losses = _cross_entropy(found)
        counted = torch.ones_like(found.predicted) if self.config.pad_is_eos else found.predicted
        network: Any = self.network.ar
        total = batch.totals["codes"] + network.added * batch.totals["items"]
        hits = _hits(found, 1) * found.predicted
        yield Update("ar", (losses * counted).sum() / total, {"accuracy": hits.sum() / total})

    def validation_step(self, batch: Batch) -> Validation:
        """Nats for each code, and how often the code is the likeliest, or among the ten likeliest."""
        found = self.scores(batch, 0, None)
        return Validation({
            "cross_entropy": _means(_cross_entropy(found), found),
            "accuracy": _means(_hits(found, 1), found),
            "top10_accuracy": _means(_hits(found, TOP), found),
        })  # fmt: skip


class NARTrainer(CodeTrainer):
    """One update for each step: the cross-entropy of one of the codebooks after the first."""

    stage = "nar"

    class Config(BaseConfig):
        """How the validation judges speech."""

        metrics: tuple[MetricPart, ...] = Field(
            default=(),
            description="metrics of the spoken validation texts, each in the voice of another item of its speaker: "
            "wer, sim_o, ...",
        )

    config: Config  # type: ignore[assignment]

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        super().__init__(config, model=model)  # type: ignore[arg-type]
        self.stages = range(1, self.network.config.n_codebooks)
        self.speaking = SpokenValidation(config.metrics, self.network)
        self.higher_is_better = {**CODE_SCORES, **self.speaking.higher_is_better}

    @property
    def validation_partners(self) -> Partners | None:
        """Whether texts are spoken, in the voice of another item."""
        return "own voice" if self.speaking.needs_prompts else None

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """``ids``, ``codes`` and their lengths -> the update of the NAR model."""
        stage = 1 + int(torch.randint(len(self.stages), (1,)))
        found = self.scores(batch, stage, self._prefix(batch["codes_lengths"]))
        # The prefix is drawn here, so the frames that are predicted in the whole step are unknown. The mean of each
        # item counts as often as the item has frames.
        share = batch["codes_lengths"] / found.predicted.sum(1) / batch.totals["codes"]
        loss = ((_cross_entropy(found) * found.predicted).sum(1) * share).sum()
        hits = ((_hits(found, 1) * found.predicted).sum(1) * share).sum()
        yield Update("nar", loss, {"accuracy": hits})

    def validation_step(self, batch: Batch) -> Validation:
        """The same scores as of the AR model, over all codebooks after the first; and what they sound like.

        A quarter of the recording is the prompt. Each codebook is predicted from the recording's own earlier ones. With
        ``metrics`` the texts are spoken too, by both models.
        """
        prefix = (batch["codes_lengths"] // 4).clamp(max=self._longest)
        scores: dict[str, list[list[float]]] = {name: [] for name in CODE_SCORES}
        codes = batch["codes"].long().clone()
        for stage in self.stages:
            found = self.scores(batch, stage, prefix)
            scores["cross_entropy"].append(_means(_cross_entropy(found), found))
            scores["accuracy"].append(_means(_hits(found, 1), found))
            scores["top10_accuracy"].append(_means(_hits(found, TOP), found))
            likeliest = found.scores[..., : self.network.config.codebook_size].argmax(-1)
            codes[:, stage] = torch.where(found.predicted, likeliest, codes[:, stage])
        waves = self.network.codec.decode(Codes(codes.transpose(0, 1)))[:, 0].float().cpu()
        sizes = (batch["codes_lengths"] * self._hop).tolist()
        names = [id.replace("/", "_") for id in batch.ids]
        means = {name: [sum(each) / len(each) for each in zip(*rows, strict=True)] for name, rows in scores.items()}
        audio = {name: wave[:n] for name, wave, n in zip(names, waves, sizes, strict=True)}
        spoken = self.speaking(self.network, batch)
        return Validation({**means, **spoken.scores}, {**audio, **spoken.audio}, spoken.pictures)

    @property
    def _longest(self) -> int:
        return round(LONGEST_PREFIX * self._rate / self._hop)

    def _prefix(self, lengths: Tensor) -> Tensor | None:
        """Frames (B) of the prefix of each item: a quarter to a half, at most three seconds; None: no prefix."""
        if getattr(self.network.config, "prefix", "start") == "none":
            return None
        low, high = PREFIX_SHARE
        share = low + (high - low) * torch.rand(len(lengths), device=lengths.device)
        return (lengths * share).long().clamp(max=self._longest)


class CodeCollator:
    """What `TextCollator` gives. Counts ``codes``, the frames of all items. Raises DataError for a cropped item."""

    def __init__(self, texts: TextCollator, rate: int) -> None:
        self.texts, self.rate = texts, rate

    def __call__(self, examples: Sequence[Example]) -> Batch:
        """The batch of ``examples``. Raises DataError."""
        for example in examples:
            if len(example.wave) < example.utterance.duration * self.rate / 2:
                raise DataError(
                    f"item {example.utterance.id} is cropped, and a text needs its whole recording",
                    hint="set data.crop=null; data.longest leaves out long recordings",
                )
        return self.texts(examples)


def _cross_entropy(found: Scores) -> Tensor:
    """(B, S) in nats."""
    return F.cross_entropy(found.scores.float().mT, found.targets, reduction="none")


def _hits(found: Scores, count: int) -> Tensor:
    """(B, S): 1 where the target is among the ``count`` likeliest codes, else 0."""
    best = found.scores.detach().topk(min(count, found.scores.shape[-1]), -1).indices
    return (best == found.targets[..., None]).any(-1).float()


def _means(values: Tensor, found: Scores) -> list[float]:
    """The mean of each item over what is predicted."""
    return ((values * found.predicted).sum(1) / found.predicted.sum(1)).tolist()
