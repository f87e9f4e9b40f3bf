"""The broker on Kafka: a topic for each lane, whose partitions all processes share."""
