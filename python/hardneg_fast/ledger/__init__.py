"""The budget ledger: what differentially private releases of a body of data have cost so far, and where that ends.

A *lineage* is a body of data, named by whoever releases it: all logs that may hold the same users are one lineage,
whatever period they are from. Every look at the data is charged before it happens: `reserve` writes, and syncs, a line;
then the log may be read. A run that fails or is killed stays charged, also where it had not looked yet, because nobody
can tell. Looks that only try settings are looks. Runs in test mode, whose output is marked NOT PRIVATE, must not be
entered.

Charges add up as `calibration.compose` says, also where a release was chosen in the light of earlier ones: for Gaussian
privacy the plain sum of mu^2 is a valid stopping rule (Smith & Thakurta 2022, arXiv 2210.17520; Whitehouse et al. 2023,
ICML, "Fully-adaptive composition in differential privacy"); epsilons of releases without delta add up beside it. A
charge that would take a lineage beyond its limit is refused.

The file has one JSON object a line, and is only ever appended to. Each line holds the SHA-256 of the line before; a
file beside it (`NAME.head`) remembers the last one. So an edited line, a lost end, an older copy or a missing file is
noticed and refused. This protects honest operators from mistakes: who can write both files can write another past. So
a ledger is its owner's alone (0600); `chmod` it for a group, and its head follows. No line holds a value that follows
from the data; that a run finished is noted without its time.

A lineage is one under one name: names are compared composed (Unicode's NFC), and one that looks like another of the
ledger, or holds what is not seen, is refused.
"""

from __future__ import annotations

from .ledger import Ledger, Reservation

__all__ = ["Ledger", "Reservation"]
