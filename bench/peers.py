"""The best of what people build themselves, in the same run: FastAPI, SQLAlchemy, dramatiq and PostgreSQL, sending mail.

It does Clarion's work and keeps its main promises: an event is stored before the 202, repeats are ignored, preferences,
quiet hours, cap and suppression are looked at, a crash sends no mail twice, every step is recorded. Its code is in
`bench/peer/`, its packages are in an environment of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from bench import processes
from bench.backends import postgresql
from bench.children import Missing, program, running
from bench.load import Pool, accepted
from bench.progress import progress
from bench.report import Figure
from bench.rig import Rig
from bench.server import ROOT, free_port
from bench.sink import mail_sink
from bench.tenant import LOCALES, ZONES, user_id
from bench.wire import Api, request

PEER = Path(__file__).parent / "peer"
HOME = ROOT / ".cache" / "peer"
"""Its environment; made anew when its requirements change."""
USERS, MAILS, BATCH = 4_000, 6_000, 500
PROCESSES, THREADS = 2, 8
"""Of its worker: the fastest of those tried on two cores."""
TIMES = 40
"""How many times as fast Clarion should be."""
NAME = "DIY peer, email over SMTP: end to end"
CLARION = "email over SMTP: end to end (unpinned)"


async def mails(rig: Rig) -> list[Figure]:
    """Mails a second from the first submit to the last recorded end."""
    users, number, batch = rig.much(USERS, 100), rig.much(MAILS, 200), rig.much(BATCH, 50)
    try:
        async with mail_sink() as smtp, _peer(smtp, users) as api:
            await _through(api, "warm", batch, batch, users)
            cpu, began = processes.cpu_s(os.getpid()), time.perf_counter()
            await _through(api, "peer", number, batch, users)
            took = time.perf_counter() - began
            spent = processes.cpu_s(os.getpid()) - cpu
    except Missing as missing:
        return [Figure(name=NAME, value=float("nan"), unit="messages/s", note=str(missing))]
    made = f"FastAPI, SQLAlchemy, dramatiq ({PROCESSES} processes of {THREADS} threads, Redis), PostgreSQL"
    return [
        Figure(name=NAME, value=number / took, unit="messages/s", note=f"{number:,} mails; {made}"),
        Figure(
            name="DIY peer, email over SMTP: CPU",
            value=spent / number * 1e6,
            unit="us/message",
            note=f"{spent / took:.2f} cores; its servers, the sink and the generator included",
        ),
    ]


def ratio(figures: Sequence[Figure]) -> list[Figure]:
    """Clarion against the peer, when the run was to measure the peer."""
    found = {figure.name: figure for figure in figures if figure.measured}
    if not any(figure.name == NAME for figure in figures):
        return []
    value, note = float("nan"), f"needs {NAME!r} and {CLARION!r} (email-smtp) in the same run"
    if NAME in found and CLARION in found:
        value = found[CLARION].scaled / found[NAME].scaled
        note = "on both cores, in the same run, machine speed taken out"
    return [
        Figure(name="email over SMTP: Clarion / DIY peer", value=value, unit="times", target=TIMES, note=note)
    ]


async def _through(api: Api, run: str, number: int, batch: int, users: int) -> None:
    """So many mails, from the first submit until all have been recorded as sent."""
    wanted = (await api.get("/changes")).get("sent", 0) + number
    pool = await Pool.to(api.port, 1)
    for start in range(0, number, batch):
        mails = [
            {
                "id": f"{run}-{n}",
                "user": user_id(n % users),
                "category": "updates",
                "data": {"n": n, "place": "Lisbon"},
            }
            for n in range(start, start + batch)
        ]
        await accepted(pool, request("POST", "/notifications", json.dumps(mails).encode()))
    pool.close()
    done, moved = 0, time.perf_counter()
    while (now := {"sent": 0} | await api.get("/changes"))["sent"] < wanted:
        if now["sent"] > done:
            done, moved = now["sent"], time.perf_counter()
        if time.perf_counter() > moved + 30:
            raise RuntimeError(f"the peer stands still with {now} of {wanted:,} mails")
        progress.tell(f"{wanted - now['sent']:,} mails of the peer under way")
        await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def _peer(smtp: int, users: int) -> AsyncIterator[Api]:
    """The running peer with its users. Raises Missing."""
    programs = _environment()
    redis = program("redis-server", "redis-server")
    with tempfile.TemporaryDirectory(prefix="clarion-peer-") as folder:
        home, redis_port, http_port = Path(folder), free_port(), free_port()
        home.chmod(0o755)
        async with postgresql(home / "postgresql") as server:
            env = os.environ | {
                "PEER_DATABASE": server.url.replace("postgresql:", "postgresql+psycopg:"),
                "PEER_CONNECTIONS": str(THREADS),
                "PEER_REDIS": f"redis://127.0.0.1:{redis_port}",
                "PEER_SMTP_PORT": str(smtp),
                "PYTHONPATH": str(PEER),
                "PYTHONDONTWRITEBYTECODE": "1",
            }
            keep = [
                redis,
                "--port",
                str(redis_port),
                "--bind",
                "127.0.0.1",
                "--dir",
                folder,
                "--appendonly",
                "yes",
            ]
            serve = [f"{programs}/uvicorn", "app:app", "--port", str(http_port), "--no-access-log"]
            work = [f"{programs}/dramatiq", "tasks", "--processes", str(PROCESSES), "--threads", str(THREADS)]
            _create_setup(programs, env, users)
            async with (
                running(keep, log=home / "redis.log", port=redis_port),
                running(serve, log=home / "api.log", port=http_port, env=env),
                running(work, log=home / "worker.log", env=env, stop=signal.SIGTERM),
            ):
                api = Api(http_port)
                yield api
                api.close()


def _environment() -> Path:
    """The folder with the peer's programs; installs its packages when they are not there. Raises Missing."""
    wanted = (PEER / "requirements.txt").read_text()
    stamp = HOME / hashlib.sha256(wanted.encode()).hexdigest()[:16]
    if not stamp.exists():
        progress.tell("installing the peer's packages")
        shutil.rmtree(HOME, ignore_errors=True)
        for command in (
            [sys.executable, "-m", "venv", str(HOME)],
            [f"{HOME}/bin/python", "-m", "pip", "install", "--quiet", "-r", str(PEER / "requirements.txt")],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise Missing(
                    f"its packages cannot be installed: {(done.stderr or done.stdout).strip()[-500:]}"
                )
        stamp.touch()
    return HOME / "bin"


def _create_setup(programs: Path, env: Mapping[str, str], users: int) -> None:
    """Tables and users like those of `bench/tenant.py`."""
    rows = "\n".join(
        f"{user_id(i)}\t{user_id(i)}@example.com\t{LOCALES[i % len(LOCALES)]}\t{ZONES[i % len(ZONES)]}"
        for i in range(users)
    )
    done = subprocess.run(
        [f"{programs}/python", str(PEER / "create_setup.py")],
        env=env, input=rows, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the peer's users cannot be stored: {done.stderr[-1_000:]}")
