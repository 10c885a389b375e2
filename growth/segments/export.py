"""Lists that leave: pseudonyms re-keyed for their recipient, safe in a spreadsheet."""

from __future__ import annotations

import csv
import hmac
import io
import json
import os
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from growth.engine import as_table, fetch, need_columns
from growth.errors import DataError, ParameterError, SecretMissingError
from growth.result import Cell, Notice, Result
from growth.segments.audit import append_audit, need_purpose
from growth.segments.sizes import MIN_SIZE
from growth.stats.arguments import names_of, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from growth.engine import TableLike
    from growth.segments.rules import Rules

__all__ = ["Export", "export", "safe_text"]

KEY: Final = "GROWTH_EXPORT_KEY"
MIN_KEY_BYTES: Final = 32
HEX: Final = 32
RISKY: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Export(Result):
    """A list that left.

    Parameters
    ----------
    path : str
        The file.
    users : int
        Rows.
    columns : tuple of str
        What was written of each.
    recipient : str
        Whom ids were re-keyed for; "" kept the pseudonyms of the dataset.
    expires : date
        When the list is to be deleted.
    escaped : int
        Texts that a spreadsheet would have run, made safe.
    """

    path: str
    users: int
    columns: tuple[str, ...]
    recipient: str
    expires: date
    escaped: int

    @property
    def verdict(self) -> str:
        """`rekeyed` for a recipient, else `pseudonyms`."""
        return f"segments.export.{'rekeyed' if self.recipient else 'pseudonyms'}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a column written."""
        return [{"column": name} for name in self.columns]


def safe_text(text: str) -> str:
    """Return text that a spreadsheet shows and never runs.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        With a leading ``'`` where it begins with ``= + - @``, a tab or a return.

    Examples
    --------
    >>> safe_text("=1+1"), safe_text("a=b")
    ("'=1+1", 'a=b')
    """
    return f"'{text}" if text.startswith(RISKY) else text


def export(  # noqa: PLR0913  (what, for whom, why, and how long)
    table: TableLike,
    path: str | os.PathLike[str],
    *,
    purpose: str,
    columns: Sequence[str] = (),
    recipient: str = "",
    rules: Rules | None = None,
    as_of: date | None = None,
    min_size: int = MIN_SIZE,
    expires_days: int = 30,
    bom: bool = False,
    audit: str | os.PathLike[str] | None = None,
    run: str = "",
    user_col: str = "user_id",
) -> Export:
    """Write a list of users for somebody else, and a line in the audit.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        A row a user: those of one segment.
    path : path
        A file that ends in ``.csv`` or ``.parquet``.
    purpose : str
        What it is for; kept in the audit.
    columns : sequence of str, optional
        What is written of each user besides the id; the id alone if omitted.
    recipient : str, default ""
        Ids are hashed anew for it with the key in ``GROWTH_EXPORT_KEY``: two
        recipients cannot join their lists. The dataset's pseudonyms if empty.
    rules : Rules, optional
        Whose hashes are kept with the list.
    as_of : datetime.date, optional
        The last day counted, kept with the list.
    min_size : int, default 50
        A smaller list is refused; 1 allows any.
    expires_days : int, default 30
        Days until the list is to be deleted: keyed hashes stay personal data.
    bom : bool, default False
        Begin a CSV with a byte-order mark, for old spreadsheets.
    audit : path, optional
        Folder of the audit; that of the file if omitted.
    run : str, default ""
        Which run this is, for the audit.
    user_col : str, default "user_id"
        Who.

    Returns
    -------
    Export
        What was written.

    Raises
    ------
    ParameterError
        If there is no purpose (code ``purpose_missing``), the file ends in
        anything else (``bad_format``), `min_size` or `expires_days` is below 1
        (``bad_limit``), or a column is named twice (``repeated_column``).
    SecretMissingError
        If there is a recipient and no key of 32 bytes.
    ColumnNotFoundError
        If a column is missing.
    DataError
        If the list is too small (code ``segment_too_small``), a row has no user
        (``null_key``), a user has two rows (``repeated_user``), or an id or text
        looks like an openid or a mobile number (``raw_identifier``).

    Notes
    -----
    CSV is RFC 4180 in UTF-8. Ids are the first 32 hexadecimal digits of
    HMAC-SHA256(key, ``recipient|id``); rows are sorted by the id that is written.
    The file is written aside and renamed.
    """
    need_purpose(purpose)
    target = Path(path)
    if target.suffix not in (".csv", ".parquet"):
        msg = f"path ends in {target.suffix!r}; it must end in .csv or .parquet; rename"
        raise ParameterError(f"{msg} it.", code="bad_format")
    min_size = whole(min_size, "min_size", least=1, code="bad_limit")
    expires_days = whole(
        expires_days, "expires_days", least=1, most=3650, code="bad_limit"
    )
    named = names_of(columns, "columns")
    _refuse_columns(named, user_col)
    rekey = _rekey(recipient)
    source = as_table(table)
    need_columns(source, [user_col, *named])
    rows = fetch(source.select(user_col, *named), "reading a list")
    rows = rows.sort_by(user_col)
    _refuse_unlisted(rows[user_col].to_pylist(), user_col)
    if len(rows) < min_size:
        msg = (
            f"the list holds {len(rows)} users; {min_size} or more can be shared; take"
        )
        msg = f"{msg} a larger segment, or none."
        raise DataError(msg, code="segment_too_small")
    _refuse_raw(rows, [user_col, *named])
    ids = [rekey(str(one)) for one in rows[user_col].to_pylist()]
    if recipient:  # in the order of its own ids: places of two lists do not match
        order = sorted(range(len(ids)), key=ids.__getitem__)
        ids, rows = [ids[i] for i in order], rows.take(order)
    expires = datetime.now(UTC).date() + timedelta(days=expires_days)
    hashes = rules.hashes() if rules is not None else {}
    if target.suffix == ".csv":
        body, escaped = _csv(rows, ids, user_col, named, bom=bom)
    else:
        facts = {"rule_hashes": hashes, "as_of": as_of and as_of.isoformat(),
                 "expires": expires.isoformat(), "purpose": purpose}  # fmt: skip
        body, escaped = _parquet(rows, ids, user_col, facts), 0
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{uuid4().hex[:8]}")
    aside.write_bytes(body)
    aside.replace(target)
    append_audit(
        audit or target.parent,
        verb="export",
        purpose=purpose,
        rows=len(rows),
        columns=[user_col, *named],
        rule_hashes=hashes,
        run=run,
        recipient=recipient,
        expires=expires.isoformat(),
        file=target.name,
    )
    notice = Notice("segments_list_expires", "info", (("day", expires.isoformat()),))
    return Export(
        path=str(target),
        users=len(rows),
        columns=(user_col, *named),
        recipient=recipient,
        expires=expires,
        escaped=escaped,
        notices=(notice,),
    )


