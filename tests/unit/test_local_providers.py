"""What a call makes of a replica that fails: an error that another provider can be asked after."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from grpc import StatusCode
from ray.exceptions import ActorUnavailableError
from ray.serve._private.replica_result import gRPCReplicaResult

from actors.services import LocalKnowledge, LocalTts
from engine.errors import ProviderRejected, ProviderUnavailable
from engine.providers.base import SpeechRequest


class Call:
    """A gRPC call that ended before the replica said whether it took the request."""

    async def wait_for_connection(self) -> None: ...

    async def initial_metadata(self) -> dict[str, str]:
        return {}

    async def code(self) -> StatusCode:
        return StatusCode.OK

    async def details(self) -> str:
        return ""


async def serves_own_error() -> Exception:
    """What Serve raises then: its words are known here, as they are all that tells it from our mistakes."""
    result: Any = SimpleNamespace(_with_rejection=True, _rejection_response=None, _call=Call())
    with pytest.raises(RuntimeError) as caught:
        await gRPCReplicaResult.get_rejection_response(result)
    return caught.value


class Handle:
    """A deployment's handle whose every request ends in `error`."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.search = self.speak = SimpleNamespace(remote=self._remote)

    def options(self, *, stream: bool) -> Handle:
        return self

    def _remote(self, *_: object) -> Response:
        return Response(self._error)


class Response:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def __await__(self) -> Any:
        raise self._error

    async def __aiter__(self) -> AsyncIterator[object]:
        raise self._error
        yield

    def cancel(self) -> None: ...


async def outcomes(error: Exception) -> list[Exception]:
    """Of an answer and of a stream."""
    caught = []
    with pytest.raises(Exception) as asked:  # noqa: PT011 - whatever it is, it is looked at
        await LocalKnowledge(Handle(error)).search("acme", "parking", 1, "en")
    caught.append(asked.value)
    with pytest.raises(Exception) as streamed:  # noqa: PT011
        await anext(LocalTts(Handle(error)).speak(SpeechRequest("Hello.")))
    return [*caught, streamed.value]


async def test_a_replica_that_goes_without_an_answer_is_unavailable() -> None:
    for error in await outcomes(await serves_own_error()):
        assert isinstance(error, ProviderUnavailable)
        assert "StatusCode.OK" in str(error)


async def test_a_lost_replica_is_unavailable() -> None:
    for error in await outcomes(ActorUnavailableError("it is gone", b"x" * 16)):
        assert isinstance(error, ProviderUnavailable)


@pytest.mark.parametrize("error", [RuntimeError("deque mutated"), ProviderRejected("no such voice")])
async def test_other_errors_stay_what_they_are(error: Exception) -> None:
    assert await outcomes(error) == [error, error]
