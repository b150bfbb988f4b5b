"""What does a window that fits the utterance cost in words, and what does it save in time?

Whisper is made for 30 s; `engine.providers.stt` encodes the utterance and some padding only. This compares
paddings with the full window on speech through a telephone (8 kHz mu-law):

- human: recordings cut at silences. A Tale of Two Cities has a known text (public domain); for the others the
  full window's own decode is the reference, so there "WER" means "words that differ from the full window".
- synthetic: sentences that callers say, spoken by Piper; the sentence is the reference.
- noise: nothing is said; every word is a mistake.

    python -m bench.stt_window --json bench/results/stt_window.json
"""

from __future__ import annotations

import argparse
import json
import logging
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
from engine.providers.stt.ctranslate import FULL_WINDOW_FRAMES
from engine.providers.stt.repetition import suspicion, words
from engine.providers.stt.whisper import WhisperDecoder, WhisperOptions
from engine.weights import folder

RATE_HZ = 8_000
PADDINGS = (200, 400, 600, 800, 1000, FULL_WINDOW_FRAMES)
TIMED_S = 2.5
ROUNDS = 15
RESAMPLES = 5_000

TWO_CITIES = """It was the best of times, it was the worst of times, it was the age of wisdom, it was the age
of foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of light, it
was the season of darkness, it was the spring of hope, it was the winter of despair, we had everything before
us, we had nothing before us, we were all going direct to heaven, we were all going direct the other way. In
short, the period was so far like the present period that some of its noisiest authorities insisted on its
being received, for good or for evil, in the superlative degree of comparison only."""

SENTENCES = (
    "Hi, I would like to make an appointment for next Tuesday.",
    "Are you open on Saturday afternoon?",
    "Can I bring my dog to the clinic?",
    "I need to change my booking from Monday to Wednesday.",
    "How much does a first visit cost?",
    "Do you take walk-in patients?",
    "My order has not arrived yet.",
    "Could you tell me where you are located?",
    "Yes, that works for me.",
    "No, thank you, that is all.",
    "I am calling about the invoice I got last week.",
    "Is there parking behind the building?",
    "What time do you close today?",
    "Please cancel my reservation for tonight.",
    "Hello, can you hear me?",
    "I would like to speak to a person, please.",
    "Sorry, could you say that again?",
    "My daughter has a fever and she is three years old.",
    "Do I need to bring my insurance card with me?",
    "We are a party of six and one of us uses a wheelchair.",
    "The heating in our flat stopped working this morning.",
    "Can somebody come and have a look at it today?",
    "I want to return a pair of shoes that do not fit.",
    "How long does delivery usually take?",
    "You can reach me on my mobile after four.",
    "Is the doctor in on Friday morning?",
    "I lost the key to my apartment and I am locked out.",
    "Do you have a table by the window?",
    "Wait, I also have another question.",
    "Which bus stops in front of your shop?",
    "Could you send me the price list by email?",
    "I am not sure, maybe in the evening.",
    "The password you sent me does not work.",
    "Can I pay with a credit card?",
    "I think I left my umbrella at your reception.",
    "Good morning, I am looking for a birthday cake for ten people.",
    "Would it be possible to move it half an hour later?",
    "Nobody called me back, and I have been waiting since yesterday.",
    "Are the test results ready?",
    "That is great, thanks a lot for your help, goodbye.",
)


@dataclass(frozen=True)
class Clip:
    """An utterance: mu-law audio and what is said in it (None: ask the full window)."""

    name: str
    group: str
    audio: bytes
    reference: str | None


@dataclass(frozen=True)
class Score:
    """One padding on one group of clips, compared with the full window."""

    group: str
    padding_frames: int
    utterances: int
    words: int
    wer: float
    wer_minus_full: float
    low_95: float
    high_95: float
    decoded_again: int
    loops_left: int


def cuts(pcm: NDArray[np.int16], shortest_s: float, longest_s: float) -> Iterator[tuple[int, int]]:
    """(start, end) of utterances that end in a silence, the first after `shortest_s` or the quietest place."""
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
    from piper import PiperVoice

    model = PiperVoice.load(next(folder(voice).glob("*.onnx")))
    clips = []
    for sentence in track(SENTENCES, "speaking the sentences"):
        chunks = list(model.synthesize(sentence))
        pcm = np.concatenate([chunk.audio_int16_array for chunk in chunks])
        audio = g711.pcm_to_ulaw(resample.resample(pcm, chunks[0].sample_rate, RATE_HZ))
        clips.append(Clip(sentence, "synthetic", audio, sentence))
    return clips
