"""`python -m local up|down|demo|status|serve`; the Makefile's targets call it."""

import argparse
import os
import sys

from cli.client import ClientError
from local import demo, stack
from local.access import read_stack
from local.emulator import LocalError
from local.home import default_home
from local.serve import run


def main() -> int:
    """Exit status 1, with one clear sentence, when something must be put right first."""
    parser = argparse.ArgumentParser(prog="local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start the system (PORT= moves it)")
    commands.add_parser("down", help="stop it (CLEAN=1 removes its data)")
    demo.add_arguments(commands.add_parser("demo", help="start it and drive a month through it"))
    commands.add_parser("status", help="say where it runs")
    serving = commands.add_parser("serve")
    serving.add_argument("port", type=int)
    serving.add_argument("emulator_port", type=int)
    arguments = parser.parse_args()
    home = default_home()
    try:
        if arguments.command == "serve":
            run(home, arguments.port, arguments.emulator_port)
        elif arguments.command == "status":
            return 0 if stack.status(home) else 1
        elif arguments.command == "down":
            clean = os.environ.get("CLEAN", "") not in ("", "0")
            with stack.exclusive(home):
                stopped = stack.down(home, clean)
            print("stopped" if stopped else "nothing was running")
        else:
            with stack.exclusive(home):
                stack.up(home, int(os.environ.get("PORT") or 0) or None)
            if arguments.command == "demo":
                return demo.run(read_stack(home), arguments.seed, arguments.events)
    except (ClientError, LocalError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
