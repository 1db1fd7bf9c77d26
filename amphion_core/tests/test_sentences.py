"""Where sentences end: abbreviations, ordinals and quotes of many languages, line breaks, and linear time."""

import time

import pytest
from hypothesis import given, strategies as st

from amphion_core.text import clause_ends, paragraphs, split_sentences

CASES = """
en | He moved to the U.S. in 1990. / Then he left.
en | I live in the U.S. / He lives here.
en | The U.S. Army came. / It left.
en | We met at 7 p.m. / Then we left.
en | We met at 7 p.m. on Monday. / It rained.
en | It opens at 9 a.m. Monday. / Come early.
en | At 5 a.m. Mr. Smith went to the bank. / He left it at 6 p.m. / Mr. Smith then slept.
en | The show is at 8 p.m.
en | Sen. Smith and Gov. Brown met Rep. Jones on Mt. Everest. / They talked.
en | Jane Doe, Ph.D., is here. / She has a Ph.D. / She works.
de | Die Hauptstr. 5 ist lang. / Komm zur Bahnhofstr. 12.
de | Wir treffen uns in der Goethestr. / Dann gehen wir.
de | Prof. Dr. med. Meier operiert. / Er ist gut.
en | See No. 5 and Fig. 3 in Vol. 2, Ch. 4, pp. 5-6. / Read on.
en | No. / I will not.
en | J. R. R. Tolkien wrote it. / I read it.
en | J.R.R. Tolkien and C. S. Lewis met. / They talked.
en | Use tools, e.g. hammers, i.e. this vs. that, etc. in the box. / Close it.
en | Buy apples, pears, etc. / Then go.
en | See Smith et al. 2020 for this. / It is good.
en | It costs 3.50 dollars. / It cost $1.2 million.
en | Open file.txt now. / Then close main.py and go.
en | Mail jane.doe@example.com. / I did.
en | Look at https://example.com/a.html?b=1. / Then go.
en | He said "Stop." / Then he left.
en | He said, “Stop!” / Then he left.
en | "Is it?" he asked. / "Yes!" she said.
en | (He left.) / She stayed.
en | He said (it was late.) and left.
en | He works (at Acme Inc.) now. / She too.
en | Wait... what? / Yes… no.
en | He left... / And came back.
en | He saw ... Peter there. / Good.
en | I thought . . . I knew. / No.
en | It was I. / Then he came.
en | Dr. Smith lives on Main St. / He is old.
en | St. Paul lived near Ft. Worth. / He was old.
en | He works at Acme Inc. / She works for Jones Co. Ltd. in Rome.
en | Martin Luther King Jr. Day is in Jan. / It is cold.
en | Jan. 5 is near. / It was 5. / Then 6 came.
en | What?! / No!! / Yes.
en | 1. First item. / 2. Second item.
en | Mr. and Mrs. Smith vs. Mr. Jones. / Who won?
en | Prof. Lee met Capt. Kirk, Lt. Uhura and Gen. Grant. / Fine.
en | She works at Yahoo! in the accounting department. / Good.
en | take vitamin c. / then rest. / ok?
en | World War II. / It ended in 1945.
en | Take the A train. / Choose plan B. / Then go.
en | It weighs 5 lbs. / It costs 5 dollars, approx. Five more came.
en | What a day! / [Laughs.] / Next one.
de | Am 3. Mai kam er. / Dann ging er.
de | Am 24. Dezember 2020 war es so. / Der 2. Weltkrieg war im 20. Jahrhundert.
de | Siehe Nr. 5, S. 6, Abb. 7 und Bd. 8. / Gut.
de | Er mag Obst, z. B. Äpfel, d. h. alles, u. a. Birnen. / Gut.
de | Das ist z.B. gut, d.h. toll, usw. und so. / Er wiegt ca. 50 kg.
de | Hr. Prof. Dr. Müller und Fr. Dr. Meier kamen. / Sie gingen.
de | Das ist 1.500 wert. / Gut.
de | Er kam um 14.30 Uhr. / Es war spät.
de | Er wurde 85. / Seine Frau lebt.
de | König Ludwig XIV. Sonnenkönig genannt. / Er starb.
de | Die Firma Meier & Co. KG ist hier. / Sie ist gut.
de | Das gilt bzgl. Haus u. Hof. / Ja.
de | Er sagte: „Komm!“ / Dann ging er.
fr | M. Dupont et Mme. Martin, MM. X et Y. / Bien.
fr | Voir p. 5 et cf. p. 6, t. 2, n° 7. / C'est bien.
fr | Il a dit : « Viens. » / Puis il est parti.
fr | J'aime le thé, le café, etc. / Puis le lait, p. ex. froid.
es | El Sr. López y la Sra. Ruiz. / ¿Qué? / ¡Sí!
es | El Dr. Pérez, Ud. y D. Juan viven en EE. UU. desde hoy. / Fin.
es | Ver n.º 5, pág. 6 y art. 7. / Vale.
it | Il dott. Rossi, la sig.ra Bianchi e l'avv. Verdi. / Bene.
it | Vedi pag. 5 e n. 6, ecc. / Poi basta.
nl | Dhr. Jansen en mevr. Bos, d.w.z. zij, o.a. hier. / Goed.
nl | Zie blz. 5 en nr. 6, bijv. Hier. / De rest.
pt | O Sr. Silva e a Sra. Souza, o Exmo. Dr. Costa. / V. Exa. sabe.
pt | Ver nº 5, pág. 6, p. ex. aqui. / Fim.
pl | Np. tutaj, ul. Nowa 5, tzn. tam. / W 2020 r. było.
pl | Prof. dr hab. Jan Kowalski i św. Jan. / Koniec.
ru | Т. е. так и т. д. и т. п. / Конец.
ru | А. С. Пушкин жил в г. Москве, ул. Мира, д. 5. / Да.
cs | Dne 3. května, např. v Praze. / Konec.
da | Den 3. maj, f.eks. her, bl.a. Hans. / Det er godt.
sv | Den 3. maj, t.ex. så, bl.a. Anna. / Det är bra.
tr | Dr. Ali geldi. / 3. sınıf. / Saat 5'te.
hu | A 3. fejezet, pl. Budapest. / Az jó.
fi | Esim. Matti tuli 3. toukokuuta. / Se on hyvä.
el | Τι κάνεις; / Καλά είμαι, π.χ. Σήμερα.
zh | 你好。 / 世界！ / 好吗？
zh | 他说：“好。” / 然后走了。
ja | 今日は。 / 元気？ / はい。
ja | 「はい。」と言った。 / 次。
ja | 値は３．５です． / 次
hi | यह है। / वह है॥ / अब?
ar | كيف حالك؟ / بخير. / شكرا!
ur | یہ ہے۔ / وہ ہے۔
hy | Բարեւ։ / Ինչպես։
am | ሰላም። / ደህና።
my | မင်္ဂလာပါ။ / နေကောင်းလား။
ko | 안녕하세요. / 반갑습니다!
"""


