"""A processor core as a device: its name and staying on it."""
import os
import platform


def one_thread():
    """Before numpy or torch is imported: products on the calling thread alone, whose time is then what they took."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"


def pin(node_rank):
    """Keeps this process on one of the cores that it may use, another for each rank of the machine."""
    one_thread()
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[node_rank % len(cores)]})


def processor_name():
    try:
        with open("/proc/cpuinfo") as info:
            names = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    except OSError:
        names = []
    return (names[0] if names else platform.machine()) + ", 1 core"


FLUSHED_BYTES = 4_000_000  # read and written before a sample: more than a core has of its own
