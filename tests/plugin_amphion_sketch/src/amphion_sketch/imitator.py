"""SketchImitator: speaks letters with pieces of a recorded voice, at the pace of the recording."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import (
    BaseConfig,
    Batch,
    Collate,
    CorpusFacts,
    FrontendPart,
    Mel,
    MelConfig,
    ModelTrainer,
    Prompt,
    Synthesis,
    TextToSpeech,
    Update,
    Validation,
)
from amphion_core.errors import DataError
from amphion_core.text.symbols import frontend_with_symbols
from amphion_sketch.batches import valid
from amphion_sketch.texts import SpeechCollate


class SketchImitator(TextToSpeech):
    """Letters (B, L) and a prompt with its text -> wave (B, T). Each letter is a piece of the prompt."""

    class Config(BaseConfig):
        """The mel states the rate; the symbols come from the corpus."""

        mel: Mel = Field(default=MelConfig.preset("hifigan_22k_80"), description="rate and hop of the audio")
        frontend: FrontendPart = Field(
            default_factory=lambda: FrontendPart.named("sketch_letters"), description="how text becomes symbols"
        )

    config: Config
    output = "wave"
    takes_prompt = True

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.gain = nn.Embedding(max(1, len(config.frontend.config.symbols)), 1)  # logarithm of each letter's loudness
        nn.init.zeros_(self.gain.weight)

    @classmethod
    def config_for(cls, config: Config, facts: CorpusFacts) -> Config:
        """Fill in the symbols."""
        texts = (utterance.text for utterance in facts.utterances())
        return config.replace(frontend=frontend_with_symbols(config.frontend, texts))

    @classmethod
    def example_config(cls) -> Config:
        """The Latin letters."""
        frontend = FrontendPart.named("sketch_letters", symbols=("~", " ", *"abcdefghijklmnopqrstuvwxyz"))
        return cls.Config(frontend=frontend)

    def example_inputs(self) -> dict[str, Any]:
        """Two texts of four and three symbols."""
        return {"ids": torch.tensor([[1, 2, 3, 0], [4, 5, 0, 0]]), "lengths": torch.tensor([4, 3])}

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """ids (B, L), lengths (B) -> logarithms of the loudness of each letter (B, L), 0 where an item has none."""
        return self.gain(ids)[..., 0] * valid(lengths, ids.shape[1])[:, 0]

    @torch.inference_mode()
    def synthesize(
        self,
        ids: Tensor,
        lengths: Tensor,
        speaker: Tensor | None = None,
        *,
        prompt: Prompt | None = None,
        seed: int | None = None,
        controls: Any = None,
    ) -> Synthesis:
        """ids (B, L), lengths (B) -> wave (B, T). Raises DataError without a prompt or without its text."""
        if prompt is None or prompt.ids is None or prompt.id_lengths is None:
            raise DataError("the model needs a prompt with its text", hint="--prompt FILE --prompt-text TEXT")
        gains, rows = self(ids, lengths).exp(), []
        for item, count in enumerate(lengths.tolist()):
            heard = prompt.wave[item, : int(prompt.lengths[item])]
            size = max(1, len(heard) // int(prompt.id_lengths[item]))  # samples of a letter in the prompt
            last = len(heard) - size
            pieces = [heard[start : start + size] for start in (ids[item, :count] * 7919 % (last + 1)).tolist()]
            rows.append((torch.stack(pieces) * gains[item, :count, None]).flatten())
        sizes = torch.tensor([len(row) for row in rows], device=ids.device)
        return Synthesis(sizes, wave=nn.utils.rnn.pad_sequence(rows, batch_first=True).clamp(-1, 1))


class SketchImitatorTrainer(ModelTrainer):
    """The loudness of the letters approaches that of the recordings."""

    class Config(BaseConfig):
        """Nothing to choose."""

    config: Config
    trains = "tts"
    example_model = "tts/sketch_imitator"
    higher_is_better = {"loudness": False}
    validation_partners = "own voice"

    @property
    def sample_rate(self) -> int:
        """The rate of the model's mel, Hz."""
        return int(self.model.config.mel.sample_rate)

    def networks(self) -> dict[str, nn.Module]:
        """The whole model."""
        return {"model": self.model}

    def collator(self) -> Collate:
        """Texts as ids, also those of the prompts."""
        return SpeechCollate(self.model.config.frontend.build(), ())

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """The squared distance of logarithms of loudness."""
        lengths = batch["id_lengths"]
        power = batch["wave"].square().sum(1) / batch["lengths"]
        wanted = (power + 1e-8).log() / 2
        error = (self.model(batch["ids"], lengths) - wanted[:, None]).square() * valid(lengths, batch["ids"].shape[1])[
            :, 0
        ]
        yield Update("model", error.sum() / batch.totals["tokens"])

    def validation_step(self, batch: Batch) -> Validation:
        """How far the spoken text is from the loudness of the prompt; each item is spoken with another one's voice."""
        if "prompt" not in batch:  # the speaker has no other item
            return Validation({"loudness": [math.nan] * len(batch)})
        prompt = Prompt(batch["prompt"], batch["prompt_lengths"], batch["prompt_ids"], batch["prompt_id_lengths"])
        made = self.model.synthesize(batch["ids"], batch["id_lengths"], prompt=prompt)
        assert made.wave is not None
        found, heard = (wave.square().mean(1).sqrt() for wave in (made.wave, prompt.wave))
        audio = {f"{id}_prompt": wave for id, wave in zip(batch.ids, prompt.wave, strict=True)}
        return Validation({"loudness": (found - heard).abs().tolist()}, audio)
