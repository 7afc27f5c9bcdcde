"""A call of attention: what of it can be seen to be wrong, and how it is passed on."""

from __future__ import annotations

from typing import Any

from ._attention_options import (
    BlockTable, Options, bias_strides, check_options, check_starts, mods_of, softcap_of,
)  # fmt: skip
from ._errors import InvalidArgumentError, UnsupportedError
from ._frameworks import Framework, framework_of
from ._masks import Causal, mask_of, scale_of
from ._mods import Mods
from ._operators import operators
from ._session import checks_addresses

HEAD_AXIS = {"bshd": 2, "bhsd": 1, "sbhd": 2}
BATCH_AXIS = {"bshd": 0, "bhsd": 0, "sbhd": 1}
ROW_AXIS = {"bshd": 1, "bhsd": 2, "sbhd": 0}
DTYPES = ("float32", "float16", "bfloat16")


def checked(
    q: Any, k: Any, v: Any, scale: float | None, causal: Causal, layout: str, window: Any,
    softcap: float, sinks: Any, bias: Any, mods: Any, table: BlockTable | None, starts_q: Any,
    starts_k: Any, max_q: int | None, max_k: int | None,
) -> tuple[Framework, Options]:  # fmt: skip
    """What can be seen to be wrong before the operator looks."""
    if layout not in HEAD_AXIS:
        raise InvalidArgumentError(f"layout is {layout!r}; it may be 'bshd', 'bhsd' or 'sbhd'")
    mask, left, right = mask_of(causal, window)
    scale_of(scale)
    softcap = softcap_of(softcap)
    framework = framework_of("q", q)
    for name, array in (("q", q), ("k", k), ("v", v)):
        if type(array) is not type(q) and type(framework_of(name, array)) is not type(framework):
            raise InvalidArgumentError(f"{name} is of another framework than q")
        framework.check(name, array)
    if framework.dtype_name(q) not in DTYPES:
        raise InvalidArgumentError(
            f"q is of type {framework.dtype_name(q)}; it may be {', '.join(DTYPES)}"
        )
    if mods is not None and not isinstance(mods, Mods):
        raise InvalidArgumentError(f"mods is {mods!r}; make it by flashmoe_science.mods()")
    for name, each in (
        ("sinks", sinks), ("bias", bias), ("cu_seqlens_q", starts_q), ("cu_seqlens_k", starts_k),
        *(("an array of mods", each) for each in (() if mods is None else mods.arrays)),
    ):  # fmt: skip
        if each is not None and type(framework_of(name, each)) is not type(framework):
            raise InvalidArgumentError(f"{name} is of another framework than q")
    if starts_q is not None:
        starts_k = starts_q if starts_k is None else starts_k
        max_q = longest_of(framework, "q", starts_q, q, max_q)
        max_k = longest_of(framework, "k", starts_k, k, max_k)
    options = Options(
        mask, left, right, softcap, sinks, bias, mods, starts_q, starts_k, max_q or 0, max_k or 0,
        table,
    )  # fmt: skip
    check_options(framework, q, options, score_shape(q, k, layout, options.packed))
    return framework, options


def longest_of(
    framework: Framework, name: str, starts: Any, packed: Any, longest: int | None
) -> int:
    """The longest of sequences: as given, or found in where they start, which is then looked at."""
    if longest is not None and not checks_addresses():
        return longest
    if len(starts.shape) != 1 or len(packed.shape) != 3:
        return longest or 0  # the operator says it
    found = check_starts(
        f"cu_seqlens_{name}", framework.numbers(starts), name, packed.shape[0]
    )
    return found if longest is None else longest


def score_shape(
    q: Any, k: Any, layout: str, packed: bool
) -> tuple[int, int, int, int] | None:
    """(batch, heads, seq_q, seq_k), where there are such."""
    if packed or len(q.shape) != 4 or len(k.shape) != 4:
        return None
    row = ROW_AXIS[layout]
    return q.shape[BATCH_AXIS[layout]], q.shape[HEAD_AXIS[layout]], q.shape[row], k.shape[row]


