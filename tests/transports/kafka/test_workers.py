"""Several workers of one service: they share its topics, and an answer finds its process at whichever of them."""

import asyncio

from tests.engine.workers.crew import crew
from tests.servers.kafka import begin_at_zero
from tests.transports.kafka.services import PlaceOrder, World, orders_app, payments_app
from tests.transports.kafka.test_services import parked

from sagakit.transports.kafka import Kafka


async def test_workers_share_topics_and_any_of_them_takes_an_answer(kafka_url: str, topic: str) -> None:
    world, kafka = World(), Kafka(kafka_url)
    # two write each of them at once, maybe before anybody reads it
    for read in (f"{topic}.payments", f"{topic}.answers"):
        await asyncio.to_thread(begin_at_zero, kafka_url, read, group=read)
    async with (
        crew(payments_app(kafka, topic), provide={World: world}) as payments,
        crew(orders_app(kafka, topic), provide={World: world}) as orders,
    ):
        for team in (orders, payments):
            await team.join("first")
            await team.join("second")
            await team.beat()
        first, second = orders.engines.values()
        while not all(link.ready() is None for link in first.topology.links):
            await asyncio.sleep(0.01)
        for number in range(60):
            await (first, second)[number % 2].send(PlaceOrder(f"o-{number}"))
        async with asyncio.timeout(120):
            while len(world.done) < 120:
                await asyncio.sleep(0.01)
                for team in (orders, payments):  # what is tried again, or looked for in case a word got lost
                    team.clock.set(team.clock.now() + 10_000)
            await orders.settle()
        ends = {await second.status("orders.fulfil", f"o-{number}") for number in range(60)}
        assert await parked(first) == []
    assert ends == {"completed"}
    assert len(set(world.done)) == len(world.done) == 120
