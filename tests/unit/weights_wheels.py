"""Small wheels and the manifest entries that describe them."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from engine.weights import WeightFile, Weights, Wheel


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def build_wheel(folder: Path, package: str, members: dict[str, bytes], version: str = "1.0.0") -> Wheel:
    """Write a wheel that pip accepts and return its manifest row."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{package.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    contents = members | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{info}/RECORD,,"]
    for name, data in contents.items():
        code = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record.append(f"{name},sha256={code},{len(data)}")
    contents[f"{info}/RECORD"] = "\n".join(record).encode()
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    data = path.read_bytes()
    return Wheel(package=package, version=version, file=path.name, size=len(data), sha256=digest(data))


def entry(
    name: str, wheels: tuple[Wheel, ...], files: Mapping[str, tuple[bytes, tuple[str, ...]]]
) -> Weights:
    """A manifest entry; `files` maps a path to its bytes and the members that make it."""
    return Weights(
        name=name,
        kind="llm",
        set="starter",
        licence="MIT",
        about="for a test",
        wheels=wheels,
        files=tuple(
            WeightFile(path=path, size=len(data), sha256=digest(data), members=members)
            for path, (data, members) in files.items()
        ),
    )
