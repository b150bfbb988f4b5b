"""Documents and search."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from engine.api.problems import described
from engine.api.v1.common import Id, Listing, Manager, Paged, Reader, Using, cursor
from models import KnowledgeDocument, platform

router = APIRouter(prefix="/companies/{company_id}", tags=["knowledge"])
FileName = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[^/\\\x00-\x1f\x7f]+$")]
_BODY = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {}}}}}


@router.get("/documents")
async def documents(using: Using, access: Reader, page: Paged) -> Listing[KnowledgeDocument]:
    found = await using.knowledge.list(access, page)
    return Listing(items=list(found), next=cursor(found, page))


@router.put("/documents/by-name/{name}", status_code=202, openapi_extra=_BODY, responses=described(413))
async def upload(using: Using, access: Manager, name: FileName, request: Request) -> KnowledgeDocument:
    """Upload a file as the body of the request; one of the same name is replaced.

    It is read in the background: `status` says how far, `error` why not.
    """
    return await using.knowledge.upload(access, name, request.stream())


@router.get("/documents/{document_id}")
async def document(using: Using, access: Reader, document_id: Id) -> KnowledgeDocument:
    return await using.knowledge.get(access, document_id)


@router.delete("/documents/{document_id}", status_code=204)
async def delete_document(using: Using, access: Manager, document_id: Id) -> Response:
    await using.knowledge.delete(access, document_id)
    return Response(status_code=204)


@router.post("/documents/{document_id}/reprocess", status_code=202)
async def reprocess(using: Using, access: Manager, document_id: Id) -> KnowledgeDocument:
    return await using.knowledge.reprocess(access, document_id)


@router.post("/search")
async def search(using: Using, access: Reader, body: platform.Query) -> platform.Passages:
    """What the agents would find; below its `min_score` an agent says that it does not know."""
    found = await using.knowledge.search(access, body.query, body.limit)
    return platform.Passages(
        items=[
            platform.FoundPassage(
                text=one.text,
                score=one.score,
                source=one.source,
                page=one.page,
                document_id=one.document_id,
            )
            for one in found
        ]
    )
