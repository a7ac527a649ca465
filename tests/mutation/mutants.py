"""Single faults for a module of Python: which there are, and the source with one of them in it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
# an operand that is left out: a mask, a weight, a gain
_FACTORS = (ast.Mult, ast.BitAnd, ast.BitOr)
# what gives a tensor, or number, of the kind that it was called on
_KEEPS_KIND = frozenset(
    """abs clamp clamp_ clamp_max clamp_min clamp_min_ clone cumsum detach div_ exp expand flip log log10 log_ logit
    masked_fill maximum minimum mul_ neg_ reciprocal rsqrt sigmoid sqrt square sub_""".split()  # noqa: SIM905
)
# without an accelerator all devices are one, and what is zipped has one length wherever a test can get
_UNSEEN = (None, "device", "strict")
_OTHER_METHOD = {"sum": "mean", "mean": "sum", "amax": "amin", "amin": "amax", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """A module with one fault.

    Attributes:
        line: where, from 1.
        function: first line of the outermost function around it, decorators included.
        kind: the operator that made it.
        before: the code there.
        after: what stands in its place.
        source: the whole module.
    """

    line: int
    function: int
    kind: str
    before: str
    after: str
    source: str


def mutants(source: str) -> list[Mutant]:
    """All single faults in the functions of a module, in the order of its lines.

    Settings are left alone: default values and named constants are choices, which a test could only repeat. So are
    messages, annotations and assertions, which narrow a type.
    """
    found: list[Mutant] = []
    for function in _outermost_functions(ast.parse(source)):
        first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
        for node, kind, after in _faults(function):
            start, end = _span(source, node)
            changed = source.encode()[:start] + after.encode() + source.encode()[end:]
            before = source.encode()[start:end].decode()
            found.append(Mutant(node.lineno, first, kind, before, after, changed.decode()))
    return sorted(found, key=lambda mutant: (mutant.line, mutant.kind, mutant.before, mutant.after))


def _outermost_functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield node
        elif isinstance(node, ast.ClassDef):
            yield from _outermost_functions(node)


def _span(source: str, node: ast.expr | ast.stmt) -> tuple[int, int]:
    """First and last byte of a node, end excluded."""
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset


def _faults(function: ast.FunctionDef) -> Iterator[tuple[ast.expr | ast.stmt, str, str]]:
    """What is replaced, the operator, and the code that replaces it."""
    for statement in function.body:
        yield from _within(statement)
    if any(ast.unparse(decorator) == "torch.no_grad()" for decorator in function.decorator_list):
        first = function.body[1 if ast.get_docstring(function) and len(function.body) > 1 else 0]
        indented = ast.unparse(first).replace("\n", "\n" + " " * first.col_offset)
        yield first, "gradient", f"torch.set_grad_enabled(True)\n{' ' * first.col_offset}{indented}"


def _within(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str, str]]:
    if isinstance(node, (ast.Assert, ast.JoinedStr)):
        return
    if isinstance(node, ast.Raise):
        yield node, "statement", "pass"
        return
    for after in _replacements(node):
        assert isinstance(node, (ast.expr, ast.stmt))
        yield node, *after
    if isinstance(node, ast.FunctionDef):
        children: list[ast.AST] = list(node.body)
    elif isinstance(node, ast.Call):
        children = [node.func, *node.args, *(one.value for one in node.keywords if one.arg not in _UNSEEN[1:])]
    elif isinstance(node, ast.AnnAssign):
        children = [node.value] if node.value is not None else []
    else:
        children = list(ast.iter_child_nodes(node))
    for child in children:
        yield from _within(child)


def _replacements(node: ast.AST) -> Iterator[tuple[str, str]]:
    match node:
        case ast.Compare(left=left, ops=ops, comparators=right):
            for place, op in enumerate(ops):
                if type(op) in _COMPARISONS:
                    others = [*ops[:place], _COMPARISONS[type(op)](), *ops[place + 1 :]]
                    yield "comparison", _code(ast.Compare(left, others, right))
        case ast.BinOp(left=left, op=op, right=right):
            if type(op) in _ARITHMETIC:
                yield "arithmetic", _code(ast.BinOp(left, _ARITHMETIC[type(op)](), right))
            if isinstance(op, _FACTORS):
                yield "operand", _code(left)
                yield "operand", _code(right)
        case ast.AugAssign(target=target, op=op, value=value) if type(op) in _ARITHMETIC:
            yield "arithmetic", ast.unparse(ast.AugAssign(target, _ARITHMETIC[type(op)](), value))
        case ast.UnaryOp(op=ast.USub() | ast.Invert() | ast.Not(), operand=operand):
            yield "arithmetic", _code(operand)
        case ast.BoolOp(op=op, values=values):
            yield "logic", _code(ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values))
            for place in range(len(values)):
                rest = [*values[:place], *values[place + 1 :]]
                yield "operand", _code(rest[0] if len(rest) == 1 else ast.BoolOp(op, rest))
        case ast.IfExp(body=body, orelse=orelse):
            yield "branch", _code(body)
            yield "branch", _code(orelse)
        case ast.Constant(value=bool(value)):
            yield "constant", str(not value)
        case ast.Constant(value=int(value)):
            yield "constant", str(value + 1)
        case ast.Constant(value=float(value)):
            yield "constant", str(2 * value if value else 1.0)
        case ast.Call(func=func, args=args, keywords=keywords):
            yield from _calls(func, args, keywords)
        case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()):
            yield "statement", "pass"
        case ast.Continue() | ast.Break():
            yield "statement", "pass"


def _calls(func: ast.expr, args: list[ast.expr], keywords: list[ast.keyword]) -> Iterator[tuple[str, str]]:
    name = func.attr if isinstance(func, ast.Attribute) else ""
    whole = ast.unparse(func)
    if whole == "torch.where" and len(args) == 3:
        yield "branch", _code(args[1])
        yield "branch", _code(args[2])
    elif whole == "torch.no_grad":
        yield "gradient", "torch.enable_grad()"
    elif isinstance(func, ast.Attribute) and name in _KEEPS_KIND and whole != f"torch.{name}":
        yield "call", _code(func.value)
    elif isinstance(func, ast.Attribute) and name in _OTHER_METHOD:
        yield "method", _code(ast.Call(ast.Attribute(func.value, _OTHER_METHOD[name], ast.Load()), args, keywords))
    for place, keyword in enumerate(keywords):
        if keyword.arg not in _UNSEEN:
            yield "keyword", _code(ast.Call(func, args, [*keywords[:place], *keywords[place + 1 :]]))


def _code(node: ast.expr) -> str:
    """An expression that stands wherever one may."""
    code = ast.unparse(node)
    return code if isinstance(node, (ast.Name, ast.Attribute, ast.Call, ast.Subscript)) else f"({code})"
