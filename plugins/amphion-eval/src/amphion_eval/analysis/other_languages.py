"""Words of other languages than English for signs, abbreviations, times and numbers that have several spoken forms.

The tables are short: they have what texts of every kind contain. A word that is not here is compared as it is written.
"""

import re
from collections.abc import Iterator

_SIGN_WORDS = {
    "de": {"%": "prozent", "€": "euro", "$": "dollar", "£": "pfund"},
    "fr": {"%": "pour cent|pourcent", "€": "euros|euro", "$": "dollars|dollar", "£": "livres|livre"},
    "es": {"%": "por ciento", "€": "euros|euro", "$": "dólares|dólar|pesos|peso", "£": "libras|libra"},
    "it": {"%": "per cento|percento", "€": "euro", "$": "dollari|dollaro", "£": "sterline|sterlina"},
    "pt": {"%": "por cento|porcento", "€": "euros|euro", "$": "dólares|dólar", "£": "libras|libra"},
    "nl": {"%": "procent", "€": "euro", "$": "dollar", "£": "pond"},
    "sv": {"%": "procent", "€": "euro", "$": "dollar"},
    "pl": {"%": "procent|procenta|procentów", "€": "euro", "$": "dolarów|dolary|dolar"},
    "ru": {"%": "процентов|процента|процент", "€": "евро", "$": "долларов|доллара|доллар"},
    "tr": {"€": "euro|avro", "$": "dolar"},
}
"""The words for signs after a number, with | between them. A sign before a number stays a sign."""
_SHORT = {
    "de": {
        "dr": "doktor", "prof": "professor", "nr": "nummer", "bzw": "beziehungsweise", "ca": "circa|zirka",
        "usw": "und so weiter", "str": "strasse",
    },
    "fr": {"mme": "madame", "mlle": "mademoiselle", "mr": "monsieur", "dr": "docteur"},
    "es": {"sr": "señor", "sra": "señora", "dr": "doctor", "dra": "doctora", "ud": "usted"},
    "it": {"sig": "signor", "dott": "dottor", "dr": "dottor"},
    "pt": {"sr": "senhor", "sra": "senhora", "dr": "doutor", "dra": "doutora"},
    "nl": {"dhr": "de heer", "mevr": "mevrouw", "dr": "dokter|doctor", "nr": "nummer", "bijv": "bijvoorbeeld"},
}  # fmt: skip
"""Abbreviations that are no words themselves."""
_FULL = {
    "de": (
        (r"\b(\d{1,2})[:.](\d\d)\s?Uhr\b", lambda found: f"{found[1]} Uhr {found[2] if int(found[2]) else ''}"),
        (r"\bz\.\s?B\.", "zum Beispiel"),
        (r"\bd\.\s?h\.", "das heißt"),
    ),
    "fr": (
        (r"\b(\d{1,2})\s?h\s?(\d\d)?\b", lambda found: f"{found[1]} heures {found[2] or ''}"),
        (r"\b1er\b", "premier"),
        (r"\b1[èe]?re\b", "première"),
        (r"\bM\.(?=\s[A-ZÀ-Þ])", "monsieur"),
    ),
}
"""Patterns and what is said for them: 14:30 Uhr is 14 Uhr 30."""


def in_full(text: str, code: str) -> str:
    """The text of the language ``code`` with times and abbreviations as they are said."""
    for pattern, words in _FULL.get(code, ()):
        text = re.sub(pattern, words, text)
    return text


def word_names(word: str, code: str, *, after_number: bool) -> str:
    """What is said for a sign or an abbreviation, with | between several; "" for other words."""
    names = _SIGN_WORDS.get(code, {}).get(word, "") if after_number else ""
    return names or _SHORT.get(code, {}).get(word, "")


def number_variants(name: str, code: str, *, is_rank: bool) -> Iterator[str]:
    """Other forms of the name of a number: German ones without "ein", ranks with their endings, the Spanish comma."""
    if code == "de" and name.startswith(("eintausend", "einhundert")):
        yield name.removeprefix("ein")
    if code == "de" and is_rank:
        yield from (name + ending for ending in "nrsm")
    if code == "ru" and name.startswith("одна тысяча"):
        yield name.removeprefix("одна ")
    if code == "es" and " punto " in name:
        yield name.replace(" punto ", " coma ")
