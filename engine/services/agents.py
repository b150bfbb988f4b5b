"""Agents, and the numbers that they answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine import weights
from engine.config import Settings
from engine.errors import ConfigurationError
from engine.providers.installation import servable
from engine.providers.registry import Kind, entry
from engine.services.access import Access, InUse, InvalidField, NotFound
from engine.services.provider_keys import kept
from engine.store import Page, Stale, Store
from engine.store.documents import AGENTS, NUMBERS
from models import Agent, AgentConfig, PhoneNumber, Phrases, new_id
from models.platform import CreateAgent, CreateNumber, UpdateAgent, UpdateNumber

KINDS: tuple[Kind, ...] = ("stt", "llm", "tts")
_VARIABLE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


def filled(text: str, variables: Mapping[str, str], field: str) -> str:
    """`text` with its `{{variables}}`. Raises InvalidField for one that has no value."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in variables:
            raise InvalidField(field, f"the variable '{match[1]}' has no value")
        return variables[match[1]]

    return _VARIABLE.sub(value, text)


def spoken(agent: Agent) -> AgentConfig:
    """The agent as callers meet it: variables filled in. Raises InvalidField."""
    config, variables = agent.config, agent.variables
    phrases = {
        name: filled(text, variables, f"phrases.{name}") for name, text in config.phrases.model_dump().items()
    }
    update = {name: filled(getattr(config, name), variables, name) for name in ("prompt", "recording_notice")}
    return config.model_copy(update={**update, "phrases": Phrases(**phrases)})


def voices() -> tuple[weights.Weights, ...]:
    """Voices that this installation can speak with."""
    return tuple(one for one in weights.manifest() if one.kind == "tts")


class Agents:
    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    async def list(self, access: Access, page: Page) -> Sequence[Agent]:
        return await self._store.documents.find(AGENTS, access.company_id, {}, page)

    async def get(self, access: Access, agent_id: str) -> Agent:
        """Raises NotFound."""
        agent = await self._store.documents.get(AGENTS, access.company_id, agent_id)
        if agent is None:
            raise NotFound(f"there is no agent {agent_id}")
        return agent

    async def create(self, access: Access, asked: CreateAgent) -> Agent:
        """A draft: nobody hears it before it is published. Raises InvalidField."""
        agent_id = new_id("agt")
        fields = asked.model_dump(exclude={"variables"})
        config = AgentConfig(id=agent_id, company_id=access.company_id, **fields)
        agent = Agent(
            id=agent_id, company_id=access.company_id, config=config, variables=dict(asked.variables)
        )
        await self._check(agent)
        await self._store.documents.insert(AGENTS, agent)
        return agent

    async def update(self, access: Access, agent_id: str, asked: UpdateAgent) -> Agent:
        """Change the draft. Raises NotFound, Stale, InvalidField."""
        agent = await self.get(access, agent_id)
        if agent.version != asked.version:
            raise Stale(f"{agent_id} was changed meanwhile: read it again")
        asks = asked.model_dump(exclude={"version", "variables"}, exclude_unset=True)
        # Only the longest call may be set to nothing; what else is null was not meant to be changed.
        fields: dict[str, Any] = {
            name: value for name, value in asks.items() if value is not None or name == "max_call_s"
        }
        config = AgentConfig.model_validate(agent.config.model_dump() | fields)
        variables = agent.variables if asked.variables is None else dict(asked.variables)
        changed = agent.model_copy(update={"config": config, "variables": variables})
        await self._check(changed)
        return await self._store.documents.replace(AGENTS, changed)

    async def publish(self, access: Access, agent_id: str) -> Agent:
        """Callers hear this draft from their next call on."""
        agent = await self.get(access, agent_id)
        config = spoken(agent)
        # The version that is written here is the one that callers hear: publishing changes nothing else.
        published = agent.model_copy(update={"published_version": agent.version + 1})
        published = await self._store.documents.replace(AGENTS, published)
        await self._store.publish_agent(config)
        return published

    async def unpublish(self, access: Access, agent_id: str) -> Agent:
        """Raises InUse while numbers lead to it."""
        agent = await self.get(access, agent_id)
        await self._refuse_numbered(access, agent_id)
        await self._store.unpublish_agent(access.company_id, agent_id)
        return await self._store.documents.replace(
            AGENTS, agent.model_copy(update={"published_version": None})
        )

    async def delete(self, access: Access, agent_id: str) -> None:
        """Raises NotFound, InUse."""
        await self.get(access, agent_id)
        await self._refuse_numbered(access, agent_id)
        await self._store.unpublish_agent(access.company_id, agent_id)
        await self._store.documents.delete(AGENTS, access.company_id, agent_id)

    async def _check(self, agent: Agent) -> None:
        """Raises InvalidField for what could not be published, spoken or served."""
        spoken(agent)
        names = {voice.name for voice in voices()}
        vendor, _, voice = agent.config.voice.rpartition(":")
        if vendor:
            try:
                entry("tts", vendor)
            except ConfigurationError as error:
                raise InvalidField("voice", str(error)) from None
        elif voice and voice not in names:
            raise InvalidField("voice", f"there is no such voice: choose one of {', '.join(sorted(names))}")
        own = {key.vendor for key in await kept(self._store, agent.company_id)}
        for kind in KINDS:
            try:
                servable(kind, self._settings, agent.config, own)
            except ConfigurationError as error:
                raise InvalidField(f"providers.{kind}", str(error)) from None

    async def _refuse_numbered(self, access: Access, agent_id: str) -> None:
        numbers = await self._store.documents.find(
            NUMBERS, access.company_id, {"agent_id": agent_id}, Page(limit=1)
        )
        if numbers:
            raise InUse(f"{numbers[0].number} leads to this agent: give that number to another one first")


