"""Two workers share the sagas, and every one of them ends."""

from sagakit.bench.apart.crew import main


async def test_two_workers_do_what_one_does(postgres_url: str) -> None:
    crew = await main(postgres_url, 2, 20, 4)
    assert (crew.workers, crew.in_flight) == (2, 4)
    assert min(crew.alone_sagas_per_s, crew.together_sagas_per_s, crew.at_home_sagas_per_s) > 0
    assert min(crew.ratio, crew.at_home_ratio) > 0
