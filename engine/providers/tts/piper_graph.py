"""A Piper voice's ONNX graph, cut in two, so that a sentence's audio comes in parts.

VITS makes latent frames of a whole sentence at once. Its decoder (HiFi-GAN), which takes two thirds of the
time, makes a frame's audio of that frame and a few neighbours, so it can be run on a few frames at a time. A
graph of another shape is run whole. Imported with a voice alone: onnx belongs to the extra `piper`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

FIRST_FRAMES = 25
"""Of the first pass: 290 ms at 22,050 Hz. Of that 60 to 120 ms are the voice's silence in front and 25 ms
wait in the finish, so that some 170 ms may be played when the pass is done: the next takes 40 ms.
soxr gives its output in blocks of 68 ms; 19 and 31 frames are the numbers after which the next ones come."""
LONGEST_FRAMES = 112
"""A pass cannot be interrupted when another call is in greater haste. So it takes no longer than a long
sentence's first step, most of which is the encoder's. Only a sentence's last may be longer."""
LONG_PHONEMES = 400
"""About 40 words in one sentence."""

_FIRST_WEIGHT, _SPEAKER_WEIGHT = "dec.conv_pre.weight", "dec.cond.weight"
_PER_SAMPLE = frozenset({"LeakyRelu", "Add", "Div", "Mul", "Tanh", "Unsqueeze", "Identity"})
"""Operations of a decoder that look at no neighbours."""

Inputs = Mapping[str, NDArray[Any]]
Decode = Callable[[], NDArray[np.float32]]
"""Makes the next samples, -1 to 1, shape (n,)."""


class Graph(Protocol):
    def encode(self, inputs: Inputs) -> Sequence[Decode]:
        """One sentence's passes, at least one, each for samples behind those of the one before.

        Raises what onnxruntime raises.
        """
        ...


class WholeGraph:
    """The sentence in one pass."""

    def __init__(self, weights: Path, options: Any) -> None:
        self._session = _Session(str(weights), options)

    def encode(self, inputs: Inputs) -> Sequence[Decode]:
        return [lambda: self._session.run(inputs, long=_is_long(inputs))[0].reshape(-1)]


class CutGraph:
    """Phonemes -> latent frames -> passes over these, each about twice as long as the one before."""

    def __init__(self, halves: Halves, options: Any) -> None:
        self._encoder = _Session(halves.encoder, options)
        self._decoder = _Session(halves.decoder, options)
        self._hop, self._context = halves.hop, halves.context

    def encode(self, inputs: Inputs) -> Sequence[Decode]:
        latent, *speaker = self._encoder.run(inputs, long=_is_long(inputs))
        return [
            lambda begin=begin, end=end: self._decode(latent, speaker, begin, end)  # type: ignore[misc]
            for begin, end in passes(latent.shape[2])
        ]

    def _decode(self, latent: Any, speaker: Sequence[Any], begin: int, end: int) -> NDArray[np.float32]:
        """The audio of the frames `begin` to `end`."""
        first = max(0, begin - self._context)
        window = np.ascontiguousarray(latent[:, :, first : end + self._context])
        inputs = dict(zip(self._decoder.inputs, (window, *speaker), strict=True))
        samples: NDArray[np.float32] = self._decoder.run(inputs)[0].reshape(-1)
        return samples[(begin - first) * self._hop : (end - first) * self._hop]


def load(weights: Path, options: Any) -> Graph:
    """`options` are onnxruntime's. Raises what onnx or onnxruntime raise for a file that is no graph."""
    halves = cut(onnx.load(str(weights)))
    return WholeGraph(weights, options) if halves is None else CutGraph(halves, options)


def passes(frames: int) -> Iterator[tuple[int, int]]:
    """The passes (begin, end) over a sentence's frames.

    A short rest goes with the one before it, because each pass costs the neighbours on both sides besides.
    The first takes in less of it than the others, because it is waited for.
    """
    begin, size = 0, FIRST_FRAMES
    while begin < frames:
        end, size = begin + size, min(2 * size, LONGEST_FRAMES)
        if frames - end < (0.75 * size if begin else FIRST_FRAMES / 2):
            end = frames
        yield begin, end
        begin = end


@dataclass(frozen=True, slots=True)
class Halves:
    """Two serialised models: the second takes what the first gives out, in that order."""

    encoder: bytes
    decoder: bytes
    hop: int
    """Samples that a frame becomes."""
    context: int
    """Frames on either side that a frame's samples depend on.

    Read from the kernels, so that it holds for voices of every quality: 11 for the medium ones. Measured on
    piper-joe, by changing one frame and looking how far the samples change: 2,581 to either side, which is
    10.1 frames. With 11 frames or more the passes differ from one whole pass by 0.03 steps of 16 bits at
    most, with 10 by 0.04, with 9 by 14 and with 6 by 204.
    """


