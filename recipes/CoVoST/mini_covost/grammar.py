# ruff: noqa: RUF012 (the class attributes are lexicons; nothing changes them)
"""A small parallel grammar: the same meanings as sentences in English, French, German, Spanish
and Catalan.

A meaning names a construction and fills its slots; each language has one class, with its own
lexicon and one method per construction. What is said is the same in all of them, how it is
said is not: German puts verbs second or last and declines, French negates around the verb,
Spanish and Catalan drop pronouns, adjectives change sides, prepositions and articles contract.

"The doctor" is a man and "the neighbor" a woman wherever the language must choose.
"""

import re
from functools import cache
from itertools import product
from typing import NamedTuple

PEOPLE = ("sister", "brother", "doctor", "man", "woman", "neighbor")
SUBJECTS = ("I", "we", *PEOPLE)
VERBS = ("buy", "sell", "look for", "find", "look at", "see")
NOUNS = ("car", "house", "table", "book", "bag", "clock", "coat", "chair")
ADJECTIVES = ("red", "white", "small", "old", "expensive")
PLACES = ("market", "school", "station", "park")


class Thing(NamedTuple):
    """What a noun phrase means: "the old car", "a clock", "the doctor's house"."""

    noun: str
    article: str = "the"  # "the" or "a"
    adjective: str = ""
    owner: str = ""


class Meaning(NamedTuple):
    """What a sentence means: a construction and its slots.

    The construction is the name of a method that every language has; the slots are its
    arguments.
    """

    construction: str
    slots: tuple


BARE_THINGS = [Thing(noun, article) for noun, article in product(NOUNS, ("the", "a"))]
THINGS = [
    *BARE_THINGS,
    *(thing._replace(adjective=word) for thing, word in product(BARE_THINGS, ADJECTIVES)),
    *(Thing(noun, owner=owner) for noun, owner in product(NOUNS, PEOPLE)),
]
JUDGED_VERBS = ("buy", "sell", "look at")  # what one does because of, or despite, a quality
SLOTS = {
    # The neighbor buys an old clock.
    "statement": (SUBJECTS, VERBS, THINGS),
    # The neighbor does not buy an old clock.
    "negation": (SUBJECTS, VERBS, THINGS),
    # Yesterday the neighbor bought an old clock.
    "past": (SUBJECTS, VERBS, THINGS),
    # Tomorrow the neighbor will buy an old clock.
    "future": (SUBJECTS, VERBS, THINGS),
    # The neighbor wants to buy an old clock.
    "modal": (SUBJECTS, ("want", "must", "can"), VERBS, THINGS),
    # The neighbor does not want to buy an old clock.
    "refusal": (SUBJECTS, ("want", "can"), VERBS, THINGS),
    # Does the neighbor buy an old clock?
    "question": (PEOPLE, VERBS, THINGS),
    # Why does the neighbor buy an old clock?
    "why": (SUBJECTS, VERBS, THINGS),
    # My sister says that the neighbor buys a clock.
    "report": (SUBJECTS, ("say", "know"), PEOPLE, VERBS, BARE_THINGS),
    # The neighbor buys the clock because it is old.
    "because": (SUBJECTS, JUDGED_VERBS, NOUNS, ADJECTIVES),
    # The clock is old, but the neighbor buys it.
    "contrast": (NOUNS, ADJECTIVES, SUBJECTS, JUDGED_VERBS),
    # The neighbor's clock is not old.
    "quality": (("plain", "not", "question"), NOUNS, PEOPLE, ADJECTIVES),
    # Today the neighbor is coming from the market.
    "motion": (("plain", "not", "today"), SUBJECTS, ("go", "come"), PLACES),
    # The neighbor wants to go to the market.
    "errand": (SUBJECTS, ("want", "must", "can"), PLACES),
    # At the market the neighbor buys a clock.
    "scene": (PLACES, SUBJECTS, VERBS, BARE_THINGS),
    # The neighbor gives the clock to the doctor.
    "gift": (SUBJECTS, BARE_THINGS, PEOPLE),
}


