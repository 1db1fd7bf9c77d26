"""Frames of MPEG audio (mp3, mp2): their lengths, their number, and the number that the first frame may state.

libsndfile estimates the length of an mp3 file that does not state it from the first frames, and reads no further: of
a file with a variable bit rate it may lose half. So the frames are counted, and a frame that states their number is put
before them. Source: ISO/IEC 11172-3 2.4.2.3 (header), 13818-3 (lower rates); the "Xing" and "Info" frame as LAME
describes it.
"""

from dataclasses import dataclass
from functools import lru_cache

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by version: 1, 2, 2.5
_LAYER_3, _LAYER_2 = 1, 2  # as the header counts them
_KBITS = {
    (True, _LAYER_3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (True, _LAYER_2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (False, _LAYER_3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, _LAYER_2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}  # by (version 1, layer), for the values 1 to 14


@dataclass(frozen=True, slots=True)
class Info:
    """What the first frame states: the number of frames and of bytes that follow; 0 where it does not."""

    n_frames: int
    n_bytes: int


@lru_cache(maxsize=1024)
def _length(second: int, third: int) -> int:
    """The bytes of a frame, given the second and third byte of its header; 0 if they are not a header."""
    version, layer = second >> 3 & 3, second >> 1 & 3
    kbits, rate = third >> 4, third >> 2 & 3
    if second < 0xE0 or version == 1 or layer not in (_LAYER_2, _LAYER_3) or kbits in (0, 15) or rate == 3:
        return 0
    slots = 72 if version != 3 and layer == _LAYER_3 else 144
    return slots * _KBITS[version == 3, layer][kbits - 1] * 1000 // _RATES[version][rate] + (third >> 1 & 1)


def is_frame(header: bytes) -> bool:
    """Whether these four bytes are the header of a frame of layer 2 or 3."""
    return len(header) == 4 and header[0] == 0xFF and _length(header[1], header[2]) > 0


def info(frame: bytes) -> Info | None:
    """What the first frame states about the file; None if it is no frame."""
    if not is_frame(frame[:4]):
        return None
    frame = frame.ljust(64, b"\0")  # the file may end here
    if (at := _info_offset(frame)) is None or not frame[at + 7] & 1:
        return Info(0, 0)
    n_bytes = int.from_bytes(frame[at + 12 : at + 16], "big") if frame[at + 7] & 2 else 0
    return Info(int.from_bytes(frame[at + 8 : at + 12], "big"), n_bytes)


def count(data: bytes) -> tuple[int, bool]:
    """The number of whole frames, without a first one that only states facts; and whether the last one is cut."""
    at, found, size = 0, 0, len(data)
    while at + 4 <= size:
        length = _length(data[at + 1], data[at + 2]) if data[at] == 0xFF else 0
        if length:
            if at + length > size:
                return max(0, found - _states(data)), True
            found, at = found + 1, at + length
        elif data.startswith((b"TAG", b"APETAGEX", b"LYRICSBEGIN"), at):
            break
        else:
            at = _next_frame(data, at + 1)
    return max(0, found - _states(data)), False


def with_length(data: bytes, n_frames: int) -> bytes | None:
    """The frames ``data`` after a frame that states their number; None for layer 2, which has no such frame."""
    if data[1] >> 1 & 3 != _LAYER_3:
        return None
    if _states(data):
        data = data[_length(data[1], data[2]) :]
    header = bytes([0xFF, data[1] | 1, (data[2] & 0x0C) | 0xE0, data[3]])  # the highest bit rate, no checksum
    frame = bytearray(_length(header[1], header[2]))
    frame[:4] = header
    at = 4 + _side(header)
    frame[at : at + 12] = b"Xing" + (1).to_bytes(4, "big") + n_frames.to_bytes(4, "big")
    return bytes(frame) + data


def _side(header: bytes) -> int:
    """The bytes of side information after a header of layer 3."""
    mono = header[3] >> 6 == 3
    return (17 if mono else 32) if header[1] >> 3 & 3 == 3 else (9 if mono else 17)


def _info_offset(frame: bytes) -> int | None:
    at = 4 + _side(frame)
    return next((start for start in (at, at + 2) if frame[start : start + 4] in (b"Xing", b"Info")), None)


def _states(data: bytes) -> bool:
    """Whether the first frame holds no sound, only facts about the file."""
    return is_frame(data[:4]) and (_info_offset(data[:64]) is not None or data[36:40] == b"VBRI")


def _next_frame(data: bytes, at: int) -> int:
    """The offset of the next frame that another one follows; the end of the data without one."""
    while 0 <= (at := data.find(b"\xff", at)) < len(data) - 4:
        length = _length(data[at + 1], data[at + 2])
        if length and is_frame(data[at + length : at + length + 4]):
            return at
        at += 1
    return len(data)
