"""What does a window that fits the utterance cost in words, and what does it save in time?

Whisper is made for 30 s; `engine.providers.stt` encodes the utterance and some padding only. This compares
paddings with the full window on speech through a telephone (8 kHz mu-law):

- human: recordings cut at silences. A Tale of Two Cities has a known text (public domain); for the others the
  full window's own decode is the reference, so there "WER" means "words that differ from the full window".
- synthetic: sentences that callers say, spoken by Piper; the sentence is the reference.
- noise: nothing is said; every word is a mistake.
- callers: the carrier simulator's recordings, several voices; the sentence is the reference. The default was
  chosen without its held-out set.

"usual" is faster-whisper's own `transcribe` with the same settings (greedy, no timestamps), for comparison.

Times are CPU time of the whole process, so that a busy machine does not blur them; wall time is given beside.

    python -m bench.stt_window --json bench/results/stt_window.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from engine.audio import g711, resample, wav
from engine.providers.base import Transcript
from engine.providers.stt.ctranslate import FULL_WINDOW_FRAMES
from engine.providers.stt.repetition import suspicion, words
from engine.providers.stt.whisper import DecoderCounts, WhisperDecoder, WhisperOptions, samples_16k
from engine.simulator import recordings
from engine.weights import folder

RATE_HZ = 8_000
PADDINGS = (200, 400, 600, 800, 1_000, FULL_WINDOW_FRAMES)
FULL = str(FULL_WINDOW_FRAMES)
TIMED_S = 2.5
ROUNDS = 15
RESAMPLES = 5_000

TWO_CITIES = """It was the best of times, it was the worst of times, it was the age of wisdom, it was the age
of foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of light, it
was the season of darkness, it was the spring of hope, it was the winter of despair, we had everything before
us, we had nothing before us, we were all going direct to heaven, we were all going direct the other way. In
short, the period was so far like the present period that some of its noisiest authorities insisted on its
being received, for good or for evil, in the superlative degree of comparison only."""

SENTENCES = """Hi, I would like to make an appointment for next Tuesday. /
Are you open on Saturday afternoon? / Can I bring my dog to the clinic? /
I need to change my booking from Monday to Wednesday. /
How much does a first visit cost? / Do you take walk-in patients? / My order has not arrived yet. /
Could you tell me where you are located? / Yes, that works for me. / No, thank you, that is all. /
I am calling about the invoice I got last week. / Is there parking behind the building? /
What time do you close today? / Please cancel my reservation for tonight. / Hello, can you hear me? /
I would like to speak to a person, please. / Sorry, could you say that again? /
My daughter has a fever and she is three years old. / Do I need to bring my insurance card with me? /
We are a party of six and one of us uses a wheelchair. /
The heating in our flat stopped working this morning. / Can somebody come and have a look at it today? /
I want to return a pair of shoes that do not fit. / How long does delivery usually take? /
You can reach me on my mobile after four. / Is the doctor in on Friday morning? /
I lost the key to my apartment and I am locked out. / Do you have a table by the window? /
Wait, I also have another question. / Which bus stops in front of your shop? /
Could you send me the price list by email? / I am not sure, maybe in the evening. /
The password you sent me does not work. / Can I pay with a credit card? /
I think I left my umbrella at your reception. /
Good morning, I am looking for a birthday cake for ten people. /
Would it be possible to move it half an hour later? /
Nobody called me back, and I have been waiting since yesterday. / Are the test results ready? /
That is great, thanks a lot for your help, goodbye.""".replace("\n", " ").split(" / ")


@dataclass(frozen=True)
class Clip:
    """An utterance: mu-law audio and what is said in it (None: ask the full window)."""

    name: str
    group: str
    audio: bytes
    reference: str | None


@dataclass(frozen=True)
class Score:
    """One arm (a padding, or "usual") on one group of clips, compared with our full window."""

    group: str
    arm: str
    utterances: int
    words: int
    wrong: int
    wer: float
    wer_minus_full: float
    interval_95: tuple[float, float]
    decoded_again: int
    loops_left: int


def cuts(pcm: NDArray[np.int16], shortest_s: float, longest_s: float) -> Iterator[tuple[int, int]]:
    """(start, end) of utterances, each to the first silence after `shortest_s` or else the quietest place."""
    frame = RATE_HZ // 50
    rows = pcm[: len(pcm) // frame * frame].reshape(-1, frame).astype(np.float64)
    level = np.convolve(np.sqrt((rows**2).mean(axis=1)), np.ones(10) / 10, mode="same")
    quiet = level < 0.12 * np.percentile(level, 90)
    start, count = 0, len(level)
    while (count - start) * 0.02 >= shortest_s:
        first, last = start + int(shortest_s * 50), min(count, start + int(longest_s * 50))
        silences = np.flatnonzero(quiet[first:last])
        end = first + int(silences[0] if len(silences) else np.argmin(level[first:last]))
        if (count - end) * 0.02 < shortest_s and count - start <= longest_s * 50:
            end = count
        yield start * frame, end * frame
        start = max(end, start + 1)


def telephone(path: Path) -> NDArray[np.int16]:
    """A recording as it comes out of a telephone: 8 kHz, int16."""
    recording = wav.read_wav(path)
    mono = recording.pcm if recording.pcm.ndim == 1 else recording.pcm[:, 0]
    return g711.ulaw_to_pcm(g711.pcm_to_ulaw(resample.resample(mono, recording.hz, RATE_HZ)))


def edits(one: Sequence[str], other: Sequence[str]) -> int:
    """The least number of words to insert, delete or replace."""
    row = list(range(len(other) + 1))
    for at, word in enumerate(one):
        before, row[0] = row[0], at + 1
        for place, against in enumerate(other):
            best = min(row[place] + 1, row[place + 1] + 1, before + (word != against))
            before, row[place + 1] = row[place + 1], best
    return row[-1]


def align(text: str, decodes: Sequence[str]) -> list[str]:
    """`text` cut into the parts that consecutive `decodes` cover: the cut with the fewest edits in all."""
    spoken = words(text)
    # For every number of words used up: (edits so far, where each part ended).
    best: dict[int, tuple[int, list[int]]] = {0: (0, [])}
    for decode in decodes:
        heard = words(decode)
        found: dict[int, tuple[int, list[int]]] = {}
        for begin, (cost, ends) in best.items():
            for end in range(
                max(begin, begin + len(heard) - 4), min(len(spoken), begin + len(heard) + 4) + 1
            ):
                total = cost + edits(heard, spoken[begin:end])
                if end not in found or total < found[end][0]:
                    found[end] = (total, [*ends, end])
        best = found
    ends = best[len(spoken)][1]
    return [" ".join(spoken[a:b]) for a, b in zip([0, *ends], ends, strict=False)]


def human(full: WhisperDecoder, directory: Path) -> list[Clip]:
    """Every recording in `directory` of 3 s or more, cut into short utterances and again into longer ones."""
    clips = []
    for path in sorted(directory.glob("*.wav")):
        pcm = telephone(path)
        if len(pcm) < 3 * RATE_HZ:
            continue
        for shortest_s, longest_s in ((1.5, 4.0), (3.5, 8.0)):
            audios = [g711.pcm_to_ulaw(pcm[a:b]) for a, b in cuts(pcm, shortest_s, longest_s)]
            known = path.stem == "two_cities"
            texts = align(TWO_CITIES, [full.transcribe(audio).text for audio in audios]) if known else None
            for at, audio in enumerate(audios):
                name = f"{path.stem}/{shortest_s}/{at}"
                group = "human, known text" if known else "human, against full"
                clips.append(Clip(name, group, audio, texts[at] if texts else None))
    return clips


def synthetic(voice: str) -> list[Clip]:
    """SENTENCES as spoken by a Piper voice."""
    from piper import PiperVoice  # GPL-3.0, an extra: only for those who measure

    model = PiperVoice.load(next(folder(voice).glob("*.onnx")))
    clips = []
    for sentence in track(SENTENCES, "speaking the sentences"):
        chunks = list(model.synthesize(sentence))
        pcm = np.concatenate([chunk.audio_int16_array for chunk in chunks])
        audio = g711.pcm_to_ulaw(resample.resample(pcm, chunks[0].sample_rate, RATE_HZ))
        clips.append(Clip(sentence, "synthetic", audio, sentence))
    return clips


def noise() -> list[Clip]:
    """Two seconds each of what a silent line carries: nothing, hiss and hum at several levels, clicks."""
    rng = np.random.default_rng(5)
    at = np.arange(2 * RATE_HZ)
    sounds = {"silence": np.zeros(len(at)), "clicks": np.where(at % 3_000 < 20, 6_000.0, 0.0)}
    for level in (30, 300, 1_500):
        sounds[f"hiss {level}"] = level * rng.standard_normal(len(at))
        sounds[f"hum {level}"] = level * np.sin(2 * np.pi * 50 / RATE_HZ * at)
        sounds[f"rumble {level}"] = level * np.convolve(rng.standard_normal(len(at)), np.ones(40) / 7, "same")
    return [
        Clip(name, "noise", g711.pcm_to_ulaw(pcm.clip(-32_000, 32_000).astype(np.int16)), "")
        for name, pcm in sounds.items()
    ]


def callers() -> list[Clip]:
    """Sentences of the carrier simulator; not its coughs, hums and digits, whose spelling is open."""
    kinds = ("question", "unanswerable", "closing", "short", "interruption", "unfinished", "continuation")
    return [
        Clip(one.id, f"callers, {'held out' if one.set == 'heldout' else 'tuning'}", one.ulaw(), one.text)
        for one in recordings.load()
        if one.kind in kinds
    ]


class Usual:
    """faster-whisper as it comes: every utterance in 30 s."""

    def __init__(self, path: Path) -> None:
        import faster_whisper

        self._model = faster_whisper.WhisperModel(
            str(path), device="cpu", compute_type="int8", cpu_threads=1, num_workers=1
        )
        self.counts = DecoderCounts()

    def transcribe(self, audio: bytes) -> Transcript:
        segments, _ = self._model.transcribe(
            samples_16k(audio), language="en", beam_size=1, temperature=0.0, without_timestamps=True
        )
        return Transcript(text=" ".join(segment.text.strip() for segment in segments))


Arm = WhisperDecoder | Usual


def errors(reference: str, text: str) -> int:
    """Words that are wrong, missing or too many."""
    heard = " ".join(words(text))
    if not reference:
        return len(heard.split())
    result = jiwer.process_words(reference, heard)
    return int(result.substitutions + result.deletions + result.insertions)


@dataclass(frozen=True)
class Run:
    """All clips through one arm."""

    wrong: NDArray[np.int64]
    again: NDArray[np.bool_]
    loops: NDArray[np.bool_]
    texts: list[str]


def run(arm: Arm, clips: Sequence[Clip], references: Sequence[str], title: str) -> Run:
    wrong, again, loops, texts = [], [], [], []
    for clip, reference in track(list(zip(clips, references, strict=True)), title):
        before = arm.counts.decoded_again
        text = arm.transcribe(clip.audio).text
        texts.append(text)
        wrong.append(errors(reference, text))
        again.append(arm.counts.decoded_again > before)
        loops.append(suspicion(text, len(clip.audio) / RATE_HZ) is not None)
    return Run(np.array(wrong), np.array(again), np.array(loops), texts)


def compare(clips: Sequence[Clip], counts: NDArray[np.int64], runs: dict[str, Run]) -> list[Score]:
    """Every arm against the full window, group by group, with a bootstrap over utterances."""
    rng = np.random.default_rng(11)
    groups = [*dict.fromkeys(clip.group for clip in clips), "all with known text"]
    scores = []
    for group in groups:
        known = [clip.reference is not None and clip.group != "noise" for clip in clips]
        members = np.flatnonzero(known if group == groups[-1] else [clip.group == group for clip in clips])
        total = counts[members]
        picks = rng.integers(0, len(members), (RESAMPLES, len(members)))
        for arm, result in runs.items():
            more = (result.wrong - runs[FULL].wrong)[members]
            spread = more[picks].sum(axis=1) / np.maximum(1, total[picks].sum(axis=1))
            low, high = np.percentile(spread, [2.5, 97.5])
            said, wrong = int(total.sum()), int(result.wrong[members].sum())
            minus, low, high = (round(float(x), 4) for x in (more.sum() / max(1, said), low, high))
            marks = int(result.again[members].sum()), int(result.loops[members].sum())
            wer = round(wrong / max(1, said), 4)
            scores.append(Score(group, arm, len(members), said, wrong, wer, minus, (low, high), *marks))
    return scores


def times(arms: dict[str, Arm], directory: Path) -> list[dict[str, str | float]]:
    """Median ms for the same 2.5 s utterance, arms in turn so that all see the same machine."""
    audio = g711.pcm_to_ulaw(telephone(directory / "two_cities.wav")[: int(TIMED_S * RATE_HZ)])
    wall: dict[str, list[float]] = {name: [] for name in arms}
    cpu: dict[str, list[float]] = {name: [] for name in arms}
    for _ in track(range(ROUNDS), "timing"):
        for name, arm in arms.items():
            began = time.perf_counter(), time.process_time()
            arm.transcribe(audio)
            wall[name].append(1_000 * (time.perf_counter() - began[0]))
            cpu[name].append(1_000 * (time.process_time() - began[1]))
    full = statistics.median(cpu[FULL])
    return [
        {
            "arm": name,
            "cpu_ms": round(statistics.median(cpu[name]), 1),
            "wall_ms": round(statistics.median(wall[name]), 1),
            "cpu_of_full": round(statistics.median(cpu[name]) / full, 3),
        }
        for name in arms
    ]


def machine() -> dict[str, Any]:
    """What this ran on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "load": [round(load, 1) for load in os.getloadavg()],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("faster-whisper", "ctranslate2", "jiwer", "numpy")},
    }


