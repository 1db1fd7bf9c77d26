"""ESC-50: meta/esc50.csv (filename,fold,target,category,esc10,src_file,take) and audio/."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from amphion_core.component import Utterance
from amphion_core.datasets.layout import TEMPLATE, FolderReader, RootConfig, seconds
from amphion_core.tables import read_table

SENTENCES = {
    "airplane": "an airplane flying over",
    "breathing": "a person breathing",
    "brushing teeth": "a person brushing teeth",
    "can opening": "a can being opened",
    "car horn": "a car horn",
    "cat": "a cat meowing",
    "chainsaw": "a chainsaw",
    "chirping birds": "birds chirping",
    "church bells": "church bells ringing",
    "clapping": "people clapping",
    "clock alarm": "an alarm clock beeping",
    "clock tick": "a clock ticking",
    "coughing": "a person coughing",
    "cow": "a cow mooing",
    "crackling fire": "a fire crackling",
    "crickets": "crickets chirping",
    "crow": "a crow cawing",
    "crying baby": "a baby crying",
    "dog": "a dog barking",
    "door wood creaks": "a wooden door creaking",
    "door wood knock": "someone knocking on a wooden door",
    "drinking sipping": "a person sipping a drink",
    "engine": "an engine running",
    "fireworks": "fireworks exploding",
    "footsteps": "footsteps",
    "frog": "a frog croaking",
    "glass breaking": "glass breaking",
    "hand saw": "a hand saw cutting wood",
    "helicopter": "a helicopter flying",
    "hen": "a hen clucking",
    "insects": "insects buzzing",
    "keyboard typing": "typing on a keyboard",
    "laughing": "a person laughing",
    "mouse click": "a mouse clicking",
    "pig": "a pig grunting",
    "pouring water": "water being poured",
    "rain": "rain falling",
    "rooster": "a rooster crowing",
    "sea waves": "waves of the sea",
    "sheep": "a sheep bleating",
    "siren": "a siren wailing",
    "sneezing": "a person sneezing",
    "snoring": "a person snoring",
    "thunderstorm": "a thunderstorm",
    "toilet flush": "a toilet flushing",
    "train": "a train passing",
    "vacuum cleaner": "a vacuum cleaner running",
    "washing machine": "a washing machine running",
    "water drops": "water dripping",
    "wind": "wind blowing",
}
"""A sentence for each class."""


class ESC50(FolderReader):
    """Environmental sounds of five seconds in 50 classes; five folds that share no source recording."""

    class Config(RootConfig):
        """The folder, and the folds of the dev and test splits."""

        dev_folds: tuple[int, ...] = Field(default=(4,), description="folds of the dev split")
        test_folds: tuple[int, ...] = Field(default=(5,), description="folds of the test split")
        captions: Literal["class", "sentence"] = Field(
            default="class", description="the name of the class, or a sentence such as: a dog barking"
        )
        caption_template: str = Field(
            default="{}",
            pattern=TEMPLATE,
            description="sentence with {} for the caption: a recording of {}",
        )

    config: Config

    def rows(self) -> Iterator[Utterance]:
        """Every sound in the order of the table, with a caption for its class."""
        self.require("meta/esc50.csv")
        table = read_table(self.root / "meta" / "esc50.csv", header=True)
        for number, row in table.records():
            where, name, fold = f"meta/esc50.csv line {number}", row.get("filename", ""), row.get("fold", "")
            if not name or not (fold.isascii() and fold.isdigit()):
                self.problems.append((where, "it has no filename or fold"))
                continue
            if (path := self.find(name, where, "audio")) is None:
                continue
            name = path.stem
            split = (
                "test"
                if int(fold) in self.config.test_folds
                else "dev"
                if int(fold) in self.config.dev_folds
                else "train"
            )
            kept = {key: row[key] for key in ("fold", "target", "category") if row.get(key)}
            yield Utterance(
                name, str(path), seconds(path), caption=self._caption(row.get("category", "")), split=split,
                extra=kept | {"recording": row.get("src_file") or name},
            )  # fmt: skip
        self.problems += table.problems

    def _caption(self, category: str) -> str:
        """The caption of a class; empty for a row without one."""
        name = category.replace("_", " ")
        if self.config.captions == "sentence":
            name = SENTENCES.get(name, name)
        return self.config.caption_template.format(name) if name else ""
