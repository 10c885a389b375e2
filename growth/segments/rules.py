"""The rule language: tags as data, in TOML, JSON and Python, one grammar.

A tag is a named question with ordered values. Each value has a condition over
metrics of one user's rows and over other tags; the first that is true is the
user's, else the default. Nothing here is code to be run: rules are read by
`growth.segments.validate`, which reports every fault at once, and answered by
`growth.segments.evaluate` (one user) and `growth.segments.tables` (all of them).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from growth.errors import ParameterError, suggest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from growth.engine.where import Where
    from growth.result import Notice

__all__ = [
    "Metric",
    "Rules",
    "Segment",
    "Tag",
    "Value",
    "When",
]

COMPARISONS: Final = ("eq", "ne", "lt", "le", "gt", "ge", "in", "between")
TESTS: Final = (*COMPARISONS, "is", "known")
COMBINE: Final = ("all", "any", "not")
Scalar = str | int | float | bool | date | datetime
Value_ = Scalar | tuple[Scalar, ...]


class _Combines:
    """What may stand in a condition joins others by ``& | - ~``."""

    __slots__ = ()

    def _when(self) -> When:
        raise NotImplementedError

    def __and__(self, other: _Combines) -> When:
        return When("all", parts=(self._when(), other._when()))

    def __or__(self, other: _Combines) -> When:
        return When("any", parts=(self._when(), other._when()))

    def __sub__(self, other: _Combines) -> When:
        return self & ~other

    def __invert__(self) -> When:
        return When("not", parts=(self._when(),))


@dataclass(frozen=True, slots=True)
class When(_Combines):
    """A condition: a comparison of one metric or tag, or a combination.

    Parameters
    ----------
    op : str
        ``eq ne lt le gt ge in between is known``, or ``all any not``.
    metric : Metric, optional
        What is compared; None where it is a tag or a combination.
    tag : str
        The name of the tag compared; "" otherwise.
    value : scalar or tuple
        What it is compared with; money in fen.
    parts : tuple of When
        What is combined; one for ``not``.
    """

    op: str
    metric: Metric | None = None
    tag: str = ""
    value: Value_ = ()
    parts: tuple[When, ...] = ()

    def _when(self) -> When:
        return self

    def leaves(self) -> Iterator[When]:
        """Yield each comparison in it, in the order written."""
        if not self.parts and self.op not in COMBINE:
            yield self
        for part in self.parts:
            yield from part.leaves()

    def to_data(self, names: Mapping[Metric, str] | None = None) -> dict[str, Any]:
        """Return the written form.

        Parameters
        ----------
        names : mapping of Metric to str, optional
            What the tag calls its metrics; they are written out in full if omitted.

        Returns
        -------
        dict
            What `parse_rules` takes as ``when``.
        """
        if self.op == "not":
            return {"not": self.parts[0].to_data(names)}
        if self.op in COMBINE:
            return {self.op: [part.to_data(names) for part in self.parts]}
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        if self.metric is None:
            return {"tag": self.tag, self.op: value}
        named = names[self.metric] if names else self.metric.to_data()
        return {"metric": named, self.op: value}


@dataclass(frozen=True, slots=True)
class Metric(_Combines):
    """One number, text or truth about one user, at one `as_of`.

    Made by `count`, `total`, `recency_days`, `without` and their like; compared by
    ``>= > <= <``, `equals`, `is_in`, `between`, `known`. A metric that is true or
    false is a condition as it stands.

    Parameters
    ----------
    op : str
        What is computed.
    of : str
        The table whose rows it reads.
    col : str
        The column it reads, where it reads one.
    where : Where, optional
        Rows that count.
    last : int, optional
        Local days up to `as_of` that count, 1 or more; all if None.
    net : bool
        Money after refunds.
    steps : tuple of str
        Events in order: of ``sequence``, and of ``without`` (A, B).
    within : int, optional
        Days from the first step, 1 or more.
    anchor : str
        Which A starts the clock: ``first``, ``last``, ``any``.
    hold : tuple of str
        Columns that must be equal over the steps.
    metric : Metric, optional
        What a ``quantile`` ranks.
    bins : int
        Score levels of ``rfm`` and ``quantile``.
    part : str
        Of ``rfm``: ``segment``, ``code``, ``r``, ``f``, ``m`` or ``fm``.
    cuts : str
        ``recompute`` or ``frozen``.
    period : str
        Of ``lifecycle``: ``day``, ``week``, ``month``.
    horizon : int, optional
        Days ahead, of ``expected_orders`` and ``clv_fen``.
    p : int
        Of ``overdue``: the percentile of order gaps.
    max_per_week : int, optional
        Of ``reach``: the most messages a user may get in seven days.
    """

    op: str
    of: str = "orders"
    col: str = ""
    where: Where | None = None
    last: int | None = None
    net: bool = False
    steps: tuple[str, ...] = ()
    within: int | None = None
    anchor: str = ""
    hold: tuple[str, ...] = ()
    metric: Metric | None = None
    bins: int = 5
    part: str = ""
    cuts: str = "recompute"
    period: str = ""
    horizon: int | None = None
    p: int = 80
    max_per_week: int | None = None

    def _when(self) -> When:
        return When("is", self, value=True)

    def __ge__(self, value: Scalar) -> When:
        return When("ge", self, value=value)

    def __gt__(self, value: Scalar) -> When:
        return When("gt", self, value=value)

    def __le__(self, value: Scalar) -> When:
        return When("le", self, value=value)

    def __lt__(self, value: Scalar) -> When:
        return When("lt", self, value=value)

    def equals(self, value: Scalar) -> When:
        """Return the condition that it is exactly `value`."""
        return When("eq", self, value=value)

    def is_in(self, *values: Scalar) -> When:
        """Return the condition that it is one of `values`."""
        return When("in", self, value=values)

    def between(self, low: Scalar, high: Scalar) -> When:
        """Return the condition that it lies in [low, high]."""
        return When("between", self, value=(low, high))

    def known(self, *, known: bool = True) -> When:
        """Return the condition that it is known (or that it is not)."""
        return When("known", self, value=known)

    def to_data(self, names: Mapping[Metric, str] | None = None) -> dict[str, Any]:
        """Return the written form, defaults left out.

        Parameters
        ----------
        names : mapping of Metric to str, optional
            What other metrics are called.

        Returns
        -------
        dict
            What `parse_rules` takes as a metric.
        """
        data: dict[str, Any] = {"op": self.op}
        for item in fields(self)[1:]:
            value = getattr(self, item.name)
            if value == item.default and item.name != "of":
                continue
            match item.name:
                case "of" if self.op in ("sequence", "without", "quantile", "reach"):
                    continue
                case "where":
                    value = [value.to_data()]
                    if set(value[0]) == {"all"}:
                        value = value[0]["all"]
                case "steps":
                    data["first"] = value[0]
                    data["then"] = value[1] if len(value) == 2 else list(value[1:])
                    continue
                case "metric":
                    value = names[value] if names else value.to_data()
                case "hold":
                    value = list(value)
            data[item.name] = value
        return data

    def parts(self) -> Iterator[Metric]:
        """Yield it and every metric it is made from."""
        if self.metric is not None:
            yield from self.metric.parts()
        yield self

    @property
    def key(self) -> str:
        """Canonical JSON: two metrics of one key are one metric."""
        return canonical(self.to_data())


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a tag: its name, its condition, its title in each language."""

    name: str
    when: When | Metric
    title: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Tag:
    """A named question with ordered values; each user of its population has one.

    Parameters
    ----------
    name : str
        Of the column it becomes: lower-case letters, digits, underscores.
    values : sequence of Value
        Tried in order; the first whose condition is true wins.
    default : str
        The value of everybody else.
    population : {"seen", "buyers", "members"}
        Whom it is asked of.
    tz : str
        The zone whose midnights end its days.
    disjoint : bool
        Whether two values may never match one user.
    title : tuple of (str, str)
        By language.
    default_title : tuple of (str, str)
        Of the default value, by language.
    metrics : tuple of (str, Metric)
        What its metrics are called; named after what they do if omitted.
    """

    name: str
    values: Sequence[Value] = ()
    default: str = "none"
    population: str = "seen"
    tz: str = "Asia/Shanghai"
    disjoint: bool = False
    title: tuple[tuple[str, str], ...] = ()
    default_title: tuple[tuple[str, str], ...] = ()
    metrics: tuple[tuple[str, Metric], ...] = ()

    def __post_init__(self) -> None:
        """Freeze the values and name metrics that have no name."""
        ready = tuple(replace(v, when=v.when._when()) for v in self.values)  # noqa: SLF001
        object.__setattr__(self, "values", ready)
        named = {metric: name for name, metric in self.metrics}
        for metric in (m for used in self.used() for m in used.parts()):
            if metric not in named:
                named[metric] = _free(_named(metric), named.values())
        pairs = [*self.metrics, *((n, m) for m, n in named.items())]
        object.__setattr__(self, "metrics", tuple(dict(pairs).items()))

    @property
    def names(self) -> tuple[str, ...]:
        """Every value a user may have, the default last, each once."""
        return tuple(dict.fromkeys([*(v.name for v in self.values), self.default]))

    def words(self, lang: str) -> dict[str, str]:
        """Return what each value is called in a language; its name if untitled."""
        titles = {v.name: dict(v.title).get(lang, v.name) for v in self.values}
        own = dict(self.default_title).get(lang, self.default)
        return titles | ({} if self.default in titles else {self.default: own})

    def used(self) -> Iterator[Metric]:
        """Yield the metrics its conditions compare, as written."""
        for value in self.values:
            for leaf in value.when._when().leaves():  # noqa: SLF001
                if leaf.metric is not None:
                    yield leaf.metric

    def refers(self) -> tuple[str, ...]:
        """Return the tags its conditions name, each once."""
        leaves = (leaf for v in self.values for leaf in v.when._when().leaves())  # noqa: SLF001
        return tuple(dict.fromkeys(leaf.tag for leaf in leaves if leaf.tag))

    def to_data(self, *, plain: bool = False) -> dict[str, Any]:
        """Return the written form.

        Parameters
        ----------
        plain : bool, default False
            Without titles and metric names: what the rule means, and no more.

        Returns
        -------
        dict
            What `parse_rules` takes under ``tag.<name>``.
        """
        names = None if plain else {metric: name for name, metric in self.metrics}
        data: dict[str, Any] = {
            "population": self.population,
            "tz": self.tz,
            "default": self.default,
        }
        if self.disjoint:
            data["disjoint"] = True
        if self.title and not plain:
            data["title"] = dict(self.title)
        if self.default_title and not plain:
            data["default_title"] = dict(self.default_title)
        if names is not None and self.metrics:
            data["metric"] = {n: m.to_data(names) for n, m in self.metrics}
        data["value"] = [
            {"name": v.name, "when": v.when._when().to_data(names)}  # noqa: SLF001
            | ({"title": dict(v.title)} if v.title and not plain else {})
            for v in self.values
        ]
        return data


