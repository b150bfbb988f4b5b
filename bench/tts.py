"""How long the local voice takes: `python -m bench.tts [--json]`.

One line for each length of text and number of threads: from text to the first part of mu-law and to the last,
and the CPU time, with the graph run whole and cut in two. The two take turns, so that what else the machine
does hits both; take figures on an otherwise idle one all the same. Then how far the audio of the parts is
from that of one pass, the voice's noise being switched off, and what the phrase cache answers in.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from engine import weights
from engine.providers.base import SpeechRequest
from engine.providers.tts.cache import PhraseCache
from engine.providers.tts.local import LocalTextToSpeech
from engine.providers.tts.piper import PiperVoiceModel
from engine.providers.tts.piper_graph import Graph, WholeGraph, load

TEXTS = {
    5: "We are open until six.",
    10: "Our office is on Main Street right next to the bank.",
    20: "You can bring the form to the front desk on any day of the week, and we will help you.",
}
PHONEMES = (61, 121, 185, 400)
"""The lengths of these texts, and of one of 40 words."""


@dataclass(frozen=True, slots=True)
class Times:
    """Medians; CPU is the mean."""

    first_ms: float
    whole_ms: float
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class Row:
    threads: int
    words: int
    audio_ms: float
    first_audio_ms: float
    """How long the first part plays."""
    parts: int
    whole: Times
    cut: Times


@dataclass(frozen=True, slots=True)
class Difference:
    """The passes' audio less that of one pass over the same latent frames."""

    phonemes: int
    passes: int
    steps: float
    """The largest, in steps of 16 bits."""
    snr_db: float


@dataclass(frozen=True, slots=True)
class Report:
    voice: str
    cores: int
    load: float
    """Load average over a minute when the run began: above 1, the figures are not the machine's."""
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    cached_memory_ms: float
    cached_disk_ms: float


class Stopwatch:
    """Syntheses of one voice."""

    def __init__(self, voice: PiperVoiceModel) -> None:
        self._voice = voice
        self._first: list[float] = []
        self._whole: list[float] = []
        self._cpu: list[float] = []

    def time(self, text: str) -> list[int]:
        """Returns the milliseconds that each part plays."""
        played: list[int] = []
        cpu, begin = time.process_time(), time.perf_counter()
        for part in self._voice.stream(text):
            if not part.audio:
                continue
            if not played:
                self._first.append((time.perf_counter() - begin) * 1000)
            played.append(len(part.audio) // 8)
        self._whole.append((time.perf_counter() - begin) * 1000)
        self._cpu.append((time.process_time() - cpu) * 1000)
        return played

    def times(self) -> Times:
        median = statistics.median
        figures = (median(self._first), median(self._whole), statistics.mean(self._cpu))
        return Times(*(round(ms, 1) for ms in figures))


def measure(whole: PiperVoiceModel, cut: PiperVoiceModel, threads: int, runs: int) -> list[Row]:
    rows = []
    for words, text in TEXTS.items():
        for voice in (whole, cut):
            voice.synthesise(text)
        one, other = Stopwatch(whole), Stopwatch(cut)
        for _ in range(runs):
            one.time(text)
            played = other.time(text)
        rows.append(Row(threads, words, sum(played), played[0], len(played), one.times(), other.times()))
    return rows


def differences(whole: Graph, cut: Graph) -> list[Difference]:
    found = []
    for phonemes in PHONEMES:
        inputs: dict[str, Any] = {
            "input": np.random.default_rng(phonemes).integers(10, 50, (1, phonemes)),
            "input_lengths": np.array([phonemes]),
            "scales": np.array([0, 1, 0], np.float32),
        }
        expected = np.concatenate([decode() for decode in whole.encode(inputs)]).astype(float)
        parts = [decode() for decode in cut.encode(inputs)]
        error = np.concatenate(parts) - expected
        snr = 10 * np.log10(np.mean(expected**2) / np.mean(error**2))
        steps = float(np.abs(error).max()) * 32_768
        found.append(Difference(phonemes, len(parts), round(steps, 3), round(float(snr), 1)))
    return found


async def measure_cache(voice: PiperVoiceModel, folder: Path) -> tuple[float, float]:
    """Milliseconds for a kept phrase from memory and from disk."""
    request = SpeechRequest("Hello, how can I help you?", cache=True)

    async def ask(tts: LocalTextToSpeech) -> float:
        begin = time.perf_counter()
        await tts.synthesise(request)
        return (time.perf_counter() - begin) * 1000

    times = []
    for _ in range(2):
        tts = LocalTextToSpeech({voice.name: voice}, PhraseCache(2**20, folder))
        times.append((await ask(tts), await ask(tts)))
        await tts.close()
    return round(times[1][1], 3), round(times[1][0], 3)


def run(name: str, threads: Sequence[int], runs: int) -> Report:
    busy = os.getloadavg()[0]
    rows: list[Row] = []
    folder = weights.folder(name)
    for count in threads:
        whole = PiperVoiceModel(folder, threads=count, load=WholeGraph)
        cut = PiperVoiceModel(folder, threads=count)
        rows += measure(whole, cut, count, runs)
    with TemporaryDirectory() as kept:
        memory, disk = asyncio.run(measure_cache(cut, Path(kept)))
    (file,) = folder.glob("*.onnx")
    same = differences(WholeGraph(file, None), load(file, None))
    return Report(name, os.cpu_count() or 1, round(busy, 2), tuple(rows), tuple(same), memory, disk)


def show(report: Report) -> None:
    print(f"{report.voice}, {report.cores} cores, load {report.load}; ms, the graph whole and cut")
    print("threads  words  audio  first part  parts     to the first       to the last               CPU")
    for row in report.rows:
        pairs = [
            f"{before:6.0f} {after:5.0f} {after / before:5.2f}"
            for before, after in zip(asdict(row.whole).values(), asdict(row.cut).values(), strict=True)
        ]
        print(
            f"{row.threads:7}  {row.words:5}  {row.audio_ms:5.0f}  {row.first_audio_ms:10.0f}  {row.parts:5}"
            f"  {pairs[0]}  {pairs[1]}  {pairs[2]}"
        )
    for one in report.differences:
        print(
            f"{one.phonemes} phonemes in {one.passes} passes: "
            f"at most {one.steps} of 32,768 from one pass, {one.snr_db} dB"
        )
    print(f"kept phrase: {report.cached_memory_ms} ms from memory, {report.cached_disk_ms} ms from disk")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--voice", default="piper-joe", help="name of the voice's weights")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    options = parser.parse_args()
    report = run(options.voice, options.threads, max(2, options.runs))
    if options.json:
        print(json.dumps(asdict(report), indent=2))
    else:
        show(report)


if __name__ == "__main__":
    main()
