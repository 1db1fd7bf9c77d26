"""Choose between the pronunciations of English homographs, such as "read" and "record", by the words around them.

Most homographs are a verb in one pronunciation, and a noun or an adjective in the other. `is_verb` decides by the
neighbours. Some homographs have special rules, such as "bass", which is a fish near a lake. The rules were written
for one half of the sentences of ``plugins/amphion-tts/tests/homographs.tsv``; the other half measures them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from amphion_tts.frontends.word_forms import plural

MARKS = frozenset(".,;:!?()-")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COUNTS = _words("many several few both some two three four five six seven eight nine ten hundred thousand these those")
_DETERMINERS = (
    _words("""a an the this these those my your his her its our their no any some another every each either
    neither such what which whose all much more most less""")
    | _COUNTS
)
_PRONOUNS = _words("i you he she it we they who nobody anybody everybody somebody everyone anyone someone people")
_OBJECTS = _words("me him us them it himself herself itself themselves myself yourself ourselves everyone everybody")
_MODALS = _words("""to will would can could shall should may might must cannot do did does don't didn't doesn't
    won't can't couldn't wouldn't shouldn't i'll you'll he'll she'll it'll we'll they'll i'd you'd he'd she'd
    we'd they'd let let's please dare help helped ought""")
_BE = _words("""is are was were be been being am i'm you're he's she's it's we're they're that's isn't aren't
    wasn't weren't seem seems seemed feel feels felt look looks looked remain remains remained become becomes
    became stay stays stayed""")
_ADVERBS = _words("""not never always often still also just only even soon now then usually sometimes rarely
    seldom hardly really quickly slowly finally first again both""")
_PREPOSITIONS = _words("""of in on at by for with from into onto over under about after before between through
    during without within against among across behind beyond near off out up down around along towards toward as
    than until upon""")
_JOINING = _words("and or but if when while because that so although though unless once")
_AUXILIARIES = _words(
    "is was are were has had have will would can could should may might must does did lasted began ended"
)
_PLURALS_WITHOUT_S = _words("people men women children police scientists mice geese feet teeth cattle")
_PAST = _words("""was were had did said went came saw took made got found knew thought told gave left felt
    became began kept held wrote stood heard met ran paid sat spoke lay led grew lost fell sent built understood
    drew broke spent rose drove bought wore chose ate slept won taught caught brought yesterday ago already once
    twice last earlier before""")


@dataclass(frozen=True)
class Context:
    """A word inside its sentence: lower-case words and marks, and the word as it was written."""

    words: Sequence[str]
    index: int
    written: str

    def at(self, offset: int) -> str:
        """The word or mark at a distance; empty outside of the sentence."""
        place = self.index + offset
        return self.words[place] if 0 <= place < len(self.words) else ""

    @property
    def word(self) -> str:
        """The homograph in lower case."""
        return self.words[self.index]

    @cached_property
    def before(self) -> str:
        """The nearest word before that is no adverb; empty at the start of a clause."""
        for offset in range(-1, -4, -1):
            word = self.at(offset)
            if word not in _ADVERBS and not (word.endswith("ly") and len(word) > 4):
                return "" if word in MARKS else word
        return ""

    @cached_property
    def after(self) -> str:
        """The next word; empty at the end of a clause."""
        return "" if self.at(1) in MARKS else self.at(1)

    def near(self, cues: frozenset[str], distance: int = 99) -> bool:
        """Whether one of the cues stands in the sentence, at most ``distance`` words away."""
        start = max(0, self.index - distance)
        around = (*self.words[start : self.index], *self.words[self.index + 1 : self.index + 1 + distance])
        return not cues.isdisjoint(around)

    @cached_property
    def starts(self) -> bool:
        """Whether the word begins a clause."""
        return self.at(-1) in MARKS or not self.at(-1)


