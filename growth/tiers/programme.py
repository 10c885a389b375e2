"""The programme: what a merchant promises its members, checked as a whole.

A TOML or YAML file, a dict and a `Programme` built in Python are judged by the same
lines; one `ParameterError` lists every fault with its key path and the value seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from hashlib import blake2b
from itertools import pairwise
from math import gcd
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from growth.errors import Fault, ParameterError, suggest
from growth.tiers import rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "Cap",
    "Caps",
    "Points",
    "Programme",
    "Qualify",
    "Redeem",
    "Refunds",
    "Tier",
    "Validity",
    "Window",
    "faults_in",
    "load_programme",
    "need_programme",
]

MOST_TIERS: Final = 4
INTERACTIONS: Final = ("login", "review", "offline_visit")
KINDS: Final = ("rolling", "calendar", "anniversary", "lifetime")
ROUNDS: Final = {
    "none": 0, "month_end": 1, "quarter_end": 3, "half_year_end": 6, "year_end": 12,
}  # fmt: skip
REVIEWS: Final = {"month_end": 1, "quarter_end": 3, "year_end": 12, "window_end": 0}
DOWNGRADES: Final = ("one_down", "to_qualified", "never")
SHORTFALLS: Final = ("debt", "forgive", "deduct_cash")
CAPPED: Final = ("purchase", "review", "login", "all")
DECIMAL: Final = re.compile(r"\d{1,6}(\.\d{1,4})?")
FOUR_YEARS: Final = range(19_358, 19_358 + 1461)  # the days of 2023 to 2026
SHORTEST: Final = 28  # days of a month, at least
MOST_WORTH: Final = 10**9  # of a block: points in it, fen it is worth


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """A tier: what it asks (spend in fen, interactions; None: not) and gives.

    `earn_multiplier` and `discount_rate` are decimal text: ``"1.2"``, ``"0.02"``.
    """

    name: str = ""
    min_spend_fen: int | None = None
    min_interactions: int | None = None
    earn_multiplier: str = "1"
    discount_rate: str = "0"
    perk_fen_per_month: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What counts towards a tier: the last `months` months, or a period of them."""

    kind: Literal["rolling", "calendar", "anniversary", "lifetime"] = "rolling"
    months: int = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Qualify:
    """When a tier rises and falls; `review` None is the window's default."""

    match: Literal["any", "all"] = "any"
    interactions: tuple[str, ...] = ("login", "review")
    window: Window = field(default_factory=Window)
    upgrade: Literal["immediate", "at_review"] = "immediate"
    downgrade: Literal["one_down", "to_qualified", "never"] = "one_down"
    grace_reviews: int = 0
    review: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """Most points a day and a month; None: no limit."""

    per_day: int | None = None
    per_month: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """Limits by kind of award, and over all."""

    purchase: Cap = field(default_factory=Cap)
    review: Cap = field(default_factory=Cap)
    login: Cap = field(default_factory=Cap)
    all: Cap = field(default_factory=Cap)


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """How long points live: months (``"never"``: for good), rounded up."""

    months: int | Literal["never"] = 12
    round: str = "month_end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeem:
    """Points are spent in blocks of `block`, each worth `value_fen`."""

    block: int = 1000
    value_fen: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """What earns points, how long they wait and live, and what they buy."""

    login: int = 1
    review: int = 20
    per_yuan: str = "1"
    caps: Caps = field(default_factory=Caps)
    pending_days: int = 0
    validity: Validity = field(default_factory=Validity)
    redeem: Redeem = field(default_factory=Redeem)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refunds:
    """What a refund does when points are gone, and when a tier follows it."""

    shortfall: Literal["debt", "forgive", "deduct_cash"] = "debt"
    tier: Literal["at_review", "immediate"] = "at_review"


