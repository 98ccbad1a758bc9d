#!/usr/bin/env python3
"""Copies a gem.routing file, whole or with some of its requests, in a small form.

The requests kept are whole and evenly spread over the file: of R requests, number floor((i + 1/2) R / N) for
i = 0 .. N - 1. Attributes are kept; `subset` says what was kept, and `command_line` how the file was made.
Ids are stored one layer a chunk, which compresses about 15 % better than tokens with all layers.

    analysis/subset_routing.py --routing whole.h5 --output part.h5 --requests 300
"""

import argparse
import os
import shlex
import sys

try:
    import h5py
    import numpy as np
except ImportError as missing:
    if not {"-h", "--help"} & set(sys.argv[1:]):
        sys.exit(f"{sys.executable} has no {missing.name}; install python3-h5py (Debian, Ubuntu) or use another Python")


def kept_requests(request_count, wanted):
    if wanted == 0:
        return np.arange(request_count)
    if wanted > request_count:
        sys.exit(f"--requests {wanted}: the file has {request_count}")
    return ((np.arange(wanted) + 0.5) * request_count / wanted).astype(np.int64)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--routing", required=True, metavar="FILE", help="gem.routing file to read")
    parser.add_argument("--output", required=True, metavar="FILE", help="gem.routing file to write")
    parser.add_argument("--requests", type=int, default=0, metavar="N", help="how many requests to keep (default: all)")
    options = parser.parse_args()

    with h5py.File(options.routing, "r") as whole:
        attributes = dict(whole.attrs)
        if attributes.get("format") != "gem.routing":
            sys.exit(f"{options.routing}: attribute format is {attributes.get('format')!r}, not 'gem.routing'")
        offsets = whole["request_offsets"][:]
        of_layers = {name: whole[name][:] for name in ("layer_ids", "experts_of_layer") if name in whole}
        kept = kept_requests(len(offsets) - 1, options.requests)
        tokens = np.concatenate([np.arange(offsets[r], offsets[r + 1]) for r in kept])
        topk_ids = whole["topk_ids"][:][tokens]

    lengths = (offsets[1:] - offsets[:-1])[kept]
    attributes["command_line"] = shlex.join(["subset_routing.py", "--routing", os.path.basename(options.routing),
                                             "--output", os.path.basename(options.output),
                                             "--requests", str(options.requests)])
    if len(kept) < len(offsets) - 1:
        attributes["subset"] = (f"{len(kept)} of {len(offsets) - 1} requests, whole and evenly spread over the file "
                                f"({len(tokens)} of {offsets[-1]} tokens)")
    partial = options.output + ".partial"
    with h5py.File(partial, "w") as part:
        for name, value in attributes.items():
            part.attrs[name] = value
        for name, values in of_layers.items():
            part[name] = values
            part[name].attrs["units"] = "1"
        part["request_offsets"] = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        part.create_dataset("topk_ids", data=topk_ids, chunks=(min(len(tokens), 65536), 1, topk_ids.shape[2]),
                            shuffle=True, compression="gzip", compression_opts=9)
        part["request_offsets"].attrs["units"] = "token"
        part["topk_ids"].attrs["units"] = "1"
        part["topk_ids"].attrs["dims"] = "token, moe_layer, rank_in_topk"
    os.replace(partial, options.output)
    print(f"{options.output}: {len(kept)} requests, {len(tokens)} tokens, {os.path.getsize(options.output)} bytes")


if __name__ == "__main__":
    main()
