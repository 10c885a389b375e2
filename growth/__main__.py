"""The `growth` command; without the extra that holds it, says how to get it."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line.

    Returns
    -------
    int
        The exit code; 2 where click, which the extra `engine` brings, is missing.
    """
    try:
        from growth.cli import main as run
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.stderr.write(
            "error[extra_missing] the growth command needs click, which is not "
            "installed; the core leaves it out, the extra 'engine' brings it; in a "
            "checkout run: pip install '.[notebooks]'\n"
        )
        return 2
    return run()


if __name__ == "__main__":
    raise SystemExit(main())