@dataclass(frozen=True, kw_only=True)
class Programme:
    """A member programme; building one checks it, every fault at once.

    Parameters
    ----------
    tiers : tuple of Tier
        From the lowest, which asks for nothing; at most four unless
        `allow_more_than_four_tiers`.
    qualify, points, refund : Qualify, Points, Refunds, optional
        The rules; see each.
    timezone : str, default "Asia/Shanghai"
        IANA name: its midnights end the days.
    allow_more_than_four_tiers : bool, default False
        More than four confuse members.

    Raises
    ------
    ParameterError
        With every fault; `code` is the first one's.

    Examples
    --------
    >>> silver = Tier(name="银卡", min_spend_fen=50_000, earn_multiplier="1.2")
    >>> programme = Programme(tiers=(Tier(name="普通", min_spend_fen=0), silver))
    >>> programme.names
    ('普通', '银卡')
    >>> programme.change({"tiers.1.min_spend_fen": 40_000}).tiers[1].min_spend_fen
    40000
    """

    tiers: tuple[Tier, ...]
    qualify: Qualify = field(default_factory=Qualify)
    points: Points = field(default_factory=Points)
    refund: Refunds = field(default_factory=Refunds)
    timezone: str = "Asia/Shanghai"
    allow_more_than_four_tiers: bool = False

    def __post_init__(self) -> None:
        """Refuse what the checks refuse, whoever built it."""
        if faults := [*_built(self), *faults_in(self.to_dict())]:
            raise ParameterError.of("the programme", faults)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Programme:
        """Return the programme of a plain mapping, as a TOML file holds it.

        Parameters
        ----------
        mapping : mapping
            Keys of the declaration.

        Returns
        -------
        Programme
            Checked.

        Raises
        ------
        ParameterError
            With every fault, each with its key path.
        """
        native = _plain(mapping)
        if faults := faults_in(native):
            raise ParameterError.of("the programme", faults)
        return _build(cls, native)  # type: ignore[no-any-return]

    def to_dict(self) -> dict[str, Any]:
        """Return the plain mapping: what `from_mapping` reads."""
        return {item.name: _plain(getattr(self, item.name)) for item in fields(self)}

    def change(self, changes: Mapping[str, object]) -> Programme:
        """Return a copy with some values changed, and checked again.

        Parameters
        ----------
        changes : mapping of str to value
            By key path: ``"tiers.1.min_spend_fen"``, ``"points.per_yuan"``.

        Returns
        -------
        Programme
            The changed copy.

        Raises
        ------
        ParameterError
            If `changes` is no mapping (``wrong_type``), a path leads nowhere
            (``unknown_field``), or the result has faults.
        """
        if not isinstance(changes, Mapping):
            msg = f"changes is {changes!r}; it must be a mapping of key paths to"
            msg = f'{msg} values; write it as {{"tiers.1.min_spend_fen": 40_000}}.'
            raise ParameterError(msg, code="wrong_type")
        plain = self.to_dict()
        for path, value in changes.items():
            *way, last = str(path).replace("[", ".").replace("]", "").split(".")
            at: Any = plain
            for part in way:
                at = _step(at, part, str(path))
            _step(at, last, str(path))
            at[int(last) if isinstance(at, list) else last] = value
        return Programme.from_mapping(plain)

    @property
    def names(self) -> tuple[str, ...]:
        """The tiers' names, from the lowest; ``T0`` and so on where none is given."""
        return tuple(tier.name or f"T{i}" for i, tier in enumerate(self.tiers))

    @cached_property
    def fingerprint(self) -> str:
        """Tells rules apart, the same everywhere; the tiers' names are not in it."""
        rule = repr((self.compiled, self.timezone)).encode()
        return blake2b(rule, digest_size=8).hexdigest()

    @cached_property
    def compiled(self) -> tuple[int, ...]:
        """The programme in integers, laid out as `rules` reads it."""
        q, p = self.qualify, self.points
        head = [
            len(self.tiers),
            int(q.match == "all"),
            sum(1 << INTERACTIONS.index(name) for name in set(q.interactions)),
            KINDS.index(q.window.kind),
            q.window.months,
            int(q.upgrade == "immediate"),
            DOWNGRADES.index(q.downgrade),
            q.grace_reviews,
            REVIEWS[_review(q.review, q.window.kind)],
            p.login,
            p.review,
            p.pending_days,
            0 if p.validity.months == "never" else p.validity.months,
            ROUNDS[p.validity.round],
            p.redeem.block,
            p.redeem.value_fen,
            SHORTFALLS.index(self.refund.shortfall),
            int(self.refund.tier == "immediate"),
        ]
        caps: list[Cap] = [getattr(p.caps, name) for name in CAPPED]
        limits = [limit for cap in caps for limit in (cap.per_day, cap.per_month)]
        head.append(int(any(limit is not None for limit in limits)))
        head += [-1 if limit is None else limit for limit in limits]
        for tier in self.tiers:
            top = basis(p.per_yuan) * basis(tier.earn_multiplier)
            low = 100 * rules.BASIS**2
            shared = gcd(top, low)
            head += [
                -1 if tier.min_spend_fen is None else tier.min_spend_fen,
                -1 if tier.min_interactions is None else tier.min_interactions,
                top // shared,
                low // shared,
                basis(tier.discount_rate),
                tier.perk_fen_per_month,
            ]
        return tuple(head)


