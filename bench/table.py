#!/usr/bin/env python3
"""The median of each peer's runs, and how it stands to the floor of the same run. Reads lines of JSON."""
import json
import statistics
import sys

runs = {}
for line in sys.stdin:
    run = json.loads(line)
    if "cpu_s_per_M" in run:
        runs.setdefault(run["peer"], []).append(run)

columns = ["cpu_s_per_M", "cpu_s_per_M_after_first", "msgs_per_s", "rss_mib"]


def median(peer, column):
    values = [run[column] for run in runs[peer] if run.get(column) is not None]
    return statistics.median(values) if values else None




def floor(peer):
    """That of the aggregation; of ingest the one of the same venue and way, with the same records."""
    other = peer.replace("ingest-", "floor-", 1) if peer.startswith("ingest-") else "floor-agg"
    return median(other, "cpu_s_per_M") if other in runs else None


print(f"{'':24}{'runs':>5}{'CPU-s/M':>9}{'x floor':>9}{'after first':>13}{'messages/s':>12}{'RSS MiB':>9}")
for peer in runs:
    cpu, after, rate, rss = (median(peer, column) for column in columns)
    times = f"{cpu / floor(peer):.2f}" if floor(peer) else "-"
    after = "-" if after is None else f"{after:.2f}"
    rate = "-" if rate is None else f"{rate:,.0f}"
    print(f"{peer:24}{len(runs[peer]):>5}{cpu:>9.2f}{times:>9}{after:>13}{rate:>12}{rss:>9}")
