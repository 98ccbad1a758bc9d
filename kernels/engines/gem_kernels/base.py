"""What all engines share: the protocol's version 1 over standard input and output, and the options of the adapters."""
import argparse
import json
import os
import sys

PROTOCOL = 1


class Refusal(Exception):
    """What can't be done, in one sentence for the user, with the remedy."""


class Engine:
    """An expert part of one MoE layer on one device. Made from the members of 'open'; a subclass sets what it is."""

    name = ""  # of the device
    uuid = ""
    kernel = ""
    version = ""
    # Rows of a tile, or steps [{"up_to_rows": 32, "tile_tokens": 16}, ..., {"tile_tokens": 128}]; None: not known.
    tiles = None

    def seconds(self, tokens, samples, cold):
        """Seconds of each sample of a load, tokens of each expert."""
        raise NotImplementedError

    def state(self):
        """clock_hz, power_w and temperature_c, those that are known."""
        return {}


def need(module, remedy):
    """The imported module; Refusal where it is absent."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Refusal(f"{module} can't be imported ({error}); {remedy}") from error


def cannot_be_told_apart(kernel):
    raise Refusal(
        f"{kernel} exchanges rows and runs experts in one kernel, so that a device's compute can't be told apart from"
        " its waiting for others; choose a kernel that runs the experts alone"
    )


def steps_of(config_of_rows, most_rows=16384):
    """The tile rule of an engine that chooses a configuration by rows: a step for each stretch of equal ones."""
    steps, last = [], None
    for rows in range(1, most_rows + 1):
        config = config_of_rows(rows)
        if config != last:
            if steps:
                steps[-1]["up_to_rows"] = rows - 1
            steps.append({"tile_tokens": config["BLOCK_SIZE_M"]})
            last = config
    return steps


def place_of(row, token_count, top_k):
    """Where a row of the device, counted expert by expert, stands among the [token, top_k] ids that are made up for it. The
    rows go round the tokens, so that no token has an expert twice; the other places are those of experts elsewhere."""
    return row % token_count * top_k + row // token_count


def check_fits(tokens, token_count, top_k):
    """Refusal where so many tokens can't make this histogram."""
    if sum(tokens) > token_count * top_k or max(tokens) > token_count:
        raise Refusal(f"{sum(tokens)} rows, {max(tokens)} of one expert, don't fit {token_count} tokens of top {top_k}")


def _answers(requests, make_engine):
    """The answer to each request, until 'close' or the end of the input."""
    engine = None
    for line in requests:
        request = json.loads(line)
        what, answer = request["request"], {"id": request["id"]}
        try:
            if what == "close":
                return
            if what == "open":
                if request["protocol"] != PROTOCOL:
                    raise Refusal(f"gem_kernels speaks protocol {PROTOCOL}, but was asked for {request['protocol']}")
                engine = make_engine(request)
                answer.update(protocol=PROTOCOL, name=engine.name, uuid=engine.uuid, kernel=engine.kernel)
                answer.update(version=engine.version)
                if engine.tiles is not None:
                    answer.update(tiles=engine.tiles)
            elif what == "load":
                answer["seconds"] = engine.seconds(tuple(request["tokens"]), request["samples"], request["cold"])
                answer.update(engine.state())
            else:
                raise Refusal(f"gem_kernels knows no request '{what}'")
        except Refusal as refusal:
            answer["error"] = str(refusal)
        except Exception as error:  # whatever an engine throws must reach the user
            import traceback

            traceback.print_exc()
            first_line = str(error).strip().partition("\n")[0]
            answer["error"] = f"the engine failed with {type(error).__name__}: {first_line}"
        yield answer


def serve(make_engine, description, options=None):
    """Runs an adapter: make_engine(opening, arguments) makes its Engine; options(parser) adds its own options."""
    parser = argparse.ArgumentParser(description=description)
    if options:
        options(parser)
    arguments = parser.parse_args()
    # The answers have the standard output for themselves: what libraries print goes to the standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        for answer in _answers(sys.stdin, lambda opening: make_engine(opening, arguments)):
            print(json.dumps(answer), file=answers, flush=True)
    except BrokenPipeError:
        pass  # whoever asked has ended
    os._exit(0)  # at once, whatever threads an engine has left
