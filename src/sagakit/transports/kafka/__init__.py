"""Commands and events over Kafka topics. Needs sagakit[kafka]."""
