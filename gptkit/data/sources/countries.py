"""Countries and what is so of them, from the package `countryinfo`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gptkit.data.sources.package_files import package_file

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Country:
    """A country and its facts, each with one value only; what the package does not know of it is not there."""

    name: str
    facts: dict[str, str]


def read_countries(part: str) -> tuple[list[Country], str]:
    """All countries, sorted by name, and the SHA-256 of what was read.

    Args:
        part: the data source that asks, for errors.

    Raises:
        DataError: the package is not installed.
    """
    folder = package_file(part, package="countryinfo", module="countryinfo", file="data")
    result: dict[str, Country] = {}
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        result.setdefault(content["name"], Country(content["name"], dict(_facts(content))))
    countries = sorted(result.values(), key=lambda country: country.name)
    described = json.dumps([[country.name, country.facts] for country in countries])
    return countries, hashlib.sha256(described.encode()).hexdigest()


def countries_of_split(countries: list[Country], split: str) -> list[Country]:
    """A fifth of the countries are for testing, a tenth for validation: nothing is asked of a country that was learned from."""
    return [
        country
        for country in countries
        if {0: "test", 1: "test", 2: "validation"}.get(hash_below(country.name, 10), "train") == split
    ]


def hash_below(text: str, choices: int) -> int:
    """A number below `choices` that looks drawn by chance and is always the same for the text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) % choices


def _facts(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for fact in ("capital", "region", "subregion", "demonym"):
        if isinstance(content.get(fact), str) and content[fact]:
            yield fact, content[fact]
    for fact in ("population", "area"):
        if content.get(fact):
            yield fact, f"{content[fact]:,}"
    for fact, key in (("currency", "currencies"), ("calling code", "callingCodes")):
        values = content.get(key) or []
        if len(values) == 1 and values[0]:
            yield fact, values[0]
    domains = [domain for domain in content.get("tld") or [] if domain.isascii()]
    if len(domains) == 1:
        yield "domain", domains[0]
    if content.get("languages"):
        yield "language", content["languages"][0]
