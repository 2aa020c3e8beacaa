"""The log of a run: one CSV line an interval, and TensorBoard where it is installed and wanted."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...volume.replacing import replacing
from .errors import DatasetError


class Log:
    """Writes numbers by step.

    The columns are those of the first line; later ones add theirs by rewriting the file, which is
    small.

    Parameters
    ----------
    path
        Of the CSV file.
    after
        Lines of later steps, which an interrupted run will write again, are dropped.
    board
        Folder for TensorBoard; None writes none.

    Raises
    ------
    DatasetError
        When TensorBoard is wanted and not installed.
    """

    def __init__(self, path: Path, after: int, board: Path | None = None) -> None:
        self._path = path
        self._rows = [row for row in read_log(path) if int(row["step"]) <= after]
        self._columns = list(self._rows[0]) if self._rows else ["step"]
        self._rewrite()
        self._board: Any = None
        if board is not None:
            # What an interrupted run will write again is hidden, as it is dropped above.
            self._board = board_writer()(str(board), purge_step=after + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Add a line, with six digits of each value; OSError where the disk does not take it."""
        row = {"step": str(step), **{k: f"{v:.6g}" for k, v in values.items()}}
        self._rows.append(row)
        new = [k for k in row if k not in self._columns]
        if new:
            self._columns += new
            self._rewrite()
        else:
            with self._path.open("a", encoding="utf-8", newline="") as file:
                csv.DictWriter(file, self._columns, restval="").writerow(row)
        if self._board is not None:
            for key, value in values.items():
                self._board.add_scalar(key, value, step)
            self._board.flush()

    def close(self) -> None:
        """Finish TensorBoard's file, if there is one."""
        if self._board is not None:
            self._board.close()

    def _rewrite(self) -> None:
        with replacing(self._path) as part, part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self._columns, restval="")
            writer.writeheader()
            writer.writerows(self._rows)


def board_writer() -> Any:
    """Return what writes TensorBoard files.

    Raises
    ------
    DatasetError
        When it is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise DatasetError(
            "TensorBoard is not installed; install it with: pip install tensorboard, or leave "
            "--tensorboard out."
        ) from error
    return SummaryWriter


def read_log(path: Path) -> list[dict[str, str]]:
    """Return the lines of a log, as text by column; none when there is no file.

    One that is cut off, as where writing was ended, is none: half a number looks like another. Nor
    is one whose step is no number.
    """
    if not path.exists():
        return []
    # What a disk has damaged is no UTF-8, and no number.
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        lines = [line for line in file if line.endswith("\n")]
    rows = [row for row in csv.DictReader(lines) if (row.get("step") or "").isdecimal()]
    return [{k: v for k, v in row.items() if k is not None and v is not None} for row in rows]
