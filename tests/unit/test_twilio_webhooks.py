"""Signatures against the values of Twilio's own documentation and libraries, and TwiML."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.telephony import twiml
from engine.telephony.signature import is_signed, is_signed_body, sign

# The example that Twilio documents: auth token 12345 and this request. The port and body variants are the
# reference values of its public client library.
TOKEN = "12345"
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FORM = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Digits", "1234"),
    ("From", "+14158675309"),
    ("To", "+18005551212"),
    ("Caller", "+14158675309"),
]
SIGNATURE = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
BODY = b'{"property": "value", "boolean": true}'
BODY_URL = f"{URL}&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
BODY_SIGNATURE = "a9nBmqA0ju/hNViExpshrM61xv4="


def test_the_documented_example() -> None:
    assert sign(TOKEN, URL, FORM) == SIGNATURE
    assert is_signed(SIGNATURE, TOKEN, URL, FORM)


def test_repeated_fields_are_signed_in_order() -> None:
    form = [("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234")]
    assert sign(TOKEN, URL, form) == "IK+Dwps556ElfBT0I3Rgjkr1wJU="


@pytest.mark.parametrize(
    ("url", "signature"),
    [
        (URL.replace(".com", ".com:1234"), SIGNATURE),
        (URL, "kvajT1Ptam85bY51eRf/AJRuM3w="),
        (URL.replace("https", "http"), "0ZXoZLH/DfblKGATFgpif+LLRf4="),
        (URL.replace("https", "http").replace(".com", ".com:1234"), "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
    ],
)
def test_ports(url: str, signature: str) -> None:
    assert is_signed(signature, TOKEN, url, FORM)


@pytest.mark.parametrize(
    ("signature", "token", "url", "form"),
    [
        ("", TOKEN, URL, FORM),
        ("é", TOKEN, URL, FORM),
        (SIGNATURE, "54321", URL, FORM),
        (SIGNATURE, TOKEN, URL.replace("https", "http"), FORM),
        (SIGNATURE, TOKEN, URL + "&baz=3", FORM),
        (SIGNATURE, TOKEN, URL.replace("mycompany", "other"), FORM),
        (SIGNATURE, TOKEN, URL, FORM[1:]),
        (SIGNATURE, TOKEN, URL, [*FORM, ("Extra", "")]),
    ],
)
def test_what_is_not_signed(signature: str, token: str, url: str, form: list[tuple[str, str]]) -> None:
    assert not is_signed(signature, token, url, form)


def test_a_json_body_is_signed_by_its_hash() -> None:
    assert is_signed_body(BODY_SIGNATURE, TOKEN, BODY_URL, BODY)
    assert not is_signed_body(BODY_SIGNATURE, TOKEN, BODY_URL, BODY + b" ")
    assert not is_signed_body(BODY_SIGNATURE, TOKEN, URL, BODY)
    assert not is_signed_body(SIGNATURE, TOKEN, BODY_URL, BODY)


def test_connect() -> None:
    text = twiml.connect("wss://h/media/a.b-c", "https://h/action?x=1&y=2", {"caller": '<"+1&2">'})
    root = ElementTree.fromstring(text)
    connect = root.find("Connect")
    assert root.tag == "Response"
    assert connect is not None
    assert connect.attrib == {"action": "https://h/action?x=1&y=2", "method": "POST"}
    stream = connect.find("Stream")
    assert stream is not None
    assert stream.attrib == {"url": "wss://h/media/a.b-c"}
    assert [item.attrib for item in stream] == [{"name": "caller", "value": '<"+1&2">'}]


@given(st.text())
def test_any_text_can_be_spoken(text: str) -> None:
    root = ElementTree.fromstring(twiml.say_and_hang_up(text).encode())
    assert [item.tag for item in root] == ["Say", "Hangup"]
    plain = text.isprintable() and text.isascii()
    assert not plain or (root[0].text or "") == text


def test_hang_up() -> None:
    assert [item.tag for item in ElementTree.fromstring(twiml.hang_up())] == ["Hangup"]
