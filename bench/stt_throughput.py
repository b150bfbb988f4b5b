"""Several calls pause at once: one pass for all of them, or a worker for each?

`python -m bench.stt_throughput` decodes bursts of questions in both ways on this machine, with as many
threads in sum, and writes `bench/results/stt_throughput.json`. On a GPU (`--device cuda`, `--compute-type
float16`) the same command answers the question there.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from engine.providers.stt.ctranslate import WhisperOptions
from engine.providers.stt.whisper import WhisperDecoder
from engine.simulator import recordings
from engine.simulator.usage import machine, versions
from engine.weights import folder

RESULT = Path(__file__).parent / "results" / "stt_throughput.json"
BURSTS = (1, 2, 4, 8)
REPEATS = 5


@dataclass(frozen=True, slots=True)
class Row:
    """A burst: `all_ms` until its last transcript, `mean_ms` until one on average (medians of repeats)."""

    how: str
    burst: int
    all_ms: float
    mean_ms: float
    cpu_ms_each: float


def one_pass(decoder: WhisperDecoder, audios: list[bytes]) -> list[float]:
    """When each transcript was there, in ms."""
    began = time.perf_counter()
    decoder.transcribe_batch(audios, ["en"] * len(audios))
    return [(time.perf_counter() - began) * 1000] * len(audios)


def workers(decoder: WhisperDecoder, audios: list[bytes], threads: int) -> list[float]:
    began = time.perf_counter()

    def one(audio: bytes) -> float:
        decoder.transcribe(audio, "en")
        return (time.perf_counter() - began) * 1000

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, audios))


def measure(how: str, decoder: WhisperDecoder, threads: int, batched: bool) -> list[Row]:
    spoken = [each.ulaw() for each in recordings.select(kind="question", of="tuning")]
    decoder.transcribe(spoken[0], "en")
    rows = []
    for burst in BURSTS:
        ends: list[list[float]] = []
        cpu = time.process_time()
        for turn in range(REPEATS):
            audios = [spoken[(turn * burst + at) % len(spoken)] for at in range(burst)]
            ends.append(one_pass(decoder, audios) if batched else workers(decoder, audios, threads))
        cpu_ms = (time.process_time() - cpu) * 1000 / (REPEATS * burst)
        last, mean = median(max(each) for each in ends), median(sum(each) / burst for each in ends)
        rows.append(Row(how, burst, round(last, 1), round(mean, 1), round(cpu_ms, 1)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--compute-type", default="int8")
    parser.add_argument("--threads", type=int, default=2, help="in sum")
    arguments = parser.parse_args()
    path, threads = folder("whisper-tiny.en"), arguments.threads
    common = {"device": arguments.device, "compute_type": arguments.compute_type}
    batch = WhisperDecoder.load(path, WhisperOptions(**common, cpu_threads=threads))
    each = WhisperDecoder.load(path, WhisperOptions(**common, cpu_threads=1, workers=threads))
    rows = [
        *measure(f"one pass, {threads} threads", batch, threads, batched=True),
        *measure(f"{threads} workers of one thread", each, threads, batched=False),
        *measure("one worker of one thread", each, 1, batched=False),
    ]
    print(f"{'':<26}{'burst':>6}{'last ms':>9}{'mean ms':>9}{'CPU ms each':>13}")
    for row in rows:
        print(f"{row.how:<26}{row.burst:>6}{row.all_ms:>9.0f}{row.mean_ms:>9.0f}{row.cpu_ms_each:>13.0f}")
    report = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": arguments.device,
        "rows": [asdict(row) for row in rows],
        "machine": machine(),
        "versions": versions(),
    }
    RESULT.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
