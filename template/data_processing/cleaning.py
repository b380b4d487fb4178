"""Clean a raw CSV file: a step for people, before data goes under versioning.

Optional: training never calls it, so that what is versioned is exactly what is trained on.
It drops repeated rows and rows without a target, trims text, and empties numbers outside the
plausible range of `FEATURES` and names that are no category. It tells what it did.

    python -m data_processing.cleaning raw.csv data/train/penguins.csv
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import pandas as pd

from data_processing.preprocessing import FEATURES, TARGET, Number
from data_processing.reading import MISSING, DataError


def main(argv: list[str] | None = None) -> None:
    """Clean one file into another."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("raw", type=Path)
    parser.add_argument("cleaned", type=Path)
    arguments = parser.parse_args(argv)
    # As text, so that every digit that is kept stays as it was written.
    raw = pd.read_csv(arguments.raw, dtype=str, keep_default_na=False, na_values=MISSING)
    cleaned, changes = clean(raw)
    arguments.cleaned.parent.mkdir(parents=True, exist_ok=True)
    cleaned.to_csv(arguments.cleaned, index=False, lineterminator="\n")
    for change, count in changes.items():
        print(f"{count:6} {change}")
    print(f"{len(raw):6} rows read, {len(cleaned)} written to {arguments.cleaned}")


def clean(raw: pd.DataFrame) -> tuple[pd.DataFrame, Counter[str]]:
    """Return the cleaned table, whose cells are text, and how often each change was made."""
    absent = [name for name in (TARGET, *(f.name for f in FEATURES)) if name not in raw.columns]
    if absent:
        raise DataError(f"no column {', '.join(absent)}; there are {', '.join(raw.columns)}")
    changes: Counter[str] = Counter()
    table = raw.apply(lambda column: column.str.strip()).replace("", None)
    for feature in FEATURES:
        column = table[feature.name]
        if isinstance(feature, Number):
            # NaN is between nothing: what is no number goes the same way as what is too large.
            good = pd.to_numeric(column, errors="coerce").between(feature.minimum, feature.maximum)
            change = f"{feature.name} outside {feature.minimum:g} to {feature.maximum:g}, emptied"
        else:
            good = column.isin(feature.categories)
            change = f"{feature.name} not one of {', '.join(feature.categories)}, emptied"
        changes[change] = int((column.notna() & ~good).sum())
        table[feature.name] = column.where(good)
    unnamed = table[TARGET].isna()
    changes[f"rows without {TARGET}, dropped"] = int(unnamed.sum())
    table = table[~unnamed]
    repeated = table.duplicated()
    changes["repeated rows, dropped"] = int(repeated.sum())
    return table[~repeated], changes


if __name__ == "__main__":
    main()
