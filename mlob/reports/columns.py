"""Tables of text: in plain columns, or in Markdown; columns of words to the left, of numbers to the right."""

from collections.abc import Iterable, Sequence

WORDS = (  # columns of text; the others are numbers, to the right
    *("method", "model", "thresholds", "weights", "note"),
    *("network", "reads", "its original reported", "here instead"),
)


def aligned(headers: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Align rows in plain columns, as wide as they need to be."""
    lines = [headers, *cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(f"{'  '.join(map(_padded, line, widths, headers)).rstrip()}\n" for line in lines)


def piped(headers: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Give rows as a table in Markdown."""
    dashes = ["---" if header in WORDS else "---:" for header in headers]
    escaped = [[cell.replace("|", r"\|") for cell in line] for line in cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in (headers, dashes, *escaped))


def of_lines(lines: Iterable[dict[str, str]]) -> tuple[list[str], list[list[str]]]:
    """Give the headers and cells of lines, {header: cell}, without the columns that are empty."""
    lines = list(lines)
    headers = [header for header in lines[0] if any(line[header] for line in lines)]
    return headers, [[line[header] for header in headers] for line in lines]


def _padded(cell: str, width: int, header: str) -> str:
    return cell.ljust(width) if header in WORDS else cell.rjust(width)
