"""Conditions of steps: a small, safe part of Python over JSON values (pure).

Checked by `spec` before anything runs, evaluated by the runner when a step is ready.

    names              rows, fetch.rows, fetch["rows"], items[0]; true, false and null as in JSON
    value("fetch-1")   a variable or output whose name is no Python name
    defined("name")    True when there is a value of that name; a path such as "fetch.rows" as well
    len(x)             of text, lists and objects
    operators          and or not, == != < <= > >=, in, not in, is None, + - * / // %
    literals           numbers, text, lists

A dot is a key of an object, never an attribute: no method, no call, no loop can be written. The
cost is bounded: the text is short, numbers keep below 4,096 bits and joined texts below a million
characters, and only numbers are multiplied.
"""

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

from flow_kernel.errors import UsageError
from flow_kernel.workers.limits import shown
from flow_kernel.workflow.spec_fields import did_you_mean

MOST_CHARS: Final = 2000

_MOST_DEPTH: Final = 60
_MOST_BITS: Final = 4096
_MOST_JOINED: Final = 1_000_000
_CONSTANTS: Final = {"true": True, "false": False, "null": None}
_FUNCTIONS: Final = ("defined", "len", "value")
_NUMBERS: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_SIGNS: Final[Mapping[type[ast.operator], str]] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
}
_ORDERS: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_EQUALS: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
_ALLOWED: Final = (
    ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.Compare, ast.BoolOp, ast.UnaryOp,
    ast.BinOp, ast.Call, ast.List, ast.Tuple,
)  # fmt: skip
_MISSING: Final = object()


def check(text: str) -> list[str]:
    """What is wrong with a condition; nothing where it can be evaluated."""
    return _parsed(text)[1]


def names(text: str) -> set[str]:
    """Variables and outputs that a condition cannot do without.

    Names that it asks for with `defined` are left out: it is prepared for their absence.
    """
    tree, wrong = _parsed(text)
    if tree is None or wrong:
        return set()
    found: set[str] = set()
    asked: set[str] = set()
    functions: set[int] = set()
    nodes = list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            # The name of a function stands where a variable could.
            functions.add(id(node.func))
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and node.func.id == "value":
                found.add(str(argument.value))
            elif isinstance(argument, ast.Constant) and node.func.id == "defined":
                asked.add(str(argument.value).partition(".")[0])
    for node in nodes:
        if isinstance(node, ast.Name) and id(node) not in functions and node.id not in _CONSTANTS:
            found.add(node.id)
    return found - asked


def evaluate(text: str, variables: Mapping[str, object]) -> bool:
    """True when the condition holds.

    Args:
        text: As `check` accepts it.
        variables: Values of JSON by name: variables of the run and outputs by id of their step.

    Raises:
        UsageError: It is no condition, a name or key is missing, or values do not go together.
    """
    tree, wrong = _parsed(text)
    if tree is None or wrong:
        raise UsageError(f"the condition {shown(text)} cannot be read: {'; '.join(wrong)}")
    try:
        return bool(_Evaluation(variables).value(tree))
    except UsageError as error:
        raise UsageError(f"the condition {shown(text)} has no answer: {error.message}") from None
    except RecursionError:
        raise UsageError(f"the condition {shown(text)} compares values too deep") from None


