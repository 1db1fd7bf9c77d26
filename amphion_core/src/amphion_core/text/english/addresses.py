"""Say addresses of the internet, names of files, versions and telephone numbers."""

import re

from amphion_core.text.english.letters import spell
from amphion_core.text.english.numbers import cardinal, code, digits, whole
from amphion_core.text.english.rules import Rule, after, apart

_SUFFIXES = (
    "com|org|net|edu|gov|mil|info|io|ai|co|uk|us|de|fr|ca|au|jp|cn|eu|ch|nl|es|it|se|tv|me|app|dev|xyz|biz|py|js|txt|pdf|"
    "html|htm|csv|json|doc|docx|zip|exe|wav|mp3|mp4|png|jpg|jpeg|gif|md|yaml|yml|toml|cpp|xlsx?|pptx?|gz|tar|sh|log|xml|svg|flac|ogg|rs|java|php|sql|ini|cfg|dll|onnx|ckpt"
)
_ADDRESS_MARKS = {
    ".": "dot", "@": "at", "/": "slash", ":": "colon", "-": "dash", "_": "underscore", "?": "question mark",
    "=": "equals", "&": "and", "#": "hash", "%": "percent", "+": "plus", "~": "tilde", ",": "comma", ";": "semicolon",
}  # fmt: skip


def _address(match: re.Match[str]) -> str:
    """An address, a mail address or a file name: its words, and its marks by their names."""
    address = match[0].rstrip(".,;:!?)\"'")
    words = []
    for part in re.findall(r"[A-Za-z]+|\d+|[^A-Za-z\d]", address):
        if part.isdecimal():
            words.append(digits(part))
        elif part.isalpha():
            words.append(spell(part.upper()) if part.lower() in _SPELLED else part)
        else:
            words.append(_ADDRESS_MARKS.get(part, ""))
    return " ".join(filter(None, words)) + match[0][len(address) :]


_SPELLED = (
    "http", "https", "www", "ftp", "uk", "us", "io", "html", "htm", "csv", "pdf", "txt", "py", "js", "md", "mp", "tv",
    "png", "jpg", "gif", "xml",
)  # fmt: skip


def _long_number(match: re.Match[str]) -> str:
    """A number of more than 15 digits, or with so many decimals."""
    before_point, point, decimals = match[0].partition(".")
    return apart(digits(before_point) + (f" point {digits(decimals)}" if point else ""), match)


def _version(match: re.Match[str]) -> str:
    """192.168.1.1 digit by digit with dots, 2.0.1 as numbers with points."""
    parts = match["numbers"].split(".")
    version = "version " if match["letter"] else ""
    if len(parts) == 4 and all(int(part) < 256 for part in parts) and not version:
        return " dot ".join(digits(part) for part in parts)
    return version + " point ".join(whole(part) for part in parts)


def _groups(match: re.Match[str]) -> str:
    """A telephone number: single digits, a pause between groups, "oh" for zero."""
    text = match[0]
    plus = "plus " if text.startswith("+") else ""
    groups = re.findall(r"\d+", text)
    free = groups[0] == "1" and len(groups) > 2 and groups[1][1:] == "00"
    words = [cardinal(int(g)) if free and i == 1 else digits(g, "oh") for i, g in enumerate(groups)]
    return plus + ", ".join(words)


def _short_phone(match: re.Match[str]) -> str:
    """555-1234; two round numbers such as 500-1000 are a range."""
    first, second = match[0].split("-")
    if int(first) % 10 == 0 and int(second) % 100 == 0:
        return match[0]
    return digits(match[0])


def _is_called(match: re.Match[str]) -> bool:
    """Whether the number is dialled: "call 911", but not "call 300 people"."""
    return (
        not re.match(r" [a-z]", after(match, 2))
        or re.match(r" (?:for|if|in|now|to|and|or|at|is|was|immediately|before|when|today)\b", after(match, 14))
        is not None
    )


