"""Every operation of an OpenAPI document, and a minimal valid body for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any

from fastapi import FastAPI
from hypothesis import find, settings
from hypothesis import strategies as st

TEXT = "something new"
_NUMBER = count(1)


@dataclass(frozen=True, slots=True)
class Operation:
    """A path and a method. `path_names`: its path parameters; `query_names`: those of the query whose text is
    free. `body`: its schema for each media type.
    """

    method: str
    path: str
    path_names: tuple[str, ...]
    query_names: tuple[str, ...]
    body: Mapping[str, Any]
    components: Mapping[str, Any] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def options(self, values: Mapping[str, str]) -> dict[str, Any]:
        """What httpx is to send as a minimal body; `values`: for properties of these names."""
        if "application/json" in self.body:
            return {"json": self._sample(self.body["application/json"]["schema"], values)}
        return {"content": TEXT.encode()} if self.body else {}

    def body_names(self) -> set[str]:
        """The properties that a body may have."""
        schema = self._resolved(self.body.get("application/json", {}).get("schema", {}))
        return set(schema.get("properties", ()))

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        if "anyOf" in schema:
            return self._resolved(schema["anyOf"][0])
        if "$ref" in schema:
            return self._resolved(self.components[schema["$ref"].rsplit("/", 1)[1]])
        return schema

    def _sample(self, schema: Mapping[str, Any], values: Mapping[str, str]) -> Any:
        schema = self._resolved(schema)
        match schema.get("type"):
            case "object":
                properties = schema.get("properties", {})
                return {
                    name: values[name] if name in values else self._sample(properties[name], values)
                    for name in properties
                    if name in schema.get("required", ()) or name in values
                }
            case "string":
                return _text(schema)
            case "integer" | "number":
                return schema.get("minimum", 0)
            case "array":
                return []
            case "boolean":
                return False
        raise NotImplementedError(f"no sample of {schema}")


def operations(app: FastAPI) -> list[Operation]:
    document = app.openapi()
    return [
        Operation(
            method.upper(),
            path,
            tuple(one["name"] for one in told.get("parameters", ()) if one["in"] == "path"),
            tuple(one["name"] for one in told.get("parameters", ()) if _names_something(one)),
            told.get("requestBody", {}).get("content", {}),
            document["components"]["schemas"],
        )
        for path, methods in document["paths"].items()
        for method, told in methods.items()
    ]


def _names_something(parameter: Mapping[str, Any]) -> bool:
    """A query parameter whose text is free: an id, a cursor, and what may come."""
    kinds = parameter["schema"].get("anyOf", [parameter["schema"]])
    return parameter["in"] == "query" and any(
        kind.get("type") == "string" and not {"enum", "const", "format"} & set(kind) for kind in kinds
    )


def _text(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return str(schema["enum"][0])
    if schema.get("format") == "email":
        return f"new-{next(_NUMBER)}@example.com"
    return _matching(schema["pattern"]) if "pattern" in schema else TEXT


@cache
def _matching(pattern: str) -> str:
    """The least text that a pattern takes."""
    least = settings(database=None, deadline=None)
    return find(st.from_regex(pattern, fullmatch=True), lambda _: True, settings=least)
