"""Words for the journal and for trusted listeners: what each moment of a call is written down as."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from engine.dialog.attempt import Attempt
from engine.dialog.commands import Append, Command, Tell
from engine.dialog.piece import Piece
from engine.dialog.reply import Reply
from engine.providers.base import SAMPLE_RATE_HZ


class Scribe:
    """`unix_offset_s` turns the dialog's clock into Unix time."""

    def __init__(self, unix_offset_s: float) -> None:
        self._unix_offset_s = unix_offset_s

    def monotonic(self, unix_ms: float) -> float:
        return unix_ms / 1000 - self._unix_offset_s

    def turn_ended(self, turn: int, attempt: Attempt) -> list[Command]:
        assert attempt.transcript is not None
        text = attempt.transcript.text
        data = {
            "turn": turn,
            "text": text,
            "through": attempt.through,
            "language": attempt.transcript.language,
        }
        return [Append("turn_ended", data), _tell("user", turn=turn, text=text)]

    def released(self, turn: int, reply: Reply, piece: Piece) -> list[Command]:
        """A piece may be heard as far as it is given."""
        said = {"turn": turn, "text": piece.text, "kind": reply.kind.value}
        append = Append("reply_released", said | {"piece": piece.id, "then": reply.then.value})
        return [append, _tell("agent", **said, **_more_audio(reply, piece))]

    def continued(self, turn: int, reply: Reply, piece: Piece) -> list[Command]:
        """More of a piece's audio may be heard."""
        return [_tell("more", turn=turn, kind=reply.kind.value, **_more_audio(reply, piece))]

    def heard(self, turn: int, reply: Reply, attempt: Attempt | None) -> list[Command]:
        """The end of a reply: what of it was heard, and for an answer its timeline."""
        text = reply.heard()
        data: dict[str, Any] = {
            "turn": turn,
            "text": text,
            "kind": reply.kind.value,
            "interrupted": reply.interrupted,
        }
        told: list[Command] = [_tell("heard", turn=turn, text=text, interrupted=reply.interrupted)]
        if attempt is not None:
            timeline = {
                "stamps": self._unix_stamps(attempt),
                "tokens": attempt.tokens,
                "served": attempt.served,
                "vain": attempt.vain,
            }
            if attempt.routes:
                timeline["routes"] = {
                    stage: [asdict(decision) for decision in route] for stage, route in attempt.routes.items()
                }
            data |= timeline | {"facts": list(attempt.facts)}
            user = attempt.transcript.text if attempt.transcript else ""
            told.append(_tell("turn", turn=turn, user=user, agent=text, kind=reply.kind.value, **timeline))
        return [Append("heard", data), *told]

    def ended(self, reason: str) -> list[Command]:
        return [Append("call_ended", {"reason": reason}), _tell("ended", reason=reason)]

    def state(self, phase: str) -> Command:
        return _tell("state", state=phase)

    def _unix_stamps(self, attempt: Attempt) -> dict[str, float]:
        return {name: round((at + self._unix_offset_s) * 1000, 1) for name, at in attempt.stamps.items()}


def _more_audio(reply: Reply, piece: Piece) -> dict[str, Any]:
    """What of a piece is given and was not told."""
    audio_ms = (piece.given - piece.told) * 1000 / SAMPLE_RATE_HZ
    return {"piece": reply.pieces.index(piece), "audio_ms": audio_ms, "whole": piece.whole}


def _tell(what: str, /, **fields: Any) -> Tell:
    return Tell({"type": what, **fields})
