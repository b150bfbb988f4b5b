"""Nothing is open by accident: who listens where, and what the token keeps out."""

from __future__ import annotations

import ipaddress
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from socket import SOCK_STREAM

import grpc
import httpx
import psutil
import pytest

from engine import switches
from tests.cluster.site import Site

OPEN: dict[tuple[str, str], str] = {
    ("haproxy", "udp"): "where HAProxy sends its log from, to 127.0.0.1:514; it never reads there",
}
"""Sockets that are not on loopback, as (process, protocol), and why; docs/security.md says the same."""

METHODS = (
    "/ray.rpc.InternalKVGcsService/InternalKVKeys",
    "/ray.rpc.ActorInfoGcsService/CreateActor",
    "/ray.rpc.NodeManagerService/RequestWorkerLease",
    "/ray.rpc.ObjectManagerService/Pull",
    "/ray.rpc.CoreWorkerService/PushTask",
    "/ray.serve.ASGIService/HandleRequest",
)
"""Ways to run code or read data, one at least on each kind of gRPC port that Ray opens."""

NOT_RAY = ("haproxy", "-m deployments.llama_server")
"""HTTP servers of others: the first is for callers, the second has a key of its own."""

JOIN = """
import sys, ray
ray.init(address=sys.argv[1], namespace="parley", log_to_driver=False, logging_level="ERROR")
print("stats", ray.get(ray.get_actor("switchboard").stats.remote(), timeout=20))
"""


@dataclass(frozen=True)
class Listener:
    """A socket that takes connections or datagrams."""

    process: str
    protocol: str
    ip: str
    port: int

    @property
    def loopback(self) -> bool:
        address = ipaddress.ip_address(self.ip)
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return (mapped or address).is_loopback


def family(server: Site) -> Iterator[tuple[str, psutil.Process]]:
    """Every process of the server as (`ray::Switchboard`, `haproxy`, `-m deployments.server`, ...)."""
    root = psutil.Process(server.process.pid)
    for process in [root, *root.children(recursive=True)]:
        try:
            command = process.cmdline()
        except psutil.NoSuchProcess:
            continue
        if command and "python" in Path(command[0]).name:
            yield " ".join(command[1:3]), process
        elif command:
            yield Path(command[0].strip()).name, process


@pytest.fixture(scope="module")
def listeners(server: Site) -> list[Listener]:
    found = []
    for name, process in family(server):
        try:
            connections = process.net_connections("inet")
        except psutil.NoSuchProcess:
            continue
        for one in connections:
            tcp = one.type == SOCK_STREAM
            if one.status == psutil.CONN_LISTEN or not tcp:
                found.append(Listener(name, "tcp" if tcp else "udp", one.laddr.ip, one.laddr.port))
    return found


@pytest.fixture(scope="module")
def token(server: Site) -> str:
    return psutil.Process(server.process.pid).environ()["RAY_AUTH_TOKEN"]


def of(listeners: list[Listener], process: str) -> list[Listener]:
    return [listener for listener in listeners if listener.process.startswith(process)]


def test_every_socket_is_on_loopback_or_documented(server: Site, listeners: list[Listener]) -> None:
    wanted = ("RAY_SERVE_HAPROXY_METRICS_PORT", "RAY_SERVE_HAPROXY_STATS_PORT")
    haproxys = {listener.port for listener in of(listeners, "haproxy")}
    assert {server.settings.port, *(int(os.environ[port]) for port in wanted)} <= haproxys
    parts = ("gcs_server", "raylet", "ray::Switchboard", "ray::ServeReplica:media", "ray::CallActor")
    for part in (*parts, "-m deployments.llama_server"):
        assert of(listeners, part), (
            f"the scan did not see {part}: {sorted({one.process for one in listeners})}"
        )
    away = [listener for listener in listeners if not listener.loopback]
    assert [listener for listener in away if (listener.process, listener.protocol) not in OPEN] == []


def test_there_is_no_dashboard(listeners: list[Listener]) -> None:
    assert 8265 not in {listener.port for listener in listeners}


def statuses(listener: Listener) -> set[grpc.StatusCode]:
    """What each of METHODS answers to an empty request without a token."""
    found = set()
    with grpc.insecure_channel(f"127.0.0.1:{listener.port}") as channel:
        for method in METHODS:
            try:
                channel.unary_unary(method)(b"", timeout=10)
                found.add(grpc.StatusCode.OK)
            except grpc.RpcError as error:
                found.add(error.code())
    return found