def case(line):
    language, _, text = line.partition("|")
    sentences = [piece.strip() for piece in text.split(" / ")]
    return pytest.param(language.strip(), sentences, id=line.strip())


@pytest.mark.parametrize(("language", "sentences"), [case(line) for line in CASES.splitlines() if line])
def test_a_sentence_ends_where_a_reader_stops(language, sentences):
    joined = ("" if language in ("zh", "ja") else " ").join(sentences)
    assert split_sentences(joined, language=language) == sentences


PROSE = """It was the first day of the year, and nobody in the old house had
slept. When he came down at 7 a.m., he saw the porter and young Mr.
Brown on the stairs, who carried
an old lamp."""


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (PROSE, ["It was the first day of the year, and nobody in the old house had slept.",
                 "When he came down at 7 a.m., he saw the porter and young Mr. Brown on the stairs, who carried an old "
                 "lamp."]),
        (PROSE.replace("\n", "\r\n"), None),
        ("A line\nand the rest of it", ["A line and the rest of it"]),
        ("A title\n\nThe text of it", ["A title", "The text of it"]),
        ("A title\n  \nThe text of it", ["A title", "The text of it"]),
        ("One page\fAnother page", ["One page", "Another page"]),
        ("Apples\nPears\nFour bananas", ["Apples", "Pears", "Four bananas"]),
        ("- apples\n- pears\n  from France\n* bananas", ["- apples", "- pears from France", "* bananas"]),
        ("1. Mix the flour\n2. Bake it\n10) Eat", ["1. Mix the flour", "2. Bake it", "10) Eat"]),
        ("bread\nmilk and honey\nbutter", ["bread", "milk and honey", "butter"]),
        ("The sea is wide\nThe night is long\nAnd far away\nThe birds have gone their song",
         ["The sea is wide", "The night is long", "And far away", "The birds have gone their song"]),
        ("The Story\nIt was the first day of the year, and nobody in the old house had slept\nmuch.",
         ["The Story", "It was the first day of the year, and nobody in the old house had slept much."]),
        ("Die Stadt hat eine alte Kirche, die jeder kennt, und drei neue\nSchulen, die keiner kennt.",
         ["Die Stadt hat eine alte Kirche, die jeder kennt, und drei neue Schulen, die keiner kennt."]),
        ("It was a well-\nknown story of an old man and his dog.",
         ["It was a well-known story of an old man and his dog."]),
        ("春眠不覚暁処処聞啼鳥夜来風\n雨声花落知多少。はい",
         ["春眠不覚暁処処聞啼鳥夜来風", "雨声花落知多少。", "はい"]),
    ],
)  # fmt: skip
def test_a_line_break_ends_a_sentence_only_where_the_line_is_complete(text, sentences):
    expected = split_sentences(text.replace("\r", "")) if sentences is None else sentences
    assert split_sentences(text) == expected


