"""The auditor: what was acknowledged, what the ledger outside has, and what the store says have to agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.ledger import Effect

from sagakit.core.commit import ENDED
from sagakit.core.queries import InstanceQuery, Listed
from sagakit.ports import Store

PROCESS = "chaos.order"
PAGE = 500


@dataclass
class Findings:
    """What is wrong, in words; empty if nothing is."""

    acknowledged: int
    settled: int
    lost: list[str] = field(default_factory=list[str])
    doubled: list[str] = field(default_factory=list[str])
    disordered: list[str] = field(default_factory=list[str])

    @property
    def all(self) -> list[str]:
        return [*self.lost, *self.doubled, *self.disordered]


async def unsettled(store: Store) -> int:
    """How many instances have not ended."""
    return sum(one.row.status not in ENDED for one in await instances(store, status="live"))


async def instances(store: Store, status: str | None = None) -> list[Listed]:
    """All orders that the store knows."""
    found: list[Listed] = []
    while True:
        after = found[-1].row.number if found else None
        page = await store.read_instances(InstanceQuery(PROCESS, status, order="oldest", limit=PAGE, after=after))
        found += page
        if len(page) < PAGE:
            return found


async def audit(store: Store, acknowledged: Sequence[str], effects: Sequence[Effect]) -> Findings:
    """Compare."""
    orders = await instances(store)
    by_key = {one.row.key: one for one in orders}
    ended = [one for one in orders if one.row.status in ENDED]
    findings = Findings(len(acknowledged), len(ended))
    for order in acknowledged:
        if order not in by_key:
            findings.lost.append(f"{order} was acknowledged, and there is nothing of it")
        elif by_key[order].row.status not in ENDED:
            findings.lost.append(f"{order} is {by_key[order].row.status}: {by_key[order].search.reason}")
    for key, count in Counter(one.row.key for one in orders).items():
        if count > 1:
            findings.doubled.append(f"{key} has {count} instances")
    _check_effects(by_key, effects, findings)
    await _check_shelves(store, by_key, findings)
    for one in ended:
        if one.row.status == "compensated":
            await _check_order(store, one, findings)
    return findings


def _check_effects(by_key: dict[str, Listed], effects: Sequence[Effect], findings: Findings) -> None:
    done: dict[str, list[str]] = defaultdict(list)
    for effect in effects:
        done[effect.order_id].append(effect.what)
    for order, listed in by_key.items():
        wanted = ["charge", "ship"] if listed.row.status == "completed" else ["charge", "refund"]
        found = done.pop(order, [])
        if listed.search.cause == "timed_out":  # whether it was shipped is not known, and nothing undoes that
            found = [what for what in found if what != "ship"]
        if sorted(found) != wanted:
            many = any(count > 1 for count in Counter(found).values())
            (findings.doubled if many else findings.lost).append(f"{order} ({listed.row.status}) has {found}")
        elif found != wanted:
            findings.disordered.append(f"{order} has {found}")
    findings.doubled += [f"{order} is unknown and has {found}" for order, found in done.items()]


async def _check_shelves(store: Store, by_key: dict[str, Listed], findings: Findings) -> None:
    """Reservations that stand are those of completed orders."""
    held: Counter[str] = Counter()
    for number in range(_products()):
        after = 0
        while page := await store.read_stream(f"stock.Shelf/product-{number}", after=after, limit=PAGE):
            for event in page:
                order = event.payload.partition(b'"order_id":"')[2].partition(b'"')[0].decode()
                held[order] += 1 if event.type == "stock.Reserved" else -1
            after = page[-1].stream_version or 0
    for order, listed in by_key.items():
        wanted = int(listed.row.status == "completed")
        if held[order] != wanted:
            broken = findings.doubled if held[order] > wanted else findings.lost
            broken.append(f"{order} ({listed.row.status}) holds {held[order]} reservations")


async def _check_order(store: Store, one: Listed, findings: Findings) -> None:
    """The undos of an instance are sent in the exact reverse of what they undo."""
    sent: list[str] = []
    undone: list[str] = []
    for reaction in await store.read_history(one.row.id, limit=PAGE):
        for output in reaction.outputs:
            if output.kind == "command":
                if output.undoes is None:
                    sent.append(output.id)
                else:
                    undone.append(output.undoes)
    wanted = [id for id in reversed(sent) if id in undone]
    wanted += [""] * undone.count("")
    if undone != wanted:
        places = [sent.index(id) + 1 if id in sent else id for id in undone]
        findings.disordered.append(f"{one.row.key} undid its steps in the order {places}")


def _products() -> int:
    from tests.chaos.orders import PRODUCTS

    return PRODUCTS
