"""What a file is, by its first bytes: which reader a checkpoint needs, or what was downloaded instead of it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Reader = Literal["safetensors", "torch", "onnx", "index", ""]

HEAD = 4096  # bytes that are looked at
AGAIN = "download it again, and compare its size with the publisher's"


@dataclass(frozen=True, slots=True)
class Kind:
    """``reader`` opens the file as a checkpoint. It is empty for other files, which ``what`` and ``hint`` describe.

    ``what`` completes the sentence "FILE is ...", and ``hint`` is the next step.
    """

    reader: Reader
    what: str = ""
    hint: str = "give the checkpoint file itself; amphion list --pretrained shows published weights"


_UNPACK = "unpack it first ({}), and give the checkpoint file inside"
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "a gzip archive", _UNPACK.format("tar -xzf, or gunzip")),
    (b"BZh", "a bzip2 archive", _UNPACK.format("tar -xjf, or bunzip2")),
    (b"\xfd7zXZ\x00", "an xz archive", _UNPACK.format("tar -xJf, or unxz")),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", _UNPACK.format("unzstd")),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK.format("7z x")),
    (b"Rar!", "a rar archive", _UNPACK.format("unrar x")),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras and TensorFlow write", ""),
    (b"\x93NUMPY", "one NumPy array, not named tensors", ""),
    (b"GGUF", "a GGUF file, as llama.cpp uses", ""),
    (b"%PDF", "a PDF document", ""),
    (b"\x89PNG", "a picture", ""),
    (b"\xff\xd8\xff", "a picture", ""),
    (b"RIFF", "an audio file", ""),
    (b"fLaC", "an audio file", ""),
    (b"OggS", "an audio file", ""),
    (b"ID3", "an audio file", ""),
    (b"\x7fELF", "a program", ""),
    (b"MZ", "a program", ""),
)


def kind_of(path: Path) -> Kind:
    """The kind of a regular file. Raises OSError."""
    size = path.stat().st_size
    if not size:
        return Kind("", "empty (0 bytes)", AGAIN)
    with path.open("rb") as file:
        head = file.read(HEAD)
    unknown = Kind("", f"damaged or not a checkpoint ({size:,} bytes)", AGAIN)
    return _binary(path, head, size) or _text(path, head) or unknown


def _binary(path: Path, head: bytes, size: int) -> Kind | None:
    """The kind of a file that is not text; None for an unknown one."""
    if not head.strip(b"\0"):
        return Kind("", f"without contents: its first {len(head):,} bytes are zeros", AGAIN)
    if head.startswith(b"PK\x03\x04"):
        return _archive(path, size)
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return Kind("torch")
    if head[8:9] == b"{" and (kind := _safetensors(head, size)):
        return kind
    for magic, what, hint in _MAGIC:
        if head.startswith(magic):
            return Kind("", what, hint) if hint else Kind("", f"{what}, not a checkpoint")
    if head[257:262] == b"ustar":
        return Kind("", "a tar archive", _UNPACK.format("tar -xf"))
    if head[4:8] == b"TFL3":
        return Kind("", "a model of TensorFlow Lite, not a checkpoint")
    if path.suffix.lower() == ".onnx" or _looks_like_onnx(head):
        return Kind("onnx")
    if path.suffix == ".pb" or re.fullmatch(r".*\.(index|meta|data-\d+-of-\d+)", path.name):
        return Kind("", "a file of TensorFlow, not a checkpoint of torch")
    return None


def _archive(path: Path, size: int) -> Kind:
    """A zip archive; torch's present format is one. Its table of contents stands at the end."""
    import zipfile

    if not zipfile.is_zipfile(path):
        return Kind("", f"a damaged checkpoint of torch: it is cut short after {size:,} bytes", AGAIN)
    return Kind("torch")


def _safetensors(head: bytes, size: int) -> Kind | None:
    """A safetensors file: 8 bytes with the length of a header in JSON, the header, the tensors."""
    length = int.from_bytes(head[:8], "little")
    if length > 100_000_000 or not re.match(rb'\{\s*["}]', head[8:]):  # the format's own limit
        return None
    if 8 + length > size:
        what = f"a damaged safetensors file: it is cut short after {size:,} bytes, its header alone has {length:,}"
        return Kind("", what, AGAIN)
    return Kind("safetensors")


def _looks_like_onnx(head: bytes) -> bool:
    """ONNX has no mark; exporters write the version of the format first, then their name."""
    return bool(re.match(rb"\x08[\x03-\x14]\x12.[\x20-\x7e]{3}", head, re.DOTALL))


def _text(path: Path, head: bytes) -> Kind | None:
    """The kind of a text: what servers, Git and publishers' repositories give in place of a file."""
    try:
        text = head.decode("utf-8-sig") if len(head) < HEAD else head[:-4].decode("utf-8-sig", "ignore")
    except UnicodeDecodeError:
        return None
    if any(not character.isprintable() and character not in "\r\n\t\f" for character in text[:1000]):
        return None
    start = text.lstrip()
    low = start[:1000].lower()
    if low.startswith("version https://git-lfs"):
        found = re.search(r"^size (\d+)", start, re.MULTILINE)
        stated = f" of {int(found[1]):,} bytes" if found and len(found[1]) < 20 else ""
        return Kind(
            "", f"a pointer of Git LFS to the checkpoint{stated}, not the checkpoint itself",
            "run git lfs pull in its repository, or download the file itself from the publisher's page",
        )  # fmt: skip
    if "/annex/objects/" in low[:200]:
        return Kind("", "a pointer of git-annex, not the checkpoint itself", "run git annex get in its repository")
    if re.match(r"(<!doctype html|<html|<head|<body|<script|<!--)", low) or "<html" in low:
        return Kind(
            "", "a web page, not a checkpoint", "download the file itself, by the page's download button or raw link"
        )
    if low.startswith("<"):
        return Kind("", f"an XML text, not a checkpoint{_reply(start)}", AGAIN)
    if low.startswith(("{", "[")):
        if '"weight_map"' in text or path.name.endswith(".index.json"):
            return Kind("index")
        return Kind("", f"a JSON text, not a checkpoint file; it begins with {_beginning(start)}", _JSON_HINT)
    return Kind("", f"a text, not a checkpoint file; it begins with {_beginning(start)}")


_JSON_HINT = "give the file of weights; a configuration is given with amphion convert --config FILE"


def _reply(text: str) -> str:
    """What a storage server says in XML: its code and message."""
    words = [found[1] for tag in ("Code", "Message") if (found := re.search(rf"<{tag}>([^<]{{1,80}})</{tag}>", text))]
    return f": the server answered {': '.join(words)}" if words else f"; it begins with {_beginning(text)}"


def _beginning(text: str) -> str:
    return repr(" ".join(text[:60].split()))
