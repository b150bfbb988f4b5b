"""A piece of speech: its words, its audio as far as it is made, and how much of it the caller heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.audio.playout import FRAME_SAMPLES
from engine.dialog.events import PieceHeard
from engine.speech.heard import heard_text, usual_samples
from engine.speech.spoken import Spoken

_PART = "+"


@dataclass(slots=True)
class Piece:
    """A clause or a phrase, and its audio as far as it is made. Positions are samples from its beginning.

    An edge is given the audio in parts as they come. The last part bears the piece's own id, those before it
    bear it with the sample at which they begin: whoever was given that one was given all. (Where a voice ends
    with nothing, all was given without it; a replacement then makes the piece anew, and finds nothing new.)
    """

    id: str
    spoken: Spoken
    whole: bool = False
    """Whether no more audio will come."""
    released: bool = False
    total: int = 0
    """Where the audio that was made ends."""
    given: int = 0
    """How far an edge has it."""
    told: int = 0
    """How far trusted clients know of it."""
    heard: int = 0
    """How far the caller heard it; text counts as heard word by word."""
    _audio: bytearray = field(default_factory=bytearray)
    """The end of what was made: what came before it only an edge has."""
    _skip: int = 0
    """How much of the audio that is being made anew was given before."""
    _begins: list[int] = field(default_factory=list)
    """Where the parts begin that an edge was given."""

    @property
    def text(self) -> str:
        """As it was written, not as it is spoken."""
        return self.spoken.written

    @property
    def finished(self) -> bool:
        """Whether the caller heard all of it."""
        return self.whole and self.heard >= self.total

    @property
    def playable(self) -> bool:
        """Whether there is something to give, if only that there is nothing to hear."""
        return self._ready > self.given or (self.whole and not self.released)

    @property
    def _ready(self) -> int:
        """How far it can be given: whole frames, or its end. A frame that is not full would be a gap."""
        return self.total if self.whole else self.total - (self.total - self.given) % FRAME_SAMPLES

    def take(self, ulaw: bytes, *, last: bool) -> None:
        """More of its audio was made."""
        new = ulaw[self._skip :]
        self._skip -= len(ulaw) - len(new)
        self._audio += new
        self.total += len(new)
        self.whole = self.whole or last

    def next_part(self) -> tuple[str, bytes] | None:
        """Id and audio of what no edge has yet, which counts as given."""
        begin, end = self.given, self._ready
        if begin == end:
            return None
        self.given = end
        self._begins.append(begin)
        name = self.id if self.whole else f"{self.id}{_PART}{begin}"
        kept_from = self.total - len(self._audio)
        return name, bytes(self._audio[begin - kept_from : end - kept_from])

    def note(self, part: str, samples: int | None = None) -> None:
        """The caller heard so many samples of a part, or all of it; never less than was known before."""
        begin = _begin(part)
        if begin is None:
            begin = self._begins[-1] if self._begins else 0
        end = next((later for later in self._begins if later > begin), self.given)
        heard = end if samples is None else min(end, begin + samples)
        if samples != 0:  # of the parts before one that was not begun it says nothing
            self.heard = max(self.heard, heard)

    def break_off(self) -> None:
        """No more audio will come, though not all was said: what was not is none of its text."""
        said = heard_text(self.spoken, max(usual_samples(self.spoken.text), self.total + 1), self.total)
        self.spoken = Spoken(said, said)
        self.whole = True

    def play_anew(self) -> bool:
        """The edge that had it is lost: give another what was not heard. False where that must be made."""
        self._begins.clear()
        if self.total - self.heard <= len(self._audio):
            self.given = self.heard
            return True
        self._audio.clear()
        self.total = self.given = self._skip = self.heard
        self.whole = False
        return False

    def recall(self, known: Sequence[PieceHeard]) -> None:
        """An edge has this from an actor that died; `known` has its parts in the order of their audio."""
        for part in known:
            begin = _begin(part.piece)
            self.whole = begin is None
            self._begins.append(self.total if begin is None else begin)
            self.total = self.given = self.told = self._skip = self._begins[-1] + part.total
            self.released = True
            self.note(part.piece, part.samples)

    def heard_text(self) -> str:
        if not self.released or (self.spoken.text and not self.total):
            return ""  # it never reached the caller, or no audio could be made of it
        if self.finished:
            return self.text
        total = self.total if self.whole else max(usual_samples(self.spoken.text), self.total)
        return heard_text(self.spoken, total, self.heard)


def piece_of(part: str) -> str:
    """The id of the piece that this is a part of."""
    return part.partition(_PART)[0]


def _begin(part: str) -> int | None:
    """Where a part begins; None for the last one of its piece."""
    begin = part.partition(_PART)[2]
    return int(begin) if begin else None
