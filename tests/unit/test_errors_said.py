"""What errors say, as they are logged: why, and nothing of what was said or who called."""

from __future__ import annotations

import pytest
from google.genai import types
from pydantic import ValidationError

from engine.errors import ProviderRejected, ProviderUnavailable
from engine.providers.llm import gemini
from engine.providers.turn import words
from engine.providers.vendor import error_by_status
from models import CallEvent, CallRecord

SAID = "My card's number is 4111"


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (f"Invalid 'messages[1].content': '{SAID}'.", "Invalid 'messages[1].content': [...]."),
        (f'"{SAID}" is no input for "tts-1"', '[...] is no input for "tts-1"'),
        (f'{{"input": "{SAID}"}} is refused', '{"input": [...]} is refused'),
        (f"The text `{SAID}, and it is cut here", "The text [...]"),
        ("The model's voice `alloy` isn't there: you can't use it", None),
        ("Supported values are: ('alloy', 'ash')", None),
    ],
)
def test_a_vendors_reason_is_told_without_the_sentences_that_it_quotes(reason: str, told: str | None) -> None:
    error = error_by_status("vendor", 400, reason)
    assert isinstance(error, ProviderRejected)
    assert str(error) == f"vendor answered 400: {told or reason}"


def test_a_request_that_an_sdk_refuses_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as caught:
        types.GenerateContentConfig.model_validate({"system_instruction": 1.5, "max_output_tokens": SAID})
    assert SAID in str(caught.value)
    told = gemini._reason(caught.value)
    assert "max_output_tokens: " in told
    assert SAID not in told


def test_an_answer_without_probabilities_is_not_repeated() -> None:
    with pytest.raises(ProviderUnavailable) as caught:
        words._ending({"choices": [{"text": SAID}]})
    assert SAID not in str(caught.value)


@pytest.mark.parametrize("model", [CallEvent, CallRecord])
def test_what_is_stored_and_cannot_be_read_is_not_repeated(model: type[CallEvent] | type[CallRecord]) -> None:
    for damaged in (f'{{"call_id": ["{SAID}"], "caller": ["{SAID}"]}}', f'{{"caller": "{SAID}'):
        with pytest.raises(ValidationError) as caught:
            model.model_validate_json(damaged)
        assert SAID not in str(caught.value)
