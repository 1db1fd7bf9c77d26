"""Texts without what cannot be spoken."""

from amphion_core.text import clean


def test_cleaning_removes_what_cannot_be_spoken():
    assert clean("a\x00b 🎉 ｆｕｌｌ\r\n c") == "a b full\nc"
