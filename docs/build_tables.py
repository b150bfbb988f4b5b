"""The tables in these pages that come from the code: `python -m docs.build_tables` writes them anew.

A table stands between `<!-- table: NAME -->` and `<!-- end of table -->`. `tests/unit/test_docs.py` fails
when one differs from the code.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

from engine.call.services import Deadlines
from engine.config import Settings
from engine.dialog.endpoint import Evidence, wait_ms
from engine.dialog.table import RULES, Phase
from engine.providers.registry import ENTRIES
from models import TurnTaking

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "docs" / "turn-taking.md", ROOT / "docs" / "failures.md", ROOT / "docs" / "providers.md")
_TABLE = re.compile(r"(<!-- table: (?P<name>\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)

SETTINGS = {
    "pause_ms": "Silence after which the answer is prepared, unless the models are busy.",
    "commit_ms": "Silence that ends a turn which sounds complete, in its words and in its intonation.",
    "unsure_ms": "Silence that ends a turn which may be complete, or may lead up to a question.",
    "patient_ms": "Silence that ends a turn which sounds unfinished, and the longest wait in any case.",
    "complete_above": "From this probability of all witnesses on the caller sounds finished.",
    "interruptible": "Whether speech over the agent holds its audio.",
    "greeting_interruptible": "The same for the greeting; only where `interruptible` is on.",
    "closing_interruptible": "The same for what the agent says before it hangs up.",
    "filler_after_ms": "Wait from the caller's last word to the filler, if no word of the answer is there.",
    "still_there_after_ms": "Silence after which the agent asks whether the caller is there.",
    "hang_up_after_ms": "Silence after that question until the closing is said and the agent hangs up.",
}
EXAMPLES = (
    Evidence("When do you open?", 0.9, 0.6),
    Evidence("When do you open?", 0.9, 0.1),
    Evidence("When do you open?", 0.1, 0.05),
    Evidence("When do you open?", 0.01, 0.02),
    Evidence("When do you open?", None, 0.6),
    Evidence("When do you open?", None, None),
    Evidence("I have a bad toothache.", 0.95, 0.5),
    Evidence("I would like to", 0.9, 0.01),
    Evidence("My number is 555 12", 0.9, 0.4),
    Evidence("It is spelled S M I", 0.9, 0.4),
    Evidence("Well, let me think,", 0.9, 0.3),
)
WORK = {
    "transcribe": "an utterance's transcript",
    "score": "the turn model's probability",
    "words": "the probability that the words are all",
    "retrieve": "passages for a question",
    "first_token": "the language model's first token",
    "next_token": "each further token",
    "synthesise": "the first part of a piece's audio",
    "next_part": "each further part, once what came has been heard",
    "opening": "the model's reading of the prompt's beginning, during the greeting",
    "journal": "a write to the journal, or reading it",
    "journal_wait": "the same write, before what the caller would notice; it goes on behind that",
    "edge_silent": "a sign of life from the edge; at least `PARLEY_RECONNECT_GRACE_S`",
}
WAITS = (
    ("edge", "engine/call/edge.py", "ATTACH_S", "an actor that takes the call"),
    ("edge", "engine/call/edge.py", "HEAR_S", "the actor's receipt for what was told"),
    ("edge", "engine/call/edge.py", "POLL_S", "the actor's commands (it answers within 1 s if it lives)"),
    ("edge", "engine/call/edge.py", "TAKEOVER_S", "a replacement for a lost actor"),
    ("edge", "engine/call/edge.py", "SEND_S", "a carrier that takes no data"),
    ("edge", "deployments/media.py", "ADMIT_S", "the switchboard, before the socket is accepted"),
    ("edge", "deployments/media.py", "STORE_S", "company and agent from the store"),
    ("API", "engine/api/backend.py", "DEADLINE_S", "the switchboard, for a webhook or the talk page"),
    ("switchboard", "actors/switchboard.py", "LEASE_S", "an edge's heartbeat, besides the grace"),
    ("switchboard", "actors/switchboard.py", "WARM_S", "a call actor that starts"),
)


def rules() -> str:
    """What each event means in which phase: the rows of `engine.dialog.table`."""
    alive = {phase for phase in Phase if phase not in (Phase.READY, Phase.ENDED)}
    rows = (
        (
            f"`{rule.event.__name__}`",
            "any but ready, ended" if set(rule.phases) == alive else ", ".join(rule.phases),
            rule.meaning,
            f"`{rule.handler}`",
        )
        for rule in RULES
    )
    return _markdown(("event", "phase", "what it means", "method of `Dialog`"), rows)


def phases() -> str:
    said = _attribute_docs(Phase)
    rows = ((phase.value, said.get(phase.name, "The call is over.")) for phase in Phase)
    return _markdown(("phase", "who has the floor"), rows)


def settings() -> str:
    rows = (
        (f"`{name}`", str(field.default), SETTINGS[name]) for name, field in TurnTaking.model_fields.items()
    )
    return _markdown(("setting", "default", "meaning"), rows)


def endpointing() -> str:
    """How long after the last word the turn is over, with the default settings."""
    rows = (
        (case.text, _known(case.intonation), _known(case.words), f"{wait_ms(TurnTaking(), case):.0f} ms")
        for case in EXAMPLES
    )
    return _markdown(("words so far", "intonation", "words", "the turn is over after"), rows)


def _known(probability: float | None) -> str:
    return "none" if probability is None else str(probability)


def deadlines() -> str:
    rows = [("actor", WORK[field.name], f"{field.default:g} s") for field in fields(Deadlines)]
    rows += [(who, what, f"{_constant(path, name):g} s") for who, path, name, what in WAITS]
    grace = Settings.model_fields["reconnect_grace_s"].default
    rows += [("actor", "a carrier whose socket was lost (`PARLEY_RECONNECT_GRACE_S`)", f"{grace:g} s")]
    return _markdown(("who waits", "for what", "how long"), rows)


def providers() -> str:
    """Every vendor: where it is asked, with which model, and the setting of its key."""
    rows = []
    for each in ENTRIES:
        if each.local:
            continue
        module, _, name = each.target.partition(":")
        vendor = getattr(importlib.import_module(f"engine.providers.{each.kind}.{module}"), name)
        rows.append((each.kind, each.name, f"`{vendor.default_model}`", f"`{each.variable}`"))
    return _markdown(("kind", "name", "model unless set", "key"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "rules": rules,
    "phases": phases,
    "settings": settings,
    "endpointing": endpointing,
    "deadlines": deadlines,
    "providers": providers,
}


def build(page: str) -> str:
    """The page's text with its tables as the code has them now. Raises KeyError for an unknown table."""
    return _TABLE.sub(lambda found: f"{found[1]}{TABLES[found['name']]()}{found[3]}", page)


def main() -> None:
    for path in PAGES:
        path.write_text(build(path.read_text()))


def _markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _attribute_docs(documented: type) -> dict[str, str]:
    """Name of a class attribute -> the string that stands below it."""
    body = ast.parse(inspect.getsource(documented)).body[0]
    assert isinstance(body, ast.ClassDef)
    said = {}
    for statement, below in pairwise(body.body):
        match statement, below:
            case (
                ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                said[name] = " ".join(text.split())
    return said


def _constant(path: str, name: str) -> float:
    """A module's constant, read without importing the module: some need Ray."""
    for statement in ast.parse((ROOT / path).read_text()).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                return float(ast.literal_eval(value))
    raise LookupError(f"{path} has no constant {name}")


if __name__ == "__main__":
    main()
