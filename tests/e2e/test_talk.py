"""The talk page in a real browser: what it sends, what it shows, and what it says when something fails."""

from __future__ import annotations

import os
import re

import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import VOICE_HZ
from tests.e2e.fake_media import FRAME_SAMPLES, LONG_SAMPLES, FakeMedia

PATIENCE_MS = float(os.environ.get("PARLEY_E2E_PATIENCE_MS", "20000"))


def start_call(page: Page) -> None:
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.get_by_role("button", name="Hang up")).to_be_visible()


def linear(ulaw: bytes) -> npt.NDArray[np.float64]:
    codes = ~np.frombuffer(ulaw, np.uint8) & 0xFF
    magnitude = ((((codes & 0x0F).astype(int) << 3) + 132) << ((codes & 0x70) >> 4)) - 132
    return np.where(codes & 0x80, -magnitude, magnitude) / 32_768


def test_a_whole_conversation(page: Page) -> None:
    """Runs against any server: greeted, understood, answered, hung up."""
    start_call(page)
    transcript = page.get_by_role("log", name="Transcript")
    expect(transcript.locator(".message.agent:visible .text").first).not_to_be_empty(timeout=PATIENCE_MS)
    expect(transcript.locator(".message.caller:visible .text").first).not_to_be_empty(timeout=PATIENCE_MS)
    expect(transcript.locator(".figure").first).to_have_text(re.compile(r"^\d+ ms$"), timeout=PATIENCE_MS)
    page.get_by_role("button", name="Hang up").click()
    expect(page.get_by_text("Call ended: you hung up.")).to_be_visible()
    expect(page.get_by_role("button", name="Call", exact=True)).to_be_enabled()


