"""Small transforms of complex points in registers, written as instructions and not compiled.

A point is LANES real parts, then LANES imaginary parts, of a flat float32 buffer. `Lanes` and
`Point` are values of code that is being generated: what looks like arithmetic here emits
instructions. Numba would take longer for all these functions than for the rest of the package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from hyenadna_cli.ops.cpu.lanes import LANES, REGISTER, broadcast, load_lanes, store_lanes

POINT = 2 * LANES
"""Numbers in a point of a buffer."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """LANES values. A product and a sum may become one fused instruction."""

    builder: Any
    value: Any

    def __add__(self, other: Lanes) -> Lanes:
        return self._new(self.builder.fadd(self.value, other.value, flags=("contract",)))

    def __sub__(self, other: Lanes) -> Lanes:
        return self._new(self.builder.fsub(self.value, other.value, flags=("contract",)))

    def __mul__(self, other: Lanes | float) -> Lanes:
        factor = other.value if isinstance(other, Lanes) else _constant(other)
        return self._new(self.builder.fmul(self.value, factor, flags=("contract",)))

    def _new(self, value: Any) -> Lanes:
        return Lanes(self.builder, value)


@dataclass(frozen=True, slots=True)
class Point:
    """LANES complex values."""

    re: Lanes
    im: Lanes

    def __add__(self, other: Point) -> Point:
        return Point(self.re + other.re, self.im + other.im)

    def __sub__(self, other: Point) -> Point:
        return Point(self.re - other.re, self.im - other.im)

    def __mul__(self, other: Point) -> Point:
        re = self.re * other.re - self.im * other.im
        return Point(re, self.re * other.im + self.im * other.re)

    def conjugate(self) -> Point:
        """With the other sign of the imaginary part."""
        return Point(self.re, self.im * -1.0)

    def swapped(self) -> Point:
        """The real part in the place of the imaginary one.

        An inverse transform is a forward one between two exchanges.
        """
        return Point(self.im, self.re)


def _constant(value: float) -> ir.Constant:
    return ir.Constant(REGISTER, [float(np.float32(value))] * LANES)


@dataclass(frozen=True, slots=True)
class Buffer:
    """An array of the function whose code is generated."""

    context: Any
    builder: Any
    type_: Any
    array: Any

    def point(self, at: Any) -> Point:
        """The one whose numbers begin at `at`."""
        parts = [
            load_lanes(self.context, self.builder, self.type_, self.array, index)
            for index in self._parts(at)
        ]
        return Point(*(Lanes(self.builder, part) for part in parts))

    def points(self, first: Any, step: Any, n: int) -> list[Point]:
        """Points from `first` on, `step` numbers apart."""
        return [self.point(at) for at in self._steps(first, step, n)]

    def write(self, first: Any, step: Any, points: list[Point]) -> None:
        """As `points` reads them."""
        for at, point in zip(self._steps(first, step, len(points)), points, strict=True):
            for index, part in zip(self._parts(at), (point.re, point.im), strict=True):
                store_lanes(self.context, self.builder, self.type_, self.array, index, part.value)

    def factor(self, at: Any) -> Point:
        """The complex number (re, im) at `at`, in every lane."""
        data = self.context.make_array(self.type_)(self.context, self.builder, self.array).data
        parts = []
        for index in (at, self.builder.add(at, ir.Constant(at.type, 1))):
            scalar = self.builder.load(self.builder.gep(data, [index]))
            parts.append(Lanes(self.builder, broadcast(self.builder, scalar)))
        return Point(*parts)

    def _parts(self, at: Any) -> tuple[Any, Any]:
        return at, self.builder.add(at, ir.Constant(at.type, LANES))

    def _steps(self, first: Any, step: Any, n: int) -> list[Any]:
        steps = [first]
        for _ in range(n - 1):
            steps.append(self.builder.add(steps[-1], step))
        return steps


def _turned_difference(a: Point, b: Point) -> Point:
    """-i * (a - b)."""
    return Point(a.im - b.im, b.re - a.re)


def _dft2(a: list[Point]) -> list[Point]:
    return [a[0] + a[1], a[0] - a[1]]


def _dft3(a: list[Point]) -> list[Point]:
    total, difference = a[1] + a[2], _turned_difference(a[1], a[2])
    middle = Point(a[0].re - total.re * 0.5, a[0].im - total.im * 0.5)
    s = np.sqrt(3) / 2
    turned = Point(difference.re * s, difference.im * s)
    return [a[0] + total, middle + turned, middle - turned]


def _dft4(a: list[Point]) -> list[Point]:
    even, odd = a[0] + a[2], a[1] + a[3]
    difference, turned = a[0] - a[2], _turned_difference(a[1], a[3])
    return [even + odd, difference + turned, even - odd, difference - turned]


def _dft5(a: list[Point]) -> list[Point]:
    c1, c2 = np.cos(2 * np.pi / 5), np.cos(4 * np.pi / 5)
    s1, s2 = np.sin(2 * np.pi / 5), np.sin(4 * np.pi / 5)
    t1, t2 = a[1] + a[4], a[2] + a[3]
    d1, d2 = _turned_difference(a[1], a[4]), _turned_difference(a[2], a[3])
    m1 = Point(a[0].re + t1.re * c1 + t2.re * c2, a[0].im + t1.im * c1 + t2.im * c2)
    m2 = Point(a[0].re + t1.re * c2 + t2.re * c1, a[0].im + t1.im * c2 + t2.im * c1)
    q1 = Point(d1.re * s1 + d2.re * s2, d1.im * s1 + d2.im * s2)
    q2 = Point(d1.re * s2 - d2.re * s1, d1.im * s2 - d2.im * s1)
    return [a[0] + t1 + t2, m1 + q1, m2 + q2, m2 - q2, m1 - q1]


def _dft8(a: list[Point]) -> list[Point]:
    h = np.sqrt(0.5)
    e = _dft4(a[0::2])
    o = _dft4(a[1::2])
    o1 = Point((o[1].re + o[1].im) * h, (o[1].im - o[1].re) * h)
    o2 = Point(o[2].im, o[2].re)
    o3 = Point((o[3].im - o[3].re) * h, (o[3].re + o[3].im) * h)
    return [
        e[0] + o[0],
        e[1] + o1,
        Point(e[2].re + o2.re, e[2].im - o2.im),
        Point(e[3].re + o3.re, e[3].im - o3.im),
        e[0] - o[0],
        e[1] - o1,
        Point(e[2].re - o2.re, e[2].im + o2.im),
        Point(e[3].re - o3.re, e[3].im + o3.im),
    ]


_DFT = {2: _dft2, 3: _dft3, 4: _dft4, 5: _dft5, 8: _dft8}


@intrinsic(prefer_literal=True)
def transform_pass(_, x, start, n_groups, width, w, t, radix, is_inverse):
    """One pass over groups of radix * width points, with the factors from number `t` of w on.

    `radix` and `is_inverse` (0 or 1) are literals.
    """
    n, backwards = radix.literal_value, bool(is_inverse.literal_value)

    def generate(context, builder, signature, arguments):
        array, start, n_groups, width, factors, t = arguments[:6]
        buffer = Buffer(context, builder, signature.args[0], array)
        turns = Buffer(context, builder, signature.args[4], factors)
        number = lambda value: ir.Constant(start.type, value)  # noqa: E731
        step = builder.mul(width, number(POINT))
        with cgutils.for_range(builder, n_groups, intp=start.type) as groups:
            offset = builder.mul(groups.index, builder.mul(step, number(n)))
            first = builder.add(start, offset)
            with cgutils.for_range(builder, width, intp=start.type) as columns:
                at = builder.add(first, builder.mul(columns.index, number(POINT)))
                of = builder.add(t, builder.mul(columns.index, number(2 * (n - 1))))
                w_at = [builder.add(of, number(2 * k)) for k in range(n - 1)]
                points = buffer.points(at, step, n)
                if backwards:
                    points = [point.swapped() for point in points]
                    points = _turned(points, turns, w_at)
                    points = [point.swapped() for point in _DFT[n](points)]
                else:
                    points = _turned(_DFT[n](points), turns, w_at)
                buffer.write(at, step, points)
        return context.get_dummy_value()

    i = types.intp
    return types.void(x, i, i, i, w, i, radix, is_inverse), generate


def _turned(points: list[Point], turns: Buffer, w_at: list[Any]) -> list[Point]:
    """All but the first times their factors."""
    rest = zip(points[1:], w_at, strict=True)
    return [points[0], *(point * turns.factor(at) for point, at in rest)]


def _over_eights(types_of, n_buffers, work):
    """An intrinsic's code: `work` on each eight neighbouring points of some buffers."""

    def generate(context, builder, signature, arguments):
        arrays = zip(signature.args[:n_buffers], arguments[:n_buffers], strict=True)
        buffers = [Buffer(context, builder, type_, array) for type_, array in arrays]
        starts = arguments[n_buffers:-1]
        step = ir.Constant(starts[0].type, POINT)
        eights = builder.lshr(arguments[-1], ir.Constant(starts[0].type, 3))
        with cgutils.for_range(builder, eights, intp=starts[0].type) as loop:
            offset = builder.mul(loop.index, ir.Constant(starts[0].type, 8 * POINT))
            work(buffers, [builder.add(start, offset) for start in starts], step)
        return context.get_dummy_value()

    return types.void(*types_of), generate


