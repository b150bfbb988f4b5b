"""The shipped recordings: audio at telephone level under a free licence; noise as asked for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine.audio import g711
from engine.errors import UsageError
from engine.simulator import recordings
from engine.simulator.judge import missing_facts
from engine.simulator.recordings import (
    Recording,
    load,
    read_ulaw_wav,
    select,
    speech_rms,
    with_noise,
    write_ulaw_wav,
)

FREE = {"Apache-2.0", "CC0-1.0"}


def test_manifest_and_folder_agree() -> None:
    rows = load()
    assert len({row.id for row in rows}) == len(rows)
    assert {row.path.name for row in rows} == {path.name for path in recordings.FOLDER.glob("*.wav")}
    assert {row.licence for row in rows} <= FREE
    assert all(row.source for row in rows)
    assert sum(row.path.stat().st_size for row in rows) < 6_000_000


def test_there_is_enough_of_each_kind() -> None:
    questions = Counter(row.set for row in select(kind="question"))
    assert questions["demo"] >= 3
    assert questions["tuning"] >= 20
    assert questions["heldout"] >= 40
    kinds = Counter(row.kind for row in load())
    assert kinds["unanswerable"] == 12
    for kind in ("backchannel", "cough", "closing", "digits", "unfinished"):
        assert kinds[kind] >= 2, kind
    assert len({row.voice for row in select(kind="backchannel")}) >= 3


def test_what_is_reported_was_not_tuned_on() -> None:
    tuned = {row.text for row in load() if row.set != "heldout" and row.kind in ("question", "unanswerable")}
    held = {row.text for row in select(of="heldout")}
    assert not tuned & held
    voices = {set_: {row.voice for row in select(kind="question", of=set_)} for set_ in ("tuning", "heldout")}
    assert not voices["tuning"] & voices["heldout"]


def test_facts_are_there_exactly_for_what_can_be_answered() -> None:
    assert all(row.facts for row in select(kind="question"))
    assert not any(row.facts for row in select(kind="unanswerable"))
    assert all(alternative for row in load() for group in row.facts for alternative in group)
    assert recordings.declines()


@pytest.mark.parametrize("row", load(), ids=lambda row: row.id)
def test_audio_is_whole_at_telephone_level_and_ends_in_silence(row: Recording) -> None:
    pcm = row.pcm()
    assert 0.25 <= len(pcm) / recordings.HZ <= 8
    assert -26 < 20 * np.log10(speech_rms(pcm) / 32_768) < -18
    assert np.abs(pcm[-400:]).max() < 100


def test_every_expected_fact_is_in_the_clinics_text() -> None:
    text = (Path(engine.__file__).parent / "demo/clinic.txt").read_text(encoding="utf-8")
    lost = {row.id: missing_facts(text, row.facts) for row in load() if row.kind != "digits"}
    assert not {name: facts for name, facts in lost.items() if facts}


def test_an_unknown_id_is_refused() -> None:
    assert recordings.get("goodbye-1").kind == "closing"
    with pytest.raises(UsageError, match="no recording is called 'x'"):
        recordings.get("x")


@settings(max_examples=30)
@given(st.binary(max_size=64))
def test_ulaw_wav_round_trip(tmp_path_factory: pytest.TempPathFactory, audio: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "round-trip.wav"
    write_ulaw_wav(path, audio)
    assert path.stat().st_size == 58 + len(audio) + len(audio) % 2
    assert read_ulaw_wav(path) == audio


def test_a_file_that_is_cut_off_or_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_ulaw_wav(path, b"\xff" * 100)
    whole = path.read_bytes()
    for broken in (
        whole[:-1],
        whole[:40],
        b"",
        b"RIFF" + bytes(60),
        whole.replace(b"\x07\x00\x01", b"\x01\x00\x01"),
    ):
        path.write_bytes(broken)
        with pytest.raises(UsageError):
            read_ulaw_wav(path)
    with pytest.raises(UsageError, match="cannot read"):
        read_ulaw_wav(tmp_path / "none.wav")


@pytest.mark.parametrize("text", ["", "declines = [", "[[voices]]\n[[recordings]]\nid = 'a'\nvoice = 'b'\n"])
def test_a_bad_manifest_is_one_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "manifest.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match="is not valid"):
        recordings.read_manifest(path)


@pytest.mark.parametrize("kind", ["white", "pink"])
@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0])
def test_noise_lies_as_far_below_speech_as_asked(kind: recordings.Noise, snr_db: float) -> None:
    pcm = recordings.get("demo-saturday").pcm()
    noisy = with_noise(pcm, snr_db, kind, seed=7)
    noise = noisy.astype(np.float64) - pcm
    measured = 20 * np.log10(speech_rms(pcm) / np.sqrt(np.mean(noise**2)))
    assert measured == pytest.approx(snr_db, abs=0.3)
    assert np.array_equal(noisy, with_noise(pcm, snr_db, kind, seed=7))
    assert not np.array_equal(noisy, with_noise(pcm, snr_db, kind, seed=8))


def test_pink_noise_is_mostly_low() -> None:
    pcm = recordings.get("demo-saturday").pcm()
    low: dict[str, float] = {}
    kinds: tuple[recordings.Noise, ...] = ("white", "pink")
    for kind in kinds:
        spectrum = np.abs(np.fft.rfft(with_noise(pcm, 0, kind).astype(np.float64) - pcm)) ** 2
        low[kind] = spectrum[: len(spectrum) // 8].sum() / spectrum.sum()
    assert low["pink"] > 4 * low["white"]


@pytest.mark.parametrize("length", [0, 1, 159, 4_000])
def test_silence_has_no_speech_to_put_noise_under(length: int) -> None:
    silence = np.zeros(length, np.int16)
    assert speech_rms(silence) == 0.0
    assert np.array_equal(with_noise(silence, 10, "pink"), silence)


def test_ulaw_and_pcm_are_the_same_audio() -> None:
    row = recordings.get("goodbye-1")
    assert g711.pcm_to_ulaw(row.pcm()) == row.ulaw()
