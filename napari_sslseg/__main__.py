"""``napari-sslseg`` and ``python -m napari_sslseg``: all that is there before anything is imported.

Importing takes seconds, and Ctrl-C may come within them.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line, see `cli.main`.

    Raises
    ------
    SystemExit
        With its exit code; 130 after Ctrl-C.
    """
    try:
        from .cli import main as run

        run()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