@intrinsic
def last_pass(_, x, start, n_points):
    """The last pass of a forward transform, over each 8 neighbouring points."""

    def work(buffers, starts, step):
        buffers[0].write(starts[0], step, _dft8(buffers[0].points(starts[0], step, 8)))

    return _over_eights((x, types.intp, types.intp), 1, work)


@intrinsic
def first_pass_back(_, x, start, n_points):
    """`last_pass` undone, eight times too large."""

    def work(buffers, starts, step):
        points = [point.swapped() for point in buffers[0].points(starts[0], step, 8)]
        points = [point.swapped() for point in _dft8(points)]
        buffers[0].write(starts[0], step, points)

    return _over_eights((x, types.intp, types.intp), 1, work)


@intrinsic
def filter_points(_, x, spectrum, start, k_start, n_points):
    """`last_pass`, times the spectrum of a filter, and `first_pass_back`."""

    def work(buffers, starts, step):
        x, spectrum = buffers
        points = _dft8(x.points(starts[0], step, 8))
        _write_back(x, starts[0], step, points, spectrum.points(starts[1], step, 8))

    i = types.intp
    return _over_eights((x, spectrum, i, i, i), 2, work)


@intrinsic
def adjoint_points(_, x, y, spectrum, total, start, n_points):
    """As `filter_points` of inputs x, and of gradients y with the conjugate of the spectrum.

    Adds the gradient of the spectrum, y times the conjugate of x, to the total.
    """

    def work(buffers, starts, step):
        x, y, spectrum, total = buffers
        (at,) = starts
        inputs, gradients = (_dft8(buffer.points(at, step, 8)) for buffer in (x, y))
        of_spectrum = [a * b.conjugate() for a, b in zip(gradients, inputs, strict=True)]
        sums = zip(total.points(at, step, 8), of_spectrum, strict=True)
        total.write(at, step, [a + b for a, b in sums])
        _write_back(x, at, step, inputs, spectrum.points(at, step, 8))
        conjugates = [point.conjugate() for point in spectrum.points(at, step, 8)]
        _write_back(y, at, step, gradients, conjugates)

    i = types.intp
    return _over_eights((x, y, spectrum, total, i, i), 4, work)


def _write_back(
    buffer: Buffer, at: Any, step: Any, points: list[Point], factors: list[Point]
) -> None:
    """Eight points of a spectrum, times factors, after the first pass back."""
    filtered = [(a * k).swapped() for a, k in zip(points, factors, strict=True)]
    buffer.write(at, step, [point.swapped() for point in _dft8(filtered)])
