"""From the carrier's webhook to a call, and back when the stream ends."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import httpx

from engine.simulator.caller import Caller, Line
from engine.simulator.carrier import CallIdentity
from tests.cluster.site import Site
from tests.cluster.talk import Judge, ask, greeted


async def test_health_and_readiness(server: Site) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        assert (await client.get("/health")).json() == {"status": "ok"}
        ready = await client.get("/ready")
        assert (ready.status_code, ready.json()) == (200, {"ready": True, "waiting_for": {}})


async def test_a_webhook_leads_to_a_call(server: Site, judge: Judge) -> None:
    identity = CallIdentity()
    form = {"CallSid": identity.call_sid, "From": "+15550100", "To": "+15550199", "CallStatus": "ringing"}
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        answer = await client.post("/telephony/twilio/voice", data=form)
        assert answer.status_code == 200, answer.text
        stream = ElementTree.fromstring(answer.text).find("./Connect/Stream")
        assert stream is not None, answer.text
        url = stream.attrib["url"]
        assert re.match(r"wss?://127\.0\.0\.1:", url)

        async with Caller.dial(url, Line(identity)) as caller:
            await greeted(caller)
            question = await ask(caller, "demo-parking")
            assert not (wrong := await judge.missing(question.audio, [["behind"]])), wrong
            assert not caller.events, "a carrier must not get the in-band events"
            again = await client.post("/telephony/twilio/action", data=form | {"CallStatus": "in-progress"})
            assert ElementTree.fromstring(again.text).find("./Connect/Stream") is not None, again.text

        over = await client.post("/telephony/twilio/action", data=form | {"CallStatus": "in-progress"})
        assert ElementTree.fromstring(over.text).find("./Hangup") is not None, over.text
    assert await server.ended(identity.call_sid) == "caller hung up"
    started = (await server.entries(identity.call_sid, "call_started"))[0]
    assert (started["caller"], started["called"]) == ("+15550100", "+15550199")
