"""What tools/check_wheel.sh runs in an environment with nothing but the wheel and NumPy.

    python try_wheel.py QUICK_START    README's quick start, on the CPU, and whether it is right
    python try_wheel.py                what is said where LLVM, or NVRTC, isn't there
"""

import os
import runpy
import sys


def run(quick_start: str) -> None:
    """Runs it, and compares what it computed with double precision."""
    ran = runpy.run_path(quick_start)
    np, out, lse = ran["np"], ran["out"], ran["lse"]
    q, k, v = (ran[name].astype("float64") for name in "qkv")
    if not (ran["y"] == 2 * ran["x"]).all():
        sys.exit(f"the kernel scaled x to {ran['y']}")
    scores = np.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5
    scores[..., ~np.tri(q.shape[1], dtype=bool)] = -np.inf
    sums = np.exp(scores).sum(-1)
    exact = np.einsum("bhqk,bkhd->bqhd", np.exp(scores) / sums[..., None], v)
    off = max(abs(out - exact).max(), abs(lse - np.log(sums)).max())
    if not off < 1e-5:
        sys.exit(f"attention is off by {off}")
    print(f"off by {off:.1e}, with NumPy {np.__version__}")


def run_without() -> None:
    """Hides one library after the other; what needs it must say so, and what to do."""
    os.environ["FMS_LLVM"] = os.environ["FMS_NVRTC"] = "/nowhere"
    import flashmoe_science as fms

    kernel = fms.jit('extern "C" __global__ void nothing() {}')
    for target, words in (("cpu", "set FMS_LLVM"), ("cuda:sm_90a", "FMS_NVRTC")):
        try:
            kernel.code(target)
        except fms.UnavailableError as error:
            if words not in str(error):
                sys.exit(f"doesn't say what to do: {error}")
            print(f"without it: {error}")
        else:
            sys.exit(f"compiled for {target} without a compiler")


if __name__ == "__main__":
    run(sys.argv[1]) if len(sys.argv) > 1 else run_without()