WILD = st.text(
    alphabet=st.sampled_from(" \n\r\t.!?…\"'()[]。！;,:-–AaZzößЖж日1²½5९\u2028\u0301\u200bMrU"), max_size=200
)


@given(WILD | st.text(max_size=300), st.integers(5, 80), st.sampled_from(["en", "de", "el", "fr-fr", "ja", "", "xx"]))
def test_only_white_space_is_lost_and_no_piece_is_too_long(text, limit, language):
    pieces = split_sentences(text, language=language, max_chars=limit)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(0 < len(piece) <= limit and piece == piece.strip() and "\n" not in piece for piece in pieces)


@pytest.mark.parametrize(
    "unit",
    [".", "1", "a", "…", " ... A", ". ", "a.", "A. ", '"', "(", "。", "\n", "-\n", "1. ", "?!", ". . ", ". ((",
     "\u0301", "Mr. "],
)  # fmt: skip
def test_the_time_grows_linearly_with_the_text(unit):
    def seconds(count):
        text = unit * (count // len(unit))
        start = time.process_time()
        split_sentences(text)
        return time.process_time() - start

    seconds(1_000)
    short, long = (min(seconds(count) for _ in range(2)) for count in (20_000, 160_000))
    assert long < 30 * short + 0.05  # 8 times the text; quadratic time would be 64 times as long


def test_a_long_sentence_is_cut_at_a_comma():
    assert split_sentences("one two three, four five six", max_chars=20) == ["one two three,", "four five six"]
    assert split_sentences("一二三四五六、七八九十一二", max_chars=8) == ["一二三四五六、", "七八九十一二"]
    assert split_sentences("it has 1,500 parts", max_chars=9) == ["it has", "1,500", "parts"]


def test_a_long_word_is_not_cut_between_a_letter_and_its_mark():
    assert split_sentences("abcdefghi\u0301jk", max_chars=9) == ["abcdefgh", "i\u0301jk"]


def test_the_lines_of_a_paragraph_stay_together():
    text = "The Story\nIt was the first day of the year, and nobody in the old house had slept\nmuch.\n \n\nThe end."
    wrapped = "It was the first day of the year, and nobody in the old house had slept much."
    assert paragraphs(text) == [["The Story", wrapped], ["The end."]]
    assert paragraphs(" \n\n ") == []


@pytest.mark.parametrize(
    "marked",
    [
        "When it rained,| we stayed;| 1,500 came:| all -| old --| and young —| left",
        "去年、|彼は，|来た",
        "3:30 and well-known",
    ],
)
def test_clauses_end_at_marks_and_not_inside_numbers_and_words(marked):
    text = marked.replace("|", "")
    ends = clause_ends(text)
    assert "|".join(text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)) == marked
