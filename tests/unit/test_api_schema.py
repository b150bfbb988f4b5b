"""Every route of the OpenAPI document, signed in, with requests that schemathesis makes up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from engine.config import Settings
from engine.store.sqlite import SqliteStore
from tests.unit.api_client import Site

SETTINGS = settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("api")
    store = SqliteStore(folder / "parley.db")
    yield Site(store, Settings(_env_file=None, data_dir=folder))
    asyncio.run(store.close())


def test_every_route_answers_as_it_says(site: Site) -> None:
    owner = asyncio.run(site.register("acme"))
    headers = {"Authorization": f"Bearer {owner.session['access_token']}"}
    schema = schemathesis.openapi.from_asgi("/openapi.json", site.app).include(path_regex="^/api/v1")
    faults: dict[str, str] = {}
    tried = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        tried += 1

        @SETTINGS
        @given(operation.as_strategy())
        def answers(case: Any) -> None:
            if "company_id" in (case.path_parameters or {}) and len(case.path_parameters["company_id"]) % 2:
                case.path_parameters["company_id"] = owner.company  # half of them get past the door
            case.call_and_validate(headers=headers, checks=list(CHECKS))

        try:
            answers()
        except (FailureGroup, Failure) as failure:
            faults[operation.label] = str(failure)
    assert tried > 30
    assert not faults, "\n".join(f"{route}: {fault}" for route, fault in faults.items())
