"""Whether a learned alignment of text and recording looks right, as scores of a validation and in words."""

from collections.abc import Mapping

from torch import Tensor

SHORT, LONGEST = "one_frame_tokens", "longest_token"
MANY_SHORT, TOO_LONG = 0.75, 0.3  # shares that a learned alignment stays below
FEWEST_TOKENS = 10  # in a shorter text one token may rightly have a third of the frames


def alignment_scores(durations: Tensor, lengths: Tensor) -> dict[str, list[float]]:
    """durations (B, L) in frames, lengths (B) in tokens -> two shares for each item.

    ``one_frame_tokens`` is the share of tokens that have only one frame. ``longest_token`` is the share of all frames
    that the longest token has; NaN for a text of fewer than ten tokens. Before anything is learned, the search gives
    almost all frames to one token and one frame to each of the others.
    """
    short, longest = [], []
    for row, length in zip(durations.cpu(), lengths.tolist(), strict=True):
        own = row[:length].float()
        enough = length >= FEWEST_TOKENS
        short.append(float((own <= 1).float().mean()) if enough else float("nan"))
        longest.append(float(own.max() / own.sum().clamp_min(1)) if enough else float("nan"))
    return {SHORT: short, LONGEST: longest}


def alignment_remarks(scores: Mapping[str, float]) -> list[str]:
    """What the average ``alignment_scores`` of a validation say in words; empty while they look right."""
    short, longest = scores.get(SHORT, 0.0), scores.get(LONGEST, 0.0)
    if short < MANY_SHORT and longest < TOO_LONG:
        return []
    return [
        f"the alignment of text and recordings has not been learned: on average {short:.0%} of a text's tokens have"
        f" one frame only, and one token has {longest:.0%} of all frames. This is normal in the first thousands of"
        " steps. If it stays so, check that the texts say what is in the recordings (amphion prepare --check-text),"
        " that the frontend fits their language, that long silences are cut (trim=40), and that there is enough speech:"
        " about half an hour for a new voice, some minutes to fine-tune one. The pictures alignment_* show a diagonal"
        " when it is learned"
    ]
