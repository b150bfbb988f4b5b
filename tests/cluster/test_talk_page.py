"""The talk page in a real browser, against the real server, with a spoken question as the microphone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from engine.audio.resample import resample
from engine.audio.wav import write_wav
from engine.simulator import recordings
from tests.cluster.site import Site

ROOT = Path(__file__).parents[2]
MICROPHONE_HZ = 48_000
GREETING_S, ANSWER_S = 6, 14
"""Silence before the question, while the agent greets, and after it: the browser plays the file in a loop."""


def test_a_browser_asks_a_question_and_hears_the_answer(server: Site, tmp_path: Path) -> None:
    question = resample(recordings.get("demo-cleaning").pcm(), recordings.HZ, MICROPHONE_HZ)
    silence = np.zeros(MICROPHONE_HZ, np.int16)
    microphone = np.concatenate([np.tile(silence, GREETING_S), question, np.tile(silence, ANSWER_S)])
    wav = tmp_path / "question.wav"
    write_wav(wav, microphone, MICROPHONE_HZ)
    environ = os.environ | {
        "PARLEY_E2E_URL": server.url,
        "PARLEY_E2E_WAV": str(wav),
        "PARLEY_E2E_PATIENCE_MS": "60000",
    }
    command = [sys.executable, "-m", "pytest", "tests/e2e", "-k", "test_a_whole_conversation"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "1 passed" in done.stdout
