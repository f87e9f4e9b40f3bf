"""The brokers that Clarion is measured on: one node each, fresh, and as durable as it can be."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from bench.backend_server import BackendServer, Start
from bench.children import Missing, program, running
from bench.server import ROOT, free_port

JARS = ROOT / ".cache" / "java"
KAFKA = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={home}/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.cleaner.dedupe.buffer.size=4194304
"""
CLUSTER = "Y2xhcmlvbi1iZW5jaC0xMQ"
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Not /usr/sbin: what is there changes the user and writes to folders of the system."""
NOBODY = "nobody"
WITHOUT_SPINNING = "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
"""Erlang would use up the cores while it waits."""
ACCOUNT = "000000000000"


@contextlib.asynccontextmanager
async def kafka(home: Path) -> AsyncIterator[BackendServer]:
    """Kafka."""
    java = [*_java("kafka"), "-Xmx512m"]
    port, where = free_port(), home / "server.properties"
    where.write_text(KAFKA.format(port=port, controller=free_port(), home=home))
    tool = ["kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(where)]
    made = await asyncio.create_subprocess_exec(*java, *tool, stdout=asyncio.subprocess.DEVNULL)
    if await made.wait():
        raise Missing("Kafka cannot be set up")
    async with running([*java, "kafka.Kafka", str(where)], port=port) as pid:
        yield _broker(f"kafka://127.0.0.1:{port}/bench?replication=1", pid)


@contextlib.asynccontextmanager
async def rabbitmq(home: Path) -> AsyncIterator[BackendServer]:
    """RabbitMQ, with its name server."""
    if not RABBITMQ.exists():
        raise Missing("RabbitMQ is not installed (apt install rabbitmq-server)")
    account = NOBODY if os.geteuid() == 0 else None
    port, names = free_port(), free_port()
    files = {
        "enabled_plugins": "[].\n",
        "rabbitmq-env.conf": "",
        "rabbitmq.conf": "log.console = true\nlog.file = false\n",
    }
    for name, text in files.items():
        (home / name).write_text(text)
    if account:
        for path in (home, *home.iterdir()):
            shutil.chown(path, account)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "ERL_EPMD_PORT": str(names),
        "RABBITMQ_NODENAME": "bench@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": WITHOUT_SPINNING,
    }
    epmd = [program("epmd", "erlang-base"), "-port", str(names), "-address", "127.0.0.1"]
    async with (
        running(epmd, port=names, user=account),
        running([str(RABBITMQ)], port=port, user=account, env=env, log=home.with_suffix(".log")) as pid,
    ):
        yield _broker(f"amqp://guest:guest@127.0.0.1:{port}/", pid)


@contextlib.asynccontextmanager
async def sqs(home: Path) -> AsyncIterator[BackendServer]:
    """ElasticMQ, which has queues as those of Amazon SQS, in memory."""
    port = free_port()
    settings = f"-Dconfig.file={ROOT / 'tests' / 'java' / 'elasticmq' / 'elasticmq.conf'}"
    java = [*_java("elasticmq"), "-Xmx512m", settings, "org.elasticmq.server.Main"]
    async with running(java, port=port, env={**os.environ, "PORT": str(port)}) as pid:
        options = "tls=false&region=us-east-1"
        yield _broker(f"sqs://key:secret@127.0.0.1:{port}/{ACCOUNT}/bench?{options}", pid)


@contextlib.asynccontextmanager
async def nats(home: Path) -> AsyncIterator[BackendServer]:
    """NATS with JetStream, which writes to the disk every two minutes: `sync_interval: always` is not in NATS 2.9 yet."""
    port = free_port()
    where = ["-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(home)]
    async with running([program("nats-server", "nats-server"), *where], port=port) as pid:
        yield _broker(f"nats://127.0.0.1:{port}/bench?replicas=1", pid)


@contextlib.asynccontextmanager
async def redis(home: Path) -> AsyncIterator[BackendServer]:
    """Redis, on the disk before it answers."""
    port = free_port()
    durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
    where = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(home)]
    async with running([program("redis-server", "redis-server"), *where, *durable], port=port) as pid:
        yield _broker(f"redis://127.0.0.1:{port}/0", pid)


def _java(name: str) -> list[str]:
    """The start of the command of a server in Java."""
    if not (JARS / name).is_dir():
        raise Missing(f"{name} is not here: `make test ARGS=tests/contract` fetches it")
    return [program("java", "default-jre-headless"), "-cp", f"{JARS / name}/*"]


def _broker(url: str, pid: int) -> BackendServer:
    return BackendServer(setting="broker", url=url, pid=pid)


BROKERS: Mapping[str, Start] = {
    "kafka": kafka,
    "rabbitmq": rabbitmq,
    "sqs": sqs,
    "nats": nats,
    "redis": redis,
}
