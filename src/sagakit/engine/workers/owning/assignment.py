"""Who should own what: computed by every worker alike from who lives and what they declare, so nobody has to lead.

Consumers that the same workers declare are shared out alike: an instance and the handlers of its commands are at home
with the same worker. Each partition goes to the worker that it ranks highest (rendezvous hashing) of those whose share
is not full; so when a worker comes or goes, hardly more moves than what has to.

A limit on how many handlings run at once is shared out among those who own something of the handler. So that each of
them has a part of it, no more workers than that own anything of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from hashlib import blake2b

from sagakit.core.cluster.members import Worker
from sagakit.core.limiting.pools import NOTHING
from sagakit.core.limiting.pools import Share as LimitShare
from sagakit.core.streams import PARTITIONS

Share = dict[str, frozenset[int]]
"""Consumers, and partitions of each."""


def share_of(me: str, workers: Sequence[Worker]) -> Share:
    """What a worker should own, by its id."""
    names = _names(workers)
    declaring = _declaring(workers, names)
    mine = names.get(me, "")
    shares: Share = {}
    for consumer, candidates in declaring.items():
        if mine in candidates:
            share = shared_out(tuple(sorted(candidates)))[mine]
            if share:
                shares[consumer] = share
    return shares


def limits_of(me: str, workers: Sequence[Worker], consumers: Collection[str]) -> dict[str, LimitShare]:
    """A worker's share in the limits of these consumers."""
    names = _names(workers)
    declaring, mine = _declaring(workers, names), names.get(me, "")
    shares: dict[str, LimitShare] = {}
    for consumer in consumers:
        owners = sorted(declaring.get(consumer, ()))
        shares[consumer] = LimitShare(len(owners), owners.index(mine)) if mine in owners else NOTHING
    return shares


def declaration(consumer: str, level: int, most: int | None) -> str:
    """What a worker says of a consumer: how much its code knows, and how many of its handlings run at once."""
    return f"{consumer}#{level}" if most is None else f"{consumer}#{level}@{most}"


def _declaring(workers: Sequence[Worker], names: Mapping[str, str]) -> dict[str, set[str]]:
    """Who may own the partitions of each consumer: those whose code of it knows most; no more than run at once."""
    highest: dict[str, int] = {}
    declaring: dict[str, set[str]] = {}
    at_once: dict[str, int] = {}
    for worker in workers:
        for declared in worker.declares:
            consumer, _, words = declared.partition("#")
            knows, _, most = words.partition("@")
            level = int(knows or 0)
            if level > highest.get(consumer, -1):
                highest[consumer], declaring[consumer] = level, set()
                at_once.pop(consumer, None)
            if level == highest[consumer]:
                declaring[consumer].add(names[worker.id])
                if most:
                    at_once[consumer] = min(int(most), at_once.get(consumer, int(most)))
    for consumer, most in at_once.items():
        declaring[consumer] = set(
            sorted(declaring[consumer], key=lambda name, of=consumer: _rank(name, of), reverse=True)[:most]
        )
    return declaring


@cache
def shared_out(names: tuple[str, ...]) -> Mapping[str, frozenset[int]]:
    """All partitions, shared out among workers of these names (sorted): two shares differ by one at most."""
    least, over = divmod(PARTITIONS, len(names))
    shares: dict[str, set[int]] = {name: set() for name in names}
    ranks = [
        sorted(((_rank(name, partition), name) for name in names), reverse=True) for partition in range(PARTITIONS)
    ]
    # those that have the clearest favourite choose first
    for partition in sorted(range(PARTITIONS), key=lambda one: ranks[one][0], reverse=True):
        for _, name in ranks[partition]:
            size = len(shares[name])
            if size < least or (size == least and over):
                over -= size == least
                shares[name].add(partition)
                break
    return {name: frozenset(share) for name, share in shares.items()}


def _rank(name: str, partition: int | str) -> bytes:
    return blake2b(f"{name}|{partition}".encode(), digest_size=8).digest()


def _names(workers: Sequence[Worker]) -> dict[str, str]:
    """By what workers are ranked: their names, so that one that comes back has what it had; ids where two have one."""
    counted = Counter(worker.name for worker in workers)
    return {worker.id: worker.name if worker.name and counted[worker.name] == 1 else worker.id for worker in workers}
