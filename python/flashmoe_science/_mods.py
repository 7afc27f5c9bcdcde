"""Functions of scores and masks of the user's own, in attention's kernels."""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from typing import Any

from . import _sources
from ._errors import InvalidArgumentError
from ._frameworks import elements_of
from ._operators import operators

# C++ types of members, as the module struct names them.
_NUMBERS = {
    "float": "f", "double": "d", "bool": "?", "char": "b", "signed char": "b",
    "unsigned char": "B", "short": "h", "unsigned short": "H", "int": "i", "unsigned": "I",
    "unsigned int": "I", "long": "q", "unsigned long": "Q", "long long": "q",
    "unsigned long long": "Q",
}  # fmt: skip
# What elements of an array must be, by what the pointer points to; others aren't checked.
_ELEMENTS = {
    "float": ("float32",), "double": ("float64",), "bool": ("bool",), "char": ("int8",),
    "signed char": ("int8",), "unsigned char": ("uint8", "bool"), "short": ("int16",),
    "unsigned short": ("uint16",), "int": ("int32",), "unsigned": ("uint32",),
    "unsigned int": ("uint32",), "long": ("int64",), "long long": ("int64",),
    "__half": ("float16",), "__nv_bfloat16": ("bfloat16",),
}  # fmt: skip
_COMMENTS = re.compile(r"//[^\n]*|/\*.*?\*/|^[ \t]*#[^\n]*", re.DOTALL | re.MULTILINE)
_QUALIFIERS = re.compile(r"\b(?:const|volatile|__restrict__|__restrict)\b")
_MEMBER = re.compile(
    r"(?P<type>[A-Za-z_][\w:\s]*?)(?P<stars>[\s*]+)(?P<names>\w+(?:[\s*]*,[\s*]*\w+)*)"
)


@dataclass(frozen=True)
class _Member:
    """A member of the struct, and where it is."""

    name: str
    type: str  # what it is, or points to
    is_pointer: bool
    offset: int


class Mods:
    """Functions of scores and masks, with the values of their struct's members.

    Made by :func:`mods`. Immutable; keeps its arrays alive.
    """

    def __init__(self, kind: str, name: str, text: str, fields: dict[str, Any]) -> None:
        self.kind, self.name, self.text = kind, name, text
        self.number = number_of(kind, name, text)
        members, size = _members_of(operators().attention_mods_text(self.number), name)
        given, declared = set(fields), {member.name for member in members}
        if given != declared:
            wrong = given - declared
            raise InvalidArgumentError(
                f"struct Mods of {name} has no member {sorted(wrong)[0]!r}; it has "
                f"{', '.join(member.name for member in members) or 'none'}"
                if wrong
                else f"struct Mods of {name} has a member {sorted(declared - given)[0]!r}: give it"
            )
        block = bytearray(max(size, 1))
        self.arrays: list[Any] = []
        self.offsets: list[int] = []
        for member in members:
            value = fields[member.name]
            if member.is_pointer and value is not None:
                _check_array(member, value)
                self.arrays.append(value)
                self.offsets.append(member.offset)
            elif not member.is_pointer:
                _pack(member, value, block)
        self.block = bytes(block)
        self.hexadecimal = self.block.hex()

    @classmethod
    def restored(
        cls, kind: str, name: str, text: str, block: bytes, arrays: list[Any], offsets: list[int]
    ) -> Mods:
        """What an operator of a framework has kept of one."""
        made = cls.__new__(cls)
        made.kind, made.name, made.text, made.number = kind, name, text, number_of(kind, name, text)
        made.arrays, made.offsets = arrays, offsets
        made.block, made.hexadecimal = block, block.hex()
        return made

    def __repr__(self) -> str:
        return f"<flashmoe_science.mods {self.name}, {len(self.block)} bytes>"


