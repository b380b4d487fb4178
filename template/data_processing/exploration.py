"""Look at the data before modelling: one HTML page of tables and plots.

Optional: nothing else depends on it. The page is one file without scripts or links,
so it can be mailed, archived or attached to a pull request.

    python -m data_processing.exploration data/train --output build/exploration.html
"""

from __future__ import annotations

import argparse
import html
import io
from collections.abc import Iterator
from itertools import combinations, cycle
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from data_processing.preprocessing import (
    FEATURES,
    TARGET,
    Category,
    category_names,
    number_names,
)
from data_processing.reading import read_table

# Okabe and Ito's colours, which people with any colour vision can tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
COLUMNS = 3  # plots side by side

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; }
body { max-width: 66rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; }
th, td { padding: .25rem .9rem .25rem 0; border-bottom: 1px solid #ddd; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
p { color: #555; margin: .3rem 0 1rem; } svg { width: 100%; height: auto; }
"""

matplotlib.rcParams.update(
    {
        "svg.hashsalt": "exploration",  # the same data gives the same bytes
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.size": 9,
    }
)


def main(argv: list[str] | None = None) -> None:
    """Read a folder of CSV files and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with CSV files")
    parser.add_argument("--output", type=Path, default=Path("build/exploration.html"))
    arguments = parser.parse_args(argv)
    table = read_table(
        arguments.data, numbers=number_names(), categories=category_names(), target=TARGET
    )
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(page(table, arguments.data.name), encoding="utf-8")
    print(f"{arguments.output}: {len(table)} rows")


def page(table: pd.DataFrame, title: str) -> str:
    """Return the whole page."""
    sections = [
        ("Columns", "What is there, and how much of it is missing.", summary(table)),
        ("Classes", f"How many rows each {TARGET} has.", class_sizes(table)),
        ("Numbers", "A feature is useful where the colours part.", distributions(table)),
        ("Pairs of numbers", "Two features together can part what each cannot.", pairs(table)),
        ("Categories", "Rows of each category, by class.", categories(table)),
    ]
    body = "\n".join(
        f"<section><h2>{heading}</h2><p>{html.escape(explanation)}</p>{content}</section>"
        for heading, explanation, content in sections
        if content
    )
    title = html.escape(f"{title}: {len(table)} rows")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n'
        f"<body><h1>{title}</h1>\n{body}\n</body></html>\n"
    )


def summary(table: pd.DataFrame) -> str:
    """Return a table of all columns."""
    lines = ["<tr><th>Column<th>Unit<th>Missing<th>Smallest<th>Median<th>Largest<th>Values</tr>"]
    for feature in FEATURES:
        column = table[feature.name]
        if isinstance(feature, Category):
            unit, middle, values = "", ["", "", ""], ", ".join(sorted(column.dropna().unique()))
        else:
            unit, values = feature.unit, ""
            middle = [f"{value:g}" for value in (column.min(), column.median(), column.max())]
        missing = f"{column.isna().sum()} ({column.isna().mean():.1%})"
        numbers = "".join(f'<td class="number">{cell}' for cell in (missing, *middle))
        name = html.escape(feature.name)
        lines.append(f"<tr><td>{name}<td>{unit}{numbers}<td>{html.escape(values)}</tr>")
    return f"<table>{''.join(lines)}</table>"


def class_sizes(table: pd.DataFrame) -> str:
    """Draw how many rows each class has."""
    classes = colours(table)
    figure = Figure(figsize=(9, 0.4 + 0.35 * len(classes)), layout="constrained")
    axes = figure.add_subplot()
    sizes = table[TARGET].value_counts()
    bars = axes.barh(list(classes), [sizes[name] for name in classes], color=list(classes.values()))
    axes.bar_label(bars, padding=3)
    axes.invert_yaxis()
    return svg(figure)


def distributions(table: pd.DataFrame) -> str:
    """Draw a histogram of every number, the classes above one another."""
    names = number_names()
    figure, places = grid(len(names))
    for name, axes in zip(names, places, strict=True):
        groups = [table.loc[table[TARGET] == label, name].dropna() for label in colours(table)]
        axes.hist(groups, bins=20, stacked=True, color=list(colours(table).values()))
        axes.set_xlabel(name)
    legend(figure, table)
    return svg(figure) if names else ""


def pairs(table: pd.DataFrame) -> str:
    """Draw every pair of numbers as points."""
    found = list(combinations(number_names(), 2))
    figure, places = grid(len(found))
    for (across, up), axes in zip(found, places, strict=True):
        for label, colour in colours(table).items():
            rows = table[table[TARGET] == label]
            axes.scatter(rows[across], rows[up], s=8, alpha=0.6, linewidths=0, color=colour)
        axes.set_xlabel(across)
        axes.set_ylabel(up)
    legend(figure, table)
    return svg(figure) if found else ""


def categories(table: pd.DataFrame) -> str:
    """Draw how many rows of every category belong to which class."""
    names = category_names()
    figure, places = grid(len(names))
    for name, axes in zip(names, places, strict=True):
        counts = pd.crosstab(table[name].fillna("(missing)"), table[TARGET])
        below = pd.Series(0, index=counts.index)
        for label, colour in colours(table).items():
            axes.bar(counts.index, counts[label], bottom=below, color=colour)
            below += counts[label]
        axes.set_xlabel(name)
    legend(figure, table)
    return svg(figure) if names else ""


def colours(table: pd.DataFrame) -> dict[str, str]:
    """Give every class its colour, the same in all plots."""
    return dict(zip(sorted(table[TARGET].unique()), cycle(COLOURS)))


def grid(count: int) -> tuple[Figure, Iterator[Axes]]:
    """Return a figure with places for so many plots."""
    rows = max(1, -(-count // COLUMNS))
    figure = Figure(figsize=(3 * COLUMNS, 2.5 * rows + 0.3), layout="constrained")
    return figure, (figure.add_subplot(rows, COLUMNS, place + 1) for place in range(count))


def legend(figure: Figure, table: pd.DataFrame) -> None:
    """Write above the plots which colour is which class."""
    patches = [Patch(color=colour, label=label) for label, colour in colours(table).items()]
    figure.legend(handles=patches, loc="outside upper left", ncols=8, frameon=False)


def svg(figure: Figure) -> str:
    """Return the drawing as an SVG element."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :]


if __name__ == "__main__":
    main()
