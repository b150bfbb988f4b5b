"""The tokens that `parley login` keeps: one session for each server, in a file that only its owner reads."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from engine.errors import UsageError


@dataclass(frozen=True, slots=True)
class Kept:
    """One session. `expires_at`: Unix time in s at which its access token is good no longer."""

    email: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: float


_SESSIONS = TypeAdapter(dict[str, Kept])


def default_path() -> Path:
    """`session.json` below XDG_CONFIG_HOME, or else ~/.config."""
    config = Path(os.environ.get("XDG_CONFIG_HOME") or "")
    # The XDG specification has relative paths ignored.
    return (config if config.is_absolute() else Path("~/.config").expanduser()) / "parley" / "session.json"


class SessionFile:
    """Sessions by the URL of their server, so that no server ever sees another's tokens."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or default_path()

    def load(self, server: str) -> Kept | None:
        """None where nobody signed in; a file that cannot be parsed holds no session."""
        return self._read().get(server)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time: a refresh token that two of them use ends the session.

        Raises UsageError where the folder cannot be written.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path.with_suffix(".lock"), os.O_WRONLY | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def save(self, server: str, kept: Kept | None) -> None:
        """Keep a session, or with None forget it. Call it while `locked`. Raises UsageError."""
        sessions = {name: asdict(one) for name, one in self._read().items() if name != server}
        if kept is not None:
            sessions[server] = asdict(kept)
        part = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}")
        try:
            _write(part, json.dumps(sessions, indent=2))
            os.replace(part, self.path)
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            part.unlink(missing_ok=True)

    def _read(self) -> dict[str, Kept]:
        try:
            return _SESSIONS.validate_json(self.path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return {}
        except OSError as error:
            raise UsageError(f"cannot read {self.path}: {error.strerror}") from error

    def _unwritable(self, error: OSError) -> UsageError:
        return UsageError(f"cannot write {self.path}: {error.strerror}")


def _write(path: Path, text: str) -> None:
    """A new file for its owner alone, on the disk before it gets its name."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