def is_verb(context: Context) -> bool:
    """Whether the word is a verb; otherwise it is a noun or an adjective."""
    before, after = context.before, context.after
    if after == "of" or before in _BE:
        return False
    if before in ("that", "which"):
        return after in _DETERMINERS or after in _OBJECTS
    if before == "to":
        return context.at(-2) not in _BEFORE_TO_AND_A_NOUN
    if before in _DETERMINERS:
        return False
    if before in _MODALS or before in _PRONOUNS:
        return True
    if not before or before in _JOINING:
        return after in _DETERMINERS or after in _OBJECTS
    if before in _OBJECTS:
        return context.at(-2) in _BEFORE_A_BARE_VERB
    if before in _PREPOSITIONS:
        return False
    return _follows_its_subject(context)


_BEFORE_TO_AND_A_NOUN = _words("due according thanks access return back reaction next close similar from addition")
_BEFORE_A_BARE_VERB = _words("let lets make makes made help helps helped see saw watch watched hear heard")


def _follows_its_subject(context: Context) -> bool:
    """Whether the word before, which is a noun or an adjective, is the subject of the word as a verb."""
    before, after = context.before, context.after
    if context.word.endswith("s") and not context.word.endswith("ss"):  # needs a subject in the singular
        subject = context.at(-2) in _DETERMINERS - _COUNTS
        return subject and (after in _DETERMINERS or after in _OBJECTS or after in _PREPOSITIONS)
    if _is_plural(before) or (context.at(-2) == "and" and context.at(-3) not in _DETERMINERS):
        return after not in _AUXILIARIES
    asked = context.at(-2) in _MODALS or (context.at(-2) in _DETERMINERS and context.at(-3) in _MODALS)
    return asked and context.words[-1] == "?"  # "Did the army rebel?"


def _is_plural(word: str) -> bool:
    return word in _PLURALS_WITHOUT_S or (
        len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "'s", "us", "is", "ous"))
    )


def _read(context: Context) -> str:
    before, earlier = context.before, context.words[: context.index]
    if before in _HAVE or before in _BE or not _HAVE.isdisjoint(earlier[-3:]):
        return "R EH1 D"
    if before in _MODALS or not before or (before in ("and", "or") and not _MODALS.isdisjoint(earlier)):
        return "R IY1 D"
    if before in ("he", "she", "it", "who", "nobody", "everyone", "somebody", "someone"):
        return "R IY1 D" if context.words[-1] == "?" and not _MODALS.isdisjoint(earlier) else "R EH1 D"
    if before in ("i", "we", "you", "they") or _is_plural(before):
        if not _MODALS.isdisjoint(earlier) or context.near(_HABITS):
            return "R IY1 D"
        past = context.near(_PAST) or any(word.endswith("ed") for word in context.words)
        return "R EH1 D" if past or (before in ("i", "we") and context.after != "and") else "R IY1 D"
    return "R IY1 D" if before in _DETERMINERS else "R EH1 D"


_HAVE = _words("have has had having i've you've we've they've haven't hasn't hadn't well")
_HABITS = _words("every always usually often sometimes never when if each daily will")


def _one_of(cues: str, with_cue: str, without: str) -> Callable[[Context], str]:
    """The first sounds if the sentence has one of the cues, else the others."""
    known = _words(cues)
    return lambda context: with_cue if context.near(known) else without


def _lead(context: Context) -> str:
    metal = context.near(_LEAD) and not is_verb(context) and context.at(-2) != "in"
    return "L EH1 D" if metal else "L IY1 D"


_LEAD = _words("""pipe pipes paint paints metal metals weight weights poisoning poison poisonous zinc copper tin
    iron bullet bullets battery batteries acid exposure toxic melt melted solder crystal sheets pencil roof made
    heavy dust petrol gasoline shot mine mines contains contained""")


def _live(context: Context) -> str:
    if context.before in _DETERMINERS or context.after in _LIVE_NOUNS:
        return "L AY1 V"
    if is_verb(context):
        return "L IH1 V"
    return "L AY1 V"


_LIVE_NOUNS = _words("""music wire wires broadcast show shows concert performance performances coverage audience
    animals bait stream album recording tv television ammunition version theatre theater birth births event
    events sport sports""")


def _lives(context: Context) -> str:
    before = context.before
    noun = before in _DETERMINERS or context.after == "of" or before in _PREPOSITIONS or before in _LIVES_ADJECTIVES
    return "L AY1 V Z" if noun else "L IH1 V Z"


