"""The same detector response as a program of no package at all: Python's standard library alone.

    in_command forward|vjp|jvp

An event has nine numbers that it may depend on: scale, the three of shape, x, the three of t, and
its entry of the table; and six outputs: y, the two of z, and what it adds to the three of total.
"""

import array
import json
import math
import struct
import sys
from pathlib import Path

CODES = {"float64": "d", "int32": "i"}
SCALE, SHAPE, X, T, ENTRY = 0, slice(1, 4), 4, slice(5, 8), 8


def response(v, cut):
    """The outputs of one event, and of each the derivatives in its nine numbers."""
    scale, shape, x, t, entry = v[SCALE], v[SHAPE], v[X], v[T], v[ENTRY]
    grown, wave = math.exp(-shape[0] * x * x), math.sin(t[0]) * t[1]
    y = scale * x * grown + shape[1] * wave
    of_x = scale * grown * (1 - 2 * shape[0] * x * x)
    of_t = [shape[1] * math.cos(t[0]) * t[1], shape[1] * math.sin(t[0]), 0.0]
    d_y = [x * grown, -scale * x**3 * grown, wave, 0.0, of_x, *of_t, 0.0]
    bent, slope = (math.log1p(y - cut), 1 / (1 + y - cut)) if y > cut else (y - cut, 1.0)
    d_bent = [shape[2] * slope * each for each in d_y]
    d_bent[3] = bent
    d_look = [*7 * [0.0], entry / math.cosh(t[2]) ** 2, math.tanh(t[2])]
    sums = [y * x**k for k in range(3)]
    d_sums = [[x**k * each for each in d_y] for k in range(3)]
    d_sums[1][X] += y
    d_sums[2][X] += 2 * x * y
    return [y, bent * shape[2], math.tanh(t[2]) * entry, *sums], [d_y, d_bent, d_look, *d_sums]


def events(parameters, inputs, label):
    """The nine numbers of each event; of tangents as of values, zero where there is none."""
    table, x, t = inputs["table"], inputs["x"], inputs["t"]
    return [
        [*parameters["scale"], *parameters["shape"], x[i], *t[3 * i : 3 * i + 3], table[label[i]]]
        for i in range(len(x))
    ]


def as_outputs(rows):
    """The outputs, of six numbers for each event."""
    sums = [math.fsum(row[k] for row in rows) for k in (3, 4, 5)]
    z = [each for row in rows for each in row[1:3]]
    return {"y": [row[0] for row in rows], "z": z, "total": sums}


def pulled(slopes, cotangents, label, entries):
    """The gradients and cotangents: for each event its six cotangents, times its slopes."""
    y, z, found = cotangents["y"], cotangents["z"], []
    for i, each in enumerate(slopes):
        w = [y[i], *z[2 * i : 2 * i + 2], *cotangents["total"]]
        found.append([sum(w[k] * each[k][j] for k in range(6)) for j in range(9)])
    table = entries * [0.0]
    for i, each in zip(label, found, strict=True):
        table[i] += each[ENTRY]
    of = [math.fsum(each[j] for each in found) for j in range(4)]
    t = [number for each in found for number in each[T]]
    inputs = {"x": [each[X] for each in found], "t": t, "table": table}
    return {"parameters": {"scale": of[:1], "shape": of[1:]}, "inputs": inputs}


def read(entry):
    """The numbers of a file, row by row."""
    content = Path(entry["file"]).read_bytes()
    (length,) = struct.unpack_from("<H", content, 8)  # of the header, version 1.0
    return array.array(CODES[entry["dtype"]], content[10 + length :])


def write(entry, numbers):
    """Write a file as wanted; where a shape has None there are as many rows as it takes."""
    known = math.prod(n for n in entry["shape"] if n is not None)
    shape = tuple(len(numbers) // known if n is None else n for n in entry["shape"])
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    Path(entry["file"]).write_bytes(start + array.array("d", numbers).tobytes())


def read_all(said):
    if "file" in said:
        return read(said)
    return {name: read_all(each) for name, each in said.items()}


def write_all(said, found):
    if "file" in said:
        return write(said, found)
    return [write_all(each, found[name]) for name, each in said.items()]


def answer(do, given, cut):
    label = given["inputs"]["label"]
    at = events(given["parameters"], given["inputs"], label)
    found = [response(each, cut) for each in at]
    if do == "forward":
        return {"outputs": as_outputs([values for values, _ in found])}
    slopes = [each for _, each in found]
    if do == "vjp":
        entries = len(given["inputs"]["table"])
        return {"gradients": pulled(slopes, given["cotangents"], label, entries)}
    moved = events(given["tangents"]["parameters"], given["tangents"]["inputs"], label)
    pushed = [
        [sum(a * b for a, b in zip(row, v, strict=True)) for row in each]
        for each, v in zip(slopes, moved, strict=True)
    ]
    return {"tangents": {"outputs": as_outputs(pushed)}}


request = json.loads(Path("request.json").read_text())
given = read_all(request["given"])
write_all(request["wanted"], answer(sys.argv[1], given, request["options"]["cut"]))
