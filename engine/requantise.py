"""A GGUF file in another quantisation, tensor by tensor: what llama.cpp's CPU kernels are fast at.

To Q8_0, which loses next to nothing of any 4-bit format, or to BF16, which some processors can multiply.
Plain arithmetic on float32, so the same input gives the same bytes everywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import WeightsError
from engine.weights import Format

_FILE_TYPES: dict[Format, int] = {"Q8_0": 7, "BF16": 32}
"""llama.cpp's number for a file whose tensors are mostly of the format, in `general.file_type`."""
_FILE_TYPE = "general.file_type"
_ARCHITECTURE = "general.architecture"


def requantise(source: Path, target: Path, to: Format = "Q8_0") -> None:
    """Write `source` to `target` with all quantised tensors in another format. Raises WeightsError."""
    import gguf

    try:
        reader = gguf.GGUFReader(source)
        writer = gguf.GGUFWriter(target, reader.fields[_ARCHITECTURE].contents())
        for field in reader.fields.values():
            _copy_field(writer, field, _FILE_TYPES[to])
        for tensor in reader.tensors:
            _add_tensor(writer, tensor, to)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    except (ValueError, KeyError, IndexError, NotImplementedError) as error:
        raise WeightsError(f"{source.name} cannot be brought to {to}: {error}") from error


def _copy_field(writer: Any, field: Any, file_type: int) -> None:
    from gguf import GGUFValueType

    if field.name.startswith("GGUF.") or field.name == _ARCHITECTURE:
        return  # the writer makes these
    kind = field.types[0]
    items = field.types[-1] if kind == GGUFValueType.ARRAY else None
    value = file_type if field.name == _FILE_TYPE else field.contents()
    writer.add_key_value(field.name, value, kind, sub_type=items)


def _add_tensor(writer: Any, tensor: Any, to: Format) -> None:
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize, quantize

    if tensor.tensor_type == GGMLQuantizationType.F32:
        writer.add_tensor(tensor.name, np.array(tensor.data))
        return
    kind = GGMLQuantizationType[to]
    writer.add_tensor(
        tensor.name, quantize(dequantize(tensor.data, tensor.tensor_type), kind), raw_dtype=kind
    )