def _parsed(text: str) -> tuple[ast.expr | None, list[str]]:
    text = text.strip()
    if not text:
        return None, ["the condition is empty"]
    if len(text) > MOST_CHARS:
        return None, [f"the condition has {len(text):,} characters, and may have {MOST_CHARS:,}"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        return None, [f"{shown(text)} is no condition: {error.msg}, at character {error.offset}"]
    except (ValueError, MemoryError, RecursionError):
        return None, [f"{shown(text)} is no condition"]
    return tree, _problems(tree)


def _problems(tree: ast.expr) -> list[str]:
    found: list[str] = []
    todo: list[tuple[ast.AST, int]] = [(tree, 1)]
    while todo:
        node, depth = todo.pop()
        if depth > _MOST_DEPTH:
            return ["the condition is nested too deep"]
        wrong = _wrong_with(node)
        if wrong:
            found.append(f"{wrong}, at character {getattr(node, 'col_offset', 0) + 1}")
            continue
        # What is called is looked at with its call.
        inner = node.args if isinstance(node, ast.Call) else ast.iter_child_nodes(node)
        todo.extend((child, depth + 1) for child in inner if isinstance(child, ast.expr))
    return found


def _wrong_with(node: ast.AST) -> str:
    if not isinstance(node, _ALLOWED):
        return f"a condition has no {_said(node)}"
    if isinstance(node, ast.Call):
        return _wrong_with_call(node)
    if isinstance(node, ast.Compare):
        return _wrong_with_compare(node)
    if isinstance(node, ast.BinOp | ast.UnaryOp):
        is_known = isinstance(node.op, (*_NUMBERS, ast.Not, ast.USub, ast.UAdd))
        return "" if is_known else f"a condition has no {_said(node.op)}"
    if isinstance(node, ast.Constant) and not isinstance(node.value, str | int | float | None):
        return f"a condition has no {type(node.value).__name__}"
    return ""


def _wrong_with_compare(node: ast.Compare) -> str:
    for op, right in zip(node.ops, node.comparators, strict=True):
        is_named = isinstance(right, ast.Name) and right.id in _CONSTANTS
        is_written = isinstance(right, ast.Constant) and (
            right.value is None or isinstance(right.value, bool)
        )
        if isinstance(op, ast.Is | ast.IsNot) and not (is_named or is_written):
            return '"is" compares with None, True and False only; use =='
    return ""


def _wrong_with_call(node: ast.Call) -> str:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name not in _FUNCTIONS:
        near = did_you_mean(name, _FUNCTIONS)
        return f"a condition calls nothing but {', '.join(_FUNCTIONS)}{near}"
    if len(node.args) != 1 or node.keywords or isinstance(node.args[0], ast.Starred):
        return f"{name} takes one argument"
    argument = node.args[0]
    is_text = isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    return "" if name == "len" or is_text else f'{name} takes a name in quotes: {name}("name")'


def _said(node: ast.AST) -> str:
    return type(node).__name__


class _Evaluation:
    """The values of the nodes of one condition; recursion is bounded by the check before."""

    __slots__ = ("_variables",)

    def __init__(self, variables: Mapping[str, object]) -> None:
        self._variables = variables

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return self._named(node.id)
            case ast.Attribute() | ast.Subscript() | ast.List() | ast.Tuple():
                return self._reached(node)
            case _:
                return self._worked_out(node)

    def _reached(self, node: ast.Attribute | ast.Subscript | ast.List | ast.Tuple) -> Any:
        if isinstance(node, ast.Attribute):
            return _item(self.value(node.value), node.attr)
        if isinstance(node, ast.Subscript):
            return _item(self.value(node.value), self.value(node.slice))
        return [self.value(each) for each in node.elts]

    def _worked_out(self, node: ast.expr) -> Any:
        match node:
            case ast.BoolOp():
                return self._either(node)
            case ast.UnaryOp():
                return _signed(node.op, self.value(node.operand))
            case ast.BinOp():
                return _calculated(node.op, self.value(node.left), self.value(node.right))
            case ast.Compare():
                return self._compared(node)
            case ast.Call():
                return self._called(node)
            case _:
                raise UsageError(f"a condition has no {_said(node)}")

    def _named(self, name: str) -> Any:
        found = self._variables.get(name, _MISSING)
        if found is not _MISSING:
            return found
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        near = did_you_mean(name, tuple(self._variables))
        raise UsageError(f"there is no value {shown(name)}{near}")

    def _either(self, node: ast.BoolOp) -> Any:
        stops_at = isinstance(node.op, ast.Or)
        value: Any = None
        for each in node.values:
            value = self.value(each)
            if bool(value) is stops_at:
                break
        return value

    def _compared(self, node: ast.Compare) -> bool:
        left = self.value(node.left)
        for op, each in zip(node.ops, node.comparators, strict=True):
            right = self.value(each)
            if not _holds(op, left, right):
                return False
            left = right
        return True

    def _called(self, node: ast.Call) -> Any:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        value = self.value(node.args[0])
        if name == "value":
            return self._named(value)
        if name == "defined":
            return self._is_defined(value)
        if isinstance(value, str | list | tuple | Mapping):
            return len(value)
        raise UsageError(f"{shown(value)} has no length")

    def _is_defined(self, path: str) -> bool:
        value: Any = self._variables
        for part in path.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return False
            value = value[part]
        return True


def _item(value: Any, key: Any) -> Any:
    if isinstance(value, Mapping):
        if isinstance(key, str) and key in value:
            return value[key]
        near = did_you_mean(key, [k for k in value if isinstance(k, str)]) if _is_text(key) else ""
        raise UsageError(f"there is no key {shown(key)}{near}")
    if isinstance(value, list | tuple | str):
        if isinstance(key, bool) or not isinstance(key, int):
            raise UsageError(f"{shown(value)} has no {shown(key)}; it takes a position")
        if -len(value) <= key < len(value):
            return value[key]
        raise UsageError(f"there is no position {shown(key)}, of {len(value):,}")
    raise UsageError(f"{shown(value)} has no {shown(key)}")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _signed(op: ast.unaryop, value: Any) -> Any:
    if isinstance(op, ast.Not):
        return not value
    if not _is_number(value):
        raise UsageError(f"{shown(value)} is no number")
    return -value if isinstance(op, ast.USub) else value


def _calculated(op: ast.operator, left: Any, right: Any) -> Any:
    sign = _SIGNS[type(op)]
    if isinstance(op, ast.Add):
        are_texts = isinstance(left, str) and isinstance(right, str)
        if are_texts or (isinstance(left, list) and isinstance(right, list)):
            if len(left) + len(right) > _MOST_JOINED:
                raise UsageError(f"+ makes more than {_MOST_JOINED:,} characters or items")
            return left + right
    if not (_is_number(left) and _is_number(right)):
        raise UsageError(f"{shown(left)} {sign} {shown(right)} makes no sense")
    for each in (left, right):
        if isinstance(each, int) and each.bit_length() > _MOST_BITS // 2:
            raise UsageError(f"a number is too large for {sign}")
    try:
        return _NUMBERS[type(op)](left, right)
    except ZeroDivisionError:
        raise UsageError(f"{shown(left)} {sign} {shown(right)} divides by zero") from None
    except OverflowError:
        raise UsageError(f"{shown(left)} {sign} {shown(right)} is too large") from None


def _holds(op: ast.cmpop, left: Any, right: Any) -> bool:
    if isinstance(op, ast.In | ast.NotIn):
        return _is_in(left, right) is isinstance(op, ast.In)
    if type(op) in _EQUALS:
        return bool(_EQUALS[type(op)](left, right))
    if (_is_text(left) and _is_text(right)) or (_is_number(left) and _is_number(right)):
        return _ORDERS[type(op)](left, right)
    raise UsageError(f"{shown(left)} and {shown(right)} have no order")


def _is_in(left: Any, right: Any) -> bool:
    if isinstance(right, str):
        if isinstance(left, str):
            return left in right
        raise UsageError(f"{shown(left)} is no text, as {shown(right)} is")
    if isinstance(right, Mapping):
        return isinstance(left, str) and left in right
    if isinstance(right, list | tuple):
        return left in right
    raise UsageError(f"{shown(right)} holds nothing")
