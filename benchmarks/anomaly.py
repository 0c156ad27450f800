"""Measure the anomaly detectors: ``python -m benchmarks.anomaly [flows|beacon|tunnel|scans|speed …]``.

Needs other people's data where ``EDUSOC_SHARED_DATA`` points (or ``../shared/data``); ``speed`` needs none.

- ``flows``: the ensemble on NSL-KDD. Its test set (KDDTest+) is not here, so the train part is split into halves at
  random (seeded): the ensemble learns from the normal rows of one half and is judged on the other, which neither it
  nor its settings have seen. Both halves hold the same attacks, so KDDTest+, which holds new ones, is harder; these
  figures are no claim about it. With 41 features, and with the 6 a flow record has.
- ``beacon``: true positive rate at 1 % false positives, beacons injected between the calls of real hosts' pairs.
- ``tunnel``: windows of five minutes of real tunnels found by the plain thresholds, and false ones of real clients.
- ``scans``: detections per recording. ``speed``: training and judging.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from benchmarks._shared import SHARED
from benchmarks._traffic import school_flows
from collectors.base import ReadContext
from collectors.opening import OpenSource
from collectors.reading import collect, read_paths
from detectors.anomaly.beacon import is_beacon, measure
from detectors.anomaly.dns_tunnel import DnsTunnel
from detectors.anomaly.model.ensemble import fit
from detectors.anomaly.model.evaluation import evaluate_events, rank
from detectors.anomaly.model.features import Numbers
from detectors.anomaly.model.samples import gather, private_ranges, rows_of
from detectors.anomaly.model.training import train_from_events
from detectors.anomaly.registry import default_detectors
from detectors.anomaly.regularity import rita_score
from detectors.base import Site, Window, WindowDetector, window_start
from soc_core.clock import parse_instant
from soc_core.model.detection import Detection
from soc_core.model.event import Event
from soc_core.model.organisation import AddressPlan

DAY = 86_400.0
CATEGORIES = (1, 2, 3)  # protocol, service, flag
LABEL = 41


def main() -> None:
    """Run the parts asked for, all by default."""
    parts: dict[str, Callable[[], None]] = {
        "flows": flows,
        "beacon": beacon,
        "tunnel": tunnel,
        "scans": scans,
        "speed": speed,
    }
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=" ".join(parts))
    for name in parser.parse_args().parts or list(parts):
        print(f"== {name}")
        parts[name]()


def flows() -> None:
    """Judge the ensemble on the held-out half of NSL-KDD's train part."""
    path = SHARED / "anomaly" / "nsl-kdd" / "KDDTrain+_20Percent.txt.gz"
    with gzip.open(path, "rt", encoding="ascii", newline="") as file:
        rows = list(csv.reader(file))
    attack = np.array([row[LABEL] != "normal" for row in rows])
    for name, columns in (("41 features", range(LABEL)), ("6 features of a flow", range(6))):
        results = [_nsl(rows, attack, columns, seed) for seed in range(5)]
        mean = np.mean(results, axis=0)
        print(
            f"{name}: mean of 5 splits: AUC {mean[0]:.4f}, average precision {mean[1]:.4f}, "
            f"TPR at 1 % FPR {mean[2]:.3f} (worst {min(row[2] for row in results):.3f})"
        )
        print(
            f"  threshold at 0.5 % of the fitted normals: FPR {100 * mean[4]:.2f} %, TPR {mean[3]:.3f}; precision "
            f"{_precision(mean[3], mean[4], 0.47):.3f} as mixed here (47 % attacks), "
            f"{_precision(mean[3], mean[4], 0.01):.3f} were 1 % attacks"
        )


def _nsl(rows: Sequence[Sequence[str]], attack: np.ndarray, columns: Sequence[int], seed: int) -> list[float]:
    order = np.random.default_rng(seed).permutation(len(rows))
    half = len(rows) // 2
    learned = order[:half][~attack[order[:half]]]
    judged = order[half:]
    matrix = _nsl_matrix(rows, columns, learned)
    ensemble = fit(matrix[learned], seed)
    scores = ensemble.score(matrix[judged])
    normal, attacks = scores[~attack[judged]], scores[attack[judged]]
    found = rank(normal, attacks)
    limit = np.quantile(ensemble.score(matrix[learned]), 0.995)
    return [
        found.area_under_curve,
        found.average_precision,
        found.recall_at_1_percent,
        float(np.mean(attacks > limit)),
        float(np.mean(normal > limit)),
    ]


