"""docs/adding-a-provider.md: what it shows is a vendor that works."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from engine.errors import ConfigurationError
from engine.providers import registry
from engine.providers.embeddings.vendor import VendorEmbedder
from engine.providers.registry import Entry
from tests.vendors import test_embeddings as suite
from tests.vendors.contract import FAULTS, Case, Simulated
from tests.vendors.embeddings import EmbeddingSimulator
from tests.vendors.simulator import KEY

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-provider.md"
BLOCKS = dict(re.findall(r"^```python\n# ([^\n]*)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))
"""The page's code by the comment in its first line, which says where it goes."""
MODULE, SIMULATOR = "engine/providers/embeddings/example.py", "tests/vendors/example.py"
ENTRY, ROW = "engine/providers/registry.py, in ENTRIES", "tests/vendors/test_embeddings.py, in CASES"
ELSEWHERE = "anywhere"
PACKAGE = "example_vendor"

KEPT_AT_BOTH_ENDS = (
    suite.test_each_text_gets_its_vector,
    suite.test_no_texts_ask_nobody,
    suite.test_many_at_once_get_their_own,
    suite.test_a_wrong_key_is_said_so,
    suite.test_cancelling_hangs_up,
    suite.test_health,
)
KEPT = (
    suite.test_the_role_arrives,
    suite.test_many_texts_go_in_several_requests,
    suite.test_nobody_listens,
)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The page's two modules, imported from a package that is nowhere in Parley."""
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "example.py").write_text(BLOCKS[MODULE])
    (folder / "simulator.py").write_text(BLOCKS[SIMULATOR])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_BY_NAME", dict(registry._BY_NAME))
    names = ("example", "simulator")
    yield {name: importlib.import_module(f"{PACKAGE}.{name}") for name in names}
    for name in ("", *(f".{name}" for name in names)):
        del sys.modules[PACKAGE + name]


@pytest.fixture
def case(package: dict[str, ModuleType]) -> Case[VendorEmbedder, EmbeddingSimulator]:
    """The page's row, as it stands there."""
    names = {
        "Case": Case,
        "ExampleEmbedder": package["example"].ExampleEmbedder,
        "Example": package["simulator"].Example,
    }
    rows: dict[str, Any] = eval(f"{{{BLOCKS[ROW]}}}", names)
    row: Case[VendorEmbedder, EmbeddingSimulator] = rows["example"]
    return row


def test_all_of_the_pages_code_is_used() -> None:
    assert set(BLOCKS) == {MODULE, SIMULATOR, ENTRY, ROW, ELSEWHERE}


async def test_the_documented_vendor_keeps_the_contract(
    case: Case[VendorEmbedder, EmbeddingSimulator],
) -> None:
    for at_both_ends in KEPT_AT_BOTH_ENDS:
        await at_both_ends(Simulated(case))
    for test in KEPT:
        await test(case)
    for fault in FAULTS:
        await suite.test_faults(case, fault)
    for bend in suite.WRONG.values():
        await suite.test_wrong_vectors_go_nowhere(case, bend)


async def test_its_entry_creates_it(package: dict[str, ModuleType]) -> None:
    """With the module's real path instead of the one that it would have in Parley."""
    entry: Entry = eval(BLOCKS[ENTRY], {"Entry": Entry})
    module, _, name = entry.target.partition(":")
    assert f"engine/providers/{entry.kind}/{module}.py" == MODULE
    registry.register(replace(entry, target=f"{PACKAGE}.{module}:{name}"))
    with pytest.raises(ConfigurationError, match="set PARLEY_EXAMPLE_API_KEY"):
        registry.create(entry.kind, entry.name)
    with pytest.raises(
        ConfigurationError, match="example has no option 'zone'; its options: dimension, region"
    ):
        registry.create(entry.kind, entry.name, api_key=KEY, extra={"zone": "eu"})
    embedder = registry.create(entry.kind, entry.name, api_key=KEY, extra={"dimension": 256})
    assert isinstance(embedder, package["example"].ExampleEmbedder)
    assert embedder.dimension == 256
    await embedder.close()


async def test_a_vendor_of_another_package_registers_itself(package: dict[str, ModuleType]) -> None:
    simulator: EmbeddingSimulator = package["simulator"].Example()
    async with simulator.serving() as url:
        names: dict[str, Any] = {"url": url}
        exec(BLOCKS[ELSEWHERE], names)
        embedder: VendorEmbedder = names["embedder"]
        assert len(await embedder.embed(["When do you open?"], role="query")) == 1
        await embedder.close()
    assert [asked.texts for asked in simulator.asked] == [("When do you open?",)]
