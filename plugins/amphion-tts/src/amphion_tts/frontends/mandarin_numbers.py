"""Write the numbers of a Mandarin text in Chinese characters, as they are read. Single numbers by cn2an."""

import re

_DIGIT = "零一二三四五六七八九"
_NUMBER = r"\d+(?:\.\d+)?"
_UNITS = {"℃": "摄氏度", "°C": "摄氏度", "km": "公里", "kg": "公斤", "cm": "厘米", "mm": "毫米", "m": "米", "g": "克"}
_MONEY = {"¥": "元", "￥": "元", "$": "美元", "€": "欧元", "£": "英镑"}
_COUNTED = "个只条本张位次天种件台辆家句遍间块名双杯瓶"  # two of these is 两


def numbers_in_characters(text: str) -> str:
    """The text with dates, times, money, percentages, fractions, ranges and numbers in characters.

    Four digits before 年 are read one by one, and so are the digits of telephone numbers.
    """
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    text = re.sub(r"(?<!\d)(\d{4})[-/]0?(\d{1,2})[-/]0?(\d{1,2})(?!\d)", r"\1年\2月\3日", text)
    text = re.sub(r"(?<![\d:])(\d{1,2}):(\d{2})(?::\d{2})?(?![\d:])", _time, text)
    text = re.sub(rf"([{''.join(_MONEY)}])\s?({_NUMBER})(\s?[万亿])?", _money, text)
    text = re.sub(r"(\d{4})(?=\s?年)", lambda found: _one_by_one(found[1]), text)
    text = re.sub(r"(?<!\d)0\d{2,3}-\d{7,8}(?!\d)", lambda found: ",".join(map(_one_by_one, found[0].split("-"))), text)
    text = re.sub(r"(?<![\d.])(?:0\d{2,}|\d{11,})(?![\d.])", lambda found: _one_by_one(found[0]), text)
    text = re.sub(rf"({_NUMBER})\s?[-~]\s?(?={_NUMBER})", r"\1到", text)
    text = re.sub(rf"(?<![\dA-Za-z)])-(?={_NUMBER})", "负", text)
    text = re.sub(rf"({_NUMBER})%", r"百分之\1", text)
    text = re.sub(r"(?<![\d/])(\d+)/(\d+)(?![\d/])", r"\2分之\1", text)
    text = re.sub(rf"(?<=\d)\s?({'|'.join(_UNITS)})(?![A-Za-z])", lambda found: _UNITS[found[1]], text)
    text = re.sub(rf"(?<![\d.第])2(?=[{_COUNTED}])", "两", text)
    return re.sub(r"\d+(?:\.\d+)?", lambda found: _value(found[0]), text)


def _time(found: re.Match[str]) -> str:
    hours, minutes = int(found[1]), int(found[2])
    if hours > 24 or minutes > 59:
        return found[0].replace(":", "比")  # a score, such as 45:62
    zero = "零" if 0 < minutes < 10 else ""
    return f"{'两' if hours == 2 else hours}点{zero}" + (f"{minutes}分" if minutes else "")


def _money(found: re.Match[str]) -> str:
    return f"{found[2]}{(found[3] or '').strip()}{_MONEY[found[1]]}"


def _one_by_one(digits: str) -> str:
    return "".join(_DIGIT[int(digit)] for digit in digits)


def _value(number: str) -> str:
    """The number in characters. cn2an reads at most 16 digits; more are read one by one."""
    import cn2an

    whole, _, decimals = number.partition(".")
    if len(whole) > 16 or (len(whole) > 1 and whole.startswith("0")):
        return _one_by_one(whole) + (f"点{_one_by_one(decimals)}" if decimals else "")
    words = str(cn2an.an2cn(whole, "low"))
    words = re.sub("^一十", "十", words)
    return words + (f"点{_one_by_one(decimals)}" if decimals else "")
