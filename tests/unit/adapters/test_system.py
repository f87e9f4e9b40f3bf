"""The machine's own randomness beyond the contract."""

from concurrent.futures import ThreadPoolExecutor

from clarion.adapters.system import SystemRandom


def test_no_bytes_are_handed_out_twice_not_even_to_two_threads():
    """Nonces must never repeat, whoever asks."""
    random = SystemRandom()
    with ThreadPoolExecutor(4) as threads:
        drawn = list(threads.map(lambda _: random.bytes(12), range(20_000)))
    assert len(set(drawn)) == len(drawn)
    assert {len(d) for d in drawn} == {12}
