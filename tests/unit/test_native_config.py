"""deploy/serve_config.native.yaml, and what Parley does with a processor's own instructions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.providers.stt.ctranslate import prefer_wide_vectors
from engine.weights import library

ROOT = Path(__file__).parents[2]
BF16 = "smollm2-135m-bf16"
FLAGS = "flags\t\t: fpu avx2 avx512f avx512dq avx512cd avx512bw avx512vl\n"


def applications(config: Path) -> dict[str, Any]:
    return {each["name"]: each for each in yaml.safe_load(config.read_text())["applications"]}


def test_it_is_the_usual_one_with_other_weights() -> None:
    usual, native = ROOT / "serve_config.yaml", ROOT / "deploy" / "serve_config.native.yaml"
    wanted = applications(usual)
    wanted["llm"]["args"] = {"weights": BF16}
    wanted["turn"]["args"] = {"words": BF16}
    assert applications(native) == wanted
    library().get(BF16)


@pytest.mark.parametrize(("flags", "wanted"), [(FLAGS, "AVX512"), ("flags\t\t: fpu avx2 avx512f\n", None)])
def test_whisper_uses_the_vectors_that_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, wanted: str | None
) -> None:
    monkeypatch.setenv("CT2_FORCE_CPU_ISA", "")  # so that it is put back
    monkeypatch.delenv("CT2_FORCE_CPU_ISA")
    (tmp_path / "cpuinfo").write_text(f"model name\t: any\n{flags}")
    prefer_wide_vectors(tmp_path / "cpuinfo")
    prefer_wide_vectors(tmp_path / "nothing here")
    assert os.environ.get("CT2_FORCE_CPU_ISA") == wanted


def test_an_operators_choice_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CT2_FORCE_CPU_ISA", "AVX2")
    (tmp_path / "cpuinfo").write_text(FLAGS)
    prefer_wide_vectors(tmp_path / "cpuinfo")
    assert os.environ["CT2_FORCE_CPU_ISA"] == "AVX2"