@cache
def meanings() -> dict[str, list[Meaning]]:
    """Lists all that the grammar can say, in a fixed order.

    Returns
    -------
    meanings : dict[str, list[Meaning]]
        The meanings of each construction.
    """
    return {
        construction: [
            Meaning(construction, slots) for slots in product(*choices) if _names_once(slots)
        ]
        for construction, choices in SLOTS.items()
    }


def _names_once(slots: tuple) -> bool:
    """Whether nobody has two roles ("the man sees the man's car" would want a pronoun)."""
    names = [slot.owner if isinstance(slot, Thing) else slot for slot in slots]
    people = [name for name in names if name in PEOPLE]
    return len(people) == len(set(people))


def render(meaning: Meaning, language: str) -> str:
    """Says a meaning in a language.

    Arguments
    ---------
    meaning : Meaning
        One of ``meanings()``.
    language : str
        One of ``GRAMMARS``: en, fr, de, es, ca.

    Returns
    -------
    sentence : str
        The sentence, with its capital and its final punctuation.
    """
    grammar = GRAMMARS[language]
    text = grammar.contract(getattr(grammar, meaning.construction)(*meaning.slots))
    first_letter = re.search(r"\w", text).start()
    return text[:first_letter] + text[first_letter].upper() + text[first_letter + 1 :]


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _forms(table: dict[str, str]) -> dict[str, list[str]]:
    return {key: forms.split() for key, forms in table.items()}


def _person(subject: str) -> int:
    """The index of a subject's form in a verb's forms: I, he or she, we."""
    return {"I": 0, "we": 2}.get(subject, 1)


class English:
    """English: do-support, progressive motion, the possessive 's."""

    people = {
        "I": "I",
        "we": "we",
        "sister": "my sister",
        "brother": "my brother",
        "doctor": "the doctor",
        "man": "the man",
        "woman": "the woman",
        "neighbor": "the neighbor",
    }
    verbs = {  # infinitive, third person, past
        "buy": ("buy", "buys", "bought"),
        "sell": ("sell", "sells", "sold"),
        "look for": ("look for", "looks for", "looked for"),
        "find": ("find", "finds", "found"),
        "look at": ("look at", "looks at", "looked at"),
        "see": ("see", "sees", "saw"),
        "say": ("say", "says", "said"),
        "know": ("know", "knows", "knew"),
        "give": ("give", "gives", "gave"),
        "do": ("do", "does", "did"),
    }
    modals = {"want": ("want to", "wants to"), "must": ("must",) * 2, "can": ("can",) * 2}
    be = ("am", "is", "are")
    motions = {"go": "going", "come": "coming"}
    paths = {
        "market": {"at": "at the market", "go": "to the market", "come": "from the market"},
        "school": {"at": "at school", "go": "to school", "come": "from school"},
        "station": {"at": "at the station", "go": "to the station", "come": "from the station"},
        "park": {"at": "in the park", "go": "to the park", "come": "from the park"},
    }

    def contract(self, text):
        return re.sub(r"\ba (?=[aeiou])", "an ", text)

    def present(self, subject, verb):
        return self.verbs[verb][_person(subject) == 1]

    def thing(self, thing):
        article = f"{self.people[thing.owner]}'s" if thing.owner else thing.article
        return _join(article, thing.adjective, thing.noun)

    def clause(self, subject, verb, thing):
        return f"{self.people[subject]} {self.present(subject, verb)} {self.thing(thing)}"

    def statement(self, subject, verb, thing):
        return f"{self.clause(subject, verb, thing)}."

    def negation(self, subject, verb, thing):
        do = self.present(subject, "do")
        return f"{self.people[subject]} {do} not {self.verbs[verb][0]} {self.thing(thing)}."

    def past(self, subject, verb, thing):
        return f"yesterday {self.people[subject]} {self.verbs[verb][2]} {self.thing(thing)}."

    def future(self, subject, verb, thing):
        return f"tomorrow {self.people[subject]} will {self.verbs[verb][0]} {self.thing(thing)}."

    def modal(self, subject, modal, verb, thing):
        may = self.modals[modal][_person(subject) == 1]
        return f"{self.people[subject]} {may} {self.verbs[verb][0]} {self.thing(thing)}."

    def refusal(self, subject, modal, verb, thing):
        may_not = "cannot" if modal == "can" else f"{self.present(subject, 'do')} not want to"
        return f"{self.people[subject]} {may_not} {self.verbs[verb][0]} {self.thing(thing)}."

    def question(self, subject, verb, thing):
        do = self.present(subject, "do")
        return f"{do} {self.people[subject]} {self.verbs[verb][0]} {self.thing(thing)}?"

    def why(self, subject, verb, thing):
        return f"why {self.question(subject, verb, thing)}"

    def report(self, speaker, say, subject, verb, thing):
        says = self.present(speaker, say)
        return f"{self.people[speaker]} {says} that {self.clause(subject, verb, thing)}."

    def because(self, subject, verb, noun, adjective):
        return f"{self.clause(subject, verb, Thing(noun))} because it is {adjective}."

    def contrast(self, noun, adjective, subject, verb):
        buys = self.present(subject, verb)
        return f"the {noun} is {adjective}, but {self.people[subject]} {buys} it."

    def quality(self, form, noun, owner, adjective):
        thing = self.thing(Thing(noun, owner=owner))
        if form == "question":
            return f"is {thing} {adjective}?"
        return _join(thing, "is", "not" if form == "not" else "", f"{adjective}.")

    def motion(self, form, subject, go, place):
        today, no = "today" if form == "today" else "", "not" if form == "not" else ""
        is_going = _join(self.be[_person(subject)], no, self.motions[go])
        return _join(today, self.people[subject], is_going, f"{self.paths[place][go]}.")

    def errand(self, subject, modal, place):
        may = self.modals[modal][_person(subject) == 1]
        return f"{self.people[subject]} {may} go {self.paths[place]['go']}."

    def scene(self, place, subject, verb, thing):
        return f"{self.paths[place]['at']} {self.clause(subject, verb, thing)}."

    def gift(self, subject, thing, recipient):
        return f"{self.clause(subject, 'give', thing)} to {self.people[recipient]}."


