"""The grammar is right in every language, and says every meaning in one way of its own."""

import re

import pytest

from mini_covost.grammar import LANGUAGES, SLOTS, Meaning, Thing, meanings, render

OLD_CLOCK = Thing("clock", "a", adjective="old")
RED_COAT = Thing("coat", "the", adjective="red")
MANS_CAR = Thing("car", owner="man")

# Proofread by hand: for each construction, what it says in en, fr, de, es and ca.
GOLDEN = [
    (
        ("statement", "we", "buy", OLD_CLOCK),
        "We buy an old clock.",
        "Nous achetons une vieille horloge.",
        "Wir kaufen eine alte Uhr.",
        "Compramos un reloj viejo.",
        "Comprem un rellotge vell.",
    ),
    (
        ("statement", "man", "look at", RED_COAT),
        "The man looks at the red coat.",
        "L'homme regarde le manteau rouge.",
        "Der Mann schaut den roten Mantel an.",
        "El hombre mira el abrigo rojo.",
        "L'home mira l'abric vermell.",
    ),
    (
        ("negation", "I", "buy", OLD_CLOCK),
        "I do not buy an old clock.",
        "Je n'achète pas de vieille horloge.",
        "Ich kaufe keine alte Uhr.",
        "No compro ningún reloj viejo.",
        "No compro cap rellotge vell.",
    ),
    (
        ("negation", "doctor", "find", Thing("clock", "a")),
        "The doctor does not find a clock.",
        "Le médecin ne trouve pas d'horloge.",
        "Der Arzt findet keine Uhr.",
        "El médico no encuentra ningún reloj.",
        "El metge no troba cap rellotge.",
    ),
    (
        ("negation", "woman", "look at", MANS_CAR),
        "The woman does not look at the man's car.",
        "La femme ne regarde pas la voiture de l'homme.",
        "Die Frau schaut das Auto des Mannes nicht an.",
        "La mujer no mira el coche del hombre.",
        "La dona no mira el cotxe de l'home.",
    ),
    (
        ("past", "I", "look at", OLD_CLOCK),
        "Yesterday I looked at an old clock.",
        "Hier, j'ai regardé une vieille horloge.",
        "Gestern habe ich eine alte Uhr angeschaut.",
        "Ayer miré un reloj viejo.",
        "Ahir vaig mirar un rellotge vell.",
    ),
    (
        ("past", "sister", "see", Thing("table", owner="brother")),
        "Yesterday my sister saw my brother's table.",
        "Hier, ma sœur a vu la table de mon frère.",
        "Gestern hat meine Schwester den Tisch meines Bruders gesehen.",
        "Ayer mi hermana vio la mesa de mi hermano.",
        "Ahir la meva germana va veure la taula del meu germà.",
    ),
    (
        ("future", "neighbor", "look at", RED_COAT),
        "Tomorrow the neighbor will look at the red coat.",
        "Demain, la voisine va regarder le manteau rouge.",
        "Morgen schaut die Nachbarin den roten Mantel an.",
        "Mañana la vecina va a mirar el abrigo rojo.",
        "Demà la veïna mirarà l'abric vermell.",
    ),
    (
        ("modal", "brother", "must", "look at", Thing("book", "a", adjective="expensive")),
        "My brother must look at an expensive book.",
        "Mon frère doit regarder un livre cher.",
        "Mein Bruder muss ein teures Buch anschauen.",
        "Mi hermano tiene que mirar un libro caro.",
        "El meu germà ha de mirar un llibre car.",
    ),
    (
        ("refusal", "woman", "want", "sell", Thing("house", "a", adjective="small")),
        "The woman does not want to sell a small house.",
        "La femme ne veut pas vendre de petite maison.",
        "Die Frau will kein kleines Haus verkaufen.",
        "La mujer no quiere vender ninguna casa pequeña.",
        "La dona no vol vendre cap casa petita.",
    ),
    (
        ("refusal", "we", "can", "find", Thing("chair", "the", adjective="white")),
        "We cannot find the white chair.",
        "Nous ne pouvons pas trouver la chaise blanche.",
        "Wir können den weißen Stuhl nicht finden.",
        "No podemos encontrar la silla blanca.",
        "No podem trobar la cadira blanca.",
    ),
    (
        ("question", "doctor", "look for", MANS_CAR),
        "Does the doctor look for the man's car?",
        "Est-ce que le médecin cherche la voiture de l'homme ?",
        "Sucht der Arzt das Auto des Mannes?",
        "¿Busca el médico el coche del hombre?",
        "Que busca el cotxe de l'home, el metge?",
    ),
    (
        ("why", "we", "sell", Thing("bag", owner="doctor")),
        "Why do we sell the doctor's bag?",
        "Pourquoi est-ce que nous vendons le sac du médecin ?",
        "Warum verkaufen wir die Tasche des Arztes?",
        "¿Por qué vendemos el bolso del médico?",
        "Per què venem la bossa del metge?",
    ),
    (
        ("report", "I", "know", "man", "look at", Thing("book")),
        "I know that the man looks at the book.",
        "Je sais que l'homme regarde le livre.",
        "Ich weiß, dass der Mann das Buch anschaut.",
        "Sé que el hombre mira el libro.",
        "Sé que l'home mira el llibre.",
    ),
    (
        ("because", "sister", "sell", "table", "old"),
        "My sister sells the table because it is old.",
        "Ma sœur vend la table parce qu'elle est vieille.",
        "Meine Schwester verkauft den Tisch, weil er alt ist.",
        "Mi hermana vende la mesa porque es vieja.",
        "La meva germana ven la taula perquè és vella.",
    ),
    (
        ("contrast", "coat", "expensive", "we", "buy"),
        "The coat is expensive, but we buy it.",
        "Le manteau est cher, mais nous l'achetons.",
        "Der Mantel ist teuer, aber wir kaufen ihn.",
        "El abrigo es caro, pero lo compramos.",
        "L'abric és car, però el comprem.",
    ),
    (
        ("contrast", "chair", "white", "brother", "look at"),
        "The chair is white, but my brother looks at it.",
        "La chaise est blanche, mais mon frère la regarde.",
        "Der Stuhl ist weiß, aber mein Bruder schaut ihn an.",
        "La silla es blanca, pero mi hermano la mira.",
        "La cadira és blanca, però el meu germà la mira.",
    ),
    (
        ("quality", "not", "house", "sister", "white"),
        "My sister's house is not white.",
        "La maison de ma sœur n'est pas blanche.",
        "Das Haus meiner Schwester ist nicht weiß.",
        "La casa de mi hermana no es blanca.",
        "La casa de la meva germana no és blanca.",
    ),
    (
        ("quality", "question", "coat", "brother", "red"),
        "Is my brother's coat red?",
        "Est-ce que le manteau de mon frère est rouge ?",
        "Ist der Mantel meines Bruders rot?",
        "¿Es rojo el abrigo de mi hermano?",
        "Que és vermell, l'abric del meu germà?",
    ),
    (
        ("motion", "not", "we", "go", "school"),
        "We are not going to school.",
        "Nous n'allons pas à l'école.",
        "Wir gehen nicht zur Schule.",
        "No vamos al colegio.",
        "No anem al col·legi.",
    ),
    (
        ("motion", "today", "man", "come", "market"),
        "Today the man is coming from the market.",
        "Aujourd'hui, l'homme vient du marché.",
        "Heute kommt der Mann vom Markt.",
        "Hoy el hombre viene del mercado.",
        "Avui l'home ve del mercat.",
    ),
    (
        ("errand", "woman", "must", "park"),
        "The woman must go to the park.",
        "La femme doit aller au parc.",
        "Die Frau muss in den Park gehen.",
        "La mujer tiene que ir al parque.",
        "La dona ha d'anar al parc.",
    ),
    (
        ("scene", "station", "neighbor", "look for", Thing("bag", "a")),
        "At the station the neighbor looks for a bag.",
        "À la gare, la voisine cherche un sac.",
        "Am Bahnhof sucht die Nachbarin eine Tasche.",
        "En la estación la vecina busca un bolso.",
        "A l'estació la veïna busca una bossa.",
    ),
    (
        ("gift", "man", Thing("chair"), "doctor"),
        "The man gives the chair to the doctor.",
        "L'homme donne la chaise au médecin.",
        "Der Mann gibt dem Arzt den Stuhl.",
        "El hombre le da la silla al médico.",
        "L'home dona la cadira al metge.",
    ),
]