def mods(source: str | os.PathLike[str], **fields: Any) -> Mods:
    """Functions of scores and masks, written in CUDA C++, for :func:`attention`.

    The source has a struct ``Mods`` with one of these functions, or both::

        fms.mods('''
            struct Mods {
              const float* slopes;
              __device__ float score(float score, int batch, int head, int query, int key) const {
                return score + slopes[head] * float(key - query);
              }
              __device__ bool mask(int batch, int head, int query, int key) const {
                return key <= query;
              }
            };
        ''', slopes=slopes)

    ``score`` is given softmax_scale * q k^T, capped by softcap if there is one, in natural units,
    and gives what takes its place; -inf hides the key. In its place there may be
    ``float slope(int batch, int head) const`` and ``int slope_offset(int batch) const``, for ALiBi:
    the slope times ``|query + slope_offset - key|`` is subtracted, on Hopper by the tensor cores at
    next to no cost. ``mask`` says whether the query sees the
    key; a causal or a window mask must allow it too. Both are called with indices within the
    sequence (also of packed ones), head being that of the query. They compile into the kernel:
    errors point to the source's lines.

    Args:
        source: the text; or the path of a file, whose includes are looked up beside it; or one of
            ``"alibi"`` (slopes, offset), ``"documents"`` (documents, batch_stride) and ``"bias"``
            (bias, batch_stride, head_stride, query_stride, key_stride).
        **fields: a value for each member: for a pointer a contiguous array on the device of q, of
            the type it points to, or None; else a number. At most 512 bytes in all. For JAX's
            attention it is an array of JAX's, traced or not.

    Raises:
        InvalidArgumentError: there is no struct Mods, or a member without a value or of a type
            that isn't known.
    """
    given = os.fspath(source)
    if "\n" in given or "{" in given:
        name = "mods.cuh"
        _sources.note(name, given, depth=1)
        return Mods("source", name, given, fields)
    if re.fullmatch(r"\w+", given) and not os.path.exists(given):
        return Mods("embedded", given, "", fields)
    _sources.note_file(given)
    path = os.path.abspath(given)
    _numbers.pop(("file", path, ""), None)  # it may have changed
    return Mods("file", path, "", fields)


_numbers: dict[tuple[str, str, str], int] = {}


def number_of(kind: str, name: str, text: str) -> int:
    """Of these functions, as the operators take it."""
    number = _numbers.get((kind, name, text))
    if number is None:
        number = _numbers[kind, name, text] = operators().attention_mods(kind, name, text)
    return number


def _members_of(text: str, name: str) -> tuple[list[_Member], int]:
    """The data members of the struct Mods, and its size. What isn't understood is an error."""
    text = _COMMENTS.sub(lambda found: "\n" * found.group().count("\n"), text)
    begin = re.search(r"\b(?:struct|class)\s+Mods\b[^;{]*\{", text)
    if begin is None:
        raise InvalidArgumentError(f"{name} has no struct Mods with a body")
    members: list[_Member] = []
    end, alignment = 0, 1
    for statement in _statements(text[begin.end() :]):
        found = _MEMBER.fullmatch(_QUALIFIERS.sub("", statement).strip())
        if found is None:
            raise InvalidArgumentError(
                f"can't tell what member {statement!r} of struct Mods in {name} is: write "
                "'TYPE name;' or 'const TYPE* name;'"
            )
        kind = " ".join(found["type"].split())
        names = (found["stars"] + found["names"]).split(",")
        for each in names:
            is_pointer = "*" in each
            member = each.replace("*", "").strip()
            if not is_pointer and kind not in _NUMBERS:
                raise InvalidArgumentError(
                    f"member {member} of struct Mods in {name} is a {kind}; it may be a pointer, "
                    f"or one of {', '.join(_NUMBERS)}"
                )
            size = 8 if is_pointer else struct.calcsize(_NUMBERS[kind])
            end = -(-end // size) * size
            members.append(_Member(member, kind, is_pointer, end))
            end, alignment = end + size, max(alignment, size)
    return members, -(-end // alignment) * alignment


def _statements(body: str) -> list[str]:
    """The declarations of a struct's body that are of data: neither functions, types nor constants.

    Nested braces are what functions and types have.
    """
    statements, depth, start, has_body = [], 0, 0, False
    for at, character in enumerate(body):
        if character == "{":
            depth += 1
            has_body = True
        elif character == "}":
            if depth == 0:
                break
            depth -= 1
            if depth == 0 and has_body and "(" in body[start:at]:
                start, has_body = at + 1, False  # a function, which ends without a semicolon
        elif character == ";" and depth == 0:
            statement = " ".join(body[start:at].split())
            start = at + 1
            statement = re.sub(r"^(?:public|private|protected)\s*:\s*", "", statement)
            is_data = statement and not has_body and "(" not in statement
            if is_data and not re.match(r"(?:static|using|typedef|enum|friend)\b", statement):
                statements.append(statement)
            has_body = False
    return statements


def _check_array(member: _Member, array: Any) -> None:
    elements = elements_of(f"member {member.name}", array)
    expected = _ELEMENTS.get(member.type)
    if expected is not None and elements not in expected:
        raise InvalidArgumentError(
            f"member {member.name} is a pointer to {member.type}, and the array is of {elements}"
        )


def _pack(member: _Member, value: Any, block: bytearray) -> None:
    try:
        struct.pack_into("=" + _NUMBERS[member.type], block, member.offset, value)
    except (struct.error, OverflowError, TypeError) as error:
        raise InvalidArgumentError(
            f"member {member.name} is a {member.type}, and {value!r} isn't one: {error}"
        ) from None


def with_addresses(block: bytes, offsets: list[int], addresses: list[int]) -> bytes:
    """The struct's bytes with pointers in their places."""
    if not offsets:
        return block
    filled = bytearray(block)
    for offset, address in zip(offsets, addresses):
        struct.pack_into("=Q", filled, offset, address)
    return bytes(filled)