class German:
    """German: case, verb second and verb last, a separable verb, "kein"."""

    people = {  # nominative, genitive, dative
        "I": ("ich",),
        "we": ("wir",),
        "sister": ("meine Schwester", "meiner Schwester", "meiner Schwester"),
        "brother": ("mein Bruder", "meines Bruders", "meinem Bruder"),
        "doctor": ("der Arzt", "des Arztes", "dem Arzt"),
        "man": ("der Mann", "des Mannes", "dem Mann"),
        "woman": ("die Frau", "der Frau", "der Frau"),
        "neighbor": ("die Nachbarin", "der Nachbarin", "der Nachbarin"),
    }
    nouns = _forms(
        {
            "car": "Auto n",
            "house": "Haus n",
            "table": "Tisch m",
            "book": "Buch n",
            "bag": "Tasche f",
            "clock": "Uhr f",
            "coat": "Mantel m",
            "chair": "Stuhl m",
        }
    )
    adjectives = {  # predicative form, stem
        "red": ("rot", "rot"),
        "white": ("weiß", "weiß"),
        "small": ("klein", "klein"),
        "old": ("alt", "alt"),
        "expensive": ("teuer", "teur"),
    }
    verbs = _forms(  # ich, er or sie, wir, infinitive, participle
        {
            "buy": "kaufe kauft kaufen kaufen gekauft",
            "sell": "verkaufe verkauft verkaufen verkaufen verkauft",
            "look for": "suche sucht suchen suchen gesucht",
            "find": "finde findet finden finden gefunden",
            "look at": "schaue schaut schauen schauen geschaut",
            "see": "sehe sieht sehen sehen gesehen",
            "say": "sage sagt sagen",
            "know": "weiß weiß wissen",
            "give": "gebe gibt geben",
            "go": "gehe geht gehen",
            "come": "komme kommt kommen",
            "have": "habe hat haben",
            "want": "will will wollen",
            "must": "muss muss müssen",
            "can": "kann kann können",
        }
    )
    prefixes = {"look at": "an"}  # anschauen
    nominative = {"m": "der", "n": "das", "f": "die"}
    accusative = {
        "the": {"m": "den", "n": "das", "f": "die"},
        "a": {"m": "einen", "n": "ein", "f": "eine"},
    }
    endings = {  # of adjectives in the accusative
        "the": {"m": "en", "n": "e", "f": "e"},
        "a": {"m": "en", "n": "es", "f": "e"},
    }
    nominative_pronoun = {"m": "er", "n": "es", "f": "sie"}
    accusative_pronoun = {"m": "ihn", "n": "es", "f": "sie"}
    paths = {
        "market": {"at": "auf dem Markt", "go": "zum Markt", "come": "vom Markt"},
        "school": {"at": "in der Schule", "go": "zur Schule", "come": "aus der Schule"},
        "station": {"at": "am Bahnhof", "go": "zum Bahnhof", "come": "vom Bahnhof"},
        "park": {"at": "im Park", "go": "in den Park", "come": "aus dem Park"},
    }

    def contract(self, text):
        return text  # "zum", "im" and the like are written out in ``paths``

    def who(self, subject):
        return self.people[subject][0]

    def present(self, subject, verb):
        return self.verbs[verb][_person(subject)]

    def infinitive(self, verb):
        return self.prefixes.get(verb, "") + self.verbs[verb][3]

    def thing(self, thing, negated=False):
        """The accusative. A negated "ein" is "kein", and "nicht" follows everything else."""
        noun, gender = self.nouns[thing.noun]
        article = self.accusative[thing.article][gender]
        adjective = ""
        if thing.adjective:
            adjective = self.adjectives[thing.adjective][1] + self.endings[thing.article][gender]
        owner = self.people[thing.owner][1] if thing.owner else ""
        kein, nicht = negated and thing.article == "a", negated and thing.article == "the"
        article = f"k{article}" if kein else article
        return _join(article, adjective, noun, owner, "nicht" if nicht else "")

    def inverted(self, subject, verb, thing):
        """A clause from its verb on, the subject after the verb."""
        prefix = self.prefixes.get(verb, "")
        return _join(self.present(subject, verb), self.who(subject), self.thing(thing), prefix)

    def straight(self, subject, verb, thing, negated=False):
        """A clause with the subject first and the verb second."""
        prefix, thing = self.prefixes.get(verb, ""), self.thing(thing, negated)
        return _join(self.who(subject), self.present(subject, verb), thing, prefix)

    def statement(self, subject, verb, thing):
        return f"{self.straight(subject, verb, thing)}."

    def negation(self, subject, verb, thing):
        return f"{self.straight(subject, verb, thing, negated=True)}."

    def past(self, subject, verb, thing):
        participle = self.prefixes.get(verb, "") + self.verbs[verb][4]
        has = self.present(subject, "have")
        return f"gestern {has} {self.who(subject)} {self.thing(thing)} {participle}."

    def future(self, subject, verb, thing):
        return f"morgen {self.inverted(subject, verb, thing)}."

    def modal(self, subject, modal, verb, thing, negated=False):
        start = f"{self.who(subject)} {self.present(subject, modal)}"
        return f"{start} {self.thing(thing, negated)} {self.infinitive(verb)}."

    def refusal(self, subject, modal, verb, thing):
        return self.modal(subject, modal, verb, thing, negated=True)

    def question(self, subject, verb, thing):
        return f"{self.inverted(subject, verb, thing)}?"

    def why(self, subject, verb, thing):
        return f"warum {self.inverted(subject, verb, thing)}?"

    def report(self, speaker, say, subject, verb, thing):
        final_verb = self.prefixes.get(verb, "") + self.present(subject, verb)
        start = f"{self.who(speaker)} {self.present(speaker, say)}, dass"
        return f"{start} {self.who(subject)} {self.thing(thing)} {final_verb}."

    def because(self, subject, verb, noun, adjective):
        pronoun = self.nominative_pronoun[self.nouns[noun][1]]
        start = self.straight(subject, verb, Thing(noun))
        return f"{start}, weil {pronoun} {self.adjectives[adjective][0]} ist."

    def contrast(self, noun, adjective, subject, verb):
        word, gender = self.nouns[noun]
        start = f"{self.nominative[gender]} {word} ist {self.adjectives[adjective][0]}, aber"
        pronoun, prefix = self.accusative_pronoun[gender], self.prefixes.get(verb, "")
        buys = self.present(subject, verb)
        return _join(start, self.who(subject), buys, pronoun, prefix) + "."

    def quality(self, form, noun, owner, adjective):
        word, gender = self.nouns[noun]
        thing = f"{self.nominative[gender]} {word} {self.people[owner][1]}"
        predicate = self.adjectives[adjective][0]
        if form == "question":
            return f"ist {thing} {predicate}?"
        return _join(thing, "ist", "nicht" if form == "not" else "", f"{predicate}.")

    def motion(self, form, subject, go, place):
        goes, path = self.present(subject, go), self.paths[place][go]
        if form == "today":
            return f"heute {goes} {self.who(subject)} {path}."
        return _join(self.who(subject), goes, "nicht" if form == "not" else "", f"{path}.")

    def errand(self, subject, modal, place):
        path = self.paths[place]["go"]
        return f"{self.who(subject)} {self.present(subject, modal)} {path} gehen."

    def scene(self, place, subject, verb, thing):
        return f"{self.paths[place]['at']} {self.inverted(subject, verb, thing)}."

    def gift(self, subject, thing, recipient):
        start = f"{self.who(subject)} {self.present(subject, 'give')}"
        return f"{start} {self.people[recipient][2]} {self.thing(thing)}."


