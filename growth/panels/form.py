"""A form made from the same declarations that a readout's parameters have."""

from __future__ import annotations

from html import escape
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import ipywidgets as widgets

from growth.errors import Fault, ParameterError
from growth.labels import label
from growth.panels.panel import Panel, Status, chosen
from growth.readout import handover
from growth.readout.params import Declaration, fields_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from growth.labels import Lang
    from growth.readout.params import Field

__all__ = ["Form", "form"]

STEPS: Final = 100  # of a slider
WIDEST: Final = 1000.0  # a range beyond it is written, not slid
_LAYOUT: Final = {"width": "440px"}
_STYLE: Final = {"description_width": "150px"}


class Form(Panel):
    """A form of declared parameters.

    Parameters
    ----------
    cls : type
        Their dataclass.
    fields : sequence of Field
        Those shown, in order.
    on_change : callable, optional
        Called with an instance whenever all values are good and one has changed.
    values : mapping
        What to begin with, by name; also of fields that are not shown.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.
    """

    def __init__(
        self,
        cls: type,
        fields: Collection[Field],
        on_change: Callable[[Any], object] | None,
        values: Mapping[str, object],
        lang: Lang | None,
    ) -> None:
        self._cls, self._on_change = cls, on_change
        self._fields = {item.name: item for item in fields}
        self._held = dict(values)
        self.faults: tuple[Fault, ...] = ()
        self.controls = {
            item.name: _control(item, values.get(item.name, _shown(item)))
            for item in fields
        }
        self.status = Status(lang)
        helps = {item.name: item.help for item in fields}
        rows = [
            widgets.HBox([control, widgets.HTML(_help(helps[name]))])
            for name, control in self.controls.items()
        ]
        for control in self.controls.values():
            control.observe(self._changed, names="value")
        parts = [*rows, self.status.view]
        if isinstance(getattr(cls, "__readout__", None), Declaration):
            parts.append(_handing_over(self, lang))
        super().__init__(widgets.VBox(parts))
        self.params = self._read()

    @property
    def command(self) -> str:
        """The command that runs the readout with what the form holds; empty if bad."""
        return "" if self.params is None else handover.command(self.params)

    @property
    def entry(self) -> str:
        """The entry of ``readouts.toml`` with what the form holds; empty if bad."""
        return "" if self.params is None else handover.entry(self.params)

    def refresh(self) -> None:
        """Call `on_change` with what the form holds, if it is good."""
        self._changed()

    def _read(self) -> Any:  # noqa: ANN401
        given = dict(self._held)
        self.faults = ()
        try:
            for name, control in self.controls.items():
                given[name] = _held_by(self._fields[name], control)
            made = self._cls(**given)
        except ParameterError as error:
            self.faults = error.faults or (Fault(error.code, "", "", str(error)),)
            self.status.say("\n".join(map(_told, self.faults)), warns=True)
            return None
        self.status.say("")
        return made

    def _changed(self, _event: object = None) -> None:
        self.params = self._read()
        if self.params is not None and self._on_change is not None:
            params, call = self.params, self._on_change
            self.status.run(lambda: call(params))


def form(
    cls: type,
    on_change: Callable[[Any], object] | None = None,
    *,
    values: Mapping[str, object] | None = None,
    only: Collection[str] = (),
    lang: Lang | None = None,
) -> Form:
    """Make a form of declared parameters.

    Parameters
    ----------
    cls : type
        A dataclass whose fields are declared like a readout's: a readout's own, or
        one decorated with `params.checked`.
    on_change : callable, optional
        Called with a checked instance when a value has changed and all are good.
        It may take a while: the form shows for how long, and Interrupt stops it.
    values : mapping, optional
        Values to begin with; else the declared defaults and samples.
    only : collection of str, optional
        The fields to show; all if omitted. The others keep what `values` says.
    lang : {"en", "zh"}, optional
        The language of its own words; the current one if omitted.

    Returns
    -------
    Form
        `controls` by name, `params` (None while a value is bad), `faults`,
        `command` and `entry` for who wants to run it as a readout.

    Raises
    ------
    ParameterError
        If `cls` declares no parameters (code ``bad_declaration``), or `only` names
        none of them (``unknown_parameter``).
    """
    fields = fields_of(cls)
    names = [item.name for item in fields]
    if strange := sorted(set(only) - set(names)):
        msg = f"only names {strange}; the parameters are {names}; correct it."
        raise ParameterError(msg, code="unknown_parameter")
    shown = [item for item in fields if not only or item.name in only]
    return Form(cls, shown, on_change, dict(values or {}), lang)


