"""confluent-kafka: all that speaks to a broker."""
