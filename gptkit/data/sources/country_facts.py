"""The source `country_facts`: statements that follow from facts about a country, contradict them, or do neither."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from gptkit.data.base import LabelledData
from gptkit.data.sources.countries import SPLITS, Country, countries_of_split, hash_below, read_countries
from gptkit.records import Example

PREMISES = {
    "capital": "Its capital is {}.",
    "subregion": "It lies in {}.",
    "demonym": "Its people are called {}.",
    "population": "It has {} inhabitants.",
    "area": "It covers {} square kilometres.",
    "currency": "It pays in {}.",
    "calling code": "One calls it with +{}.",
    "domain": "Its domain is {}.",
}
HYPOTHESES = {
    "capital": "{} is the capital of {}.",
    "subregion": "In {} there is {}.",
    "demonym": "{} is what one calls those who live in {}.",
    "population": "{} people live in {}.",
    "area": "{} square kilometres is how large {} is.",
    "currency": "{} is the currency of {}.",
    "calling code": "+{} is the calling code of {}.",
    "domain": "{} is the domain of {}.",
}
"""The same facts in other words. Each fact has a single value, so a different value contradicts it."""

PREMISE_FACTS = 4
"""Number of facts in a premise."""


class CountryFacts(LabelledData):
    """Three examples for each fact of each country, labelled entailment, contradiction and neutral."""

    splits = SPLITS

    def __init__(self) -> None:
        """Read the countries.

        Raises:
            DataError: the package is not installed.
        """
        self._countries, content = read_countries("country_facts")
        self.fingerprint = hashlib.sha256(f"country_facts {content}".encode()).hexdigest()

    def records(self, split: str) -> Iterator[Example]:
        for country in countries_of_split(self._countries, split):
            known = [fact for fact in PREMISES if fact in country.facts]
            if len(known) <= PREMISE_FACTS:
                continue
            for fact in known:
                yield from self._examples(country, known, fact)

    def _examples(self, country: Country, known: list[str], fact: str) -> Iterator[Example]:
        seed = f"{country.name} {fact}"
        others = sorted((each for each in known if each != fact), key=lambda each: hash_below(f"{seed} {each}", 2**64))
        premise_facts = sorted([fact, *others[: PREMISE_FACTS - 1]], key=lambda each: hash_below(f"{seed} place of {each}", 2**64))
        premise = " ".join(
            [f"This is about {country.name}.", *(PREMISES[each].format(country.facts[each]) for each in premise_facts)]
        )
        open_fact = others[PREMISE_FACTS - 1]
        # the neutral statement is true half of the time, so that knowledge of the world does not reveal the label
        open_value = country.facts[open_fact] if hash_below(f"{seed} open", 2) else self._other_value(country, open_fact, seed)
        for label, stated_fact, value in (
            ("entailment", fact, country.facts[fact]),
            ("contradiction", fact, self._other_value(country, fact, seed)),
            ("neutral", open_fact, open_value),
        ):
            yield Example(premise, label, pair=HYPOTHESES[stated_fact].format(value, country.name))

    def _other_value(self, country: Country, fact: str, seed: str) -> str:
        """Return the value of the fact for another country, different from that of this one."""
        values = sorted({each.facts[fact] for each in self._countries if fact in each.facts} - {country.facts[fact]})
        return values[hash_below(f"{seed} {fact} other", len(values))]
