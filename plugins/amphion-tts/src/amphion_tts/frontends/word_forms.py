"""The sounds of regular forms of words that the dictionary has.

An ending is here if this is right more often than the network of `letters_to_sounds`, on words of the dictionary that
the network was not trained on. Joined words are left to the network: by their parts, 15 % of the sounds were wrong, by
the network 7 %.
"""

from amphion_tts.frontends.dictionary import lookup


def derived(word: str) -> list[str]:
    """The sounds of a known stem with a regular ending; empty if there is none."""
    for ending in ("'s", "s'", "ies", "es", "s"):
        stem = word.removesuffix(ending) + ("y" if ending == "ies" else "")
        if ending == "es" and not stem.endswith(("s", "x", "z", "ch", "sh")):
            continue
        if word.endswith(ending) and (sounds := lookup(stem)):
            return plural(sounds)
    if word.endswith("ed") and (sounds := lookup(word[:-2]) or lookup(word[:-1]) or _undoubled(word[:-2])):
        return past(sounds)
    if word.endswith("ing") and (sounds := lookup(word[:-3]) or lookup(word[:-3] + "e") or _undoubled(word[:-3])):
        return [*sounds, "IH0", "NG"]
    if word.endswith("ness") and (sounds := lookup(word[:-4])):
        return [*sounds, "N", "AH0", "S"]
    return []


def _undoubled(stem: str) -> list[str]:
    """The sounds of the word whose last letter was doubled before an ending, as in "stopped"."""
    return lookup(stem[:-1]) if len(stem) > 3 and stem[-1] == stem[-2] else []


def plural(sounds: list[str]) -> list[str]:
    """The sounds of a word with a regular s at its end."""
    if sounds[-1] in ("S", "Z", "SH", "ZH", "CH", "JH"):
        return [*sounds, "IH0", "Z"]
    return [*sounds, "S" if sounds[-1] in ("P", "T", "K", "F", "TH") else "Z"]


def past(sounds: list[str]) -> list[str]:
    """The sounds of a verb with a regular ed at its end."""
    if sounds[-1] in ("T", "D"):
        return [*sounds, "IH0", "D"]
    return [*sounds, "T" if sounds[-1] in ("P", "K", "F", "TH", "S", "SH", "CH") else "D"]