def _nsl_matrix(rows: Sequence[Sequence[str]], columns: Sequence[int], learned: np.ndarray) -> Numbers:
    """Return amounts as logarithms, shares as they are, words as rarity and as marks of the common ones."""
    made: list[Numbers] = []
    for column in columns:
        values = [row[column] for row in rows]
        if column not in CATEGORIES:
            numbers = np.array(values, dtype=np.float64)
            made.append(np.log10(1 + numbers) if numbers.max() > 2 else numbers)
            continue
        counts = Counter(values[index] for index in learned)
        total = len(learned)
        made.append(-np.log10(np.array([counts.get(value, 0.5) / total for value in values])))
        common = sorted(word for word, count in counts.items() if count > 0.01 * total)
        made.extend(np.array([value == word for value in values], dtype=np.float64) for word in common)
    return np.column_stack(made)


def _precision(found: float, false: float, share: float) -> float:
    return found * share / max(1e-12, found * share + false * (1 - share))


def beacon() -> None:
    """Inject beacons; the background are the pairs of two benign hosts' own days.

    ``steady`` is the score as the detector uses it: zero for fewer than 24 calls or three hours.
    """
    background = _background()
    scored = [(_rita(times, sizes), _steady(times, sizes)) for times, sizes in background]
    limits = [float(np.quantile([pair[part] for pair in scored], 0.99)) for part in (0, 1)]
    print(
        f"background {len(background)} pairs; score at 1 % FPR: RITA {limits[0]:.3f}, steady {limits[1]:.3f}"
    )
    taken = sum(_detected(times, sizes) for times, sizes in background)
    print(f"  the detector takes {taken} of the background (its settings were chosen on it)")
    chooser = np.random.default_rng(1)
    for hours in (24, 8):
        for jitter in (0.0, 0.2, 0.5, 0.9):
            hits = np.array([_injected(chooser, hours, jitter, limits) for _ in range(300)]).mean(axis=0)
            print(
                f"  {hours:2} h, jitter {jitter}: TPR RITA {hits[0]:.2f}, steady {hits[1]:.2f}, detector {hits[2]:.2f}"
            )


def _background() -> list[tuple[Numbers, Numbers]]:
    zeek = SHARED / "anomaly" / "zeek"
    calls: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
    for path in (
        zeek / "010-zeek-mixed__data__conn.log.labeled.gz",
        zeek / "012-zeek-mixed__data__conn.log.labeled.gz",
    ):
        for event in read(path):
            source, peer = str(event.get("source.ip")), str(event.get("destination.ip"))
            if not source.startswith("147.32.") or peer.startswith(("224.", "239.", "255.", "ff")):
                continue
            at = parse_instant(str(event["@timestamp"])).timestamp()
            size = event.get("source.bytes", 0)
            calls[path.name, source, peer].append((at, float(size) if isinstance(size, int) else 0.0))
    pairs = [np.array(sorted(rows)) for rows in calls.values() if len(rows) >= 4]
    return [(pair[:, 0], pair[:, 1]) for pair in pairs]


def _rita(times: Numbers, sizes: Numbers) -> float:
    start = float(np.floor(times[0] / DAY) * DAY)
    found = rita_score(times, sizes, start=start, end=start + DAY)
    return found.score if found else 0.0


def _injected(chooser: np.random.Generator, hours: int, jitter: float, limits: Sequence[float]) -> list[bool]:
    """Make one beacon with 5 % lost calls and sizes that vary by a fifth; tell which scores pass their limits."""
    every = float(chooser.choice([60.0, 300.0, 600.0]))
    gaps = every * (1 - jitter * chooser.random(int(hours * 3_600 / every)))
    times = (DAY - hours * 3_600) * chooser.random() + np.cumsum(gaps)
    times = times[chooser.random(len(times)) > 0.05]
    sizes = np.maximum(60, chooser.normal(800, 160, len(times)))
    return [_rita(times, sizes) > limits[0], _steady(times, sizes) > limits[1], _detected(times, sizes)]


