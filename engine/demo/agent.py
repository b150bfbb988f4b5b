"""The clinic and the agent that answers its phone."""

from __future__ import annotations

from models import AgentConfig, Company, Phrases

MIN_SCORE = 0.47
"""From `bench.retrieval`: of the clinic's questions it keeps 96 % of the answerable, 4 % of the others."""


def company() -> Company:
    return Company(id="demo", name="Riverside Dental Clinic")


def agent() -> AgentConfig:
    return AgentConfig(
        id="demo",
        company_id="demo",
        name="Riverside Dental Clinic",
        prompt=(
            "You answer the phone for Riverside Dental Clinic. "
            "Answer in one short sentence, only from the facts."
        ),
        phrases=Phrases(
            greeting="Riverside Dental Clinic, how can I help you?",
            unknown="I am sorry, I do not know that. Please ask our team when you are at the clinic.",
            filler="One moment, let me look.",
            closing="Thank you for calling Riverside Dental Clinic. Goodbye.",
        ),
        min_score=MIN_SCORE,
        # With a second passage the starter model mixes the two (`bench.answers`).
        passages=1,
    )
