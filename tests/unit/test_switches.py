"""The environment of a server: what is set, what is refused, and HAProxy's ports on loopback."""

from __future__ import annotations

import importlib.util
import os
import shlex
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from engine import switches
from engine.cli.doctor import doctor
from engine.cli.serve import SERVE_PORTS, check_ports
from engine.config import Settings
from engine.errors import ConfigurationError

NEEDED = [switch for switch in switches.SWITCHES if switch.needed]
CONFIG = """global
    stats socket /tmp/x/admin.sock mode 666 level admin expose-fd listeners
frontend prometheus
    bind :9101
frontend http_frontend
    bind {calls}:8000
frontend grpc_frontend
    bind 10.0.0.7:9000 proto h2
listen stats
  bind *:8404
"""


# The switches


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_what_parley_sets_passes_its_own_check(platform: str) -> None:
    switches.check(switches.with_switches({}, platform=platform), platform=platform)


@pytest.mark.parametrize("switch", NEEDED, ids=lambda switch: switch.name)
def test_a_start_without_a_needed_switch_is_refused_in_one_line(switch: switches.Switch) -> None:
    environ = switches.with_switches({}, platform="linux")
    del environ[switch.name]
    with pytest.raises(ConfigurationError, match=switch.name) as refused:
        switches.check(environ, platform="linux")
    assert "\n" not in str(refused.value)
    environ[switch.name] = "something else"
    with pytest.raises(ConfigurationError, match="something else"):
        switches.check(environ, platform="linux")


def test_an_operators_own_value_is_kept() -> None:
    environ = switches.with_switches({"RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "7200"}, platform="linux")
    assert environ["RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S"] == "7200"


def test_trust_in_forwarding_headers_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="FORWARDED_ALLOW_IPS"):
        switches.check(switches.with_switches({"FORWARDED_ALLOW_IPS": "*"}))


def test_outside_linux_haproxy_is_not_asked_for() -> None:
    environ = switches.with_switches({}, platform="darwin")
    assert not {"RAY_SERVE_ENABLE_HA_PROXY", switches.HAPROXY} & environ.keys()
    assert environ[switches.ONE_MACHINE] == "0"


def test_doctor_prints_exports_that_a_shell_understands() -> None:
    printed = CliRunner().invoke(doctor, ["--switches"])
    assert printed.exit_code == 0
    script = f"{printed.output}\nenv"
    shell = subprocess.run(["sh", "-c", script], env={}, text=True, capture_output=True, check=True)
    exported = dict(line.split("=", 1) for line in shell.stdout.splitlines())
    switches.check(exported)
    # Those that are for one machine would break a cluster.
    assert not {switches.ONE_MACHINE, switches.HAPROXY} & exported.keys()


# HAProxy's wrapper


@pytest.fixture
def haproxy(tmp_path: Path) -> Path:
    """A program that prints its arguments, in HAProxy's place."""
    program = tmp_path / "real haproxy"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    return program


def wrapped(haproxy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = switches.with_switches({switches.HAPROXY: str(haproxy), "PATH": os.environ["PATH"]})
    command = [environ[switches.HAPROXY], *arguments]
    return subprocess.run(command, env=environ, text=True, capture_output=True, check=False)


@pytest.mark.parametrize("calls", ["127.0.0.1", "0.0.0.0"])
def test_haproxys_own_ports_go_to_loopback_and_the_calls_port_stays(
    haproxy: Path, tmp_path: Path, calls: str
) -> None:
    config = tmp_path / "a folder" / "haproxy.cfg"
    config.parent.mkdir()
    config.write_text(CONFIG.format(calls=calls))
    arguments = ["-db", "-f", str(config), "-dR", "-sf", "12", "13", "-x", "/tmp/x/admin.sock"]
    for _ in range(2):  # Serve may start HAProxy again with the same file.
        done = wrapped(haproxy, *arguments)
        assert done.stdout.splitlines() == arguments, done.stderr
        assert config.read_text() == (
            CONFIG.format(calls=calls)
            .replace("bind :9101", "bind 127.0.0.1:9101")
            .replace("bind *:8404", "bind 127.0.0.1:8404")
            .replace("mode 666", "mode 600")
        )
    assert [path.name for path in config.parent.iterdir()] == ["haproxy.cfg"]


def test_serves_template_has_no_other_open_port() -> None:
    """Should a new Ray open one more, it shows here and not in the field."""
    package = importlib.util.find_spec("ray")
    assert package is not None
    assert package.origin is not None
    template = Path(package.origin).parent / "serve" / "_private" / "haproxy_templates.py"
    lines = [line.strip() for line in template.read_text().splitlines() if line.strip().startswith("bind ")]
    assert sorted(lines) == [
        "bind *:{{ config.stats_port }}",
        "bind :{{ config.metrics_port }}",
        "bind {{ config.frontend_host }}:{{ config.frontend_port }}",
        "bind {{ config.grpc_frontend_host }}:{{ config.grpc_frontend_port }} proto h2",
    ]


def test_a_config_that_is_not_there_ends_the_start(haproxy: Path, tmp_path: Path) -> None:
    done = wrapped(haproxy, "-f", str(tmp_path / "none.cfg"))
    assert done.returncode != 0
    assert done.stdout == ""


def test_the_wrapper_is_not_wrapped_again(haproxy: Path) -> None:
    once = switches.with_switches({switches.HAPROXY: str(haproxy)}, platform="linux")
    assert switches.with_switches(once, platform="linux") == once


# Ports


@pytest.fixture
def taken() -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def site(**values: object) -> Settings:
    return Settings(_env_file=None, secret=SecretStr("x" * 32), **values)  # type: ignore[arg-type]


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port: int = server.getsockname()[1]
        return port


def free_ports() -> dict[str, str]:
    return {name: str(free_port()) for name in SERVE_PORTS}


def test_free_ports_pass() -> None:
    check_ports(site(port=free_port()), free_ports())


def test_a_taken_port_is_named_with_its_variable(taken: int) -> None:
    with pytest.raises(ConfigurationError, match=rf"port {taken} is taken: .*PARLEY_PORT"):
        check_ports(site(port=taken), free_ports())


@pytest.mark.skipif("sys.platform != 'linux'", reason="HAProxy is for Linux")
@pytest.mark.parametrize("variable", SERVE_PORTS)
def test_a_taken_port_of_serve_is_named_with_its_variable(taken: int, variable: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"port {taken} is taken: .*{variable}"):
        check_ports(site(port=free_port()), free_ports() | {variable: str(taken)})
    with pytest.raises(ConfigurationError, match=variable):
        check_ports(site(port=free_port()), free_ports() | {variable: "none"})


def test_a_port_taken_on_all_interfaces_counts() -> None:
    with closing(socket.create_server(("0.0.0.0", 0))) as server:
        port = server.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} is taken"):
            check_ports(site(port=port), free_ports())


def test_a_host_that_is_not_here_is_another_error() -> None:
    with pytest.raises(ConfigurationError, match=r"cannot listen on 203\.0\.113\.1:.*PARLEY_HOST"):
        check_ports(site(host="203.0.113.1", port=free_port()), free_ports())


# What the documents say


def test_operations_lists_every_switch() -> None:
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    for switch in switches.SWITCHES:
        name = f"**`{switch.name}`**" if switch.needed else f"`{switch.name}`"
        assert f"| {name} | `{shlex.quote(switch.value)}` | {switch.why} |" in text
