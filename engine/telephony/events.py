"""What any carrier says about a call (`CarrierEvent`) and what it can be told (`CarrierCommand`).

Audio is G.711 mu-law, 8,000 Hz, mono, one byte a sample. Positions are samples since the first media frame of
this stream, lost frames counted, so that a position is a time on the caller's line whatever went missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Started:
    """The stream is up. `caller` is empty when the carrier does not say; `parameters` are not signed."""

    call_id: str
    stream_id: str
    caller: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Media:
    """Caller audio. `position`: sample number of its first sample; `lost`: samples missing just before it."""

    ulaw: bytes
    position: int
    timestamp_ms: int
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Digit:
    """A key was pressed: one of 0-9, *, #, A-D."""

    digit: str


@dataclass(frozen=True, slots=True)
class MarkPlayed:
    """Everything sent before the mark was played, or was dropped by a clear."""

    name: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The carrier ended the stream. `reason` is for logs."""

    reason: str


CarrierEvent = Started | Media | Digit | MarkPlayed | Stopped


@dataclass(frozen=True, slots=True)
class SendMedia:
    """Play this after everything sent before it."""

    ulaw: bytes


@dataclass(frozen=True, slots=True)
class SendMark:
    """Ask for a `MarkPlayed` of this name once everything sent before it was played."""

    name: str


@dataclass(frozen=True, slots=True)
class SendClear:
    """Drop everything sent and not yet played; pending marks come back."""


@dataclass(frozen=True, slots=True)
class SendEvent:
    """Tell a trusted client what the engine does (transcript, timings). Only for tokens with `events`."""

    event: Mapping[str, Any]


CarrierCommand = SendMedia | SendMark | SendClear | SendEvent