@dataclass(frozen=True, slots=True)
class Segment(_Combines):
    """Users for whom a condition over tags holds; joined by ``& | - ~``.

    Parameters
    ----------
    name : str
        What it is called.
    when : When
        The condition, over tags only.

    Examples
    --------
    >>> from growth.segments.asking import tag_in
    >>> loyal = Segment("loyal", tag_in("frequency", "frequent"))
    >>> rich = Segment("rich", tag_in("order_value", "high_net_worth"))
    >>> Segment("either", loyal | rich).when.op
    'any'
    """

    name: str
    when: When

    def _when(self) -> When:
        return self.when


@dataclass(frozen=True, slots=True)
class Rules:
    """Tags that passed every check, in an order in which they can be answered.

    Made by `growth.segments.load_rules` and `growth.segments.rules_of`.

    Parameters
    ----------
    tags : tuple of Tag
        As written.
    order : tuple of str
        Names, each tag after those it refers to.
    notices : tuple of Notice
        What is allowed and worth knowing, such as values that overlap.
    """

    tags: tuple[Tag, ...]
    order: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = field(default=(), compare=False)

    def __iter__(self) -> Iterator[Tag]:
        """Yield the tags, as written."""
        return iter(self.tags)

    def __len__(self) -> int:
        """Return how many tags there are."""
        return len(self.tags)

    def __getitem__(self, name: str) -> Tag:
        """Return one tag by its name."""
        for tag in self.tags:
            if tag.name == name:
                return tag
        names = self.names
        msg = f"tag is {name!r}; it must be one of {list(names)}; name one."
        raise ParameterError(msg + suggest(name, names), code="unknown_tag")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tags, as written."""
        return tuple(tag.name for tag in self.tags)

    def closure(self, name: str) -> tuple[Tag, ...]:
        """Return a tag and every tag it rests on, in answering order.

        Parameters
        ----------
        name : str
            The tag.

        Returns
        -------
        tuple of Tag
            The tag itself last.
        """
        needed, queue = {name}, [name]
        while queue:
            for other in self[queue.pop()].refers():
                if other not in needed:
                    needed.add(other)
                    queue.append(other)
        return tuple(self[item] for item in self.order if item in needed)

    def hash(self, name: str) -> str:
        """Return SHA-256 of what a tag means, with every tag it rests on.

        Parameters
        ----------
        name : str
            The tag.

        Returns
        -------
        str
            64 hexadecimal digits. Titles and names of metrics do not enter.
        """
        told = {tag.name: tag.to_data(plain=True) for tag in self.closure(name)}
        return sha256(canonical({"schema": 1, "tag": told}).encode()).hexdigest()

    def hashes(self) -> dict[str, str]:
        """Return `hash` of every tag, by name."""
        return {name: self.hash(name) for name in self.names}

    def to_data(self) -> dict[str, Any]:
        """Return the written form, as TOML reads it."""
        return {"schema": 1, "tag": {tag.name: tag.to_data() for tag in self.tags}}

    def to_json(self) -> str:
        """Return the written form as JSON."""
        return json.dumps(_json(self.to_data()), ensure_ascii=False, indent=1)

    def to_toml(self) -> str:
        """Return the written form as TOML, one metric and one value a line."""
        lines = ["schema = 1"]
        for name, tag in self.to_data()["tag"].items():
            lines.append(f"\n[tag.{name}]")
            tables = ("metric", "value")
            lines += [f"{k} = {toml(v)}" for k, v in tag.items() if k not in tables]
            if metrics := tag.get("metric"):
                lines.append(f"[tag.{name}.metric]")
                lines += [f"{k} = {toml(v)}" for k, v in metrics.items()]
            for value in tag["value"]:
                lines.append(f"[[tag.{name}.value]]")
                lines += [f"{k} = {toml(v)}" for k, v in value.items()]
        return "\n".join(lines) + "\n"


def toml(value: object) -> str:
    """Write one value as TOML, on one line.

    Parameters
    ----------
    value : scalar, list or dict
        Text, number, true or false, date, datetime, or these in lists and tables.

    Returns
    -------
    str
        What ``tomllib`` reads back as the same value.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case date():
            return value.isoformat()
        case list() | tuple():
            return f"[{', '.join(map(toml, value))}]"
        case dict():
            return f"{{{', '.join(f'{k} = {toml(v)}' for k, v in value.items())}}}"
    return repr(value)


def canonical(data: object) -> str:
    """Return JSON with sorted keys and no spaces: equal data, equal text."""
    return json.dumps(
        _json(data), ensure_ascii=False, sort_keys=True, separators=(",", ":")
    )


def _json(value: object) -> Any:  # noqa: ANN401
    match value:
        case dict():
            return {str(k): _json(v) for k, v in value.items()}
        case list() | tuple():
            return [_json(v) for v in value]
        case date():
            return value.isoformat()
    return value


def _named(metric: Metric) -> str:
    inner = _named(metric.metric) if metric.metric else ""
    days = f"{metric.last}d" if metric.last else ""
    steps = "_".join(metric.steps)
    of = "" if steps or inner else metric.of
    words = (metric.op, metric.part, metric.period, inner, of, steps, days, metric.col)
    return "_".join(word for word in words if word).replace("$", "").lower()


def _free(name: str, taken: Any) -> str:  # noqa: ANN401
    used, number, free = set(taken), 2, name
    while free in used:
        free = f"{number}_{name}"  # the end of a name says its unit
        number += 1
    return f"m{free}" if free[0].isdigit() else free