# What contraction or elision should have removed.
UNCONTRACTED = {
    "en": r"\ba [aeiou]|\ban [^aeiou]",
    "fr": r"\b(de|à) les?\b|\b(je|ne|le|la|de|que|ma) [aeéèêiouhœ]",
    "de": r"\b(in|zu|an|von) dem\b|\bzu der\b",
    "es": r"\b(a|de) el\b",
    "ca": r"\b(a|de|per) els?\b|\b(el|la|de|d'el) [aeèéiouh]|d'els?\b|d'l",
}


@pytest.fixture(scope="module")
def sentences():
    """All that the grammar can say, in each language."""
    everything = [meaning for items in meanings().values() for meaning in items]
    return {
        language: [render(meaning, language) for meaning in everything] for language in LANGUAGES
    }


@pytest.mark.parametrize("entry", GOLDEN, ids=lambda entry: entry[1])
def test_sentence_is_as_proofread(entry):
    (construction, *slots), *expected = entry
    meaning = Meaning(construction, tuple(slots))
    assert meaning in meanings()[construction]
    assert [render(meaning, language) for language in LANGUAGES] == expected


def test_every_construction_is_proofread():
    assert {entry[0][0] for entry in GOLDEN} == set(SLOTS)


def test_there_are_enough_meanings():
    assert sum(map(len, meanings().values())) > 10_000


@pytest.mark.parametrize("language", LANGUAGES)
def test_distinct_meanings_have_distinct_sentences(sentences, language):
    """Without case and punctuation too, for that is how recognition sees them."""
    spoken = [re.sub(r"[.,¿?]", "", sentence.lower()) for sentence in sentences[language]]
    assert len(set(spoken)) == len(spoken)


@pytest.mark.parametrize("language", LANGUAGES)
def test_articles_and_prepositions_contract(sentences, language):
    mistake = re.compile(UNCONTRACTED[language], re.IGNORECASE)
    assert [s for s in sentences[language] if mistake.search(s)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_have_a_capital_and_one_final_mark(sentences, language):
    words = r"[A-ZÀÉ][^.?¿ ]*( [^.?¿ ]+)*"
    question = {"fr": rf"{words} \?", "es": rf"¿{words}\?"}.get(language, rf"{words}\?")
    shape = re.compile(rf"{words}\.|{question}")
    assert [s for s in sentences[language] if not shape.fullmatch(s)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_vocabulary_is_small_and_the_sentences_short(sentences, language):
    words = [re.sub(r"[.,¿?]", "", sentence.lower()).split() for sentence in sentences[language]]
    assert 80 <= len({word for sentence in words for word in sentence}) <= 150
    assert max(map(len, words)) <= 12
    assert 6 <= sum(map(len, words)) / len(words) <= 9
