"""Any version of PostgreSQL, as Maven has it: `python -m tests.servers.postgresql_of_maven 17.11.0` prints where its programs are.

There are initdb, postgres and pg_ctl: enough for all tests but those with replicas.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path

from tests.servers.java import LIBRARIES
from tests.servers.process import run

ARTIFACT = "io.zonky.test.postgres:embedded-postgres-binaries-linux-{machine}:{version}:jar"
FOLDER = LIBRARIES.with_name("postgresql")
MACHINES = {"x86_64": "amd64", "aarch64": "arm64v8"}


def fetched(version: str, machine: str) -> Path:
    """The folder of its programs, fetched once."""
    folder = FOLDER / version
    if not folder.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER) as made:
            home = Path(made)
            artifact = ARTIFACT.format(machine=MACHINES[machine], version=version)
            copy = [
                "mvn",
                "-q",
                "-B",
                "dependency:copy",
                f"-Dartifact={artifact}",
                f"-DoutputDirectory={home}",
            ]
            run(copy, home=home)
            (jar,) = home.glob("*.jar")
            with zipfile.ZipFile(jar) as packed:
                (name,) = (name for name in packed.namelist() if name.endswith(".txz"))
                packed.extract(name, home)
            (home / "server").mkdir()
            run(["tar", "-xJf", home / name, "-C", home / "server"], home=home)
            (home / "server").rename(folder)
    return folder / "bin"


if __name__ == "__main__":
    import platform

    print(fetched(sys.argv[1], platform.machine()))
