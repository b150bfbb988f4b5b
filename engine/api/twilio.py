"""Twilio's two webhooks: a call comes in, and a call's media stream has ended."""

from __future__ import annotations

import logging
import re
from urllib.parse import parse_qsl

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from engine.api.backend import ApiBackend, ask
from engine.api.origin import is_local, is_loopback, public_base, public_target
from engine.config import Settings
from engine.errors import ParleyError, TokenRefused, UsageError
from engine.telephony import twiml
from engine.telephony.signature import is_signed
from engine.telephony.tokens import MediaClaims, media_url
from models import CallKey

logger = logging.getLogger(__name__)
ACTION_PATH = "/telephony/twilio/action"
MAX_BODY_BYTES = 64 * 1024
MAX_FIELDS = 200
UNKNOWN_NUMBER = "This number is not in service. Please check the number. Goodbye."
NO_CAPACITY = "All of our lines are busy right now. Please call again in a few minutes. Goodbye."
TROUBLE = "We are sorry, we cannot take your call right now. Please call again later. Goodbye."
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
_MAX_NUMBER_CHARS = 128


class Webhooks:
    """Reads and authorises Twilio's requests, and turns what the backend says into TwiML."""

    def __init__(self, backend: ApiBackend, settings: Settings) -> None:
        self._backend = backend
        self._settings = settings
        self._warned = False

    async def voice(self, request: Request) -> Response:
        """A new call: connect it to its agent, or tell the caller why not."""
        form = await self._form(request)
        try:
            agent = await ask(self._backend.agent_for_number(form.get("To", "")))
            if agent is None:
                return _xml(twiml.say_and_hang_up(UNKNOWN_NUMBER))
            refusal = await ask(self._backend.capacity(agent[0]))
        except ParleyError as error:
            return _trouble(form, error)
        if refusal is not None:
            logger.warning("call %s refused: %s", form["CallSid"], refusal)
            return _xml(twiml.say_and_hang_up(NO_CAPACITY))
        return self._connect(request, form, agent)

    async def action(self, request: Request) -> Response:
        """The stream ended: give a call that still lives a new one, end any other."""
        form = await self._form(request)
        if form.get("CallStatus", "").lower() in _OVER:
            return _xml(twiml.hang_up())
        try:
            agent = await ask(self._backend.agent_for_number(form.get("To", "")))
            if agent is None or not await ask(self._backend.live(CallKey(agent[0], form["CallSid"]))):
                return _xml(twiml.hang_up())
        except ParleyError as error:
            return _trouble(form, error)
        logger.info("call %s lost its stream and gets a new one", form["CallSid"])
        return self._connect(request, form, agent)

    def _connect(self, request: Request, form: dict[str, str], agent: tuple[str, str]) -> Response:
        claims = MediaClaims(
            company_id=agent[0],
            agent_id=agent[1],
            call_id=form["CallSid"],
            caller=form.get("From", "")[:_MAX_NUMBER_CHARS],
            called=form.get("To", "")[:_MAX_NUMBER_CHARS],
        )
        base = public_base(request, self._settings)
        stream = media_url(self._settings, claims, base_url=base)
        return _xml(twiml.connect(stream, base + ACTION_PATH, {"caller": claims.caller}))

    async def _form(self, request: Request) -> dict[str, str]:
        """The fields of an authorised request, with a usable CallSid."""
        body = await _body(request)
        try:
            pairs = parse_qsl(
                body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"
            )
        except ValueError as error:
            raise UsageError("the webhook's body is not a form as Twilio sends it") from error
        self._authorise(request, pairs)
        form = dict(pairs)
        if not _CALL_ID.fullmatch(form.get("CallSid", "")):
            raise UsageError("the webhook's form has no usable CallSid")
        return form

    def _authorise(self, request: Request, pairs: list[tuple[str, str]]) -> None:
        """Raises TokenRefused unless Twilio signed it or, in development without a token, it is local."""
        token = self._settings.twilio_auth_token
        if token is not None:
            signature = request.headers.get("x-twilio-signature", "")
            url = public_target(request, self._settings)
            if not is_signed(signature, token.get_secret_value(), url, pairs):
                raise TokenRefused(
                    "the webhook's signature is wrong: check PARLEY_PUBLIC_URL and the auth token"
                )
            return
        local = is_loopback(self._settings.host) and is_local(request)
        if self._settings.environment != "development" or not local:
            raise TokenRefused(
                "webhooks need PARLEY_TWILIO_AUTH_TOKEN, so that their signature can be checked"
            )
        if not self._warned:
            self._warned = True
            logger.warning("PARLEY_TWILIO_AUTH_TOKEN is not set: webhooks are taken from this machine alone")


def router(backend: ApiBackend, settings: Settings) -> APIRouter:
    """Both webhooks, below /telephony/twilio."""
    webhooks = Webhooks(backend, settings)
    routes = APIRouter(tags=["telephony"])
    routes.add_api_route("/telephony/twilio/voice", webhooks.voice, methods=["POST"], response_class=Response)
    routes.add_api_route(ACTION_PATH, webhooks.action, methods=["POST"], response_class=Response)
    return routes


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"a webhook has at most {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _trouble(form: dict[str, str], error: ParleyError) -> Response:
    logger.error("call %s refused: %s", form["CallSid"], error)
    return _xml(twiml.say_and_hang_up(TROUBLE))


def _xml(text: str) -> Response:
    return Response(text, media_type="application/xml")