ADDRESS_RULES: tuple[Rule, ...] = (
    (r"(?<!\d)\d{16,}(?:\.\d+)?|(?<![\d.])\d{1,15}\.\d{16,}|(?<![\d,])\d{1,3}(?:,\d{3}){5,}(?!\d)", _long_number),
    (r"(?i)\b(?:https?|ftp)://[^\s<>\"]+|(?<![\w.@/-])www\.[^\s<>\"]+", _address),
    (r"(?<![\w.+-])[\w.+-]{1,64}+@(?:[A-Za-z\d-]{1,63}\.){1,5}[A-Za-z]{2,12}\b", _address),
    (rf"(?<![\w.@/-])(?:[A-Za-z\d_-]{{1,63}}\.){{1,5}}(?:{_SUFFIXES})\b(?![.@]\w)(?:/[^\s<>\"]*)?", _address),
    (r"(?<=\w)\.(?=js\b|NET\b)|(?<!\w)\.(?=NET\b)", " dot "),
)
"""Numbers that are too long for a name, then addresses of the web and of mail, and names of files."""

_PHONE_BEFORE = r"(?<![\w.,/$£€#-])"
NUMBER_RULES: tuple[Rule, ...] = (
    (rf"{_PHONE_BEFORE}(?:1[-. ])?\d{{3}}([-. ])\d{{3}}\1\d{{4}}(?![\w-])(?!\.\d)", _groups),
    (rf"{_PHONE_BEFORE}(?P<letter>[vV]\.?\s?)?(?P<numbers>\d{{1,5}}(?:\.\d{{1,5}}){{2,}}+)(?!\d)", _version),
    (r"\b(?:v\.?|V\.?(?=\d{1,4}\.))(?=\d{1,4}(?:\.\d{1,4})?\b)", "version "),
    (
        rf"{_PHONE_BEFORE}\+\d{{1,3}}(?:[-. ]?\(\d{{1,5}}\)[-. ]?\d{{1,5}}|[-. ]\d{{1,5}})"
        r"(?:[-. ]\d{2,8}){1,5}(?![\w-])",
        _groups,
    ),
    (r"(?<![\w+])\+\d{9,15}(?!\w)", lambda m: f"plus {digits(m[0], 'oh')}"),
    (rf"{_PHONE_BEFORE}(?:\+?1[-. ]?)?\(\d{{2,5}}\)[-. ]?\d{{3,4}}[-. ]?\d{{3,4}}(?![\w-])", _groups),
    (
        rf"{_PHONE_BEFORE}(?:\d{{3}} \d{{4}} \d{{4}}|0\d{{2,4}} \d{{3,4}} \d{{3,4}}|0\d{{3,4}}[ -]\d{{6,7}}"
        r"|0\d{2}[ -]\d{7,8}|\d{4}(?: \d{4}){3}|0\d(?: \d\d){4})(?![\w-])",
        _groups,
    ),
    (rf"{_PHONE_BEFORE}1-(8\d\d|900)-(?=[A-Z])", lambda m: f"one, {code(m[1])}, "),
    (rf"{_PHONE_BEFORE}\d{{1,15}}(?:-\d{{1,15}}){{2,}}+(?![\w])", _groups),
    (r"\b911(?= (?:calls?|callers?|operators?|dispatch\w{0,5}|emergency|center)\b)", "nine one one"),
    (rf"{_PHONE_BEFORE}\d{{5}}-\d{{4}}(?![\w-])(?![.,]\d)", _groups),
    (r"(?<=, [A-Z]{2} )\d{5}(?![\w/-])(?![.,]\d)", lambda m: digits(m[0])),
    (rf"{_PHONE_BEFORE}\d{{3}}-\d{{4}}(?![\w-])(?![.,]\d)", _short_phone),
    (
        r"(?i)\b((?:call|dial|phone|tel|telephone|fax|text|extension|ext|pin|code|zip|ssn)"
        r"(?: (?:me|us|number))?(?: is| was)?:?\.? )(\d{3,12})(?![\w-])(?![.,:/]\d)",
        lambda m: m[1] + digits(m[2], "oh") if _is_called(m) else m[0],
    ),
)
"""Versions and addresses of computers, then telephone numbers."""
