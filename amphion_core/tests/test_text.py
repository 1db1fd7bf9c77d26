"""Texts without what cannot be spoken."""

from amphion_core.text import clean


def test_cleaning_removes_what_cannot_be_spoken():
    assert clean("a\x00b 🎉 ｆｕｌｌ\r\n c") == "a b full\nc"
    assert clean("soft\u00adware, zero\u200bwidth \ufeffmark it´s") == "software, zerowidth mark it's"
    assert clean("2½ m² c\u0327", keep="½²") == "2½ m² ç"