def _detected(times: Numbers, sizes: Numbers) -> bool:
    found = measure((times * 1e6).astype(np.int64).tolist(), sizes.tolist())
    return found is not None and is_beacon(found)


def _steady(times: Numbers, sizes: Numbers) -> float:
    found = measure((times * 1e6).astype(np.int64).tolist(), sizes.tolist())
    return found.steady if found else 0.0


def tunnel() -> None:
    """Count windows of five minutes; the hourly thresholds apply to each as they are."""
    for path in sorted((SHARED / "anomaly" / "dns-tunnel").glob("*.xz")):
        events = [event for event in read(path) if event.get("event.dataset") == "packets.dns"]
        _windows(path.name, events)
    events = read(SHARED / "anomaly" / "zeek" / "brim" / "zeek-default__dns.log.gz")
    clients = {event.get("source.ip") for event in events}
    _windows(f"brim, {len(clients)} clients", events)


def _windows(name: str, events: Sequence[Event]) -> None:
    spans: dict[datetime, list[Event]] = defaultdict(list)
    for event in events:
        spans[window_start(parse_instant(str(event["@timestamp"])), timedelta(minutes=5))].append(event)
    found = sum(bool(judge(DnsTunnel(), span)) for span in spans.values())
    whole = judge(DnsTunnel(), events)
    print(f"  {name}: {found} of {len(spans)} windows; whole: {[(d.entity.value, d.peer) for d in whole]}")


def scans() -> None:
    """List what each recording raises."""
    zeek = SHARED / "anomaly" / "zeek"
    for path in sorted(zeek.glob("*conn.log*")):
        events = read(path)
        found = [
            item for detector in default_detectors() for item in judge(detector, events, ["147.32.0.0/16"])
        ]
        counts = Counter((item.kind, item.severity.value) for item in found)
        print(f"  {path.name}: {len(events)} flows: {dict(counts)}")


def speed() -> None:
    """Time training, scoring and the plain detectors on made-up flows."""
    events = school_flows(40_000)
    started = time.process_time()
    model = train_from_events(events)
    print(f"  train on 40,000 flows: {time.process_time() - started:.2f} s")
    samples = gather(school_flows(40_000, seed=2, start=86_400), private_ranges)
    started = time.process_time()
    model.ensemble.score(rows_of(samples, model.usual))
    print(f"  score: {len(samples) / (time.process_time() - started):,.0f} flows/s")
    found = evaluate_events(model, school_flows(40_000, seed=3, start=172_800))
    print(f"  another day: {found.normal_alerts} alerts in {found.normal_days:.2f} unit days")
    for detector in default_detectors():
        started = time.process_time()
        judge(detector, events)
        print(f"  {detector.id}: {len(events) / (time.process_time() - started):,.0f} flows/s")


def read(path: Path) -> list[Event]:
    """Return the events of a file."""

    def context(_source: OpenSource) -> ReadContext:
        return ReadContext(datetime(2026, 11, 23, tzinfo=UTC), organization_id="u1", keep_original=False)

    events, _ = collect(read_paths([str(path)], context))
    return events


def judge(detector: WindowDetector, events: Sequence[Event], inside: Sequence[str] = ()) -> list[Detection]:
    """Return what the detector finds in the windows that hold events."""
    site = Site(AddressPlan(inside))
    timed = sorted(
        ((parse_instant(str(event["@timestamp"])), event) for event in events), key=lambda row: row[0]
    )
    found: list[Detection] = []
    for start in sorted({window_start(at, detector.window) for at, _ in timed}):
        window = Window("u1", "default", start, start + detector.window)
        chosen = [event for at, event in timed if start - detector.lookback <= at < window.end]
        found.extend(detector.detect(window, [chosen], site))
    return found


if __name__ == "__main__":
    random.seed(0)
    main()
