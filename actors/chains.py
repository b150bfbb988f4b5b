"""A call process's chains of providers: gates of the local ones, ways to the vendors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from actors.breakers import SharedGate
from actors.cloud import CloudProvider
from engine.call.spec import CallSpec
from engine.providers.failover.breaker import RetryBudget
from engine.providers.failover.chains import Candidate, LlmChain, SttChain, TtsChain
from engine.providers.registry import LOCAL, Kind

CHAINED: Mapping[str, Callable[..., Any]] = {"stt": SttChain, "llm": LlmChain, "tts": TtsChain}


class Chains:
    """`local`: kind -> the provider over its deployment."""

    def __init__(self, local: Mapping[str, Any]) -> None:
        self._local = local
        self._gates: dict[str, SharedGate] = {}
        self._vendors: dict[tuple[Kind, str], CloudProvider] = {}
        self._budget = RetryBudget()

    def of(self, kind: Kind, names: Sequence[str], spec: CallSpec) -> Any:
        """A chain for this call, whose vendors are started.

        One provider stands for itself, without a gate: there is nobody else to ask.
        """
        candidates = [self._candidate(kind, name, spec) for name in names]
        if len(candidates) == 1:
            return candidates[0].provider
        return CHAINED[kind](candidates, budget=self._budget)

    def _candidate(self, kind: Kind, name: str, spec: CallSpec) -> Candidate[Any]:
        if name == LOCAL:
            gate = self._gates.setdefault(kind, SharedGate(f"{kind} {name}"))
            return Candidate(name, self._local[kind], gate)
        sealed = spec.provider_keys.get(name, "")
        if sealed:
            # The process outlives this call, and serves other companies: nothing of this one is kept.
            vendor = CloudProvider(kind, name, sealed)
        else:
            vendor = self._vendors.setdefault((kind, name), CloudProvider(kind, name))
        vendor.prepare()
        return Candidate(name, vendor, vendor)
