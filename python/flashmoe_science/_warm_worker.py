"""``python -m flashmoe_science._warm_worker``: compiles what the process that runs it asks for.

Reads lines: first [manifest, targets, options] in JSON, then the indices of kernels. Answers each
of those with a line: true if it compiled it, false if it was there, or what went wrong.
"""

from __future__ import annotations

import json
import sys

from ._errors import Error
from ._native import native


def main() -> None:
    """Works until there are no more lines."""
    manifest, targets, options = json.loads(sys.stdin.readline())
    native.configure(options)
    plan = native.warm_plan(manifest, tuple(targets))["handle"]
    for line in sys.stdin:
        try:
            answer = native.warm_kernel(plan, int(line))
        except Error as error:
            answer = {"code": error.code, "message": error.message, "detail": error.detail}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
