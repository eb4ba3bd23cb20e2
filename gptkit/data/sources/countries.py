"""Countries and facts about them, from the package `countryinfo`."""

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
    """A country and its facts. Each fact has one value; facts that the package does not have are missing."""

    name: str
    facts: dict[str, str]


def read_countries(part: str) -> tuple[list[Country], str]:
    """Return all countries, sorted by name, and the SHA-256 of their facts.

    Args:
        part: the data source that reads them, for errors.

    Raises:
        DataError: the package is not installed.
    """
    folder = package_file(part, package="countryinfo", module="countryinfo", file="data")
    result: dict[str, Country] = {}
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        result.setdefault(content["name"], Country(content["name"], dict(_facts(content))))
    countries = sorted(result.values(), key=lambda country: country.name)
    content_key = json.dumps([[country.name, country.facts] for country in countries])
    return countries, hashlib.sha256(content_key.encode()).hexdigest()


def countries_of_split(countries: list[Country], split: str) -> list[Country]:
    """Return the countries of a split: a fifth are for testing, a tenth for validation. No country is in two splits."""
    return [
        country
        for country in countries
        if {0: "test", 1: "test", 2: "validation"}.get(hash_below(country.name, 10), "train") == split
    ]


def hash_below(text: str, choices: int) -> int:
    """Return a pseudo-random number below `choices` that depends only on the text."""
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
