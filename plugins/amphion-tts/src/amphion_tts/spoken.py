"""A piece of a text as audio, with the times of its words and phones."""

from collections.abc import Sequence
from dataclasses import dataclass

from amphion_core.api import Audio, TextFrontend
from amphion_core.errors import DataError
from amphion_tts.pieces import Piece
from amphion_tts.timings import Word, words_of


@dataclass(frozen=True, slots=True, eq=False)
class Spoken(Audio):
    """The audio of a piece (T,), with the silence after it.

    ``spoken_samples`` are those before this silence. ``durations`` are the frames of each of the piece's ids; None for
    a model that states none.
    """

    piece: Piece
    frontend: TextFrontend
    spoken_samples: int = 0
    durations: Sequence[int] | None = None

    @property
    def words(self) -> list[Word]:
        """The words with their phones; times are in seconds from the beginning of this audio.

        Raises DataError for a model that states no durations.
        """
        if not self.piece.ids:
            return []
        if self.durations is None:
            raise DataError(
                "the model states no durations, so the times of words are unknown",
                hint="amphion tts --model tts/vits@..., or leave timestamps and subtitles out",
            )
        seconds = self.spoken_samples / self.sample_rate
        return words_of(self.piece.parts, self.piece.ids, self.durations, seconds, self.frontend)
