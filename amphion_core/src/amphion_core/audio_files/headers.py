"""What the headers of an audio file say about its end: whether the file was cut short, or was never closed.

libsndfile reads a file that was cut short as shorter audio, without an error. Here the header's statement is compared
with the file's size, for wav (RIFF, RIFX, RF64), w64, aiff, au, caf, NIST Sphere and Ogg files, and for MPEG audio.
A program that writes into a pipe cannot state a length; it writes 0, -1, or a number near 2 or 4 GiB instead, and
such a file is complete. The layouts are those of the public descriptions of each format.
"""

import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from amphion_core.audio_files import mpeg_frames

HEAD = 4096  # bytes that are read first; most headers fit
OGG_PAGE = 65307  # the largest page, in bytes
_PIPE = 0x7FFF0000  # a wav header that states more bytes than this, in a smaller file, was written into a pipe
_SLACK = 15  # bytes that may be missing; some programs count padding
_CHUNKS = 1000  # chunks before the samples that are looked at

Read = Callable[[int, int], bytes]  # (first byte, number of bytes) -> the bytes; fewer at the end of the file


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known about the end of a file.

    ``problem`` is the reason why audio is missing. ``doubt`` is a reason to suspect it. ``content`` replaces the file's
    own content where libsndfile would not read all of it.
    """

    problem: str | None = None
    doubt: str | None = None
    content: bytes | None = None


def ending(path: str | os.PathLike[str], size: int) -> Ending:
    """Inspect the regular file of ``size`` bytes at ``path``; reads some KB, or all of MPEG audio without a length.

    A file of an unknown kind has nothing to say: ``Ending()``. Raises OSError.
    """
    with open(path, "rb") as file:  # noqa: PTH123 - faster than Path, and there are many
        head = file.read(HEAD)

        def read(first: int, count: int) -> bytes:
            if first + count <= len(head) or first >= size:
                return head[first : first + count]
            file.seek(first)
            return file.read(count)

        look = _KINDS.get(head[:4])
        if look is not None:
            return look(read, size)
        if head[:3] == b"ID3" or mpeg_frames.is_frame(head[:4]):
            return _mpeg(read, size)
        return Ending()


def _cut(stated: int, present: int) -> Ending:
    return Ending(f"it was cut short: its header states {stated} bytes of samples, {max(0, present)} are there")


def _chunks(
    read: Read, at: int, head: struct.Struct, *, align: int = 1, counts_head: bool = False
) -> Iterator[tuple[bytes, int, int]]:
    """The name, the first byte of the content and its stated length, for each chunk from byte ``at`` on.

    ``head`` reads a name and a length, which ``counts_head`` says to include the head. Contents are padded to a
    multiple of ``align`` bytes. The chunk after a negative length cannot be found.
    """
    for _ in range(_CHUNKS):
        if len(found := read(at, head.size)) < head.size:
            return
        name, length = head.unpack(found)
        length -= head.size * counts_head
        at += head.size
        yield name, at, length
        if length < 0:
            return
        at += length + -length % align


def _riff(read: Read, size: int) -> Ending:
    """RIFF, RIFX and RF64: chunks of a name, a length of 32 bits, and content padded to an even length."""
    head = struct.Struct(">4sI" if read(0, 4) == b"RIFX" else "<4sI")
    long_length = None
    for name, start, length in _chunks(read, 12, head, align=2):
        if name == b"ds64":
            long_length = int.from_bytes(read(start + 8, 8), "little")
        if name == b"data":
            return _data(read, size, start, length, head, long_length)
    return Ending()  # libsndfile reports that there are no samples


def _data(read: Read, size: int, start: int, length: int, head: struct.Struct, long_length: int | None) -> Ending:
    """The chunk of samples, whose content begins at byte ``start``; ``long_length`` is its length in an RF64 file."""
    present = size - start
    if long_length and length == 0xFFFFFFFF:
        return _cut(long_length, present) if present + _SLACK < long_length < 1 << 62 else Ending()
    if length == 0 and present > 0 and not _is_chunk(read(start, 8), present, head):
        whole = read(0, size)
        return Ending(content=b"".join([whole[: start - 4], b"\xff" * 4, whole[start:]]))
    return _cut(length, present) if present + _SLACK < length < _PIPE else Ending()


def _is_chunk(chunk: bytes, present: int, head: struct.Struct) -> bool:
    """Whether a RIFF chunk begins here, so that the samples before it are really none."""
    return len(chunk) == 8 and chunk[:4].isalnum() and head.unpack(chunk)[1] <= present - 8


def _w64(read: Read, size: int) -> Ending:
    """Sony Wave64: chunks of a name of 16 bytes and a length of 64 bits, which counts these 24 bytes too."""
    for name, start, length in _chunks(read, 40, struct.Struct("<4s12xQ"), align=8, counts_head=True):
        if name == b"data":
            return _cut(length, size - start) if size - start + _SLACK < length < 1 << 62 else Ending()
    return Ending()


def _aiff(read: Read, size: int) -> Ending:
    """AIFF and AIFF-C: chunks as in RIFF, with the most significant byte first."""
    for name, start, length in _chunks(read, 12, struct.Struct(">4sI"), align=2):
        if name == b"SSND":
            return _cut(length, size - start) if size - start + _SLACK < length < _PIPE else Ending()
    return Ending()


def _au(read: Read, size: int) -> Ending:
    """Sun audio: the offset of the samples, and their number of bytes."""
    offset, length = struct.unpack(">II" if read(0, 4) == b".snd" else "<II", read(4, 8).ljust(8, b"\0"))
    return _cut(length, size - offset) if size - offset + _SLACK < length < _PIPE else Ending()


def _caf(read: Read, size: int) -> Ending:
    """Apple's Core Audio: chunks of a name and a signed length of 64 bits; -1 means to the end of the file."""
    for name, start, length in _chunks(read, 8, struct.Struct(">4sq")):
        if name == b"data" and length == -1:  # libsndfile does not know this value
            whole, present = read(0, size), size - start
            return Ending(content=b"".join([whole[: start - 8], present.to_bytes(8, "big"), whole[start:]]))
        if name == b"data":
            return _cut(length, size - start) if size - start + _SLACK < length else Ending()
    return Ending()


