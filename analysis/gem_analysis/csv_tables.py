"""Records as --json prints them as tables of comma-separated values; the same rules as of GEM's other programs.

Lists of objects are tables of that name, all other members rows of the first, "result": name, value. Members of inner
objects are "outer_inner". A list within a row is its values with "; " between, one of lists has " | " between these, and of
objects it is a table "outer_inner" whose rows begin with the first member of the row that they belong to, as "of_NAME".
"""

import csv
import io

Row = dict[str, str]


def csv_text(record: dict[str, object]) -> str:
    """Each table after a line "# NAME", an empty line between them; one alone has none."""
    tables: dict[str, list[Row]] = {"result": []}
    values = _read(record, "", "", {}, tables)
    tables["result"] = [{"name": name, "value": value} for name, value in values.items()]
    shown = {name: rows for name, rows in tables.items() if any(rows)}
    return "\n".join((f"# {name}\n" if len(shown) > 1 else "") + _table_text(rows) for name, rows in shown.items())


def _read(
    members: dict[str, object], prefix: str, table: str, owner: Row, tables: dict[str, list[Row]], number: int = 0
) -> Row:
    """The object's own cells; its lists of objects become tables."""
    row: Row = {}
    for key, value in members.items():
        name = prefix + str(key)
        if isinstance(value, dict):
            row |= _read(value, name + "_", table, owner, tables, number)
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            whose = dict(owner)
            if table:
                first, cell = next(iter(row.items()), ("row", str(number + 1)))
                whose["of_" + first] = cell
            rows = tables.setdefault(table + name, [])
            for index, item in enumerate(value):
                rows.append(whose | _read(item, "", table + name + "_", whose, tables, index))
        else:
            row[name] = _cell(value)
    return row


def _cell(value: object) -> str:
    if isinstance(value, list):
        between = " | " if value and all(isinstance(item, list) for item in value) else "; "
        return between.join(_cell(item) for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _table_text(rows: list[Row]) -> str:
    text = io.StringIO()
    columns = list(dict.fromkeys(column for row in rows for column in row))
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
