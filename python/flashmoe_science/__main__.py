"""``python -m flashmoe_science doctor``: what is found on this machine."""

from __future__ import annotations

import argparse
import json
import os
import sys


def main() -> int:
    """Runs the command that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m flashmoe_science")
    commands = parser.add_subparsers(dest="command", required=True)
    doctor = commands.add_parser("doctor", help="say what is found on this machine")
    doctor.add_argument("--json", action="store_true", help="for a program to read")
    arguments = parser.parse_args()

    from . import _machine

    found = _machine.doctor()
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        _machine.print_doctor(found)
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except BrokenPipeError:  # the reader, `head` for instance, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
