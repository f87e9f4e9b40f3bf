"""`clarion secrets`: a value goes in, and only its name comes out."""

from __future__ import annotations


def test_a_secret_is_stored_listed_and_deleted(run):
    """Its value is read from standard input, without the line break that a pipe adds."""
    run("secrets", "set", "shop-token", typed="Bearer s3cret\n")
    listed = run("secrets", "list", "--json")
    assert '"shop-token"' in listed
    assert "s3cret" not in listed
    run("secrets", "delete", "shop-token")
    assert "shop-token" not in run("secrets", "list")