def _nist(read: Read, size: int) -> Ending:
    """NIST Sphere: lines of text that state, among others, the number of samples and the bytes of each."""
    found = dict(re.findall(rb"^(sample_count|sample_n_bytes|channel_count) -i (\d{1,18})\s*$", read(0, HEAD), re.M))
    header = read(8, 8).strip()
    if b"sample_count" not in found or not header.isdigit():
        return Ending()
    each = int(found.get(b"sample_n_bytes", b"2")) * int(found.get(b"channel_count", b"1"))
    length, present = int(found[b"sample_count"]) * each, size - int(header)
    compressed = re.search(rb"^sample_coding -s\d+ .*(embedded|shorten)", read(0, HEAD), re.M)
    return _cut(length, present) if present + _SLACK < length and not compressed else Ending()


def _ogg(read: Read, size: int) -> Ending:
    """Ogg: pages, each with a flag for the last one, the number of its stream, and a table of lengths. RFC 3533."""
    tail = read(first := max(0, size - OGG_PAGE - 512), size - first)
    at = len(tail)
    while (at := tail.rfind(b"OggS", 0, at)) >= 0:
        page = tail[at:]
        if len(page) > 26 and page[4] == 0:  # the version of the format
            break
    if at < 0:
        return Ending()
    end = at + 27 + page[26] + sum(page[27 : 27 + page[26]])
    if end > len(tail) or tail[end:].startswith((b"O", b"Og", b"OggS")):
        return Ending("it was cut short: it ends inside a page of the Ogg stream")
    if page[14:18] != read(14, 4):
        return Ending("it holds several recordings, one after the other, of which only the first would be read")
    if not page[5] & 4:
        return Ending(doubt="it has no page that is marked as the last one, so it may have been cut short")
    return Ending()


def _mpeg(read: Read, size: int) -> Ending:
    """MPEG audio: frames after an ID3 tag; the first frame may state the number of frames and bytes."""
    start = 0
    if read(0, 3) == b"ID3":
        tag = read(6, 4).ljust(4, b"\0")
        start = 10 + sum((byte & 0x7F) << 7 * index for index, byte in enumerate(reversed(tag)))
    info = mpeg_frames.info(read(start, 2048))
    if info is None:
        return Ending()
    if info.n_frames:
        missing = start + info.n_bytes - size
        if info.n_bytes and missing > 0:
            return Ending(
                f"it was cut short: its header states {info.n_bytes} bytes, {info.n_bytes - missing} are there"
            )
        if not info.n_bytes or -missing <= max(HEAD, size // 50):  # else frames of another file may follow
            return Ending()
    data = read(start, size - start)
    count, partial = mpeg_frames.count(data)
    if partial:
        return Ending("it was cut short: it ends inside an MPEG frame")
    if not count or (info.n_frames and count <= info.n_frames + 1):
        return Ending()
    return Ending(content=mpeg_frames.with_length(data, count))


_KINDS: dict[bytes, Callable[[Read, int], Ending]] = {
    b"RIFF": _riff, b"RIFX": _riff, b"RF64": _riff, b"riff": _w64, b"FORM": _aiff, b".snd": _au, b"dns.": _au,
    b"caff": _caf, b"NIST": _nist, b"OggS": _ogg,
}  # fmt: skip
