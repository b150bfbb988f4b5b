"""How well is a finished question told from one that goes on?

`python -m bench.end_of_turn` cuts every recorded question in up to six places, asks the three models about
what is before the cut and about the whole, and writes `bench/results/end_of_turn.json`: after how much
silence the turn would be over. With `--evidence FILE` what each witness said is written too, which is what
the weights in `engine/dialog/endpoint.py` were fitted to (the tuning and the demo set).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from engine.audio.g711 import pcm_to_ulaw
from engine.dialog.courtesies import classify
from engine.dialog.endpoint import Evidence, wait_ms
from engine.providers.stt.whisper import WhisperDecoder
from engine.providers.turn.smart_turn import SmartTurn
from engine.providers.turn.words import WordsModel
from engine.simulator import recordings
from engine.simulator.pause import quiet_point, speech_bounds
from engine.simulator.usage import machine, versions
from engine.weights import folder
from models import TurnTaking

RESULT = Path(__file__).parent / "results" / "end_of_turn.json"
CUTS = (0.25, 0.4, 0.5, 0.6, 0.75, 0.85)
APART, LEAST_LEFT = 800, 2_400
"""Samples at 8,000 Hz between two cuts, and behind the last."""
PAUSE = np.zeros(640, np.int16)
"""80 ms: when a pause is seen."""


@dataclass(frozen=True, slots=True)
class Row:
    """`share`: how much of the recording was heard; 1: all of it."""

    recording: str
    set: str
    share: float
    evidence: Evidence

    def over_after_ms(self, settings: TurnTaking) -> float:
        return wait_ms(settings, self.evidence)


class Witnesses:
    """The models by which a pause is judged, in this process."""

    def __init__(self) -> None:
        self._stt = WhisperDecoder.load(folder("whisper-tiny.en"))
        self._turn = SmartTurn(folder("smart-turn-v3.2"))
        self._words = WordsModel(folder("smollm2-135m"))

    def hear(self, pcm: NDArray[np.int16]) -> Evidence:
        ulaw = pcm_to_ulaw(np.concatenate([pcm, PAUSE]))
        transcript = self._stt.transcribe(ulaw)
        text, courtesy = transcript.text, classify(transcript.text) is not None
        words = None if courtesy else self._words.finished(text)
        return Evidence(text, self._turn.score(ulaw), words, transcript.avg_logprob, courtesy)


def heard(recording: recordings.Recording) -> Iterator[tuple[float, NDArray[np.int16]]]:
    """A recording whole, and as far as each of its cuts."""
    pcm = recording.pcm()
    _, end = speech_bounds(pcm)
    yield 1.0, pcm[:end]
    points: list[int] = []
    for share in CUTS:
        at = quiet_point(pcm, share)
        if end - at > LEAST_LEFT and all(abs(at - other) > APART for other in points):
            points.append(at)
            yield share, pcm[:at]


def figures(rows: list[Row], settings: TurnTaking) -> list[dict[str, object]]:
    """For each set: how many whole questions, and how many cut ones, end after which silence."""
    table: list[dict[str, object]] = []
    for name in dict.fromkeys(row.set for row in rows):
        for what, of in (("whole", True), ("cut", False)):
            waits = [
                row.over_after_ms(settings) for row in rows if row.set == name and (row.share == 1.0) == of
            ]
            counts = {
                setting: waits.count(getattr(settings, setting))
                for setting in ("commit_ms", "unsure_ms", "patient_ms")
            }
            table.append({"set": name, "questions": what, "n": len(waits), **counts})
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evidence", type=Path, help="write what each witness said here")
    arguments = parser.parse_args()
    asked = [one for one in recordings.load() if one.kind in ("question", "unanswerable")]
    witnesses, settings = Witnesses(), TurnTaking()
    rows = [
        Row(one.id, one.set, share, witnesses.hear(pcm))
        for one in track(asked, "listening")
        for share, pcm in heard(one)
    ]
    table = figures(rows, settings)
    columns = ("commit_ms", "unsure_ms", "patient_ms")
    print(f"{'':<16}{'n':>5}" + "".join(f"{getattr(settings, name):>9} ms" for name in columns))
    for line in table:
        print(
            f"{line['set']!s:<9}{line['questions']!s:<7}{line['n']!s:>5}"
            + "".join(f"{line[c]!s:>12}" for c in columns)
        )
    if arguments.evidence is not None:
        arguments.evidence.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
    }
    RESULT.write_text(json.dumps(result | {"table": table}, indent=1) + "\n")


if __name__ == "__main__":
    main()