class Romance:
    """What French, Spanish and Catalan share; written with full forms, contracted at the end."""

    adjectives_before_noun: frozenset[str] = frozenset()

    def who(self, subject):
        return self.people[subject]

    def present(self, subject, verb):
        return self.verbs[verb][_person(subject)]

    def infinitive(self, verb):
        return self.verbs[verb][3]

    def agree(self, adjective, noun):
        return self.adjectives[adjective][self.nouns[noun][1] == "f"]

    def thing(self, thing, negated=False):
        noun, gender = self.nouns[thing.noun]
        article = "no" if negated and thing.article == "a" else thing.article
        phrase = noun
        if thing.adjective:
            adjective = self.agree(thing.adjective, thing.noun)
            before = thing.adjective in self.adjectives_before_noun
            phrase = f"{adjective} {noun}" if before else f"{noun} {adjective}"
        owner = f"de {self.people[thing.owner]}" if thing.owner else ""
        return _join(self.articles[article][gender == "f"], phrase, owner)

    def clause(self, subject, verb, thing):
        return _join(self.who(subject), self.present(subject, verb), self.thing(thing))

    def negated(self, verb_form):
        return f"no {verb_form}"

    def fronted(self, adverbial):
        return adverbial

    def statement(self, subject, verb, thing):
        return f"{self.clause(subject, verb, thing)}."

    def negation(self, subject, verb, thing):
        verb_form = self.negated(self.present(subject, verb))
        return _join(self.who(subject), verb_form, self.thing(thing, negated=True)) + "."

    def past(self, subject, verb, thing):
        verb_form = self.past_verb(subject, verb)
        return _join(self.yesterday, self.who(subject), verb_form, self.thing(thing)) + "."

    def future(self, subject, verb, thing):
        verb_form = self.future_verb(subject, verb)
        return _join(self.tomorrow, self.who(subject), verb_form, self.thing(thing)) + "."

    def modal_verb(self, subject, modal):
        return _join(self.present(subject, modal), self.modal_links.get(modal, ""))

    def modal(self, subject, modal, verb, thing):
        may_buy = f"{self.modal_verb(subject, modal)} {self.infinitive(verb)}"
        return _join(self.who(subject), may_buy, self.thing(thing)) + "."

    def refusal(self, subject, modal, verb, thing):
        may_not_buy = f"{self.negated(self.modal_verb(subject, modal))} {self.infinitive(verb)}"
        return _join(self.who(subject), may_not_buy, self.thing(thing, negated=True)) + "."

    def report(self, speaker, say, subject, verb, thing):
        says = _join(self.who(speaker), self.present(speaker, say))
        return f"{says} que {self.clause(subject, verb, thing)}."

    def because(self, subject, verb, noun, adjective):
        it_is = _join(self.subject_pronoun[self.nouns[noun][1]], self.is_)
        start = self.clause(subject, verb, Thing(noun))
        return f"{start} {self.because_word} {it_is} {self.agree(adjective, noun)}."

    def contrast(self, noun, adjective, subject, verb):
        clitic = self.object_pronoun[self.nouns[noun][1]]
        start = f"{self.thing(Thing(noun))} {self.is_} {self.agree(adjective, noun)},"
        return _join(start, self.but, self.who(subject), clitic, self.present(subject, verb)) + "."

    def quality(self, form, noun, owner, adjective):
        thing, predicate = self.thing(Thing(noun, owner=owner)), self.agree(adjective, noun)
        if form == "question":
            return self.quality_question(thing, predicate)
        is_ = self.negated(self.is_) if form == "not" else self.is_
        return f"{thing} {is_} {predicate}."

    def motion(self, form, subject, go, place):
        verb_form = self.present(subject, go)
        verb_form = self.negated(verb_form) if form == "not" else verb_form
        today = self.today if form == "today" else ""
        return _join(today, self.who(subject), verb_form, self.paths[place][go]) + "."

    def errand(self, subject, modal, place):
        may_go = f"{self.modal_verb(subject, modal)} {self.infinitive('go')}"
        return _join(self.who(subject), may_go, self.paths[place]["go"]) + "."

    def scene(self, place, subject, verb, thing):
        return f"{self.fronted(self.paths[place]['at'])} {self.clause(subject, verb, thing)}."

    def gift(self, subject, thing, recipient):
        return f"{self.clause(subject, 'give', thing)} {self.to} {self.people[recipient]}."


