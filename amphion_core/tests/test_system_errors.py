"""Errors of the system become one clear sentence, at the command line and at public functions."""

import errno
import os
from pathlib import Path

import pytest
from pydantic import BaseModel

from amphion_core.errors import AmphionError, DataError
from amphion_core.system_errors import clear_errors, explained


class Size(BaseModel):
    channels: int


@clear_errors
def call(work):
    return work()


def deep():
    return deep()


def fails_with(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (Path("/nowhere/a.wav").read_text, "/nowhere/a.wav: No such file"),
        (Path("/" + "a" * 300).read_text, ": File name too long"),
        (
            fails_with(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out.wav")),
            "out.wav cannot be written: the disk",
        ),
        (fails_with(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))), "the disk is full"),
        (fails_with(OSError(errno.EMFILE, os.strerror(errno.EMFILE))), "the system reports: Too many open files"),
        (deep, "nested too deeply"),
        (fails_with(MemoryError()), "not enough memory"),
        (lambda: Size(channels="many"), "channels: input should be a valid integer"),
    ],
)
def test_an_error_of_the_system_is_one_sentence_with_a_hint(work, words):
    with pytest.raises(AmphionError) as raised:
        call(work)
    assert words in raised.value.message
    assert raised.value.__cause__ is not None


def test_a_link_that_leads_back_to_itself_is_named(tmp_path):
    link = tmp_path / "loop.wav"
    link.symlink_to(link)
    with pytest.raises(AmphionError, match=r"loop\.wav"):
        call(lambda: link.resolve(strict=True))


def test_a_torch_allocation_that_fails_is_about_memory():
    import torch

    with pytest.raises(AmphionError, match="not enough memory"):
        call(lambda: torch.zeros(10**14))


def test_other_errors_stay_as_they_are():
    assert explained(ZeroDivisionError()) is None and explained(OSError("no number")) is None
    with pytest.raises(ZeroDivisionError):
        call(lambda: 1 / 0)
    with pytest.raises(DataError, match="mine"):
        call(fails_with(DataError("mine")))
