"""The three answers Parley gives to a Twilio webhook, as TwiML text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree.ElementTree import Element, SubElement, tostring

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def connect(stream_url: str, action_url: str, parameters: Mapping[str, str] | None = None) -> str:
    """Open a bidirectional media stream; when it ends, Twilio asks `action_url` what to do next."""
    response = Element("Response")
    verb = SubElement(response, "Connect", {"action": _text(action_url), "method": "POST"})
    stream = SubElement(verb, "Stream", {"url": _text(stream_url)})
    for name, value in (parameters or {}).items():
        SubElement(stream, "Parameter", {"name": _text(name), "value": _text(value)})
    return _document(response)


def say_and_hang_up(text: str, language: str = "en-US") -> str:
    """Speak one sentence with the carrier's own voice, then end the call."""
    response = Element("Response")
    SubElement(response, "Say", {"language": language}).text = _text(text)
    SubElement(response, "Hangup")
    return _document(response)


def hang_up() -> str:
    """End the call."""
    response = Element("Response")
    SubElement(response, "Hangup")
    return _document(response)


def _text(value: str) -> str:
    """Without the characters that XML 1.0 cannot carry, not even escaped."""
    return _NOT_XML.sub("", value)


def _document(response: Element) -> str:
    return '<?xml version="1.0" encoding="UTF-8"?>' + tostring(response, encoding="unicode")
