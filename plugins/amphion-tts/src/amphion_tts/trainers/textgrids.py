"""TextGrid files as sources of durations: the phones of a recording and their borders, as MFA writes them.

Borders in seconds become frames once, counted from the start of the recording, so that the durations of an item always
sum to its frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from amphion_core.api import MelConfig, TextFrontend, Utterance
from amphion_core.errors import DataError, MissingPackage

SILENCES = frozenset({"", "sp", "sil", "<eps>", "<sil>", "SIL"})  # newer MFA writes "", older MFA sp and sil
LATEST_END = 0.1  # seconds that a grid may differ from its recording
LEAST_ALIKE = 0.5  # share of phones that a grid and the text's pronunciation have in common


@dataclass(frozen=True, slots=True)
class Interval:
    """One phone of a grid, or a silence: an empty ``phone``. Times in seconds."""

    phone: str
    end: float


class TextGrids:
    """A folder of NAME.TextGrid files, also in folders inside it; NAME is the recording's file name or its id."""

    def __init__(self, folder: str, tier: str = "phones") -> None:
        self.folder, self.tier = Path(folder).expanduser().absolute(), tier
        if not self.folder.is_dir():
            raise DataError(
                f"{folder} is not a folder of TextGrid files", hint="align the corpus with MFA: mfa align ..."
            )
        self._paths: dict[str, Path] | None = None

    def path(self, utterance: Utterance) -> Path:
        """The file of an item. Raises DataError where there is none."""
        if (found := self._found(utterance)) is None:
            raise DataError(
                f"item {utterance.id} has no {Path(utterance.path).stem}.TextGrid under {self.folder}",
                hint="align it with MFA, or leave the item out and run amphion prepare again",
            )
        return found

    def has(self, utterance: Utterance) -> bool:
        """Whether there is a file of an item."""
        return self._found(utterance) is not None

    def _found(self, utterance: Utterance) -> Path | None:
        if self._paths is None:
            self._paths = {path.stem: path for path in sorted(self.folder.rglob("*.TextGrid"))}
        names = Path(utterance.path).stem, utterance.id, utterance.id.replace("/", "_")
        return next((self._paths[name] for name in names if name in self._paths), None)

    def intervals(self, utterance: Utterance) -> list[Interval]:
        """Phones and silences of an item, without gaps. Raises DataError, and MissingPackage without praatio."""
        try:
            from praatio import textgrid
            from praatio.utilities.errors import PraatioException
        except ImportError as error:
            raise MissingPackage(
                "TextGrid files are read by praatio, which is not installed", hint='pip install "amphion-tts[textgrid]"'
            ) from error
        path = self.path(utterance)
        try:
            grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="error")
        except (PraatioException, OSError, ValueError, IndexError, KeyError) as error:
            raise DataError(
                f"{path} of item {utterance.id} cannot be read as a TextGrid: {error}", hint="align the item again"
            ) from error
        if self.tier not in grid.tierNames:
            raise DataError(
                f"{path} of item {utterance.id} has no tier {self.tier!r}; its tiers: {', '.join(grid.tierNames)}",
                hint="name the tier that has the phones: trainer.durations.tier=NAME",
            )
        entries = grid.getTier(self.tier).entries
        return [Interval("" if one.label.strip() in SILENCES else one.label.strip(), float(one.end)) for one in entries]

    def row(
        self, utterance: Utterance, frontend: TextFrontend, mel: MelConfig, frames: int
    ) -> tuple[list[int], list[int]]:
        """The ids of an item and the frames of each id, which sum to ``frames``.

        The grid's phones become the tokens, because they are what was spoken. Marks and spaces of the text stay where
        they are; they take the grid's silences, and no frames where there is none. Raises DataError that names the item
        and the phone: a grid of another text, a phone that the model lacks, a grid of another recording.
        """
        intervals = self.intervals(utterance)
        length = intervals[-1].end if intervals else 0.0
        last = max((one.end for one in intervals if one.phone), default=0.0)
        own = abs(length - utterance.duration) <= LATEST_END  # else the times are those of the whole file
        begin = 0.0 if own else utterance.start
        end = begin + utterance.duration
        if not intervals or length < end - LATEST_END or last > end + LATEST_END:
            raise DataError(
                f"item {utterance.id}: its TextGrid ends at {length:.2f} s, its last phone at {last:.2f} s, and its"
                f" recording at {end:.2f} s",
                hint="align the recording again",
            )
        borders = [
            min(frames, max(0, round((one.end - begin) * mel.sample_rate / mel.hop_length))) for one in intervals
        ]
        borders[-1] = frames
        counts = [after - before for before, after in zip([0, *borders], borders, strict=False)]
        phones = [one.phone for one in intervals]
        spoken = [phone for phone in phones if phone]
        marks = _marks(frontend.tokens(utterance.text), spoken, utterance.id)
        known = set(frontend.config.symbols)
        for one in intervals:
            if one.phone and one.phone not in known:
                raise DataError(
                    f"item {utterance.id}: the phone {one.phone!r} of its TextGrid, which ends at {one.end:.2f} s, is"
                    f" not among the {len(known)} symbols of the model",
                    hint="align with a dictionary of the same phones, or choose another model.frontend",
                )
        c = frontend.config
        marks[0], marks[-1] = [*filter(None, [c.begin]), *marks[0]], [*marks[-1], *filter(None, [c.end])]
        tokens, durations = _joined(phones, counts, marks)
        if c.blank is not None:
            spaced = [0] * (2 * len(durations) + 1)
            spaced[1::2] = durations
            durations = spaced if c.blank_ends else spaced[1:-1]
        return frontend.ids(tokens[c.begin is not None : len(tokens) - (c.end is not None)]), durations

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_paths": None}