class French(Romance):
    """French: ne ... pas, elision, "est-ce que", the passé composé, some adjectives first."""

    people = {
        "I": "je",
        "we": "nous",
        "sister": "ma sœur",
        "brother": "mon frère",
        "doctor": "le médecin",
        "man": "le homme",
        "woman": "la femme",
        "neighbor": "la voisine",
    }
    nouns = _forms(
        {
            "car": "voiture f",
            "house": "maison f",
            "table": "table f",
            "book": "livre m",
            "bag": "sac m",
            "clock": "horloge f",
            "coat": "manteau m",
            "chair": "chaise f",
        }
    )
    adjectives = _forms(
        {
            "red": "rouge rouge",
            "white": "blanc blanche",
            "small": "petit petite",
            "old": "vieux vieille",
            "expensive": "cher chère",
        }
    )
    adjectives_before_noun = frozenset({"small", "old"})
    articles = {"the": ("le", "la"), "a": ("un", "une"), "no": ("de", "de")}
    verbs = _forms(  # je, il or elle, nous, infinitive, participle
        {
            "buy": "achète achète achetons acheter acheté",
            "sell": "vends vend vendons vendre vendu",
            "look for": "cherche cherche cherchons chercher cherché",
            "find": "trouve trouve trouvons trouver trouvé",
            "look at": "regarde regarde regardons regarder regardé",
            "see": "vois voit voyons voir vu",
            "say": "dis dit disons",
            "know": "sais sait savons",
            "give": "donne donne donnons",
            "go": "vais va allons aller",
            "come": "viens vient venons",
            "have": "ai a avons",
            "want": "veux veut voulons",
            "must": "dois doit devons",
            "can": "peux peut pouvons",
        }
    )
    modal_links: dict[str, str] = {}
    subject_pronoun = {"m": "il", "f": "elle"}
    object_pronoun = {"m": "le", "f": "la"}
    is_, but, because_word, to = "est", "mais", "parce que", "à"
    yesterday, today, tomorrow = "hier,", "aujourd'hui,", "demain,"
    paths = {
        "market": {"at": "à le marché", "go": "à le marché", "come": "de le marché"},
        "school": {"at": "à la école", "go": "à la école", "come": "de la école"},
        "station": {"at": "à la gare", "go": "à la gare", "come": "de la gare"},
        "park": {"at": "à le parc", "go": "à le parc", "come": "de le parc"},
    }

    def contract(self, text):
        text = re.sub(r"\b(j|n|l|d|qu)[ea] (?=[aeiouéèêàâh])", r"\1'", text)
        return re.sub(r"\bà le\b", "au", re.sub(r"\bde le\b", "du", text))

    def negated(self, verb_form):
        return f"ne {verb_form} pas"

    def fronted(self, adverbial):
        return f"{adverbial},"

    def past_verb(self, subject, verb):
        return f"{self.present(subject, 'have')} {self.verbs[verb][4]}"

    def future_verb(self, subject, verb):
        return f"{self.present(subject, 'go')} {self.infinitive(verb)}"

    def question(self, subject, verb, thing):
        return f"est-ce que {self.clause(subject, verb, thing)} ?"

    def why(self, subject, verb, thing):
        return f"pourquoi {self.question(subject, verb, thing)}"

    def quality_question(self, thing, predicate):
        return f"est-ce que {thing} est {predicate} ?"


