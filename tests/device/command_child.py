"""A device by the protocol of src/device/command/README.md, in as few lines as that takes; and, for tests, what a
program can do wrong at a load: command_child.py [FAULT [SECONDS_A_ROW]]."""
import json
import sys
import time

fault = sys.argv[1] if len(sys.argv) > 1 else ""
row_s = float(sys.argv[2]) if len(sys.argv) > 2 else 1e-6
if fault == "noisy":
    print("starting up", file=sys.stderr)
for line in sys.stdin:
    request = json.loads(line)
    answer = {"id": request["id"]}
    if request["request"] == "close":
        break
    if request["request"] == "open":
        assert request["hidden_size"] > 0 and request["experts"] > 0
        answer.update(protocol=2 if fault == "version" else 1, name="stated", kernel="a law", version="1")
        answer["uuid"] = fault[5:] if fault.startswith("uuid:") else ""
        answer["tiles"] = 16
        if fault == "bf16 alone" and request["dtype"] != "bf16":
            answer = {"id": request["id"], "error": f"a law runs in bf16, not in {request['dtype']}; give --dtype bf16"}
        if fault == "steps":
            answer["tiles"] = [{"up_to_rows": 64, "tile_tokens": 16}, {"tile_tokens": 64}]
        if fault == "bad steps":
            answer["tiles"] = [{"up_to_rows": 64, "tile_tokens": 16}, {"up_to_rows": 64, "tile_tokens": 8}, {"tile_tokens": 1}]
        if fault == "no tiles":
            del answer["tiles"]
    if request["request"] == "load":
        seconds = 1e-5 + row_s * sum(-(-count // 16) * 16 for count in request["tokens"])
        answer.update(seconds=[seconds] * request["samples"], clock_hz=1.5e9)
        if fault == "dies":
            print("out of memory on the device", file=sys.stderr)
            sys.exit(7)
        if fault == "hangs":
            print("waiting for the device", file=sys.stderr, flush=True)
            time.sleep(600)
        if fault == "rubbish":
            print("INFO: compiling kernels")
        if fault == "other":
            answer["id"] += 1
        if fault == "refuses":
            answer = {"id": request["id"], "error": "this engine knows no such load; ask for less"}
        if fault in ("NaN", "0", "-1", "1e3", "null"):
            answer["seconds"] = [float(fault) if fault != "null" else None]
        time.sleep(seconds)
    print(json.dumps(answer), flush=True)
