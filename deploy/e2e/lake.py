#!/usr/bin/env python3
"""Reads a lake on S3 as any plain reader would, and checks that everything in it is there exactly once.

In: S3_ENDPOINT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, a bucket, and how many trades are expected. Checked:
- no (topic, partition, offset) is in two objects, nor twice in one;
- there are as many trades as expected, and no trade id of a symbol twice;
- each final metrics record is there once, and all of a window's numbers are those that its trades give when they are
  folded here, in another language; all trades are in some final window.
Nothing of Finflow's code is used. Standard library alone.
"""

import argparse
import collections
import datetime
import decimal
import gzip
import hashlib
import hmac
import json
import os
import sys
import urllib.parse
import urllib.request
import xml.etree.ElementTree

decimal.getcontext().prec = 80
MINUTE_NS = 60_000_000_000


def get(path, query=(), method="GET"):
    """A request with a signature of version 4."""
    endpoint = urllib.parse.urlsplit(os.environ["S3_ENDPOINT"])
    now = datetime.datetime.now(datetime.timezone.utc)
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    quoted = urllib.parse.quote(path, safe="/-_.~")
    text = "&".join(f"{urllib.parse.quote(k, safe='')}={urllib.parse.quote(v, safe='')}" for k, v in sorted(query))
    empty = hashlib.sha256(b"").hexdigest()
    headers = {"host": endpoint.netloc, "x-amz-content-sha256": empty, "x-amz-date": stamp}
    names = ";".join(sorted(headers))
    canonical = "\n".join([method, quoted, text, *(f"{k}:{headers[k]}" for k in sorted(headers)), "", names, empty])
    scope = f"{day}/us-east-1/s3/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in (day, "us-east-1", "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    identity = os.environ["AWS_ACCESS_KEY_ID"]
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={identity}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    url = f"{endpoint.scheme}://{endpoint.netloc}{quoted}" + (f"?{text}" if text else "")
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers, method=method), timeout=60) as answer:
        return answer.read()


def keys(bucket):
    token = None
    while True:
        query = [("list-type", "2")] + ([("continuation-token", token)] if token else [])
        page = xml.etree.ElementTree.fromstring(get(f"/{bucket}", query))
        space = page.tag.split("}")[0] + "}"
        yield from (item.findtext(f"{space}Key") for item in page.iter(f"{space}Contents"))
        token = page.findtext(f"{space}NextContinuationToken")
        if not token:
            return


def rows(bucket, names, table):
    for name in names:
        if name.startswith(f"{table}/"):
            for line in gzip.decompress(get(f"/{bucket}/{name}")).splitlines():
                yield json.loads(line, parse_float=decimal.Decimal, parse_int=int)


def fail(text):
    sys.exit(f"lake: {text}")


def once(found):
    """Fails at the second row of one offset."""
    seen = set()
    for row in found:
        place = (row["_topic"], row["_partition"], row["_offset"])
        if place in seen:
            fail(f"{place} is in the lake twice")
        seen.add(place)
        yield row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bucket")
    parser.add_argument("--trades", type=int, help="so many must be there")
    parser.add_argument("--list", action="store_true", help="print the number of data objects and end")
    parser.add_argument("--twice", action="store_true", help="read one object of trades twice: to see the check fail")
    parser.add_argument("--drop", action="store_true", help="delete one object of trades and end: to see other checks fail")
    args = parser.parse_args()
    names = [name for name in keys(args.bucket) if not name.startswith("_")]
    if args.list:
        print(len(names))
        return

    if args.drop:
        get(f"/{args.bucket}/" + next(name for name in names if name.startswith("trades/")), method="DELETE")
        return

    if args.twice:
        names.append(next(name for name in names if name.startswith("trades/")))

    windows, ids, count = collections.defaultdict(list), set(), 0
    for row in once(rows(args.bucket, names, "trades")):
        identity = (row["symbol"], row["trade_id"])
        if identity in ids:
            fail(f"the trade {identity} is in the lake twice")
        ids.add(identity)
        count += 1
        price, quantity = decimal.Decimal(row["price"]), decimal.Decimal(row["quantity"])
        windows[row["symbol"], row["event_time"] // MINUTE_NS].append((row["event_time"], int(row["trade_id"]), price, quantity))
    if args.trades is not None and count != args.trades:
        fail(f"{count} trades are stored, {args.trades} were expected")

    finals = {}
    for row in once(rows(args.bucket, names, "metrics")):
        # In the lake a window is named as on the topic.
        if row["window"] == "1m" and row["final"]:
            key = (row["symbol"], row["window_start"] // MINUTE_NS)
            if key in finals:
                fail(f"the window {key} is final twice: {finals[key]} and {row}")
            finals[key] = row
    if missing := windows.keys() - finals.keys():
        fail(f"{len(missing)} windows with trades have no final record, such as {sorted(missing)[0]}")
    if more := finals.keys() - windows.keys():
        fail(f"{len(more)} final records have no trades, such as {sorted(more)[0]}")
    for key, trades in windows.items():
        trades.sort(key=lambda trade: trade[:2])
        prices = [trade[2] for trade in trades]
        folded = {
            "open": prices[0], "high": max(prices), "low": min(prices), "close": prices[-1],
            "volume": sum(trade[3] for trade in trades), "trade_count": len(trades),
            "quote_volume": sum(trade[2] * trade[3] for trade in trades),
        }
        for field, value in folded.items():
            if decimal.Decimal(finals[key][field]) != value:
                fail(f"{field} of the window {key} is {finals[key][field]}, its trades give {value}")
    print(f"lake: {count} trades in {len(names)} objects, each once; {len(windows)} windows of a minute, each final once and right")


if __name__ == "__main__":
    main()
