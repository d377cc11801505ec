"""IPython start-up file: the kernel notes how long each cell takes, and on what device.

One file per execution, in the folder that $EXECUTIONS names; build_record finds it by the cells.
A cell that was begun and did not end has no seconds: tools/build.py names it when a kernel dies.
"""


def record_executions(shell):
    import json
    import os
    import platform
    import sys
    import time
    import uuid
    from pathlib import Path

    path = Path(os.environ["EXECUTIONS"]) / f"{uuid.uuid4().hex}.json"
    record = {"cells": [], "device": None, "finished": None}
    begun = None

    def device():
        """What JAX computes on unless a cell says otherwise, and what else it sees."""
        cpu = f"cpu ({platform.machine()}, {os.cpu_count()} cores)"
        jax = sys.modules.get("jax")
        if jax is None or jax.default_backend() == "cpu":
            return cpu
        best, chosen = jax.devices()[0], jax.config.jax_default_device
        if "cpu" in (chosen, getattr(chosen, "platform", None)):
            return f"{cpu}; {best.device_kind} seen, not used"
        return best.device_kind

    def write():
        path.write_text(json.dumps(record), encoding="utf-8")

    def begin_cell(info):
        nonlocal begun
        record["cells"].append({"source": info.raw_cell, "seconds": None})
        write()
        begun = time.perf_counter()

    def end_cell(result):
        record["cells"][-1]["seconds"] = time.perf_counter() - begun
        record["finished"] = time.time()
        record["device"] = device()
        write()

    shell.events.register("pre_run_cell", begin_cell)
    shell.events.register("post_run_cell", end_cell)


record_executions(get_ipython())  # noqa: F821, IPython gives it
del record_executions