def load_programme(source: str | Path | Mapping[str, Any] | Programme) -> Programme:
    """Read a member programme from a TOML or YAML file, or from a mapping.

    Parameters
    ----------
    source : str, Path, mapping or Programme
        A path ending in ``.toml``, ``.yaml`` or ``.yml``; or the keys themselves.

    Returns
    -------
    Programme
        Checked: one error lists every fault.

    Raises
    ------
    ParameterError
        With every fault; ``unreadable_programme`` where the file is none.

    Examples
    --------
    >>> load_programme({"tiers": [{"name": "all", "min_spend_fen": 0}]}).names
    ('all',)
    """
    if isinstance(source, Programme):
        return source
    if isinstance(source, Mapping):
        return Programme.from_mapping(source)
    try:
        path = Path(source)
    except TypeError:
        msg = f"the programme is a {type(source).__name__}; it must be a path, a"
        msg = f"{msg} mapping or a Programme; name the TOML file."
        raise ParameterError(msg, code="unreadable_programme") from None
    try:
        text = path.read_text(encoding="utf-8")
        found = _parse(path, text)
    except ImportError as error:
        msg = (
            f"{path} is YAML, and PyYAML is not here; it must be, to read such a file;"
        )
        msg = f"{msg} install pyyaml, or write the programme as TOML."
        raise ParameterError(msg, code="unreadable_programme") from error
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read as a programme ({error}); it must be a TOML or"
        msg = f"{msg} YAML file in UTF-8; correct the path or the line named."
        raise ParameterError(msg, code="unreadable_programme") from error
    if not isinstance(found, Mapping):
        msg = f"{path} holds a {type(found).__name__}; a programme must be a table of"
        msg = f"{msg} keys; start with [[tiers]]."
        raise ParameterError(msg, code="unreadable_programme")
    return Programme.from_mapping(found)


def need_programme(one: object) -> None:
    """Refuse what is no programme.

    Parameters
    ----------
    one : object
        What was passed as one.

    Raises
    ------
    ParameterError
        If it is none (``bad_programme``).
    """
    if not isinstance(one, Programme):
        msg = (
            f"programme is a {type(one).__name__}; it must be a Programme; read it with"
        )
        raise ParameterError(f"{msg} load_programme.", code="bad_programme")


def _parse(path: Path, text: str) -> object:
    if path.suffix in {".yaml", ".yml"}:
        import yaml  # type: ignore[import-untyped]

        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(str(error)) from error
    import tomllib

    return tomllib.loads(text)


def basis(text: str) -> int:
    """Return decimal text in ten-thousandths: ``"1.15"`` is 11,500."""
    whole, _, part = text.partition(".")
    return int(whole) * rules.BASIS + int(part.ljust(4, "0") or 0)


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Return a value as TOML would give it; NumPy's integers are integers."""
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, str | int | float | None):
        return value
    try:
        return index(value)
    except TypeError:
        return _Strange(value)