def test_every_grpc_port_asks_for_the_token(listeners: list[Listener]) -> None:
    """UNIMPLEMENTED: that port has no such method. UNAVAILABLE: it does not speak gRPC."""
    closed = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE}
    asking = set()
    for listener in listeners:
        if listener.protocol != "tcp" or listener.process in NOT_RAY:
            continue
        found = statuses(listener)
        assert found <= closed, listener
        if grpc.StatusCode.UNAUTHENTICATED in found:
            asking.add(listener.process)
    for part in ("gcs_server", "raylet", "ray::Switchboard", "ray::CallActor", "ray::ServeReplica:media"):
        assert any(process.startswith(part) for process in asking), part


def test_the_token_opens_what_is_closed_without_it(listeners: list[Listener], token: str) -> None:
    gcs = of(listeners, "gcs_server")[0]
    with grpc.insecure_channel(f"127.0.0.1:{gcs.port}") as channel:
        call = channel.unary_unary("/ray.rpc.InternalKVGcsService/InternalKVKeys")
        assert call(b"", timeout=10, metadata=(("authorization", f"Bearer {token}"),)) is not None
        with pytest.raises(grpc.RpcError) as refused:
            call(b"", timeout=10, metadata=(("authorization", f"Bearer {'0' * len(token)}"),))
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_no_job_and_no_environment_without_the_token(listeners: list[Listener]) -> None:
    """Ray's HTTP agents would run any command: without the token 401, with a wrong one 403."""
    paths = {"ray::DashboardAgent": "/api/job_agent/jobs/", "ray::RuntimeEnvAgent": "/get_runtime_envs_info"}
    for process, path in paths.items():
        answers = {}
        for listener in of(listeners, process):
            url = f"http://127.0.0.1:{listener.port}{path}"
            try:
                without = httpx.post(url, json={"entrypoint": "true"}, timeout=10).status_code
                wrong = httpx.post(url, headers={"Authorization": "Bearer 0"}, timeout=10).status_code
            except httpx.RemoteProtocolError:
                continue  # A gRPC port.
            answers[listener.port] = (without, wrong)
        assert (401, 403) in answers.values(), (process, answers)
        # 405: its Prometheus page, which takes no POST.
        assert set(answers.values()) <= {(401, 403), (405, 405)}, (process, answers)


def test_a_process_without_the_token_cannot_join(
    listeners: list[Listener], token: str, tmp_path: Path
) -> None:
    gcs = f"127.0.0.1:{of(listeners, 'gcs_server')[0].port}"
    plain = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    plain |= {
        "HOME": str(tmp_path),  # No token of this user's counts.
        switches.ONE_MACHINE: "0",  # Otherwise Ray takes 127.0.0.1 for the machine's other address.
        "RAY_NUM_REDIS_GET_RETRIES": "2",  # Seconds that it goes on trying.
    }
    cases = {
        "none": plain,
        "off": plain | {"RAY_AUTH_MODE": "disabled"},
        "wrong": plain | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * len(token)},
        "right": plain | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token},
    }
    command = [sys.executable, "-c", JOIN, gcs]
    pipe = subprocess.PIPE
    running = {
        case: subprocess.Popen(command, env=env, text=True, stdout=pipe, stderr=pipe)
        for case, env in cases.items()
    }
    try:
        output = {case: process.communicate(timeout=120) for case, process in running.items()}
    finally:
        for process in running.values():
            process.kill()
    assert "stats {" in output["right"][0], output["right"]
    for case in ("none", "off", "wrong"):
        assert running[case].returncode != 0
        assert "stats" not in output[case][0]
        assert re.search("authenticat", output[case][1], re.IGNORECASE), output[case]


def test_the_token_is_in_no_command_line_and_in_no_log(server: Site, token: str) -> None:
    for _, process in family(server):
        assert token not in " ".join(process.cmdline())
    assert token not in server.process.log_path.read_text()


def test_haproxys_admin_socket_is_for_its_user_alone(server: Site) -> None:
    haproxy = next(process for name, process in family(server) if name == "haproxy")
    command = haproxy.cmdline()
    config = Path(command[command.index("-f") + 1])
    path = re.search(r"stats socket (\S+) mode 600", config.read_text())
    assert path is not None
    assert stat.S_IMODE(os.stat(path[1]).st_mode) == 0o600


def test_no_peer_is_believed_about_forwarded_addresses(server: Site) -> None:
    replicas = [process for name, process in family(server) if name.startswith("ray::ServeReplica:")]
    assert replicas
    assert {process.environ().get("FORWARDED_ALLOW_IPS") for process in replicas} == {""}