class Spanish(Romance):
    """Spanish: dropped pronouns, inverted questions, "tener que", a doubled indirect object."""

    people = {
        "I": "",
        "we": "",
        "sister": "mi hermana",
        "brother": "mi hermano",
        "doctor": "el médico",
        "man": "el hombre",
        "woman": "la mujer",
        "neighbor": "la vecina",
    }
    nouns = _forms(
        {
            "car": "coche m",
            "house": "casa f",
            "table": "mesa f",
            "book": "libro m",
            "bag": "bolso m",
            "clock": "reloj m",
            "coat": "abrigo m",
            "chair": "silla f",
        }
    )
    adjectives = _forms(
        {
            "red": "rojo roja",
            "white": "blanco blanca",
            "small": "pequeño pequeña",
            "old": "viejo vieja",
            "expensive": "caro cara",
        }
    )
    articles = {"the": ("el", "la"), "a": ("un", "una"), "no": ("ningún", "ninguna")}
    verbs = _forms(  # yo, él or ella, nosotros, infinitive, the same three in the past
        {
            "buy": "compro compra compramos comprar compré compró compramos",
            "sell": "vendo vende vendemos vender vendí vendió vendimos",
            "look for": "busco busca buscamos buscar busqué buscó buscamos",
            "find": "encuentro encuentra encontramos encontrar encontré encontró encontramos",
            "look at": "miro mira miramos mirar miré miró miramos",
            "see": "veo ve vemos ver vi vio vimos",
            "say": "digo dice decimos",
            "know": "sé sabe sabemos",
            "give": "doy da damos",
            "go": "voy va vamos ir",
            "come": "vengo viene venimos",
            "want": "quiero quiere queremos",
            "must": "tengo tiene tenemos",
            "can": "puedo puede podemos",
        }
    )
    modal_links = {"must": "que"}
    subject_pronoun = {"m": "", "f": ""}
    object_pronoun = {"m": "lo", "f": "la"}
    is_, but, because_word, to = "es", "pero", "porque", "a"
    yesterday, today, tomorrow = "ayer", "hoy", "mañana"
    paths = {
        "market": {"at": "en el mercado", "go": "a el mercado", "come": "de el mercado"},
        "school": {"at": "en el colegio", "go": "a el colegio", "come": "de el colegio"},
        "station": {"at": "en la estación", "go": "a la estación", "come": "de la estación"},
        "park": {"at": "en el parque", "go": "a el parque", "come": "de el parque"},
    }

    def contract(self, text):
        return re.sub(r"\b(a|de) el\b", r"\1l", text)

    def past_verb(self, subject, verb):
        return self.verbs[verb][4 + _person(subject)]

    def future_verb(self, subject, verb):
        return f"{self.present(subject, 'go')} a {self.infinitive(verb)}"

    def inverted(self, subject, verb, thing):
        return _join(self.present(subject, verb), self.who(subject), self.thing(thing))

    def question(self, subject, verb, thing):
        return f"¿{self.inverted(subject, verb, thing)}?"

    def why(self, subject, verb, thing):
        return f"¿por qué {self.inverted(subject, verb, thing)}?"

    def quality_question(self, thing, predicate):
        return f"¿es {predicate} {thing}?"

    def gift(self, subject, thing, recipient):
        gives = _join(self.who(subject), "le", self.present(subject, "give"))
        return f"{gives} {self.thing(thing)} a {self.people[recipient]}."


