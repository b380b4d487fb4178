"""Read the CSV files of a folder as one table, and say exactly what is wrong with them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

MISSING = ["", "NA", "NaN"]  # only these: pandas would also take "None", "null", "n/a", ...


class DataError(ValueError):
    """The data cannot be used; the message names the file and the column."""


def csv_files(folder: Path) -> list[Path]:
    """Return the folder's CSV files in order of their names, at least one."""
    if not folder.is_dir():
        raise DataError(f"there is no data folder {folder}")
    files = sorted(folder.rglob("*.csv"))
    if not files:
        raise DataError(f"there is no CSV file in {folder}")
    return files


def fingerprint(folder: Path) -> str:
    """Return one SHA-256 for all CSV files of a folder: their names and their content."""
    digest = hashlib.sha256()
    for path in csv_files(folder):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{content}  {path.relative_to(folder).as_posix()}\n".encode())
    return digest.hexdigest()


def read_table(
    folder: Path,
    *,
    numbers: Sequence[str] = (),
    categories: Sequence[str] = (),
    target: str | None = None,
) -> pd.DataFrame:
    """Read these columns of all CSV files in a folder.

    Numbers become floats, everything else text; a missing value is NaN.
    Rows without a target are dropped.
    """
    wanted = [*numbers, *categories, *([target] if target else [])]
    table = pd.concat(
        [_read_file(path, wanted, numbers) for path in csv_files(folder)], ignore_index=True
    )
    if target:
        table = table.dropna(subset=[target]).reset_index(drop=True)
    if table.empty:
        raise DataError(f"no rows{f' with a {target}' if target else ''} in the files of {folder}")
    return table


def _read_file(path: Path, wanted: list[str], numbers: Sequence[str]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=object, keep_default_na=False, na_values=MISSING)
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} is not a CSV file with a header line: {error}") from error
    absent = [column for column in wanted if column not in table.columns]
    if absent:
        raise DataError(
            f"{path.name} has no column {', '.join(absent)};"
            f" its columns are {', '.join(table.columns)}"
        )
    for column in numbers:
        table[column] = _to_numbers(table[column], path)
    return table[wanted]


def _to_numbers(column: pd.Series, path: Path) -> pd.Series:
    values = pd.to_numeric(column, errors="coerce").astype(float)
    wrong = column[values.isna() & column.notna()]
    if not wrong.empty:
        row = wrong.index[0] + 1
        raise DataError(
            f"{path.name}, row {row}, column {column.name}: {wrong.iloc[0]!r} is not a number"
        )
    return values