def test_the_microphone_arrives_as_telephone_speech(page: Page, fake: FakeMedia) -> None:
    start_call(page)
    call = fake.wait(lambda call: call.samples >= 48_000)
    assert call.started is not None
    assert call.started.call_id == call.claims.call_id
    assert (call.stream.dropped, sum(media.lost for media in call.media)) == (0, 0)
    assert {len(media.ulaw) for media in call.media} == {FRAME_SAMPLES}
    assert [media.timestamp_ms for media in call.media[:3]] == [0, 20, 40]
    sound = linear(b"".join(media.ulaw for media in call.media))
    frames = sound[: len(sound) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    loud = np.sqrt((frames**2).mean(axis=1)) > 0.02
    # The recording sounds for every other second: at a wrong rate neither share nor pitch could be right.
    assert 0.3 < loud[50:].mean() < 0.7
    voiced = frames[loud].reshape(-1)
    spectrum = np.abs(np.fft.rfft(voiced * np.hanning(len(voiced))))
    pitches = np.fft.rfftfreq(len(voiced), 1 / 8_000)
    band = (pitches > 0.8 * VOICE_HZ) & (pitches < 1.25 * VOICE_HZ)
    assert abs(pitches[band][spectrum[band].argmax()] - VOICE_HZ) < 5


def test_the_conversation_is_shown(page: Page, fake: FakeMedia) -> None:
    start_call(page)
    transcript = page.get_by_role("log", name="Transcript")
    greeting = transcript.locator(".turn").nth(0).locator(".message.agent .text")
    expect(greeting).to_have_text("Hello, <b>Garden</b> Clinic. How can I help?")
    turn = transcript.locator(".turn").nth(1)
    expect(turn.locator(".message.caller .text")).to_have_text("Are you open on Saturday morning?")
    expect(turn.locator(".unheard")).to_have_text("from nine until one o'clock.")
    expect(turn.locator(".tag")).to_have_text("interrupted")
    expect(turn.locator(".figure")).to_have_text("398 ms")
    expect(turn.locator(".stage")).to_have_text(
        [
            "Pause noticed",
            "Transcript",
            "End of turn",
            "Knowledge",
            "First word",
            "First audio",
            "Released",
            "On the wire",
        ]
    )
    chart = turn.locator(".chart")
    box = chart.bounding_box()
    widths = [bar.bounding_box() for bar in turn.locator(".bar").all()]
    assert box is not None
    assert all(bar is not None and box["x"] <= bar["x"] <= box["x"] + box["width"] for bar in widths)
    expect(page.locator("#summary")).to_have_text("1 answer · median 398 ms")
    expect(page.locator("#agent")).to_have_text("Garden Clinic")
    expect(page.get_by_role("status").first).to_have_text("Listening")


def test_marks_come_back_when_played(page: Page, fake: FakeMedia) -> None:
    start_call(page)
    call = fake.wait(lambda call: len(call.marks) == 2)
    assert list(call.marks) == ["greeting", "answer"]


def test_the_agent_is_audible(page: Page, fake: FakeMedia) -> None:
    start_call(page)
    meter = page.get_by_role("meter", name="The agent's voice")
    expect(meter).to_have_attribute("aria-valuenow", re.compile(r"^([4-9]\d|100)$"), timeout=PATIENCE_MS)


def test_clear_silences_at_once(page: Page, fake: FakeMedia) -> None:
    """Five seconds are sent and cleared: their mark comes back before they could have been played."""
    start_call(page)
    fake.wait(lambda call: "greeting" in call.marks)
    page.keyboard.press("7")
    call = fake.wait(lambda call: "long" in call.marks)
    assert call.marks["long"] - call.digits["7"] < LONG_SAMPLES / 2


def test_the_keypad_and_the_keyboard_send_digits(page: Page, fake: FakeMedia) -> None:
    start_call(page)
    fake.wait(lambda call: call.started is not None)
    page.get_by_role("button", name="Keypad").click()
    for key in ("1", "Star", "Pound"):
        page.get_by_role("group", name="Keypad").get_by_role("button", name=key, exact=True).click()
    page.keyboard.press("5")
    assert list(fake.wait(lambda call: len(call.digits) == 4).digits) == ["1", "*", "#", "5"]


def test_hanging_up_stops_the_stream(page: Page, fake: FakeMedia) -> None:
    start_call(page)
    fake.wait(lambda call: call.samples > 0)
    page.get_by_role("button", name="Hang up").click()
    assert fake.wait(lambda call: call.closed).stopped


def test_muting_sends_silence(page: Page, fake: FakeMedia) -> None:
    start_call(page)
    fake.wait(lambda call: call.samples > 0)
    page.get_by_role("button", name="Mute").click()
    muted_at = fake.wait(lambda call: True).samples
    call = fake.wait(lambda call: call.samples > muted_at + 24_000)
    later = b"".join(media.ulaw for media in call.media if media.position > muted_at + 4_000)
    assert np.abs(linear(later)).max() < 0.01


def test_a_lost_connection_is_resumed(page: Page, fake: FakeMedia) -> None:
    start_call(page)
    first = fake.wait(lambda call: call.samples > 0)
    page.keyboard.press("8")
    second = fake.wait(lambda call: call is not first and call.samples > 0)
    assert second.claims.call_id == first.claims.call_id
    assert second.claims.token_id != first.claims.token_id
    expect(page.get_by_role("button", name="Hang up")).to_be_visible()


def test_a_call_that_cannot_be_resumed_says_so(page: Page, fake: FakeMedia) -> None:
    start_call(page)
    fake.wait(lambda call: call.samples > 0)
    fake.alive = False
    page.keyboard.press("8")
    expect(page.get_by_role("alert")).to_contain_text("connection was lost")


def test_the_agent_ends_the_call(page: Page, fake: FakeMedia) -> None:
    start_call(page)
    fake.wait(lambda call: call.samples > 0)
    page.keyboard.press("9")
    expect(page.get_by_text("Call ended: the agent said goodbye.")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_full_server_is_explained(page: Page, fake: FakeMedia) -> None:
    fake.full = "16 of 16 calls are taken"
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("16 of 16 calls are taken")
    fake.full = None
    start_call(page)
    expect(page.get_by_role("alert")).to_be_hidden()
    fake.wait(lambda call: call.samples > 0)


@pytest.mark.parametrize(
    ("name", "message"),
    [("NotAllowedError", "microphone was refused"), ("NotFoundError", "No microphone was found")],
)
def test_a_missing_microphone_is_explained(page: Page, fake: FakeMedia, name: str, message: str) -> None:
    page.evaluate(
        """name => {
          navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', name); };
        }""",
        name,
    )
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text(message)
    expect(page.get_by_role("button", name="Call", exact=True)).to_be_enabled()
    assert fake.calls == []


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_overflows(page: Page, fake: FakeMedia, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    start_call(page)
    expect(page.locator(".figure")).to_be_visible(timeout=PATIENCE_MS)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


RESAMPLE = """async ([from, to, hertz, seconds]) => {
  const { Resampler, rms } = await import('/talk/dsp.js');
  const resampler = new Resampler(from, to);
  const output = [];
  const step = 2 * Math.PI * hertz / from;
  let fed = 0;
  for (let start = 0; start < from * seconds; start += 128) {
    const block = Float32Array.from({ length: 128 }, (_, n) => Math.sin(step * (start + n)));
    output.push(...resampler.process(block));
    fed += 128;
  }
  return { fed, count: output.length, level: rms(output.slice(to / 10, -to / 10)) * Math.SQRT2 };
}"""


@pytest.mark.parametrize(
    ("rates", "hertz", "low", "high"),
    [
        ((48_000, 8_000), 1_000, 0.99, 1.01),
        ((48_000, 8_000), 3_300, 0.9, 1.05),
        ((48_000, 8_000), 4_300, 0, 0.002),
        ((48_000, 8_000), 7_000, 0, 0.002),
        ((44_100, 8_000), 1_000, 0.99, 1.01),
        ((44_100, 8_000), 5_000, 0, 0.002),
        ((16_000, 8_000), 6_000, 0, 0.002),
        ((8_000, 48_000), 1_000, 0.99, 1.01),
        ((8_000, 44_100), 3_000, 0.98, 1.02),
        ((8_000, 8_000), 2_000, 0.99, 1.01),
    ],
)
def test_resampling(
    page: Page, fake: FakeMedia, rates: tuple[int, int], hertz: float, low: float, high: float
) -> None:
    result = page.evaluate(RESAMPLE, [*rates, hertz, 0.5])
    assert abs(result["count"] - result["fed"] * rates[1] / rates[0]) <= 1
    assert low <= result["level"] <= high


def test_mulaw_matches_the_standard(page: Page, fake: FakeMedia) -> None:
    codes = page.evaluate(
        """async () => {
          const { encodeUlaw, decodeUlaw } = await import('/talk/dsp.js');
          const all = Uint8Array.from({ length: 256 }, (_, code) => code);
          const loud = encodeUlaw(Float32Array.of(-2, -1, 0, 1, 2));
          return { again: [...encodeUlaw(decodeUlaw(all))], values: [...decodeUlaw(all)], loud: [...loud] };
        }"""
    )
    assert codes["values"] == pytest.approx(linear(bytes(range(256))).tolist())
    negative_zero = 0x7F
    assert codes["again"] == [0xFF if code == negative_zero else code for code in range(256)]
    assert codes["loud"] == [0x00, 0x00, 0xFF, 0x80, 0x80]
