"""Requests that schemathesis makes up from the description of the interface never fail inside the server."""

from __future__ import annotations

from typing import Any

import pytest
from serve_fixtures import TestServer

hypothesis = pytest.importorskip("hypothesis")
schemathesis = pytest.importorskip("schemathesis")

EXAMPLES = 6
"""Requests per endpoint and mode: the suite is short; more of them are `schemathesis run http://localhost:8000/openapi.json`."""


HEALTH_CHECKS = list(hypothesis.HealthCheck)


@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
def test_no_request_fails_inside_the_server(server: TestServer, mode: str) -> None:
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) == 10
    modes = schemathesis.GenerationMode
    for operation in operations:
        if mode == "NEGATIVE" and operation.method.upper() != "POST":
            continue  # there is nothing to make wrong

        @hypothesis.settings(  # type: ignore[untyped-decorator]
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=HEALTH_CHECKS,
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=modes[mode]))  # type: ignore[untyped-decorator]
        def check(case: Any) -> None:
            response = case.call(timeout=60)
            assert response.status_code < 500, response.text
            if response.status_code >= 400:
                assert set(response.json()["error"]) == {"message", "type", "param", "code"}

        check()
