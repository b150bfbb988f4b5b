"""A browser, a voice for its microphone, and something to call.

PARLEY_E2E_URL points the tests at a running server instead (http://127.0.0.1:8000): those that script the far
end are then skipped. PARLEY_E2E_WAV gives the microphone another recording.
"""

from __future__ import annotations

import os
import socket
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from engine.config import Settings
from tests.e2e.fake_media import FakeMedia

CHROMIUM = os.environ.get("PARLEY_E2E_CHROMIUM", "/usr/bin/chromium")
CHROMIUM_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)
VOICE_HZ = 220.0
VOICE_RATE_HZ = 48_000


@pytest.fixture(scope="session")
def server_url() -> str | None:
    """The running server to test, if one was named."""
    return os.environ.get("PARLEY_E2E_URL")


@pytest.fixture(scope="session")
def voice_wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the fake microphone hears, over and over: a second of a voice-like sound, a second of silence."""
    given = os.environ.get("PARLEY_E2E_WAV")
    if given:
        return Path(given)
    times = np.arange(VOICE_RATE_HZ) / VOICE_RATE_HZ
    harmonics = sum(np.sin(2 * np.pi * VOICE_HZ * n * times) / n for n in range(1, 12))
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * times)
    voice = 0.25 * harmonics * syllables
    samples = np.concatenate([voice, np.zeros(VOICE_RATE_HZ)])
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(VOICE_RATE_HZ)
        file.writeframes((np.clip(samples, -1, 1) * 32_000).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="session")
def _fake_server(
    server_url: str | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, FakeMedia] | None]:
    if server_url is not None:
        yield None
        return
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    media = FakeMedia(Settings(_env_file=None, data_dir=tmp_path_factory.mktemp("data"), port=port))
    config = uvicorn.Config(media.app(), log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{port}", media
    server.should_exit = True
    thread.join(timeout=10)


@pytest.fixture
def fake(_fake_server: tuple[str, FakeMedia] | None) -> FakeMedia:
    """The scripted far end, without calls; skips the test when a real server is tested."""
    if _fake_server is None:
        pytest.skip("this test scripts the far end")
    media = _fake_server[1]
    media.calls, media.full, media.alive = [], None, True
    return media


@pytest.fixture(scope="session")
def talk_url(server_url: str | None, _fake_server: tuple[str, FakeMedia] | None) -> str:
    """The talk page's address, of the server named by PARLEY_E2E_URL or of a scripted one."""
    base = server_url or (_fake_server[0] if _fake_server else "")
    return f"{base.rstrip('/')}/talk"


@pytest.fixture(scope="session")
def browser(voice_wav: Path) -> Iterator[Browser]:
    arguments = [*CHROMIUM_ARGUMENTS, f"--use-file-for-fake-audio-capture={voice_wav}"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, talk_url: str) -> Iterator[Page]:
    """The talk page, open on the machine that it is served from."""
    with opened(browser, talk_url) as here:
        yield here


@pytest.fixture
def remote(browser: Browser, talk_url: str) -> Iterator[Page]:
    """The talk page, open somewhere else: what comes through a proxy does not count as local."""
    with opened(browser, talk_url, {"X-Forwarded-For": "203.0.113.9"}) as there:
        yield there


@contextmanager
def opened(browser: Browser, url: str, headers: dict[str, str] | None = None) -> Iterator[Page]:
    """The page at `url`; fails the test if it had an error or broke its content policy."""
    context = browser.new_context(viewport={"width": 1180, "height": 820}, extra_http_headers=headers)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda message: (
            problems.append(message.text)
            if message.type == "error" and "Failed to load resource" not in message.text
            else None
        ),
    )
    page.goto(url)
    yield page
    context.close()
    assert problems == []