def show(report: dict[str, Any]) -> None:
    console = Console()
    table = Table("clips", "arm", "utterances", "words", "WER", "minus full (95 %)", "again", "loops left")
    group = ""
    for score in report["scores"]:
        if group and score["group"] != group:
            table.add_section()
        group = score["group"]
        spread = "{:+.1%} ({:+.1%} to {:+.1%})".format(score["wer_minus_full"], *score["interval_95"])
        wer = f"{score['wer']:.1%}" if score["words"] else f"{score['wrong']} words"
        cells = (group, score["arm"], score["utterances"], score["words"], wer, spread)
        table.add_row(*map(str, (*cells, score["decoded_again"], score["loops_left"])))
    console.print(table)
    table = Table("arm", f"CPU ms for {TIMED_S} s", "wall ms", "of the full window")
    for row in report["times"]:
        table.add_row(*map(str, (row["arm"], row["cpu_ms"], row["wall_ms"], row["cpu_of_full"])))
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description="Right-sized Whisper windows against the full one.")
    parser.add_argument("--json", type=Path, help="write the report to this file")
    parser.add_argument("--weights", default="whisper-tiny.en")
    options = parser.parse_args()

    path = folder(options.weights)
    full = WhisperDecoder.load(path, WhisperOptions(padding_frames=FULL_WINDOW_FRAMES, device="cpu"))
    arms: dict[str, Arm] = {
        str(frames): WhisperDecoder(full.model, padding_frames=frames) for frames in PADDINGS
    }
    arms["usual"] = Usual(path)
    clips = [*human(full, folder("human-speech")), *synthetic("piper-joe"), *callers(), *noise()]
    references = [
        " ".join(words(full.transcribe(clip.audio).text if clip.reference is None else clip.reference))
        for clip in clips
    ]
    counts = np.array([len(reference.split()) for reference in references])
    runs = {name: run(arm, clips, references, name) for name, arm in arms.items()}
    report: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "weights": options.weights,
        "default_padding_frames": WhisperOptions().padding_frames,
        "scores": [asdict(score) for score in compare(clips, counts, runs)],
        "times": times(arms, folder("human-speech")),
        "differing_texts": [
            {
                "clip": clip.name,
                "reference": reference,
                **{name: result.texts[at] for name, result in runs.items()},
            }
            for at, (clip, reference) in enumerate(zip(clips, references, strict=True))
            if len({" ".join(words(result.texts[at])) for result in runs.values()}) > 1
        ],
    }
    show(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
