"""The auditor: recomputes everything that is billed from the raw events, and compares.

Written from the documents (docs/domain.md, docs/architecture.md) and sharing no code with the
system: it imports the standard library and nothing else, computes in exact fractions, and sees only
what clients were told, the raw events, the published offers, and the stored items as plain data.
"""

from tests.simulation.auditor.evidence import Evidence, Finding, Watch
from tests.simulation.auditor.judgement import INVARIANTS, audit

__all__ = ["INVARIANTS", "Evidence", "Finding", "Watch", "audit"]