def cut(model: onnx.ModelProto) -> Halves | None:
    """The graph in front of the decoder and the decoder; None where it is not of the known shape.

    Takes the decoder out of `model`, so that weights are not in memory twice.
    """
    graph = model.graph
    inside = _behind(graph, _FIRST_WEIGHT)
    reach = _reach(inside)
    if reach is None:
        return None
    made = {name for node in inside for name in node.output}
    needed = {name for node in inside for name in node.input if name} - made
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    constants = [node for node in graph.node if node.op_type == "Constant" and node.output[0] in needed]
    speakers = [node.output[0] for node in graph.node if _SPEAKER_WEIGHT in node.input]
    own = {tensor.name for tensor in weights} | {node.output[0] for node in constants}
    between = [_tensor(name) for name in (inside[0].input[0], *speakers)]
    outputs = [output for output in graph.output if output.name in made]
    if needed - own != {tensor.name for tensor in between} or len(outputs) != 1:
        return None
    decoder = onnx.helper.make_model(
        onnx.helper.make_graph([*constants, *inside], "decoder", between, outputs, weights),
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
    ).SerializeToString()
    _drop(graph.node, lambda node: not made.isdisjoint(node.output))
    moved = own - _used(graph)
    _drop(graph.node, lambda node: not moved.isdisjoint(node.output))
    _drop(graph.initializer, lambda tensor: tensor.name in moved)
    _drop(graph.output, lambda _: True)
    graph.output.extend(between)
    return Halves(model.SerializeToString(), decoder, *reach)


def _behind(graph: onnx.GraphProto, weight: str) -> list[onnx.NodeProto]:
    """The node with this weight and all that depend on it, in the graph's order."""
    found: list[onnx.NodeProto] = []
    made: set[str] = set()
    for node in graph.node:
        if weight in node.input or made.intersection(node.input):
            found.append(node)
            made.update(node.output)
    return found


def _reach(decoder: Sequence[onnx.NodeProto]) -> tuple[int, int] | None:
    """Samples a frame, and frames on either side that count; None with an operation that is not known.

    From the last node to the first: how far to either side of one sample a tensor matters, in its own steps.
    """
    hop = 1
    reach: dict[str, int] = {}
    for node in reversed(decoder):
        sizes = {attribute.name: attribute.ints[0] for attribute in node.attribute if attribute.ints}
        kernel, stride, padding = sizes.get("kernel_shape", 1), sizes.get("strides", 1), sizes.get("pads", 0)
        steps = max(reach.get(name, 0) for name in node.output)
        if node.op_type == "Conv" and stride == 1:
            steps += (kernel - 1) * sizes.get("dilations", 1) // 2
        elif node.op_type == "ConvTranspose":
            steps = (steps + max(stride - 1 + padding, kernel - 1 - padding)) // stride
            hop *= stride
        elif node.op_type not in _PER_SAMPLE:
            return None
        for name in node.input:
            reach[name] = max(steps, reach.get(name, 0))
    return (hop, reach[decoder[0].input[0]]) if decoder else None


def _used(graph: onnx.GraphProto) -> set[str]:
    """What its nodes take, those of branches and loops too."""
    names = {name for node in graph.node for name in node.input}
    inner = (attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g"))
    return names.union(*map(_used, inner))


def _tensor(name: str) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)


def _drop(field: Any, unwanted: Callable[[Any], bool]) -> None:
    """Out of a protobuf's repeated field, in place."""
    for index in range(len(field) - 1, -1, -1):
        if unwanted(field[index]):
            del field[index]


class _Session:
    """onnxruntime without its appetite.

    It keeps the memory of its longest run: 1.2 GB after a sentence of 200 words, made whole. After a long one
    it is told to give it back; doing so after every run would cost 5 % of the time.
    """

    def __init__(self, model: str | bytes, options: Any) -> None:
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        # It would keep the bytes for changing providers, which nobody does.
        self._session._model_bytes = None
        self.inputs = [tensor.name for tensor in self._session.get_inputs()]

    def run(self, inputs: Inputs, *, long: bool = False) -> Any:
        options = onnxruntime.RunOptions()
        if long:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        return self._session.run(None, inputs, options)


def _is_long(inputs: Inputs) -> bool:
    return bool(inputs["input"].shape[1] > LONG_PHONEMES)