def _handing_over(panel: Form, lang: Lang | None) -> Any:  # noqa: ANN401
    """Return a button that shows the readout these values are, and one to keep it."""
    told = widgets.HTML()
    show = widgets.Button(description=label("panel.as_readout", lang), icon="share")
    keep = widgets.Button(description=label("panel.keep", lang), icon="save")
    for button in (show, keep):
        button.layout.width = "auto"

    def written() -> str:
        return f"{panel.command}\n\n{panel.entry}" if panel.params else ""

    def shown(_button: object) -> None:
        text = panel.status.run(written)
        told.value = f"<pre>{escape(text)}</pre>" if text else ""

    def kept(_button: object) -> None:
        if panel.params is None:
            return
        added = panel.status.run(lambda: handover.add_entry(panel.params))
        if added is not None:
            key = "panel.kept" if added else "panel.kept_before"
            panel.status.say(label(key, lang, file="readouts.toml"))

    show.on_click(shown)
    keep.on_click(kept)
    return widgets.VBox([widgets.HBox([show, keep]), told])


def _held_by(field: Field, control: Any) -> object:  # noqa: ANN401
    """Return what a control holds; a number may be written where it can be left out."""
    value = chosen(control)
    if isinstance(value, str) and field.kind in {"int", "float"}:
        value = field.parse(value.strip(), "text")
        if isinstance(value, Fault):
            raise ParameterError.of(field.name, [value])
    return value


def _told(fault: Fault) -> str:
    where = f"{fault.name}: " if fault.name else ""
    return f"{where}{fault.expected} {fault.hint}".strip()


def _help(text: str) -> str:
    return f'<span style="color:var(--jp-ui-font-color2,#57606a)">{escape(text)}</span>'


def _shown(field: Field) -> object:
    """Return what a field holds before anybody has said anything."""
    return field.sample if field.required else field.default


def _control(field: Field, value: object) -> Any:  # noqa: ANN401
    common = {
        "description": field.name,
        "tooltip": field.help,
        "layout": _LAYOUT,
        "style": _STYLE,
    }
    match field.kind:
        case "choice":
            choices: list[Any] = [(name, name) for name in field.choices]
            if field.optional:
                choices.insert(0, ("–", None))
            first = value if value in (None, *field.choices) else choices[0][1]
            if first is None and not field.optional:
                first = choices[0][1]
            return widgets.Dropdown(options=choices, value=first, **common)
        case "bool":
            return widgets.Checkbox(value=bool(value), indent=True, **common)
        case "date":
            return widgets.DatePicker(value=value, **common)
        case "int" | "float" if _slides(field):
            return _slider(field, value, common)
        case "int" if not field.optional:
            return widgets.IntText(value=value or 0, **common)
        case "float" if not field.optional:
            return widgets.FloatText(value=value or 0.0, **common)
    text = "" if value is None else str(value)
    return widgets.Text(value=text, continuous_update=False, **common)


def _slides(field: Field) -> bool:
    span = field.between
    if span is None or field.optional:
        return False
    return isfinite(span.high - span.low) and span.high - span.low <= WIDEST


def _slider(field: Field, value: object, common: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return a slider that cannot leave the declared range."""
    span = field.between
    assert span is not None
    low: float
    high: float
    if field.kind == "int":
        low, high = int(span.low) + span.open, int(span.high) - span.open
        begin = value if value is not None else low
        kind: Any = widgets.IntSlider
        step: float = 1
    else:
        step = float(f"{(span.high - span.low) / STEPS:.0e}")
        low, high = (
            (span.low + step, span.high - step) if span.open else (span.low, span.high)
        )
        begin = value if value is not None else low
        kind = widgets.FloatSlider
        common = {**common, "readout_format": ".3f"}
    return kind(
        value=begin, min=low, max=high, step=step, continuous_update=False, **common
    )
