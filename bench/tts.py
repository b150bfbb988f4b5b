"""How long the local voice takes: `python -m bench.tts [--json]`.

One line for each length of text and number of threads: wall time and CPU time of a synthesis, from text to
mu-law, and what the phrase cache answers in. Take figures on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from engine import weights
from engine.providers.base import SpeechRequest
from engine.providers.tts.cache import PhraseCache
from engine.providers.tts.local import LocalTextToSpeech
from engine.providers.tts.piper import PiperVoiceModel

TEXTS = {
    5: "We are open until six.",
    10: "Our office is on Main Street right next to the bank.",
    20: "You can bring the form to the front desk on any day of the week, and we will help you.",
}


@dataclass(frozen=True, slots=True)
class Row:
    threads: int
    words: int
    p50_ms: float
    p95_ms: float
    cpu_ms: float
    audio_ms: float
    realtime: float
    """Seconds of speech made in a second."""


@dataclass(frozen=True, slots=True)
class Report:
    voice: str
    cores: int
    load: float
    """Load average over a minute when the run began: above 1, the figures are not the machine's."""
    rows: tuple[Row, ...]
    cached_memory_ms: float
    cached_disk_ms: float


def measure(voice: PiperVoiceModel, threads: int, words: int, runs: int) -> Row:
    text = TEXTS[words]
    audio = voice.synthesise(text)
    times = []
    cpu = time.process_time()
    for _ in range(runs):
        begin = time.perf_counter()
        voice.synthesise(text)
        times.append((time.perf_counter() - begin) * 1000)
    cpu_ms = (time.process_time() - cpu) * 1000 / runs
    p50 = statistics.median(times)
    p95 = statistics.quantiles(times, n=20)[-1]
    audio_ms = len(audio) / 8
    return Row(threads, words, *(round(x, 1) for x in (p50, p95, cpu_ms, audio_ms, audio_ms / p50)))


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


def run(name: str, threads: list[int], runs: int) -> Report:
    load = os.getloadavg()[0]
    rows: list[Row] = []
    folder = weights.folder(name)
    for count in threads:
        voice = PiperVoiceModel(folder, threads=count)
        rows += [measure(voice, count, words, runs) for words in TEXTS]
    with TemporaryDirectory() as kept:
        memory, disk = asyncio.run(measure_cache(PiperVoiceModel(folder), Path(kept)))
    return Report(name, os.cpu_count() or 1, round(load, 2), tuple(rows), memory, disk)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--voice", default="piper-joe", help="name of the voice's weights")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    options = parser.parse_args()
    report = run(options.voice, options.threads, max(2, options.runs))
    if options.json:
        print(json.dumps(asdict(report), indent=2))
        return
    print(f"{report.voice}, {report.cores} cores, load {report.load}")
    print("threads  words  p50 ms  p95 ms  CPU ms  audio ms  x real time")
    for row in report.rows:
        print(
            f"{row.threads:7}  {row.words:5}  {row.p50_ms:6.0f}  {row.p95_ms:6.0f}  {row.cpu_ms:6.0f}"
            f"  {row.audio_ms:8.0f}  {row.realtime:11.1f}"
        )
    print(f"kept phrase: {report.cached_memory_ms} ms from memory, {report.cached_disk_ms} ms from disk")


if __name__ == "__main__":
    main()
