"""The checks that must be exact under concurrency: a store runs them inside the transaction that stores the plan.

Every store does the same three steps in one transaction: it loads what is stored about the keys of the plans
(`Stored`), calls `decide`, and writes what comes out (`Decisions`). Nothing else may write about these keys meanwhile.
"""

from clarion.rules.exact.audiences import chooses, compared_with, next_look
from clarion.rules.exact.checks import decide, delivered, needed
from clarion.rules.exact.consents import added
from clarion.rules.exact.counts import ON_ITS_WAY, Counted, Counts, Waiting, counts_from, recount
from clarion.rules.exact.digests import Slots
from clarion.rules.exact.endpoints import health
from clarion.rules.exact.inbound import lifted_by, needs_reply, suppression_of
from clarion.rules.exact.number_ranges import confirmed, is_blocked, unblocked
from clarion.rules.exact.open_attributes import open_definition, open_json, open_values
from clarion.rules.exact.operations import StepRefusal, closed, filed, outlived, refused, stepped, uploaded
from clarion.rules.exact.quotas import take
from clarion.rules.exact.receipts import recorded, rounds, says_more
from clarion.rules.exact.spending import StoredSpending, charge, given_back
from clarion.rules.exact.suppressions import outlasts
from clarion.rules.exact.throttles import counts_until
from clarion.rules.exact.user_changes import rezoned, user_changes
from clarion.rules.exact.values import Decisions, DedupeHolder, KeyHolder, Stored
from clarion.rules.exact.verifications import checked, finished, resent

__all__ = [
    "ON_ITS_WAY",
    "Counted",
    "Counts",
    "Decisions",
    "DedupeHolder",
    "KeyHolder",
    "Slots",
    "StepRefusal",
    "Stored",
    "StoredSpending",
    "Waiting",
    "added",
    "charge",
    "checked",
    "chooses",
    "closed",
    "compared_with",
    "confirmed",
    "counts_from",
    "counts_until",
    "decide",
    "delivered",
    "filed",
    "finished",
    "given_back",
    "health",
    "is_blocked",
    "lifted_by",
    "needed",
    "needs_reply",
    "next_look",
    "open_definition",
    "open_json",
    "open_values",
    "outlasts",
    "outlived",
    "recorded",
    "recount",
    "refused",
    "resent",
    "rezoned",
    "rounds",
    "says_more",
    "stepped",
    "suppression_of",
    "take",
    "unblocked",
    "uploaded",
    "user_changes",
]
