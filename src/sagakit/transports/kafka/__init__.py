"""Commands, events and answers over Kafka topics."""

from importlib.util import find_spec

from sagakit.errors import MissingExtra

if find_spec("confluent_kafka") is None:
    raise MissingExtra("Kafka", "kafka")

from sagakit.transports.kafka.form.cloudevents import CloudEvents
from sagakit.transports.kafka.form.wire import Format, InvalidRecord, Record, WireMessage
from sagakit.transports.kafka.kafka import Kafka, Outcomes
from sagakit.transports.kafka.participation import KafkaParticipant
from sagakit.transports.kafka.settings import KafkaSettings, KafkaUnusable

__all__ = [
    "CloudEvents",
    "Format",
    "InvalidRecord",
    "Kafka",
    "KafkaParticipant",
    "KafkaSettings",
    "KafkaUnusable",
    "Outcomes",
    "Record",
    "WireMessage",
]