class Catalan(Romance):
    """Catalan: l' and d', the periphrastic past, "haver de", right-dislocated questions."""

    people = {
        "I": "",
        "we": "",
        "sister": "la meva germana",
        "brother": "el meu germà",
        "doctor": "el metge",
        "man": "el home",
        "woman": "la dona",
        "neighbor": "la veïna",
    }
    nouns = _forms(
        {
            "car": "cotxe m",
            "house": "casa f",
            "table": "taula f",
            "book": "llibre m",
            "bag": "bossa f",
            "clock": "rellotge m",
            "coat": "abric m",
            "chair": "cadira f",
        }
    )
    adjectives = _forms(
        {
            "red": "vermell vermella",
            "white": "blanc blanca",
            "small": "petit petita",
            "old": "vell vella",
            "expensive": "car cara",
        }
    )
    articles = {"the": ("el", "la"), "a": ("un", "una"), "no": ("cap", "cap")}
    verbs = _forms(  # jo, ell or ella, nosaltres, infinitive, the same three in the future
        {
            "buy": "compro compra comprem comprar compraré comprarà comprarem",
            "sell": "venc ven venem vendre vendré vendrà vendrem",
            "look for": "busco busca busquem buscar buscaré buscarà buscarem",
            "find": "trobo troba trobem trobar trobaré trobarà trobarem",
            "look at": "miro mira mirem mirar miraré mirarà mirarem",
            "see": "veig veu veiem veure veuré veurà veurem",
            "say": "dic diu diem",
            "know": "sé sap sabem",
            "give": "dono dona donem",
            "go": "vaig va anem anar",
            "come": "vinc ve venim",
            "want": "vull vol volem",
            "must": "he ha hem",
            "can": "puc pot podem",
        }
    )
    past_auxiliary = ("vaig", "va", "vam")
    modal_links = {"must": "de"}
    subject_pronoun = {"m": "", "f": ""}
    object_pronoun = {"m": "el", "f": "la"}
    is_, but, because_word, to = "és", "però", "perquè", "a"
    yesterday, today, tomorrow = "ahir", "avui", "demà"
    paths = {
        "market": {"at": "a el mercat", "go": "a el mercat", "come": "de el mercat"},
        "school": {"at": "a el col·legi", "go": "a el col·legi", "come": "de el col·legi"},
        "station": {"at": "a la estació", "go": "a la estació", "come": "de la estació"},
        "park": {"at": "a el parc", "go": "a el parc", "come": "de el parc"},
    }

    def contract(self, text):
        text = re.sub(r"\b(?:el|la) (?=[aeiouh])", "l'", text)
        text = re.sub(r"\b(a|de) el\b", r"\1l", text)
        return re.sub(r"\bde (?=[aeiouh])", "d'", text)

    def past_verb(self, subject, verb):
        return f"{self.past_auxiliary[_person(subject)]} {self.infinitive(verb)}"

    def future_verb(self, subject, verb):
        return self.verbs[verb][4 + _person(subject)]

    def question(self, subject, verb, thing):
        return f"que {self.present(subject, verb)} {self.thing(thing)}, {self.who(subject)}?"

    def why(self, subject, verb, thing):
        return f"per què {self.clause(subject, verb, thing)}?"

    def quality_question(self, thing, predicate):
        return f"que és {predicate}, {thing}?"


GRAMMARS = {
    "en": English(),
    "fr": French(),
    "de": German(),
    "es": Spanish(),
    "ca": Catalan(),
}
LANGUAGES = tuple(GRAMMARS)
