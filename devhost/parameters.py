"""How the parameters of a function fit its bindings: the Python worker's rules and its converters."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from azure.functions import meta
from azure.functions._thirdparty import typing_inspect
from azure.functions.meta import Datum

OUT: Final = 1
_INOUT: Final = 2
_registry: Callable[[], Any] = meta.get_binding_registry
_is_generic: Callable[[Any], bool] = typing_inspect.is_generic_type
_origin: Callable[[Any], Any] = typing_inspect.get_origin
_arguments: Callable[[Any], tuple[Any, ...]] = typing_inspect.get_args


class FunctionLoadError(RuntimeError):
    """A function whose Python parameters don't fit its bindings: the worker then loses the whole app."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"cannot load the {name} function: {problem}")


class BindingInfo(Protocol):
    """A binding object of the SDK."""

    name: str
    type: str

    @property
    def direction(self) -> int:
        """0 in, 1 out, 2 both."""

    @property
    def data_type(self) -> int | None: ...


class Converter(Protocol):
    """A converter class of the SDK, or the generic one below."""

    def check_input_type_annotation(self, pytype: Any) -> bool: ...

    def check_output_type_annotation(self, pytype: Any) -> bool: ...

    def decode(self, data: Datum, *, trigger_metadata: Mapping[str, Datum] | None) -> Any: ...

    def encode(self, obj: Any, *, expected_type: Any) -> Datum: ...


class GenericConverter:
    """For parameters annotated `str` or `bytes`, and bindings that the SDK has no converter for."""

    _ENCODED: Final = {dict: "dict", list: "list", int: "int", float: "double", bool: "bool"}

    @staticmethod
    def check_input_type_annotation(pytype: Any) -> bool:
        return issubclass(pytype, str | bytes)

    @staticmethod
    def check_output_type_annotation(pytype: Any) -> bool:
        return issubclass(pytype, str | bytes | bytearray)

    @staticmethod
    def decode(data: Datum, *, trigger_metadata: Mapping[str, Datum] | None) -> Any:
        if data.type in ("string", "bytes", "json", None):
            return data.value
        raise ValueError(f'unexpected type of data received for the "generic" binding : {data.type!r}')

    @classmethod
    def encode(cls, obj: Any, *, expected_type: Any) -> Datum:
        if obj is None:
            return Datum(None, None)
        if isinstance(obj, str):
            return Datum(obj, "string")
        if isinstance(obj, bytes | bytearray):
            return Datum(bytes(obj), "bytes")
        kind = next((kind for type_, kind in cls._ENCODED.items() if isinstance(obj, type_)), None)
        if kind is None:
            raise NotImplementedError
        return Datum(obj, kind)


@dataclass(frozen=True)
class Parameter:
    """One parameter, or the return value: the kind of converter it has, and its annotation if it has one."""

    binding_type: str
    annotation: Any
    converter: Converter


@dataclass(frozen=True)
class Signature:
    """What an invocation needs to know of a function's parameters."""

    inputs: Mapping[str, Parameter]
    outputs: Mapping[str, Parameter]
    returns: Parameter | None
    takes_context: bool


def read_signature(name: str, call: Callable[..., Any], bindings: Sequence[BindingInfo]) -> Signature:
    """Match parameters with bindings. Raises `FunctionLoadError` as the worker does, or what Python raises
    for an annotation that can't be evaluated or checked."""
    parameters = dict(inspect.signature(call).parameters)
    annotations = typing.get_type_hints(call)
    bound = {}
    for binding in bindings:
        _check_direction(name, binding)
        if binding.name != "$return":
            bound[binding.name] = binding
    takes_context = "context" in parameters and "context" not in bound
    if takes_context:
        del parameters["context"]
        _check_context(name, annotations)
    _check_names(name, set(parameters), set(bound))
    inputs: dict[str, Parameter] = {}
    outputs: dict[str, Parameter] = {}
    for parameter in parameters:
        binding = bound[parameter]
        matched = _match(name, binding, parameter in annotations, annotations.get(parameter))
        (outputs if binding.direction == OUT else inputs)[parameter] = matched
    return Signature(inputs, outputs, _return_value(name, annotations, bindings), takes_context)


def converter_for(binding_type: str) -> Converter:
    """The SDK's converter for a binding type, else the generic one."""
    registered: Converter | None = _registry().get(binding_type)
    return registered or GenericConverter


