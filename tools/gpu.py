"""Give the environment the JAX that computes on an NVIDIA GPU, and make sure that it sees one."""

import subprocess
import sys
from importlib.metadata import version

HOW_TO_MEND = """\
JAX sees no GPU on this machine, though one was asked for.
`nvidia-smi` tells whether the driver works. Without `make gpu` the notebooks are executed on the
CPU: `make html` sets the environment up for it anew."""


def install():
    """Install JAX's half for the GPU, at the version that is locked."""
    install = [sys.executable, "-m", "pip", "install", "--quiet", f"jax[cuda13]=={version('jax')}"]
    if subprocess.run(install).returncode:
        sys.exit("The JAX for GPUs was not installed; the lines above say why.")


def check():
    """Ask JAX for its GPUs, in a process of its own, which finds what was just installed."""
    ask = [sys.executable, "-c", "import jax; print(*jax.devices('gpu'))"]
    answer = subprocess.run(ask, capture_output=True, text=True)
    if answer.returncode:
        sys.exit(f"{answer.stderr.strip()}\n\n{HOW_TO_MEND}")
    print(f"JAX sees: {answer.stdout.strip()}")


if __name__ == "__main__":
    install()
    check()
