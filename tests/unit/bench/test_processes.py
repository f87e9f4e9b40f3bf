"""What a running process has used, read from /proc."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import processes

BURN = """
import sys, threading, time
def burn():
    until = time.thread_time() + 0.05
    while time.thread_time() < until: pass
thread = threading.Thread(target=burn); thread.start(); thread.join()
print("done", flush=True)
sys.stdin.read()
"""


def test_a_family_is_the_process_and_its_descendants():
    """The process itself comes first."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        found = processes.family(os.getpid())
        assert found[0] == os.getpid()
        assert child.pid in found
        assert processes.family(child.pid) == [child.pid]
        child.kill()


def test_the_cpu_of_children_counts():
    """While they run and after they have ended."""
    before = processes.cpu_s(os.getpid())
    with subprocess.Popen(
        [sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        running = processes.cpu_s(os.getpid())
        assert (child.pid, child.pid) in processes.thread_cpu_s(os.getpid())
    assert running - before >= 0.04
    assert processes.cpu_s(os.getpid()) - before >= 0.04


def test_memory_is_that_of_the_family():
    """A child adds to it."""
    alone = processes.memory_kib(os.getpid())
    with subprocess.Popen(
        [sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        both = processes.memory_kib(os.getpid())
    assert alone["Rss"] > 0
    assert both["Rss"] > alone["Rss"] + 1_000


def test_bytes_that_reach_the_disk_are_counted(tmp_path: Path):
    """A synced megabyte is at least a megabyte, where the file system counts."""
    before = processes.written_bytes(os.getpid())
    with (tmp_path / "file").open("wb") as file:
        file.write(b"x" * 2**20)
        file.flush()
        os.fsync(file.fileno())
    written = processes.written_bytes(os.getpid()) - before
    if not written:
        pytest.skip("this file system does not count what is written")
    assert written >= 2**20


def test_a_process_that_has_ended_has_used_nothing():
    """Reading its numbers raises nothing."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert processes.cpu_s(child.pid) == 0
    assert processes.memory_kib(child.pid) == {"Rss": 0, "Pss": 0}
    assert processes.written_bytes(child.pid) == 0
