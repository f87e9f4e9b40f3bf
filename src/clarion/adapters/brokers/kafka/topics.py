"""The topics of all lanes: made when they are missing, checked when they are there."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from clarion.adapters.brokers.kafka.address import KafkaAddress
from clarion.adapters.kafka import NO_TRUST, NO_USER, KafkaRefusal
from clarion.errors import ConfigError
from clarion.model.channel import LANES, Lane

log = structlog.get_logger(__name__)

ANSWER_S = 15.0
TRIES, AGAIN_S = 50, 0.1
EXISTS, UNKNOWN = "TOPIC_ALREADY_EXISTS", "UNKNOWN_TOPIC_OR_PART"


class LaneTopic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic as it is on the server."""

    name: str
    id: str
    """Another one when it is deleted and made again, or in another cluster: offsets mean nothing there."""
    partitions: int
    largest: int
    """Bytes of the largest message."""

    def names(self) -> Sequence[str]:
        """Of its partitions, as the ledger knows them."""
        return [self.partition(number) for number in range(self.partitions)]

    def partition(self, number: int) -> str:
        """The name of one."""
        return f"{self.name}/{self.id}/{number}"


class LaneTopics(msgspec.Struct, frozen=True):
    """All topics of one broker."""

    lanes: Mapping[Lane, LaneTopic]
    dead_letters: str


def topic_name(address: KafkaAddress, lane: Lane) -> str:
    """Of a lane."""
    return f"{address.prefix}.{lane}"


def prepare(
    admin: AdminClient, address: KafkaAddress, refusal: KafkaRefusal, *, dry_run: bool = False
) -> LaneTopics | None:
    """Waits for the server. Raises ConfigError saying what to do when the topics are not safe to use. With `dry_run` the servers
    only tell whether they would make those that are missing; None when there are any."""
    dead_letters = f"{address.prefix}.dead-letters"
    lanes = {topic_name(address, lane): lane for lane in LANES}
    names = {*lanes, dead_letters}
    try:
        found = admin.list_topics(timeout=ANSWER_S)
        missing = names - found.topics.keys()
        _create(admin, address, missing, len(found.brokers), dry_run=dry_run)
        there = sorted(names - missing if dry_run else names)
        described, settings = _facts(admin, there) if there else ({}, {})
    except KafkaException as fault:
        raise _unusable(address, refusal.behind(fault.args[0], admin)) from None
    for name, topic in described.items():
        _check(address, name, topic, settings[name])
    if described.keys() < names:
        return None
    return LaneTopics(
        {
            lane: LaneTopic(
                name=name,
                id=str(described[name].topic_id),
                partitions=len(described[name].partitions),
                largest=int(settings[name]["max.message.bytes"]),
            )
            for name, lane in lanes.items()
        },
        dead_letters,
    )


def _unusable(address: KafkaAddress, error: Any) -> ConfigError:
    if error.name() in NO_USER:
        return ConfigError(
            f"broker: Kafka at {address.place} refuses the user: check user, password and mechanism in the URL"
        )
    if error.name() in NO_TRUST:
        return ConfigError(
            f"broker: no trusted authority has signed the certificate of Kafka at {address.place}: check ca in the URL"
        )
    return ConfigError(
        f"broker: Kafka at {address.place} cannot be used ({error.str()}): check the address, tls, user and password, and that "
        "the user may describe and create topics"
    )


def _create(
    admin: AdminClient, address: KafkaAddress, missing: set[str], servers: int, *, dry_run: bool
) -> None:
    if missing and servers < address.replication:
        raise ConfigError(
            f"broker: Kafka at {address.place} has {servers} servers, so that no event can be on {address.replication}: add "
            f"servers, or accept with replication={servers} that events are lost with a server's disk"
        )
    wanted = [
        NewTopic(
            name,
            num_partitions=address.partitions,
            replication_factor=address.replication,
            config={"min.insync.replicas": str(address.insync)},
        )
        for name in sorted(missing)
    ]
    how = {"operation_timeout": ANSWER_S, "validate_only": dry_run}
    for name, made in (admin.create_topics(wanted, **how) if wanted else {}).items():
        try:
            made.result(ANSWER_S)
            if not dry_run:
                log.info(
                    "topic_created",
                    topic=name,
                    partitions=address.partitions,
                    replication=address.replication,
                )
        except KafkaException as fault:
            if fault.args[0].name() != EXISTS:  # Another process has just made it.
                raise


def _facts(
    admin: AdminClient, names: Sequence[str]
) -> tuple[Mapping[str, Any], Mapping[str, Mapping[str, str]]]:
    """Descriptions and settings. Servers hear of new topics one after the other."""
    for left in reversed(range(TRIES)):
        try:
            return _described(admin, names), _settings(admin, names)
        except KafkaException as fault:
            if fault.args[0].name() != UNKNOWN or not left:
                raise
            time.sleep(AGAIN_S)
    raise AssertionError


def _described(admin: AdminClient, names: Sequence[str]) -> Mapping[str, Any]:
    asked = admin.describe_topics(TopicCollection(list(names)), request_timeout=ANSWER_S)
    return {name: answer.result(ANSWER_S) for name, answer in asked.items()}


def _settings(admin: AdminClient, names: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in names])
    return {
        resource.name: {key: entry.value for key, entry in answer.result(ANSWER_S).items()}
        for resource, answer in asked.items()
    }


def _check(address: KafkaAddress, name: str, topic: Any, settings: Mapping[str, str]) -> None:
    copies = min(len(partition.replicas) for partition in topic.partitions)
    if copies < address.replication:
        raise ConfigError(
            f"broker: the topic {name} is on {copies} servers, not on {address.replication}: give it more replicas with "
            f"kafka-reassign-partitions, or accept it with replication={copies}"
        )
    if int(settings["min.insync.replicas"]) < address.insync:
        raise ConfigError(
            f"broker: the topic {name} takes events that {settings['min.insync.replicas']} of its servers have: set "
            f"min.insync.replicas={address.insync} with kafka-configs"
        )
    if "compact" in settings["cleanup.policy"]:
        raise ConfigError(
            f"broker: the topic {name} is compacted, which loses events of the same person: set cleanup.policy=delete"
        )
