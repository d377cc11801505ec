"""How fast Example 1 trains, against a loop in C and against a loop of compiled updates.

Run it with `make benchmark`. Everything is timed in this one run, after a first call that
compiles, and waits for the device; what counts are the ratios.
"""

import ctypes
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from lectures import run_code_cells  # noqa: E402

EPOCHS = 500
REPEAT = 9

C_LOOP = """
#include <math.h>
void train(int n, int points, int epochs, float step, const float *x, const float *y,
           const int *order, float *w, float *b) {
  float nodes[64], slope[64];
  for (int u = 0; u < epochs * points; u++) {
    int m = order[u];
    nodes[0] = x[m];
    for (int i = 0; i < n; i++) {
      float z = w[i] * nodes[i] + b[i];
      nodes[i + 1] = i < n - 1 ? 1 / (1 + expf(-z)) : z;
      slope[i] = i < n - 1 ? nodes[i + 1] * (1 - nodes[i + 1]) : 1;
    }
    float message = nodes[n] - y[m];
    for (int i = n - 1; i >= 0; i--) {
      float back = message * slope[i], weight = w[i];
      w[i] -= step * back * nodes[i];
      b[i] -= step * back;
      message = back * weight;
    }
  }
}
"""


def best(run):
    """Shortest time of `run` in seconds, after one call to compile, and that first call's time."""
    start = perf_counter()
    run()
    first = perf_counter() - start
    times = []
    for _ in range(REPEAT):
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    return min(times), first


def c_loop(params, grid, f_vals, orders):
    """A function that trains by the loop in C, or None without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    folder = Path(tempfile.mkdtemp())
    (folder / "train.c").write_text(C_LOOP)
    command = [
        compiler,
        "-O3",
        "-shared",
        "-fPIC",
        "-o",
        folder / "train.so",
        folder / "train.c",
        "-lm",
    ]
    subprocess.run(command, check=True)
    train = ctypes.CDLL(str(folder / "train.so")).train
    floats, ints = np.ctypeslib.ndpointer(np.float32), np.ctypeslib.ndpointer(np.int32)
    train.argtypes = [ctypes.c_int] * 3 + [ctypes.c_float, floats, floats, ints, floats, floats]
    x, y, order = np.float32(grid), np.float32(f_vals), np.int32(orders).reshape(-1)

    def run():
        w, b = np.array(params.w), np.array(params.b)
        train(len(w), len(x), EPOCHS, 0.01, x, y, order, w, b)
        return w, b

    return run


def main():
    ns = run_code_cells("back_prop")
    start, grid, f_line, key = ns["params_start"], ns["grid"], ns["f_line"], ns["key_train"]
    rows = []

    def scanned(grad):
        def run():
            return jax.block_until_ready(
                ns["train"](start, grid, f_line, key, grad=grad, num_epochs=EPOCHS)
            )

        return run

    for name in ("grad_ad", "grad_la", "grad_bp"):
        rows.append((f"train with {name}", *best(scanned(ns[name]))))

    @jax.jit
    def one_update(params, x, y):
        return ns["update"](params, ns["grad_la"](params, x, y), 0.01)

    def loop_of_updates(updates=2000):
        params = start
        for m in range(updates):
            params = one_update(params, grid[m % len(grid)], f_line[m % len(grid)])
        jax.block_until_ready(params)

    seconds, first = best(loop_of_updates)
    share = EPOCHS * len(grid) / 2000
    rows.append(("a Python loop of compiled updates", seconds * share, first))

    keys = jax.random.split(key, EPOCHS)
    orders = jax.vmap(jax.random.permutation, (0, None))(keys, len(grid))
    run = c_loop(start, grid, f_line, orders)
    if run:
        rows.append(("a loop in C", *best(run)))
        expected = scanned(ns["grad_bp"])()[0]
        np.testing.assert_allclose(run()[0], expected.w, rtol=1e-2)
    else:
        print("No C compiler (cc) found: the ratios are to the fastest row.")

    unit = rows[-1][1] if run else min(seconds for _, seconds, _ in rows)
    print(f"Example 1, {EPOCHS * len(grid)} updates, on {jax.devices('cpu')[0]}")
    print(f"{'':36}{'run (ms)':>10}{'ratio':>8}{'first call (s)':>16}")
    for name, seconds, first in rows:
        print(f"{name:36}{seconds * 1e3:10.1f}{seconds / unit:8.1f}{first:16.2f}")


if __name__ == "__main__":
    main()
