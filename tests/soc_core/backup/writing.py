"""Append and seal without end, and say what was acknowledged: ``python -m tests.soc_core.backup.writing STATE SEED``.

Its clock runs ahead, so what was merged away is removed at once: the worst case for whoever copies.
"""

from __future__ import annotations

import random
import sys
from datetime import timedelta
from pathlib import Path

from soc_core.clock import utc_now
from soc_core.store.embedded import EmbeddedStore, Limits
from tests.contract.samples import make


def main() -> None:
    state, chance = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
    ahead = timedelta()

    def clock():  # type: ignore[no-untyped-def]
        return utc_now() + ahead

    store = EmbeddedStore(state / "events", writer=True, limits=Limits(reserve=0), clock=clock)
    number = store.end_offset()
    while True:
        size = chance.randrange(1, 40)
        store.append([make(n, day=20 + n % 4) for n in range(number, number + size)])
        number += size
        print(number, flush=True)
        if chance.random() < 0.5:
            store.seal()
        ahead += timedelta(minutes=10)


if __name__ == "__main__":
    main()