_LIVES_ADJECTIVES = _words(
    "human young old daily private personal lost new whole own other everyday happy long short save"
)


def _wind(context: Context) -> str:
    turned = context.after in _PATHS and _is_plural(context.before)
    singular = context.word == "winds" and context.after in _PATHS | _words("its")
    return "W AY1 N D" if turned or singular or (is_verb(context) and context.word == "wind") else "W IH1 N D"


_PATHS = _words("up down through around along round past between")


def _tear(context: Context) -> str:
    verb = is_verb(context) or context.after in _words("down apart off open up through") or context.before == "wear"
    if verb and not context.near(_WEEPING):
        return "T EH1 R"
    return "T EH1 R" if context.after in ("in", "along") and not context.near(_WEEPING) else "T IH1 R"


_WEEPING = _words("""eye eyes cheek cheeks cry cried crying weep wept shed wiped wipe face sob sad grief joy
    burst drop drops single gas hold rolled ran""")


def _bow(context: Context) -> str:
    greets = is_verb(context) or context.near(_words("made take took taken low deep"), 3)
    aboard = context.at(-1) == "the" and context.at(-2) in ("in", "at", "over", "off")
    return "B AW1" if greets or aboard or context.near(_SHIPS) else "B OW1"


_SHIPS = _words("ship ships boat boats vessel deck stern hull waves anchor audience actors king queen stage submarine")


def _close(context: Context) -> str:
    if (context.after == "of" and context.before == "the") or (context.before == "a" and context.at(-2) == "to"):
        return "K L OW1 Z"
    if context.after in _words("to together by friend friends enough") and context.before not in _MODALS:
        return "K L OW1 S"
    if context.before in _words("get gets got getting come comes came very too so stay keep stand stood sit sat"):
        return "K L OW1 S"
    return "K L OW1 Z" if is_verb(context) else "K L OW1 S"


def _content(context: Context) -> str:
    pleased = context.before in _BE or context.before in _words("quite very perfectly") or context.after == "with"
    pleased = pleased or context.at(-1) in _words("quite very perfectly")
    return "K AH0 N T EH1 N T" if pleased and context.before not in _DETERMINERS else "K AA1 N T EH0 N T"


def _minute(context: Context) -> str:
    tiny = context.after in _TINY or (context.before in _BE and not context.after)
    return "M AY0 N UW1 T" if tiny else "M IH1 N AH0 T"


_TINY = _words("""detail details amount amounts quantity quantities particle particles grain grains difference
    differences trace traces change changes fraction crack cracks dose doses creature creatures organisms size
    drops holes pieces""")


def _wound(context: Context) -> str:
    turned = context.after in _PATHS | _OBJECTS | _words("its his her back tightly")
    subject = context.before in _PRONOUNS or context.before in _HAVE
    return "W AW1 N D" if (turned and context.before not in _MODALS) or subject else "W UW1 N D"


def _dove(context: Context) -> str:
    jumps = context.after in _words("into off down towards toward under deep head straight from through for in")
    subject = context.before in _PRONOUNS or (context.before not in _DETERMINERS and context.at(-2) in _DETERMINERS)
    return (
        "D OW1 V" if context.before in _PRONOUNS or (jumps and (subject or _is_plural(context.before))) else "D AH1 V"
    )


def _does(context: Context) -> str:
    return "D OW1 Z" if context.before in _COUNTS | _words("the of and") and context.at(-1) != "and" else "D AH1 Z"


def _polish(context: Context) -> str:
    nation = context.written[0].isupper() and not (context.starts and is_verb(context))
    return "P OW1 L IH0 SH" if nation else "P AA1 L IH0 SH"


def _invalid(context: Context) -> str:
    named = context.before in _DETERMINERS or context.at(-2) in _DETERMINERS
    person = named and (not context.after or context.after in _PREPOSITIONS | _PAST)
    return "IH1 N V AH0 L AH0 D" if person else "IH0 N V AE1 L AH0 D"