def _has_implicit_output(binding_type: str) -> bool:
    converter = converter_for(binding_type)
    if converter is GenericConverter:
        return binding_type != "durableClient"
    has: Callable[[], bool] = getattr(converter, "has_implicit_output", lambda: False)
    return has()


def _check_direction(name: str, binding: BindingInfo) -> None:
    if binding.direction == _INOUT:
        raise FunctionLoadError(name, '"inout" bindings are not supported')
    if binding.name == "$return" and binding.direction != OUT:
        raise FunctionLoadError(name, '"$return" binding must have direction set to "out"')


def _check_context(name: str, annotations: Mapping[str, Any]) -> None:
    annotation = annotations.get("context")
    if "context" in annotations and getattr(annotation, "__name__", None) != "Context":
        raise FunctionLoadError(
            name,
            f'the "context" parameter is expected to be of type azure.functions.Context, got {annotation!r}',
        )


def _check_names(name: str, declared: set[str], bound: set[str]) -> None:
    if extra := declared - bound:
        raise FunctionLoadError(
            name, f"the following parameters are declared in Python but not in function.json: {extra!r}"
        )
    if missing := bound - declared:
        raise FunctionLoadError(
            name, f"the following parameters are declared in function.json but not in Python: {missing!r}"
        )


def _is_out(annotation: Any) -> bool:
    kind = annotation
    if _is_generic(annotation):
        kind = _origin(annotation) or annotation
    return isinstance(kind, type) and kind.__name__ == "Out"


def _match(name: str, binding: BindingInfo, annotated: bool, annotation: Any) -> Parameter:
    if not annotated:
        return Parameter(binding.type, None, converter_for(binding.type))
    is_out = _is_out(annotation)
    wanted = annotation
    if is_out:
        arguments = _arguments(annotation)
        if len(arguments) != 1:
            raise FunctionLoadError(name, f"binding {binding.name} has invalid Out annotation {annotation!r}")
        wanted = arguments[0]
    if not isinstance(wanted, type) and not _is_generic(wanted):
        raise FunctionLoadError(name, f"binding {binding.name} has invalid non-type annotation {annotation!r}")
    _check_out(name, binding, is_out)
    generic = wanted in (str, bytes) and not _has_implicit_output(binding.type)
    binding_type = "generic" if generic else binding.type
    converter = converter_for(binding_type)
    fits = converter.check_output_type_annotation if is_out else converter.check_input_type_annotation
    if not fits(wanted):
        shown = getattr(wanted, "__name__", repr(wanted))
        raise FunctionLoadError(
            name,
            f'{binding.name!r} binding type "{binding.type}" and dataType "{binding.data_type}" in '
            "function.json do not match the corresponding function parameter's Python type "
            f'annotation "{shown}"',
        )
    return Parameter(binding_type, wanted, converter)


def _check_out(name: str, binding: BindingInfo, is_out: bool) -> None:
    if binding.direction == OUT and not is_out:
        raise FunctionLoadError(
            name,
            f'binding {binding.name} is declared to have the "out" direction, but its annotation in Python '
            "is not a subclass of azure.functions.Out",
        )
    if binding.direction != OUT and is_out:
        raise FunctionLoadError(
            name,
            f'binding {binding.name} is declared to have the "in" direction in function.json, but its '
            "annotation is azure.functions.Out in Python",
        )


def _return_value(name: str, annotations: Mapping[str, Any], bindings: Sequence[BindingInfo]) -> Parameter | None:
    explicit = next((binding.type for binding in bindings if binding.name == "$return"), None)
    implicit = [b.type for b in bindings if b.name != "$return" and _has_implicit_output(b.type)]
    annotation = annotations.get("return")
    if explicit is not None:
        converter = converter_for(explicit)
        if "return" in annotations:
            _check_return(name, explicit, annotation, converter)
        return Parameter(explicit, annotation, converter)
    if implicit:
        return Parameter(implicit[-1], annotation, converter_for(implicit[-1]))
    return None


def _check_return(name: str, binding_type: str, annotation: Any, converter: Converter) -> None:
    if _is_out(annotation):
        raise FunctionLoadError(name, "return annotation should not be azure.functions.Out")
    if not isinstance(annotation, type):
        raise FunctionLoadError(name, f"has invalid non-type return annotation {annotation!r}")
    if not converter.check_output_type_annotation(annotation):
        raise FunctionLoadError(
            name,
            f'Python return annotation "{annotation.__name__}" does not match binding type "{binding_type}"',
        )
