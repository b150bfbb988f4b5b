"""deploy/serve_config.gpu.yaml: everything about it that can be shown without a GPU."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml
from pydantic import BaseModel
from ray.serve import Application
from ray.serve.schema import ServeApplicationSchema, ServeDeploySchema

from engine import switches
from engine.config import settings
from engine.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
GPU = ROOT / "deploy" / "serve_config.gpu.yaml"
CPU = ROOT / "serve_config.yaml"


def read(path: Path) -> ServeDeploySchema:
    return ServeDeploySchema.model_validate(yaml.safe_load(path.read_text()))


CONFIGS = {"gpu": read(GPU), "cpu": read(CPU)}
APPLICATIONS = [
    pytest.param(application, id=f"{name}-{application.name}")
    for name, config in CONFIGS.items()
    for application in config.applications
]


def builder(application: ServeApplicationSchema) -> Callable[[Any], Application]:
    module, _, name = application.import_path.partition(":")
    build: Callable[[Any], Application] = getattr(importlib.import_module(module), name)
    return build


def arguments(application: ServeApplicationSchema) -> Any:
    """The application's args as its builder takes them, validated by the model that it names."""
    parameter = next(iter(inspect.signature(builder(application)).parameters))
    model = get_type_hints(builder(application))[parameter]
    if inspect.isclass(model) and issubclass(model, BaseModel):
        return model.model_validate(application.args)
    return application.args


def applications(config: str = "gpu") -> dict[str, ServeApplicationSchema]:
    return {application.name: application for application in CONFIGS[config].applications}


def actor_options(application: str) -> dict[str, Any]:
    options: dict[str, Any] = applications()[application].deployments[0].ray_actor_options.model_dump()
    return {key: value for key, value in options.items() if value}


@pytest.fixture(autouse=True)
def a_node(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment of a node with a Qdrant server."""
    for key, value in switches.with_switches({}).items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("PARLEY_QDRANT_URL", "http://qdrant.example.com:6333")
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.mark.parametrize("application", APPLICATIONS)
def test_its_builder_takes_its_arguments_and_makes_what_the_config_names(
    application: ServeApplicationSchema,
) -> None:
    built = builder(application)(arguments(application))
    names = {built._bound_deployment.name}
    assert {deployment.name for deployment in application.deployments} <= names


def test_both_configs_have_the_same_applications_at_the_same_places() -> None:
    places = {
        name: {(app.name, app.route_prefix, app.import_path) for app in config.applications}
        for name, config in CONFIGS.items()
    }
    assert places["gpu"] == places["cpu"]


def test_a_misspelt_argument_is_refused() -> None:
    for name in ("stt", "turn", "knowledge", "llm", "tts"):
        application = applications()[name].model_copy(update={"args": {"no_such_argument": 1}})
        with pytest.raises(ValueError, match="no_such_argument"):
            arguments(application)


def test_one_replica_of_each_model_fits_a_gpu() -> None:
    """A node of the size that the config names must be able to run the whole of it."""
    shares = [
        deployment.ray_actor_options.num_gpus or 0
        for application in CONFIGS["gpu"].applications
        for deployment in application.deployments
    ]
    assert sorted(share for share in shares if share) == [0.1, 0.25, 0.6]
    assert sum(shares) <= 1


def test_each_deployment_admits_more_than_it_aims_at() -> None:
    for application in CONFIGS["gpu"].applications:
        for deployment in application.deployments:
            scaling = deployment.autoscaling_config
            if isinstance(scaling, dict):
                assert scaling["target_ongoing_requests"] < deployment.max_ongoing_requests
                assert scaling["metrics_interval_s"] < scaling["look_back_period_s"]


def test_the_edge_is_of_fixed_size_and_drains_for_the_longest_call() -> None:
    media = applications()["media"]
    assert media.deployments[0].num_replicas == 2
    longest = media.args["longest_call_s"]
    assert settings().max_call_s <= longest < switches.LONGEST_CALL_S


def test_the_embedded_index_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARLEY_QDRANT_URL")
    settings.cache_clear()
    knowledge = applications()["knowledge"]
    with pytest.raises(ConfigurationError, match="PARLEY_QDRANT_URL"):
        builder(knowledge)(arguments(knowledge))


def test_a_builder_refuses_a_node_without_the_switches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE")
    for name in ("media", "api"):
        application = applications()[name]
        with pytest.raises(ConfigurationError, match="RAY_AUTH_MODE=token must be set"):
            builder(application)(arguments(application))


def test_kuberay_deploys_the_same_config_with_the_switches() -> None:
    service = yaml.safe_load((ROOT / "deploy" / "rayservice.yaml").read_text())["spec"]
    assert service["serveConfigV2"] == GPU.read_text()
    cluster = service["rayClusterConfig"]
    env = {
        entry["name"]: entry.get("value", "")
        for entry in cluster["headGroupSpec"]["template"]["spec"]["containers"][0]["env"]
    }
    assert cluster["authOptions"] == {"mode": "token"}
    switches.check(env | {"RAY_AUTH_MODE": "token"}, platform="linux")
    assert {switch.name for switch in switches.SWITCHES} - env.keys() == {"RAY_AUTH_MODE"}


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `gpu_placement` saw: two models that share the one GPU, and a second language model."""
    wanted = {"llm": actor_options("llm"), "stt": actor_options("stt"), "second-llm": actor_options("llm")}
    environ = switches.with_switches(os.environ) | {
        "RAY_AUTH_TOKEN": "0" * 64,
        "RAY_SERVE_ENABLE_HA_PROXY": "0",
        "PARLEY_DATA_DIR": str(tmp_path_factory.mktemp("data")),
    }
    command = [sys.executable, "-m", "tests.servers.gpu_placement", json.dumps(wanted)]
    done = subprocess.run(
        command, cwd=ROOT, env=environ, text=True, capture_output=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_shares_of_a_gpu_are_placed_and_what_does_not_fit_waits(made_up: dict[str, Any]) -> None:
    assert made_up["before"] == {"llm": 1, "stt": 1, "second-llm": 0}
    assert made_up["after"]["second-llm"] == 1


def test_an_embedded_store_is_refused_on_a_second_node(made_up: dict[str, Any]) -> None:
    refused = (
        "SQLite is embedded: it belongs to one machine, and this cluster has 2 nodes: run Parley on one node"
    )
    assert refused in made_up["joined"]
