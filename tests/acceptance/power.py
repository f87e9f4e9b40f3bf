"""Power cuts: a data directory that loses, on demand, every byte that was written but never synced."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.needs import require

SOURCE = Path(__file__).with_name("unsynced.c")


def build_shim(into: Path) -> Path:
    """Compile the shim that watches what a process syncs; without a C compiler the test is skipped."""
    compiler = require("cc", "the disk that forgets unsynced writes is a small C library")
    library = into / "unsynced.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library


@dataclass(frozen=True, kw_only=True)
class ForgetfulDisk:
    """A directory and, beside it, what would be left of it after a power cut."""

    shim: Path
    data: Path

    @property
    def durable(self) -> Path:
        """The copy that holds synced bytes only."""
        return self.data.with_name(self.data.name + ".durable")

    def watch(self) -> dict[str, str]:
        """The environment for the next process; what is in the directory now counts as durable."""
        self.data.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.durable, ignore_errors=True)
        shutil.copytree(self.data, self.durable, ignore=shutil.ignore_patterns("*-shm"))
        return {
            "LD_PRELOAD": str(self.shim),
            "UNSYNCED_DIR": str(self.data),
            "UNSYNCED_COPY": str(self.durable),
        }

    def cut(self) -> int:
        """The power fails (kill the process first): unsynced bytes are gone; how many files differed."""
        lost = sum(
            1
            for path in self.data.rglob("*")
            if path.is_file() and not path.name.endswith("-shm") and self._differs(path)
        )
        shutil.rmtree(self.data)
        self.durable.rename(self.data)
        return lost

    def _differs(self, path: Path) -> bool:
        kept = self.durable / path.relative_to(self.data)
        return not kept.exists() or kept.read_bytes() != path.read_bytes()
