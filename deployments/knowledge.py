"""The knowledge application: embeddings, the vector index and what is asked of both, in one replica.

With the embedded index there is one replica, as one process may hold its folder. With a Qdrant server
(PARLEY_QDRANT_URL) there may be any number.
"""

# No `from __future__ import annotations`: Serve needs the class itself in `build`'s annotation.

import logging
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve import Application

from actors.node import prepare_replica, refuse_several_nodes
from engine.config import settings
from engine.errors import ConfigurationError, ProviderError
from engine.providers.base import Embedder, Passage

log = logging.getLogger("parley.knowledge")

WARM_UP = "What are your opening hours?"


class KnowledgeArgs(BaseModel):
    """What `serve_config.yaml` may say about this application."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(default="minilm", description="name of the weights that embed")
    device: str = Field(default="cpu", description="torch device, such as cpu or cuda")
    num_replicas: int = Field(default=1, ge=1)
    num_cpus: float = Field(default=0, ge=0)
    num_gpus: float = Field(default=0, ge=0)
    max_ongoing_requests: int = Field(default=64, ge=1)


class KnowledgeReplica:
    """Search, ingest and delete, each within one company. Raises the engine's errors.

    When the constructor has returned, the model and the index have answered once.
    """

    # Serve awaits a constructor; mypy cannot know.
    async def __init__(self, args: KnowledgeArgs) -> None:  # type: ignore[misc]
        from engine.knowledge.index import Space, open_index
        from engine.knowledge.ingest import Ingestor
        from engine.knowledge.parse.sandbox import read_document
        from engine.knowledge.retrieve import Retriever
        from engine.providers.embeddings.sentence_transformer import SentenceTransformerEmbedder
        from engine.providers.installation import chain, vendor
        from engine.providers.registry import LOCAL
        from engine.store.open import open_store
        from engine.weights import folder

        prepare_replica()
        if settings().qdrant_url is None:
            refuse_several_nodes("the knowledge index", "set PARLEY_QDRANT_URL to a Qdrant server")
        [name] = chain("embeddings", settings())
        if name == LOCAL:
            self._embedder: Embedder = SentenceTransformerEmbedder(folder(args.model), device=args.device)
            # Local indexes are made under the model's name alone.
            self._space = Space(args.model, self._embedder.dimension)
        else:
            self._embedder = cast(Embedder, vendor("embeddings", name, settings()))
            self._space = Space(self._embedder.space, self._embedder.dimension)
        self._index = await open_index(self._space)
        self._retriever = Retriever(self._embedder, self._index)
        try:
            await self._retriever.search("warm-up", WARM_UP, 1)
        except ProviderError as error:
            # A vendor that fails now may be well when a caller asks; until then nothing is known.
            log.warning("the embedder does not answer: %s", error)
        self._uploads = Ingestor(
            await open_store(settings()),
            settings().data_dir,
            read_document,
            self._retriever.ingest_document,
            self._retriever.delete,
        )
        await self._uploads.start()

    async def search(
        self, company_id: str, query: str, limit: int = 2, language: str = "en"
    ) -> list[Passage]:
        return await self._retriever.search(company_id, query, limit, language=language)

    async def ingest(self, company_id: str, document_id: str, source: str, text: str) -> int:
        """Makes `text` the document's content; returns its number of passages."""
        return await self._retriever.ingest(company_id, document_id, source, text)

    async def ingest_upload(self, company_id: str, document_id: str) -> None:
        """Begin to read an uploaded document; its state is in the store."""
        self._uploads.add(company_id, document_id)

    async def delete_document(self, company_id: str, document_id: str) -> None:
        await self._retriever.delete(company_id, document_id)

    async def count(self, company_id: str) -> int:
        """How many passages the company has."""
        return await self._index.count(company_id)

    async def info(self) -> dict[str, Any]:
        """Model, dimension and kind of index, for the status page."""
        kind = "embedded" if settings().qdrant_url is None else "server"
        return {"model": self._space.model, "dimension": self._space.dimension, "index": kind}

    async def check_health(self) -> None:
        await self._index.check()


deployment = serve.deployment(
    name="Knowledge",
    health_check_period_s=2,
    health_check_timeout_s=10,
    graceful_shutdown_timeout_s=10,
)(KnowledgeReplica)


def build(args: KnowledgeArgs) -> Application:
    """The application. Raises ConfigurationError when the embedded index should have several replicas."""
    if args.num_replicas > 1 and settings().qdrant_url is None:
        raise ConfigurationError(
            f"knowledge: num_replicas is {args.num_replicas}, but the embedded index allows 1: "
            "set it to 1, or PARLEY_QDRANT_URL to a Qdrant server"
        )
    return deployment.options(
        num_replicas=args.num_replicas,
        max_ongoing_requests=args.max_ongoing_requests,
        ray_actor_options={"num_cpus": args.num_cpus, "num_gpus": args.num_gpus},
    ).bind(args)