def _used(context: Context) -> str:
    habit = context.after == "to" and (context.at(-1) not in _BE or context.at(2) in _DETERMINERS)
    return "Y UW1 S T" if habit else "Y UW1 Z D"


_FISH = """fish fishing fished caught catch catches lake river pond fried fry grilled butter lemon sea striped
    largemouth angler anglers boat bait swim swam fillet water roasted cooked"""

_RULES: dict[str, Callable[[Context], str]] = {
    "read": _read, "lead": _lead, "live": _live, "lives": _lives, "wind": _wind, "tear": _tear, "bow": _bow,
    "close": _close, "content": _content, "minute": _minute, "wound": _wound, "dove": _dove, "does": _does,
    "sow": lambda context: "S OW1" if is_verb(context) else "S AW1",
    "resume": lambda context: "R IH0 Z UW1 M" if is_verb(context) else "R EH1 Z AH0 M EY2",
    "polish": _polish, "invalid": _invalid, "used": _used, "bass": _one_of(_FISH, "B AE1 S", "B EY1 S"),
    "winds": lambda context: _wind(context) + " Z", "tears": lambda context: _tear(context) + " Z",
    "bows": lambda context: _bow(context) + " Z", "houses": lambda context: "HH AW1 Z IH0 Z",
}  # fmt: skip
"""Homographs with special rules."""

_STRESS = """abstract accent addict address ally annex attribute combat compound compress conduct conflict
    console construct contest contract contrast converse convert convict decrease defect desert digest discount
    escort export extract impact implant import imprint incense increase insert insult object offset permit
    present produce progress project protest rebel recall recess record refund refuse reject research reset
    retake rewrite subject survey suspect torment transfer transplant transport upgrade update upset perfect"""
_ATE = """separate estimate graduate moderate deliberate advocate alternate animate appropriate approximate
    articulate aggregate associate coordinate delegate desolate duplicate elaborate intimate laminate predicate
    subordinate syndicate affiliate degenerate consummate postulate"""
_BY_CLASS: dict[str, Callable[[Sequence[str], bool], bool]] = {
    _STRESS: lambda sounds, verb: _stressed_vowel(sounds) == int(verb),
    _ATE: lambda sounds, verb: (sounds[-2][:2] == "EY") == verb,
    "use excuse abuse misuse house": lambda sounds, verb: (sounds[-1] == "Z") == verb,
}
"""Words that are a verb in one pronunciation and a noun or an adjective in another, and how the two differ."""

_FITS = {word: fits for words, fits in _BY_CLASS.items() for word in words.split()}
_ADDED = {"house": (("HH", "AW1", "Z"),), "export": (("IH0", "K", "S", "P", "AO1", "R", "T"),)}
"""Pronunciations of verbs that the dictionary lacks."""


def _stressed_vowel(sounds: Sequence[str]) -> int:
    """The number of the vowel with the primary stress, from 0."""
    vowels = [sound for sound in sounds if sound[-1].isdigit()]
    return min(1, next((index for index, sound in enumerate(vowels) if sound[-1] == "1"), 0))


def is_homograph(word: str) -> bool:
    """Whether `choose` knows rules for a word in lower case."""
    return word in _RULES or _base(word) in _FITS


def _base(word: str) -> str:
    return word if word in _FITS else word.removesuffix("s")


def choose(context: Context, pronunciations: Callable[[str], Sequence[Sequence[str]]]) -> list[str]:
    """The sounds of a homograph; empty if the dictionary, ``pronunciations``, has none that fits.

    >>> words = "he will record it".split()
    >>> variants = ("R EH1 K ER0 D".split(), "R AH0 K AO1 R D".split())
    >>> choose(Context(words, 2, "record"), lambda word: variants)
    ['R', 'AH0', 'K', 'AO1', 'R', 'D']
    """
    if rule := _RULES.get(context.word):
        return rule(context).split()
    base, verb = _base(context.word), is_verb(context) or context.word in ("produces", "refuses")
    known = (*pronunciations(base), *_ADDED.get(base, ()))
    found = next(([*sounds] for sounds in known if _FITS[base](sounds, verb)), [])
    return found if not found or base == context.word else plural(found)
