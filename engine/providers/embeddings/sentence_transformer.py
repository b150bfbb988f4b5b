"""Embeddings by sentence-transformers, on this machine's CPU (or a GPU, by `device`).

Loading takes about 4 s, nearly all of it the library's import. Two things of it are avoided: looking for the
model on the network, and scikit-learn, which the library wants for distances that Parley never asks for.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.errors import ProviderUnavailable, WeightsError
from engine.providers.base import Role
from engine.providers.embeddings.callers_first import CallersFirst

PIECE_CHARS = 400
"""Of documents, embedded at once: the longest that a caller's query waits for.

One passage of 60 words, or four of 15, take 30 ms on one thread; the 32 that an upload sends take 150 to 600.
It is a fifth to two fifths slower for that, but nobody waits for it. On a GPU they go together.
"""


class SentenceTransformerEmbedder:
    """An `Embedder` on a model folder. Vectors are normalised: their dot product is the cosine.

    The model runs in one thread of its own: queries first, then documents, a piece at a time. Raises
    WeightsError when the folder holds no such model.
    """

    def __init__(self, folder: Path, *, device: str = "cpu", threads: int = 1) -> None:
        self.name = folder.name
        self._model = _load(folder, device, threads)
        self._prompts = {role: self._model.prompts.get(role) or None for role in ("query", "document")}
        dimension = self._model.get_embedding_dimension()
        if not dimension:
            raise WeightsError(f"the model in {folder} does not say how long its vectors are: use another")
        self._dimension = int(dimension)
        self._thread = CallersFirst("embedder")
        self._piece_chars = PIECE_CHARS if device == "cpu" else math.inf

    @property
    def dimension(self) -> int:
        return self._dimension

    @property
    def space(self) -> str:
        return f"local/{self.name}/{self._dimension}"

    async def embed(self, texts: Sequence[str], *, role: Role) -> list[list[float]]:
        """One vector a text. Raises ProviderUnavailable when the model fails.

        Cancelled, it returns at once; the piece that the thread has begun it finishes for nothing.
        """
        run = self._thread.first if role == "query" else self._thread.later
        vectors: list[list[float]] = []
        for piece in _pieces(texts, self._piece_chars):
            vectors += await run(self.embed_now, piece, role)
        return vectors

    def embed_now(self, texts: Sequence[str], role: Role) -> list[list[float]]:
        """As `embed`, blocking."""
        if not texts:
            return []
        try:
            vectors = self._model.encode(
                list(texts), prompt=self._prompts[role], normalize_embeddings=True, show_progress_bar=False
            )
        except RuntimeError as error:
            raise ProviderUnavailable(f"the embedding model failed: {error}", provider=self.name) from error
        return [[float(value) for value in vector] for vector in vectors]

    def close(self) -> None:
        """Ends the thread; what waits for it is cancelled."""
        self._thread.close()


def _pieces(texts: Sequence[str], most_chars: float) -> Iterator[list[str]]:
    """The texts in order, as many together as have so many characters; one that is longer goes alone."""
    piece: list[str] = []
    size = 0
    for text in texts:
        if piece and size + len(text) > most_chars:
            yield piece
            piece, size = [], 0
        piece.append(text)
        size += len(text)
    if piece:
        yield piece


def _load(folder: Path, device: str, threads: int) -> Any:
    # Read by the hub library when it is imported: a folder is all that is ever loaded.
    os.environ["HF_HUB_OFFLINE"] = "1"
    with _without_scikit_learn():
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if device == "cpu":
        torch.set_num_threads(threads)
    try:
        return SentenceTransformer(str(folder), device=device, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"the embedding model in {folder} cannot be loaded ({reason}): "
            f"run `parley models pull {folder.name}`"
        ) from error


@contextmanager
def _without_scikit_learn() -> Iterator[None]:
    # Importing it costs 0.8 s and 38 MB, for `pairwise_distances` under Manhattan and Euclidean similarity.
    if "sklearn.metrics" in sys.modules:
        yield
        return
    stand_in = ModuleType("sklearn.metrics")
    stand_in.pairwise_distances = None  # type: ignore[attr-defined]
    sys.modules["sklearn.metrics"] = stand_in
    try:
        yield
    finally:
        del sys.modules["sklearn.metrics"]