def _rekey(recipient: str) -> Any:  # noqa: ANN401
    """Return what turns an id into the recipient's own."""
    if not recipient:
        return lambda one: one
    key = os.environ.get(KEY, "").encode("utf-8", "surrogateescape")
    if len(key) < MIN_KEY_BYTES:
        seen = f"of {len(key)} bytes" if key else "not set"
        msg = f"the environment variable {KEY} is {seen}; it must hold a secret of"
        msg = f"{msg} {MIN_KEY_BYTES} bytes or more; make one with `openssl rand -hex"
        raise SecretMissingError(f"{msg} 32` and export it.")

    def rekey(one: str) -> str:
        message = f"{recipient}|{one}".encode()
        return hmac.digest(key, message, "sha256").hex()[:HEX]

    return rekey


def _refuse_columns(named: Sequence[str], user_col: str) -> None:
    if user_col in named:
        msg = f"columns names {user_col!r}; the id is always written, as the first"
        msg = f"{msg} column; leave it out of columns."
        raise ParameterError(msg, code="repeated_column")
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice is not None:
        msg = f"columns names {twice!r} twice; each is written once; leave one out."
        raise ParameterError(msg, code="repeated_column")


def _refuse_unlisted(users: Sequence[Any], user_col: str) -> None:
    """Refuse rows of nobody, and two rows of one user."""
    nobody = sum(one is None or one != one for one in users)  # noqa: PLR0124  (NaN)
    if nobody:
        msg = f"column {user_col!r} is NULL in {nobody} of {len(users)} rows; each row"
        msg = f"{msg} of a list must be a user; filter these rows out."
        raise DataError(msg, code="null_key")
    distinct = len({str(one) for one in users})
    if distinct < len(users):
        msg = f"the list holds {len(users)} rows of {distinct} users; it must hold one"
        msg = f"{msg} row a user; make one of the rows of each (distinct, or sums)."
        raise DataError(msg, code="repeated_user")


def _refuse_raw(rows: Any, names: Sequence[str]) -> None:  # noqa: ANN401
    from growth.dataset.personal import looks_like_id

    for name in names:
        for value in rows[name].to_pylist():
            if value is not None and looks_like_id(str(value)):
                msg = f"column {name!r} holds what looks like an openid or a mobile"
                msg = f"{msg} number; only pseudonyms leave; load the data through a"
                raise DataError(f"{msg} mapping with ids.", code="raw_identifier")


def _csv(
    rows: Any,  # noqa: ANN401
    ids: Sequence[str],
    user_col: str,
    columns: Sequence[str],
    *,
    bom: bool,
) -> tuple[bytes, int]:
    escaped = 0

    def cell(value: object) -> object:
        nonlocal escaped
        if isinstance(value, str):
            safe = safe_text(value)
            escaped += safe != value
            return safe
        return "" if value is None else value

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([cell(name) for name in (user_col, *columns)])
    listed = [rows[name].to_pylist() for name in columns]
    for one, *values in zip(ids, *listed, strict=True):
        writer.writerow([cell(one), *map(cell, values)])
    return text.getvalue().encode("utf-8-sig" if bom else "utf-8"), escaped


def _parquet(
    rows: Any,  # noqa: ANN401
    ids: Sequence[str],
    user_col: str,
    facts: dict[str, Any],
) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    at = rows.schema.get_field_index(user_col)
    rows = rows.set_column(at, user_col, pa.array(list(ids), pa.string()))
    rows = rows.replace_schema_metadata({"growth": json.dumps(facts)})
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd")
    return bytes(sink.getvalue())
