"""What the pages need from the rest of Clarion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clarion.flow.ledger import Ledger
from clarion.flow.pipeline import Pipeline
from clarion.ports.clock import Clock
from clarion.ports.configuration import Configuration
from clarion.ports.speech import Speech
from clarion.ports.vault import Vault
from clarion.services.registry import Services


@dataclass(frozen=True, kw_only=True, slots=True)
class DashboardParts:
    """Handed over once by the composition root."""

    mode: Literal["dev", "serve"]
    """`serve` shows a plain page and nothing else."""
    pipeline: Pipeline
    ledger: Ledger
    vault: Vault
    clock: Clock
    services: Services
    configuration: Configuration
    speech: Speech | None = None
    """Speaks captured calls; None: this machine cannot."""
    dev_file: Path
    """`dev.json` of `clarion dev`: address, API key and tenant the page acts for. Not read in `serve` mode."""