def lse_shape(shape: Any, layout: str, packed: bool) -> tuple[int, ...]:
    """Of the log-sum-exp, for q's shape."""
    if packed or len(shape) != 4:
        return (shape[-2], shape[0])
    return shape[BATCH_AXIS[layout]], shape[HEAD_AXIS[layout]], shape[ROW_AXIS[layout]]


def check_shapes(q: Any, k: Any, v: Any, layout: str, packed: bool = False) -> None:
    """What the operator checks too; here with nothing to be computed."""
    rank = 3 if packed else 4
    for name, array in (("q", q), ("k", k), ("v", v)):
        if len(array.shape) != rank:
            raise InvalidArgumentError(
                f"{name} has {len(array.shape)} dimensions, and must have {rank}"
            )
        if array.dtype != q.dtype:
            raise InvalidArgumentError(f"{name} has another dtype than q")
    batch, head, row = BATCH_AXIS[layout], HEAD_AXIS[layout], ROW_AXIS[layout]
    if packed:
        head, row = 1, 0
    if tuple(k.shape[:-1]) != tuple(v.shape[:-1]):
        raise InvalidArgumentError(f"k and v don't fit together: {k.shape} and {v.shape}")
    if k.shape[-1] != q.shape[-1] or (not packed and k.shape[batch] != q.shape[batch]):
        raise InvalidArgumentError(f"q and k don't fit together: {q.shape} and {k.shape}")
    for name, dim in (("head_dim", q.shape[-1]), ("v's head_dim", v.shape[-1])):
        if not 1 <= dim <= 256:
            raise InvalidArgumentError(f"{name} is {dim}; it may be 1 to 256")
    if k.shape[head] < 1 or q.shape[head] % k.shape[head]:
        raise InvalidArgumentError(
            f"kv_heads is {k.shape[head]}; it may be any divisor of heads, which is {q.shape[head]}"
        )
    if max(q.shape[row], k.shape[row]) > 1 << 30:
        raise InvalidArgumentError("a sequence is longer than 1073741824")


def check_lists(framework: Framework, q: Any, options: Options, layout: str) -> None:
    """The operator checks these too."""
    heads = q.shape[1 if options.packed else HEAD_AXIS[layout]]
    for name, array, dtype, size in (
        ("sinks", options.sinks, "float32", heads),
        ("cu_seqlens_q", options.starts_q, "int32", None),
        ("cu_seqlens_k", options.starts_k, "int32", None),
    ):
        if array is None:
            continue
        if len(array.shape) != 1 or size not in (None, array.shape[0]):
            raise InvalidArgumentError(f"{name} is of shape {tuple(array.shape)}")
        if framework.dtype_name(array) != dtype or not framework.is_contiguous(array):
            raise InvalidArgumentError(f"{name} must be {dtype}, and contiguous")
    if options.packed and options.starts_q.shape != options.starts_k.shape:
        raise InvalidArgumentError("cu_seqlens_q and cu_seqlens_k are of several lengths")


def run(
    framework: Framework, q: Any, k: Any, v: Any, out: Any, lse: Any, scale: float | None,
    layout: str, options: Options,
) -> None:  # fmt: skip
    """Calls the operator: computes into `out`, and `lse` unless that is None."""
    exported = framework.exported
    call = (
        exported(q), exported(k), exported(v), exported(out), lse, scale_of(scale), options.mask,
        layout, framework.named_dtype(q), framework.stream(q),
    )  # fmt: skip
    if options.plain:
        operators().attention_forward(*call)
        return
    sinks, bias, starts_q, starts_k = (
        None if each is None else exported(each)
        for each in (options.sinks, options.bias, options.starts_q, options.starts_k)
    )
    shape = score_shape(q, k, layout, options.packed)
    strides: tuple[int, ...] = ()
    if options.bias is not None and shape is not None:
        strides = bias_strides(framework, q, options.bias, shape)
    table = options.table
    operators().attention_forward_options(
        *call, options.window_left, options.window_right, options.softcap, sinks, bias, strides,
        starts_q, starts_k, options.max_q, options.max_k, *mods_of(framework, options),
        None if table is None else table.memory, () if table is None else table.shape,
    )  # fmt: skip