class _Strange:
    """A value of no kind that a declaration has: it equals nothing, and is shown."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        return repr(self.value)


def _built(programme: Programme) -> list[Fault]:
    """Return the parts of a programme that are of another type than they must be."""
    tiers = programme.tiers if isinstance(programme.tiers, tuple | list) else ()
    parts: list[tuple[str, object, type]] = [
        *((f"tiers[{i}]", tier, Tier) for i, tier in enumerate(tiers)),
        ("qualify", programme.qualify, Qualify),
        ("points", programme.points, Points),
        ("refund", programme.refund, Refunds),
    ]  # fmt: skip
    for (owner, name), kind in _INNER.items():
        whole = {"Qualify": programme.qualify, "Points": programme.points}.get(owner)
        if isinstance(whole, Qualify | Points):
            parts.append((f"{owner.lower()}.{name}", getattr(whole, name), kind))
    if isinstance(programme.points, Points) and isinstance(programme.points.caps, Caps):
        parts += [
            (f"points.caps.{n}", getattr(programme.points.caps, n), Cap) for n in CAPPED
        ]
    hint = "Or read a mapping with load_programme."
    return [
        Fault("wrong_type", name, repr(seen), f"a {kind.__name__}", hint)
        for name, seen, kind in parts
        if not isinstance(seen, kind)
    ]


def _build(kind: Any, mapping: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return a checked mapping as its dataclass; a missing key takes its default."""
    known = {item.name: item for item in fields(kind)}
    values: dict[str, Any] = {}
    for name, value in mapping.items():
        inner = _INNER.get((kind.__name__, known[name].name))
        if name == "tiers":
            values[name] = tuple(_build(Tier, item) for item in value)
        elif inner is not None:
            values[name] = _build(inner, value)
        else:
            values[name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)


_INNER: Final[dict[tuple[str, str], Any]] = {
    ("Programme", "qualify"): Qualify,
    ("Programme", "points"): Points,
    ("Programme", "refund"): Refunds,
    ("Qualify", "window"): Window,
    ("Points", "caps"): Caps,
    ("Points", "validity"): Validity,
    ("Points", "redeem"): Redeem,
} | {("Caps", name): Cap for name in CAPPED}


def _step(at: Any, part: str, path: str) -> Any:  # noqa: ANN401
    listed = isinstance(at, list)
    if listed and part.isascii() and part.isdigit() and int(part) < len(at):
        return at[int(part)]
    if isinstance(at, Mapping) and part in at:
        return at[part]
    if not listed and not isinstance(at, Mapping):
        msg = f"{path!r} leads past {at!r}, which holds nothing named {part!r}; it must"
        msg = f"{msg} end at a value; write it as tiers.1.min_spend_fen."
        raise ParameterError(msg, code="unknown_field")
    known = [str(i) for i in range(len(at))] if listed else list(at)
    msg = f"{path!r} leads nowhere at {part!r}; it must name one of {sorted(known)};"
    msg = f"{msg} write it as tiers.1.min_spend_fen.{suggest(part, known)}"
    raise ParameterError(msg, code="unknown_field")


def _review(given: str | None, kind: str) -> str:
    if given is not None:
        return given
    return "month_end" if kind in {"rolling", "lifetime"} else "window_end"


# --- the checks