def _marks(tokens: Sequence[str], spoken: Sequence[str], item: str) -> list[list[str]]:
    """The marks and spaces of a text before each of the grid's phones, and those after the last.

    Both sequences of phones are compared without stress, because a grid may have another pronunciation of a word.
    """
    sounds = [token for token in tokens if _is_sound(token)]
    matcher = SequenceMatcher(None, [_plain(one) for one in sounds], [_plain(one) for one in spoken], autojunk=False)
    if not spoken or matcher.ratio() < LEAST_ALIKE:
        at = next((i for i, (a, b) in enumerate(zip(sounds, spoken, strict=False)) if _plain(a) != _plain(b)), 0)
        raise DataError(
            f"item {item}: its TextGrid does not fit its text: phone {at + 1} is"
            f" {spoken[at] if spoken else 'missing'!r}, and the text's is {sounds[at] if sounds else 'missing'!r}",
            hint="check that the grid is that of this recording and that the text says what is spoken",
        )
    place = _places(matcher, len(sounds), len(spoken))
    marks: list[list[str]] = [[] for _ in range(len(spoken) + 1)]
    seen = 0
    for token in tokens:
        if _is_sound(token):
            seen += 1
        else:
            marks[place[seen]].append(token)
    return marks


def _places(matcher: "SequenceMatcher[str]", sounds: int, spoken: int) -> list[int]:
    """For each number of sounds of the text that lie before a mark, the number of the grid's phones before it."""
    place = [0] * (sounds + 1)
    for _, i1, i2, j1, j2 in matcher.get_opcodes():
        for i in range(i1, i2 + 1):  # within a replaced stretch the same share of both lies before the mark
            place[i] = j1 + round((i - i1) * (j2 - j1) / max(1, i2 - i1))
    place[0], place[sounds] = 0, spoken
    return place


def _joined(
    phones: Sequence[str], counts: Sequence[int], marks: Sequence[Sequence[str]]
) -> tuple[list[str], list[int]]:
    """Tokens and their frames: the grid's phones, with the text's marks between them, which take the silences.

    A silence where the text has no mark belongs to the phone before it, or to the first phone at the start.
    """
    tokens: list[str] = []
    durations: list[int] = []
    silence = number = 0  # frames since the last phone, phones so far
    for phone, count in [*zip(phones, counts, strict=True), (None, 0)]:
        if phone == "":
            silence += count
            continue
        tokens += marks[number]
        durations += [0] * len(marks[number])
        if marks[number]:
            durations[-len(marks[number])] = silence
        elif durations:
            durations[-1] += silence
        else:
            count += silence
        if phone is not None:
            tokens.append(phone)
            durations.append(count)
        silence, number = 0, number + 1
    return tokens, durations


def _is_sound(token: str) -> bool:
    return token[:1].isalpha()


def _plain(phone: str) -> str:
    """A phone without its stress."""
    return phone.rstrip("012")
