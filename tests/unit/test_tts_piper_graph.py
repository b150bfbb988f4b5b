"""The cut of a voice's graph: on small graphs made here, of the shape of Piper's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("piper", reason="the extra `piper` is not installed")
onnx = pytest.importorskip("onnx")
import onnxruntime  # noqa: E402

from engine.providers.tts.piper_graph import (  # noqa: E402
    FIRST_FRAMES,
    LONGEST_FRAMES,
    CutGraph,
    Inputs,
    WholeGraph,
    cut,
    load,
    passes,
)

CHANNELS = 4


@given(st.integers(0, 3000))
def test_passes_cover_every_frame_once_and_are_few(frames: int) -> None:
    plan = list(passes(frames))
    assert [frame for begin, end in plan for frame in range(begin, end)] == list(range(frames))
    sizes = [end - begin for begin, end in plan]
    assert all(size < 1.75 * LONGEST_FRAMES for size in sizes)
    assert all(later <= 5 * sooner for sooner, later in pairwise(sizes))
    assert frames < FIRST_FRAMES or FIRST_FRAMES <= sizes[0] < 1.5 * FIRST_FRAMES
    assert len(plan) <= 3 + frames / LONGEST_FRAMES


def voice(*, speakers: int = 1, tail: str = "Tanh", first: str = "dec.conv_pre.weight") -> Any:
    """A model that makes three frames of each phoneme, and 4 samples of each frame."""
    helper, generator = onnx.helper, np.random.default_rng(0)

    def weight(name: str, *shape: int) -> Any:
        return onnx.numpy_helper.from_array(generator.normal(0, 0.4, shape).astype(np.float32), name)

    def integers(name: str, *values: int) -> Any:
        return onnx.numpy_helper.from_array(np.array(values, np.int64), name)

    def node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> Any:
        return helper.make_node(kind, list(inputs), [output], **attributes)

    inputs = [
        helper.make_tensor_value_info("input", onnx.TensorProto.INT64, [1, "phonemes"]),
        helper.make_tensor_value_info("input_lengths", onnx.TensorProto.INT64, [1]),
        helper.make_tensor_value_info("scales", onnx.TensorProto.FLOAT, [3]),
    ]
    weights = [
        weight("emb", 50, 3 * CHANNELS), integers("shape", 1, -1, CHANNELS),
        weight(first, 6, CHANNELS, 7), weight("dec.ups.0.weight", 6, 5, 8),
        weight("dec.resblocks.0.convs.0.weight", 5, 5, 5), weight("dec.conv_post.weight", 1, 5, 7),
    ]  # fmt: skip
    nodes = [
        node("Gather", ["emb", "input"], "/wide"), node("Reshape", ["/wide", "shape"], "/tall"),
        node("Transpose", ["/tall"], "/latent", perm=[0, 2, 1]),
        node("Conv", ["/latent", first], "/dec/pre", kernel_shape=[7], pads=[3, 3]),
    ]  # fmt: skip
    hidden = "/dec/pre"
    if speakers > 1:
        inputs.append(helper.make_tensor_value_info("sid", onnx.TensorProto.INT64, [1]))
        weights += [weight("emb_g", speakers, 3), weight("dec.cond.weight", 6, 3, 1), integers("axis", -1)]
        nodes += [
            node("Gather", ["emb_g", "sid"], "/row"), node("Unsqueeze", ["/row", "axis"], "/g"),
            node("Conv", ["/g", "dec.cond.weight"], "/dec/cond", kernel_shape=[1]),
            node("Add", ["/dec/pre", "/dec/cond"], "/dec/both"),
        ]  # fmt: skip
        hidden = "/dec/both"
    half = helper.make_tensor("value", onnx.TensorProto.FLOAT, [], [2.0])
    nodes += [
        node(
            "ConvTranspose", [hidden, "dec.ups.0.weight"], "/dec/up",
            kernel_shape=[8], strides=[4], pads=[2, 2],
        ),
        node(
            "Conv", ["/dec/up", "dec.resblocks.0.convs.0.weight"], "/dec/res",
            kernel_shape=[5], dilations=[3], pads=[6, 6],
        ),
        node("Add", ["/dec/up", "/dec/res"], "/dec/sum"),
        node("Constant", [], "/dec/half", value=half), node("Div", ["/dec/sum", "/dec/half"], "/dec/mean"),
        node("Conv", ["/dec/mean", "dec.conv_post.weight"], "/dec/post", kernel_shape=[7], pads=[3, 3]),
        node(tail, ["/dec/post"], "output"),
    ]  # fmt: skip
    outputs = [helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "voice", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def asked(phonemes: int, speaker: int | None = None) -> Inputs:
    inputs = {
        "input": np.random.default_rng(phonemes).integers(0, 50, (1, phonemes)),
        "input_lengths": np.array([phonemes]),
        "scales": np.zeros(3, np.float32),
    }
    return inputs if speaker is None else {**inputs, "sid": np.array([speaker])}


def spoken(graph: WholeGraph | CutGraph, inputs: Inputs) -> list[Any]:
    return [decode() for decode in graph.encode(inputs)]


@pytest.mark.parametrize("speakers", [1, 3])
@pytest.mark.parametrize("phonemes", [1, 9, 40, 150])
def test_the_passes_make_what_the_whole_makes(tmp_path: Path, speakers: int, phonemes: int) -> None:
    file = tmp_path / "voice.onnx"
    onnx.save(voice(speakers=speakers), file)
    options = onnxruntime.SessionOptions()
    halved = load(file, options)
    assert isinstance(halved, CutGraph)
    heard = []
    for speaker in range(speakers) if speakers > 1 else [None]:
        parts = spoken(halved, asked(phonemes, speaker))
        assert len(parts) == len(list(passes(3 * phonemes)))
        (whole,) = spoken(WholeGraph(file, options), asked(phonemes, speaker))
        heard.append(np.concatenate(parts))
        np.testing.assert_allclose(heard[-1], whole, atol=1e-6)
    assert all(np.abs(one - heard[0]).max() > 1e-3 for one in heard[1:]), "speakers differ"


def test_a_frame_s_length_and_reach_are_read_from_the_kernels() -> None:
    halves = cut(voice())
    assert halves is not None
    # (3 of conv_post + 6 of the dilated one + 5 of the kernel of 8) // 4, + 3 of conv_pre
    assert (halves.hop, halves.context) == (4, 6)


def test_each_half_has_its_own_weights_alone() -> None:
    halves = cut(voice(speakers=3))
    assert halves is not None
    names = [
        {tensor.name for tensor in onnx.load_from_string(half).graph.initializer}
        for half in (halves.encoder, halves.decoder)
    ]
    assert names[0] == {"emb", "shape", "emb_g", "dec.cond.weight", "axis"}
    assert names[1] == {
        "dec.conv_pre.weight", "dec.ups.0.weight", "dec.resblocks.0.convs.0.weight", "dec.conv_post.weight"
    }  # fmt: skip


@pytest.mark.parametrize("shape", [{"tail": "Softmax"}, {"first": "other.weight"}])
def test_a_graph_of_another_shape_is_run_whole(tmp_path: Path, shape: dict[str, Any]) -> None:
    assert cut(voice(**shape)) is None
    file = tmp_path / "voice.onnx"
    onnx.save(voice(**shape), file)
    graph = load(file, onnxruntime.SessionOptions())
    assert isinstance(graph, WholeGraph)
    (samples,) = spoken(graph, asked(9))
    assert samples.shape == (9 * 3 * 4,)
