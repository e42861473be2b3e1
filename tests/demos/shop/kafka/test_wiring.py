"""The shop's processes over topics: what each of them reads."""

from sagakit.demos.shop.app import shop_app
from sagakit.demos.shop.kafka.modules import TOPICS


def test_the_topics_have_the_commands_and_outcomes_of_the_modules() -> None:
    """What a module of the shop handles is what goes over its topics, outcome by outcome."""
    whole = shop_app().topology()
    for topics in TOPICS.values():
        for command, outcomes in topics.commands.items():
            declared = whole.handlers[command].outcomes
            assert {*(outcomes if isinstance(outcomes, tuple) else (outcomes,))} <= declared
            assert whole.codecs.by_class[command].name == f"{topics.module}.{command.__qualname__}"