class Numbers:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def list(self, access: Access, page: Page) -> Sequence[PhoneNumber]:
        return await self._store.documents.find(NUMBERS, access.company_id, {}, page)

    async def create(self, access: Access, asked: CreateNumber) -> PhoneNumber:
        """Raises InvalidField for an agent that is not published, Taken."""
        await self._refuse_unheard(access, asked.agent_id)
        number = PhoneNumber(
            id=new_id("num"), company_id=access.company_id, number=asked.number, agent_id=asked.agent_id
        )
        await self._store.documents.insert(NUMBERS, number)
        return number

    async def update(self, access: Access, number_id: str, asked: UpdateNumber) -> PhoneNumber:
        """Lead it to another agent. Raises NotFound, Stale, InvalidField."""
        number = await self._store.documents.get(NUMBERS, access.company_id, number_id)
        if number is None:
            raise NotFound(f"there is no number {number_id}")
        await self._refuse_unheard(access, asked.agent_id)
        changed = number.model_copy(update={"version": asked.version, "agent_id": asked.agent_id})
        return await self._store.documents.replace(NUMBERS, changed)

    async def delete(self, access: Access, number_id: str) -> None:
        if not await self._store.documents.delete(NUMBERS, access.company_id, number_id):
            raise NotFound(f"there is no number {number_id}")

    async def answered_by(self, number: str) -> tuple[str, str] | None:
        """(company, agent) of whoever answers this number, for the carrier's webhook; None: nobody."""
        found = await self._store.documents.by_key(NUMBERS, "number", number)
        if found is None:
            return None
        company = await self._store.company(found.company_id)
        agent = await self._store.agent(found.company_id, found.agent_id)
        if company is None or company.status != "active" or agent is None:
            return None
        return found.company_id, found.agent_id

    async def _refuse_unheard(self, access: Access, agent_id: str) -> None:
        if await self._store.agent(access.company_id, agent_id) is None:
            raise InvalidField("agent_id", f"there is no published agent {agent_id}")
