""".env.example and `engine.config.Settings` say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.config import Settings

EXAMPLE = Path(__file__).parents[2] / ".env.example"
LINES = EXAMPLE.read_text().splitlines()
ASSIGNMENT = re.compile(r"#?(PARLEY_[A-Z_]+)=(.*)")
VALUES = {found[1]: found[2] for line in LINES if (found := ASSIGNMENT.fullmatch(line))}
NO_DEFAULT = {name for name, field in Settings.model_fields.items() if field.default is None}


def test_every_setting_is_there_and_nothing_else() -> None:
    assert sorted(VALUES) == sorted(f"PARLEY_{name.upper()}" for name in Settings.model_fields)


def test_every_setting_has_its_one_line_above_it() -> None:
    for number, line in enumerate(LINES):
        if ASSIGNMENT.fullmatch(line):
            assert LINES[number - 1].startswith("# "), line


def test_copied_as_it_is_it_changes_nothing() -> None:
    assert not [line for line in LINES if line and not line.startswith("#")]


def test_its_values_are_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VALUES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    path = tmp_path / "example.env"
    shown = {name: value for name, value in VALUES.items() if value}
    path.write_text("\n".join(f"{name}={value}" for name, value in shown.items()))
    read = Settings(_env_file=path)
    default = Settings(_env_file=None)
    for name in Settings.model_fields:
        if name in NO_DEFAULT or name == "trusted_proxies" or not VALUES[f"PARLEY_{name.upper()}"]:
            continue
        assert getattr(read, name) == getattr(default, name), name
    # The examples of what has no default are valid too.
    for name in NO_DEFAULT & {name.removeprefix("PARLEY_").lower() for name in shown}:
        assert getattr(read, name) is not None
