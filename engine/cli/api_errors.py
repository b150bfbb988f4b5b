"""What goes wrong between this command line and a server, each as one line for a person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import httpx2
from pydantic import BaseModel, ValidationError

from engine.errors import UsageError


class ApiError(UsageError):
    """The server refused. `status`: HTTP's; `retry_after_s`: how long it wants to be left alone."""

    def __init__(self, message: str, status: int, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class NoAnswer(UsageError):
    """No server, or none that could be understood, or the connection broke off."""


class _Where(BaseModel):
    where: list[str | int] = []
    message: str = ""

    def line(self) -> str:
        """`field: why`; the field is last in where it stands, behind `body`, `query` or `path`."""
        message = self.message.removeprefix("Value error, ")
        return f"{self.where[-1]}: {message}" if self.where else message


class _Problem(BaseModel):
    """RFC 9457, as far as a person wants to know it."""

    title: str
    detail: str = ""
    request_id: str = ""
    errors: list[_Where] = []

    def line(self) -> str:
        why = "; ".join(error.line() for error in self.errors) or self.detail or self.title
        return f"{why} (request {self.request_id})" if self.request_id else why


def refusal(response: httpx2.Response, server: str) -> ApiError:
    """The error of an answer that was read and is no success."""
    try:
        line = _Problem.model_validate_json(response.content).line()
    except ValidationError:
        line = f"{server} answered {_status(response)} and not as Parley does: is it the right server?"
    retry_after = response.headers.get("Retry-After", "")
    return ApiError(line, response.status_code, float(retry_after) if retry_after.isdecimal() else 0.0)


@contextmanager
def network_errors(server: str) -> Iterator[None]:
    """httpx2's errors as NoAnswer, and what cannot be written into a request as UsageError."""
    try:
        yield
    except httpx2.TimeoutException as error:
        raise NoAnswer(f"{server} takes too long to answer: try again, or see its log") from error
    except httpx2.ConnectError as error:
        mend = "start it with `parley serve`, or say where it is with --server or PARLEY_API_URL"
        raise NoAnswer(f"no server answers at {server} ({error}): {mend}") from error
    except UnicodeEncodeError as error:
        # Without its text: a password may be part of it.
        raise UsageError("an argument cannot be sent: it is not UTF-8") from error
    except httpx2.InvalidURL as error:
        raise UsageError(f"{server} is no URL of a server: {error}") from error
    except httpx2.LocalProtocolError as error:
        raise NoAnswer(f"the request could not be sent to {server}: {error}") from error
    except httpx2.HTTPError as error:
        raise NoAnswer(
            f"the connection to {server} broke off: {str(error) or type(error).__name__}"
        ) from error


def unexpected(server: str, error: ValidationError) -> NoAnswer:
    """A success that is not what this version of Parley knows."""
    first: dict[str, Any] = dict(error.errors()[0])
    where = ".".join(str(part) for part in first["loc"]) or "its body"
    return NoAnswer(f"{server} answered what this `parley` does not know ({where}): are both of one version?")


def _status(response: httpx2.Response) -> str:
    try:
        return f"{response.status_code} {HTTPStatus(response.status_code).phrase}"
    except ValueError:
        return str(response.status_code)