class _Checker:
    """Collects faults; each check names its key path."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def add(self, code: str, name: str, seen: object, expected: str, hint: str) -> None:
        self.faults.append(Fault(code, name, _shown(seen), expected, hint))

    def table(self, name: str, value: object, keys: Iterable[str]) -> dict[str, Any]:
        """Return the known keys of a table; report the others."""
        known = list(keys)
        if not isinstance(value, Mapping):
            self.add("wrong_type", name or "the programme", value, "a table of keys",
                     f"Keys are {', '.join(known)}.")  # fmt: skip
            return {}
        for key in value:
            if key not in known:
                path = f"{name}.{key}" if name else str(key)
                self.add(
                    "unknown_field", path, "no field of the programme",
                    f"one of {', '.join(known)}",
                    suggest(str(key), known).strip() or "Take it out.",
                )  # fmt: skip
        return {key: item for key, item in value.items() if key in known}

    def whole(
        self, name: str, value: object, low: int, high: int | None, code: str
    ) -> bool:
        """Check an integer in a closed range."""
        if _is_int(value) and value >= low and (high is None or value <= high):  # type: ignore[operator]
            return high is not None or self.sane(name, value)
        top = "or more" if high is None else f"to {high}"
        self.add(code, name, value, f"a whole number, {low} {top}", "Correct it.")
        return False

    def choice(self, name: str, value: object, choices: Iterable[str]) -> bool:
        known = list(choices)
        if isinstance(value, str) and value in known:
            return True
        self.add("not_a_choice", name, value, f"one of {', '.join(known)}",
                 suggest(str(value), known).strip() or "Choose one.")  # fmt: skip
        return False

    def decimal(
        self, name: str, value: object, good: Callable[[int], bool], words: str,
        code: str,
    ) -> int | None:  # fmt: skip
        """Check decimal text and return it in ten-thousandths."""
        if isinstance(value, str) and DECIMAL.fullmatch(value) and good(basis(value)):
            return basis(value)
        hint = "Write it as text: a binary fraction would round points down."
        if isinstance(value, str):
            hint = "A percentage is a share: 2 % is 0.02."
        self.add(code, name, value, f"decimal text, {words}, 4 places", hint)
        return None

    def sane(self, name: str, value: object, most: int = rules.MOST) -> bool:
        """Check that a number is none that sums could run over."""
        if value <= most:  # type: ignore[operator]
            return True
        self.add("amount_too_large", name, value, f"{most} or less", "Correct it.")
        return False

    def money(self, name: str, value: object, most: int = rules.MOST) -> bool:
        if _is_int(value) and value >= 0:  # type: ignore[operator]
            return self.sane(name, value, most)
        hint = "Money is whole fen: 499.50 yuan is 49950."
        code = "amount_negative" if _is_int(value) else "money_not_integer"
        self.add(code, name, value, "whole fen, 0 or more", hint)
        return False


def faults_in(mapping: object) -> list[Fault]:
    """Return every fault of a declaration, in the order of its keys.

    Parameters
    ----------
    mapping : mapping
        The declaration.

    Returns
    -------
    list of Fault
        Empty where it can be run.
    """
    check = _Checker()
    top = check.table("", mapping, (item.name for item in fields(Programme)))
    _zone(check, top.get("timezone", "Asia/Shanghai"))
    many = top.get("allow_more_than_four_tiers", False)
    if not isinstance(many, bool):
        check.add("wrong_type", "allow_more_than_four_tiers", many, "true or false", "")
    _tiers(check, top.get("tiers"), allow_more=many is True)
    _qualify(check, top.get("qualify", {}))
    _points(check, top.get("points", {}))
    refund = check.table("refund", top.get("refund", {}), ("shortfall", "tier"))
    check.choice("refund.shortfall", refund.get("shortfall", "debt"), SHORTFALLS)
    check.choice(
        "refund.tier", refund.get("tier", "at_review"), ("at_review", "immediate")
    )
    return check.faults


def _zone(check: _Checker, name: object) -> None:
    if not isinstance(name, str) or name not in _zones():
        hint = suggest(str(name), _zones()).strip() or "Asia/Shanghai is one."
        check.add("unknown_timezone", "timezone", name, "an IANA name", hint)


@cache
def _zones() -> frozenset[str]:
    from zoneinfo import available_timezones

    return frozenset(available_timezones())


def _tiers(check: _Checker, tiers: object, *, allow_more: bool) -> None:
    if not isinstance(tiers, list | tuple) or not tiers:
        check.add("no_tiers", "tiers", tiers, "a list of one tier or more",
                  "The first asks for nothing.")  # fmt: skip
        return
    if len(tiers) > MOST_TIERS and not allow_more:
        check.add("too_many_tiers", "tiers", f"{len(tiers)} tiers",
                  f"{MOST_TIERS} tiers at most",
                  "Merge some, or set allow_more_than_four_tiers = true.")  # fmt: skip
    names = tuple(item.name for item in fields(Tier))
    tables = [check.table(f"tiers[{i}]", t, names) for i, t in enumerate(tiers)]
    for i, tier in enumerate(tables):
        _tier(check, i, tier)
    given = [tier.get("name") or f"T{i}" for i, tier in enumerate(tables)]
    for name in sorted({str(n) for n in given if given.count(n) > 1}):
        check.add("tier_name_repeated", "tiers", f"two tiers named {name!r}",
                  "a name of its own for each", "Rename one.")  # fmt: skip
    for key in ("min_spend_fen", "min_interactions"):
        open_to_all = {**tables[0], "min_spend_fen": tables[0].get("min_spend_fen", 0)}
        seen = [
            (i, tier[key]) for i, tier in enumerate([open_to_all, *tables[1:]])
            if _is_int(tier.get(key)) and (i or key == "min_spend_fen")
        ]  # fmt: skip
        for (i, before), (j, after) in pairwise(seen):
            if after <= before:
                check.add("thresholds_not_increasing", f"tiers[{j}].{key}", after,
                          f"above {before}, that of tiers[{i}]",
                          "Higher tiers ask for more.")  # fmt: skip
    for key, code, default in (
        ("earn_multiplier", "multiplier_decreasing", "1"),
        ("discount_rate", "discount_decreasing", "0"),
    ):
        texts = [tier.get(key, default) for tier in tables]
        if not all(isinstance(t, str) and DECIMAL.fullmatch(t) for t in texts):
            continue
        for j, (before, after) in enumerate(pairwise(texts), 1):
            if basis(after) < basis(before):
                check.add(code, f"tiers[{j}].{key}", after, f"{before} or more",
                          "Higher tiers give at least as much.")  # fmt: skip


def _tier(check: _Checker, i: int, tier: Mapping[str, Any]) -> None:
    path = f"tiers[{i}]"
    if not isinstance(tier.get("name", ""), str):
        check.add("wrong_type", f"{path}.name", tier["name"], "text", "Quote it.")
    spend, acts = tier.get("min_spend_fen"), tier.get("min_interactions")
    if spend is not None:
        check.money(f"{path}.min_spend_fen", spend)
    if acts is not None:
        check.whole(f"{path}.min_interactions", acts, 1, None, "not_a_count")
    if not i and (spend not in (None, 0) or acts is not None):
        asked = f"{spend or 0} fen and {acts or 0} interactions"
        check.add("first_tier_not_open", path, f"a first tier that asks {asked}",
                  "open to all", "Put an open tier before it.")  # fmt: skip
    if i and spend is None and acts is None:
        check.add("tier_asks_nothing", path, "a tier without a condition",
                  "one with min_spend_fen or min_interactions", "Set one.")  # fmt: skip
    check.decimal(
        f"{path}.earn_multiplier", tier.get("earn_multiplier", "1"),
        lambda v: v <= 20 * rules.BASIS, "0 to 20", "multiplier_out_of_range",
    )  # fmt: skip
    check.decimal(
        f"{path}.discount_rate", tier.get("discount_rate", "0"),
        lambda v: v < rules.BASIS, "0 to under 1", "discount_out_of_range",
    )  # fmt: skip
    check.money(f"{path}.perk_fen_per_month", tier.get("perk_fen_per_month", 0))


def _qualify(check: _Checker, given: object) -> None:
    q = check.table("qualify", given, (item.name for item in fields(Qualify)))
    check.choice("qualify.match", q.get("match", "any"), ("any", "all"))
    kinds = q.get("interactions", ["login", "review"])
    if not isinstance(kinds, list | tuple):
        check.add("wrong_type", "qualify.interactions", kinds, "a list", "")
        kinds = []
    for name in kinds:
        if isinstance(name, str) and "share" in name.lower():
            check.add("induced_sharing", "qualify.interactions", name,
                      f"of {', '.join(INTERACTIONS)}",
                      "The platform forbids to reward shares.")  # fmt: skip
        else:
            check.choice("qualify.interactions", name, INTERACTIONS)
    window = check.table("qualify.window", q.get("window", {}), ("kind", "months"))
    kind, months = window.get("kind", "rolling"), window.get("months", 12)
    known = check.choice("qualify.window.kind", kind, KINDS)
    whole = check.whole(
        "qualify.window.months", months, 1, 60, "window_months_out_of_range"
    )
    if whole and kind == "calendar" and months not in {1, 3, 6, 12}:
        check.add("calendar_window_not_a_divisor", "qualify.window.months", months,
                  "1, 3, 6 or 12 for a calendar window",
                  'Or take kind = "anniversary".')  # fmt: skip
    check.choice(
        "qualify.upgrade", q.get("upgrade", "immediate"), ("immediate", "at_review")
    )
    check.choice("qualify.downgrade", q.get("downgrade", "one_down"), DOWNGRADES)
    check.whole(
        "qualify.grace_reviews", q.get("grace_reviews", 0), 0, 24,
        "grace_negative" if _negative(q.get("grace_reviews")) else "grace_out_of_range",
    )  # fmt: skip
    review = q.get("review")
    if review is not None and check.choice("qualify.review", review, REVIEWS) and known:
        rolls = kind in {"rolling", "lifetime"}
        if rolls == (review == "window_end"):
            right = "month_end, quarter_end or year_end" if rolls else "window_end"
            check.add("review_not_of_window", "qualify.review", review,
                      f"{right} for a {kind} window", "Leave it out.")  # fmt: skip


def _points(check: _Checker, given: object) -> None:
    p = check.table("points", given, (item.name for item in fields(Points)))
    for key, default in (("login", 1), ("review", 20)):
        check.whole(f"points.{key}", p.get(key, default), 0, 10**9, "points_negative")
    check.decimal("points.per_yuan", p.get("per_yuan", "1"),
                  lambda v: v <= 100 * rules.BASIS, "0 to 100",
                  "per_yuan_out_of_range")  # fmt: skip
    caps = check.table("points.caps", p.get("caps", {}), CAPPED)
    for name, cap in caps.items():
        limits = check.table(f"points.caps.{name}", cap, ("per_day", "per_month"))
        for key, limit in limits.items():
            if limit is not None:
                path = f"points.caps.{name}.{key}"
                check.whole(path, limit, 0, None, "cap_negative")
    wait = p.get("pending_days", 0)
    fits = check.whole("points.pending_days", wait, 0, 90, "pending_out_of_range")
    keys = (item.name for item in fields(Validity))
    validity = check.table("points.validity", p.get("validity", {}), keys)
    months, rounding = validity.get("months", 12), validity.get("round", "month_end")
    if months != "never":
        fits &= check.whole(
            "points.validity.months", months, 1, 60, "validity_out_of_range"
        )
    fits &= check.choice("points.validity.round", rounding, ROUNDS)
    if fits and months != "never" and wait >= SHORTEST * months:
        shortest = _shortest_life(months, ROUNDS[rounding])
        if wait > shortest:
            check.add("pending_outlives_validity", "points.pending_days", wait,
                      f"{shortest} or less: points live no longer than that",
                      "Wait less, or let points live longer.")  # fmt: skip
    keys = (item.name for item in fields(Redeem))
    redeem = check.table("points.redeem", p.get("redeem", {}), keys)
    check.whole("points.redeem.block", redeem.get("block", 1000), 1, MOST_WORTH,
                "redeem_block_not_positive")  # fmt: skip
    check.money("points.redeem.value_fen", redeem.get("value_fen", 1000), MOST_WORTH)


@cache
def _shortest_life(months: int, rounding: int) -> int:
    """Return the fewest days from earning to the last day, over four years."""
    return min(
        rules.last_day(day, rules.month_of(day), months, rounding) - day
        for day in FOUR_YEARS
    )


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _negative(value: object) -> bool:
    return _is_int(value) and value < 0  # type: ignore[operator]


def _shown(value: object) -> str:
    return value if isinstance(value, str) and " " in value else repr(value)
