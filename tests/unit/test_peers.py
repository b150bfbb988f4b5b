"""The side-by-side bench: its plan, its table, and the facts that the peer is given."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bench.peers.plan import parse_counts, plan
from bench.peers.systems import FULL_WINDOW_FRAMES, write_config
from bench.peers.table import HEADERS, Answer, Load, cells, markdown, rows
from engine.errors import UsageError


def load(arm: str, calls: int = 1, repeat: int = 0, asked: int = 2) -> Load:
    return Load(arm, calls, repeat, asked, cores=0.5, late_ms=1.0)


def answer(arm: str, ms: float | None, *, right: bool = True, refused: bool = False) -> Answer:
    text = "" if ms is None else "we open at eight"
    return Answer(arm, 1, 0, "q", ms, text, right, refused, audio_s=1.5)


def test_visits_alternate() -> None:
    visits = plan(["parley", "pipecat"], 2)
    assert [(visit.arm.name, visit.repeat) for visit in visits] == [
        ("parley", 0), ("pipecat", 0), ("parley", 1), ("pipecat", 1),
    ]  # fmt: skip


def test_an_arm_named_twice_is_visited_once_a_repeat() -> None:
    assert len(plan(["pipecat", "pipecat"], 1)) == 1


def test_unknown_arm() -> None:
    with pytest.raises(UsageError, match="no system is called 'other'"):
        plan(["other"], 1)


def test_counts() -> None:
    assert parse_counts("1,4,4") == (1, 4)


@pytest.mark.parametrize("text", ["", "0", "1,x", "-1"])
def test_counts_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--calls 1,4"):
        parse_counts(text)


def test_rows_pool_the_visits_and_compare_with_the_first_system() -> None:
    loads = [load("parley"), load("pipecat"), load("parley", repeat=1), load("pipecat", repeat=1)]
    answers = [answer("parley", 500.0), answer("parley", 600.0), answer("parley", None, right=False)]
    answers += [answer("pipecat", 1_000.0), answer("pipecat", 300.0, refused=True, right=False)]
    ours, theirs = rows(loads, answers)
    assert (ours.asked, ours.answered, ours.right, ours.refused) == (4, 2, 2, 0)
    assert (ours.p50, ours.p95, ours.ratio) == (500.0, 600.0, 1.0)
    assert (theirs.asked, theirs.answered, theirs.right, theirs.refused) == (4, 2, 1, 1)
    assert (theirs.p50, theirs.ratio) == (1_000.0, 2.0)
    assert (theirs.words, theirs.audio_s) == (4.0, 1.5)


def test_a_system_without_answers_has_a_row() -> None:
    [row] = rows([load("pipecat")], [])
    assert (row.asked, row.answered, row.p50, row.ratio) == (2, 0, None, None)
    assert cells(row).count("-") == 5


def test_markdown_has_a_column_for_each_header() -> None:
    text = markdown(rows([load("parley")], [answer("parley", 1_234.0)]), "a machine")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in table} == {len(HEADERS) + 1}
    assert "1,234" in table[-1]
    assert text.endswith("a machine\n")


def test_the_full_window_is_all_that_its_config_changes(tmp_path: Path) -> None:
    plain = yaml.safe_load(write_config(tmp_path).read_text())
    changed = yaml.safe_load(write_config(tmp_path, padding_frames=FULL_WINDOW_FRAMES).read_text())
    [stt] = [app for app in changed["applications"] if app["name"] == "stt"]
    assert stt.pop("args") == {"padding_frames": FULL_WINDOW_FRAMES}
    assert changed == plain
