"""The source `country_pairs`: descriptions of two countries, and how many of their statements agree."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import combinations

from gptkit.data.base import LabelledData
from gptkit.data.sources.countries import SPLITS, Country, countries_of_split, hash_below, read_countries
from gptkit.records import Example

SHARED = ("region", "subregion", "currency", "language")
"""The facts in a description."""

PER_SCORE = 500
"""Maximum number of pairs per score. Without a limit, most pairs would have the score 0."""


class CountryPairs(LabelledData):
    """Pairs of countries of one split. The label is the number of statements, 0.0 to 4.0, that are the same for both."""

    splits = SPLITS

    def __init__(self) -> None:
        """Read the countries.

        Raises:
            DataError: the package is not installed.
        """
        countries, content = read_countries("country_pairs")
        self._countries = [country for country in countries if all(fact in country.facts for fact in SHARED)]
        self.fingerprint = hashlib.sha256(f"country_pairs {content}".encode()).hexdigest()

    def records(self, split: str) -> Iterator[Example]:
        counts = dict.fromkeys(range(len(SHARED) + 1), 0)
        pairs = list(combinations(countries_of_split(self._countries, split), 2))
        for first, second in sorted(pairs, key=lambda pair: hash_below(f"{pair[0].name} {pair[1].name}", 2**64)):
            score = sum(first.facts[fact] == second.facts[fact] for fact in SHARED)
            if counts[score] < PER_SCORE:
                counts[score] += 1
                yield Example(_describe(first), float(score), pair=_describe(second))


def _describe(country: Country) -> str:
    facts = country.facts
    return (
        f"{country.name} lies in {facts['subregion']}, a part of {facts['region']}. "
        f"It pays in {facts['currency']}, and the code of its first language is {facts['language']}."
    )
