"""Captions to token ids, with the tokenizer stored beside the weights of its text encoder.

A published tokenizer is one JSON file of the package ``tokenizers``. It is kept as a tensor of bytes in the state of
the encoder, so that a weights folder is complete: no other file is needed to encode a caption. Without such a file the
tokens are the bytes of the text, as in Xue et al.: "ByT5", arXiv:2105.13626.
"""

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from amphion_core.api import TextCondition, TextEncoder
from amphion_core.errors import MissingPackage, WeightsError, first_line

PAD, END, FIRST_BYTE = 0, 1, 3  # ids of ByT5: padding, the end of a text, the byte 0
BYTES = FIRST_BYTE + 256  # ids that the bytes of a text need


class CaptionTokenizer(nn.Module):
    """B captions -> ids (B, L) and mask (B, L), True where valid."""

    json: Tensor

    def __init__(self, size: int, *, max_tokens: int, pad: int = PAD) -> None:
        """``size`` are the bytes of the stored tokenizer, 0 for byte tokens; ``pad`` is the id after short captions."""
        super().__init__()
        self.max_tokens, self.pad = max_tokens, pad
        self._reader: Any = None
        if size:
            self.register_buffer("json", torch.zeros(size, dtype=torch.uint8))

    def forward(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """ids (B, L) and mask (B, L) on the CPU. A caption beyond ``max_tokens`` is cut; its end symbol stays."""
        rows = [self._row(text) for text in texts]
        rows = [row if len(row) <= self.max_tokens else [*row[: self.max_tokens - 1], row[-1]] for row in rows]
        size = max(map(len, rows), default=1)
        ids = torch.tensor([row + [self.pad] * (size - len(row)) for row in rows]).view(len(rows), size)
        mask = torch.tensor([[True] * len(row) + [False] * (size - len(row)) for row in rows]).view(len(rows), size)
        return ids, mask

    def count(self, text: str) -> int:
        """Tokens of a caption before it is cut, with the symbols that mark its beginning and end."""
        return len(self._row(text))

    def _row(self, text: str) -> list[int]:
        text = " ".join(text.split())
        if "json" not in self._buffers:
            return [byte + FIRST_BYTE for byte in text.encode("utf-8", "replace")] + [END]
        if self._reader is None:
            self._reader = _reader(bytes(self.json.cpu().numpy()))
        return list(self._reader.encode(text).ids)


class TokenEncoder(TextEncoder):
    """Base of the encoders that read tokens: ``forward`` maps ids (B, L) and mask (B, L) to a TextCondition."""

    tokenizer: CaptionTokenizer
    needs_packages = ("transformers",)
    layouts = layouts_with_config = ("transformers",)
    files_beside = {"tokenizer": ("tokenizer.json", "../tokenizer/tokenizer.json")}

    def example_inputs(self) -> dict[str, Any]:
        """Two captions of different lengths."""
        ids, mask = self.tokenizer(["a dog barks", "rain"])
        return {"ids": ids, "mask": mask}

    def token_count(self, text: str) -> int:
        """Tokens of a caption, with those that mark its beginning and end."""
        return self.tokenizer.count(text)

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> TextCondition:
        """B captions -> TextCondition. A caption beyond ``max_tokens`` is cut. The empty one has the end symbol."""
        ids, mask = self.tokenizer(texts)
        with self.autocast():
            found: TextCondition = self(ids.to(self.device), mask.to(self.device))
        return found


def stored_tokenizer(found: Any) -> Tensor:
    """The tokenizer of a publisher, parsed from its ``tokenizer.json``, as the tensor that the state holds, (bytes,).

    Raises WeightsError where there is none.
    """
    if not isinstance(found, dict) or "model" not in found:
        raise WeightsError(
            "the text encoder needs its publisher's tokenizer.json",
            hint="put tokenizer.json beside the checkpoint; transformers writes it: tokenizer.save_pretrained(FOLDER)",
        )
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8).clone()


def _reader(stored: bytes) -> Any:
    """The tokenizer of ``tokenizers``, without its own padding and cutting. Raises MissingPackage, WeightsError."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingPackage(
            f"encoding captions needs tokenizers: {error}", hint='pip install "amphion-tta[transformers]"'
        ) from error
    try:
        reader = Tokenizer.from_str(stored.decode())
    except Exception as error:  # the package raises plain Exception
        raise WeightsError(
            f"the stored tokenizer cannot be read: {first_line(error)}", hint="convert the text encoder again"
        ) from error
    reader.no_padding()
    reader.no_truncation()
    return reader
