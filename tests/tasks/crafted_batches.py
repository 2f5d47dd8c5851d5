"""Pickled batches of CIFAR-10: good ones, and crafted ones with the words by which they must be refused."""

from __future__ import annotations

import pickle
import struct

import numpy as np

RECORDS = 4
PIXELS = np.random.default_rng(0).integers(0, 256, (RECORDS, 3072), dtype=np.uint8)
LABELS = [3, 0, 9, 7]
EMPTY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"  # an array before its state


# --- opcodes, as Python 2 and NumPy 1 write them --------------------------------------------------------------------


def text(value: bytes) -> bytes:
    return b"T" + struct.pack("<i", len(value)) + value


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def array(
    content: bytes = PIXELS.tobytes(),
    shape: bytes = number(RECORDS) + number(3072) + b"\x86",
    kind: bytes = b"u1",
    state: bytes = b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t",
    fortran: bytes = b"\x89",
) -> bytes:
    """A pickled array, whose parts can be replaced."""
    dtype = b"cnumpy\ndtype\n" + text(kind) + b"K\x00K\x01\x87R" + state + b"b"
    return EMPTY + b"(K\x01" + shape + dtype + fortran + text(content) + b"tb"


def batch(data: bytes = array(), labels: bytes = b"](" + b"".join(b"K" + bytes([n]) for n in LABELS) + b"e") -> bytes:
    """A pickled batch, whose parts can be replaced."""
    return b"\x80\x02}q\x01(" + text(b"batch_label") + text(b"one") + text(b"labels") + labels + text(b"data") + data + b"u."


GOOD = {
    "of Python 2": batch(),
    "in Fortran's order": batch(array(PIXELS.tobytes(order="F"), fortran=b"\x88")),
    "with an array of labels": batch(labels=array(bytes(LABELS), number(RECORDS) + b"\x85", b"|u1")),
} | {
    f"of protocol {protocol}, {order} order": pickle.dumps(
        {b"data": np.asarray(PIXELS, order=order), b"labels": LABELS, b"filenames": [b"a.png", b"\xff.png"]}, protocol
    )
    for protocol in (2, 3, 4)
    for order in ("C", "F")
}


# --- crafted batches ------------------------------------------------------------------------------------------------


def labelled(label: object) -> bytes:
    """A batch whose last label is another object."""
    return pickle.dumps({b"data": PIXELS, b"labels": [1, 2, 3, label]}, 2)


def with_data(data: object) -> bytes:
    return pickle.dumps({b"data": data, b"labels": LABELS}, 2)


def called(function: str, arguments: bytes) -> bytes:
    """The pickle of a call."""
    module, name = function.rsplit(".", 1)
    return f"c{module}\n{name}\n".encode() + arguments + b"R"


NESTED = b"".join([b")", *[b"2\x86" for _ in range(60)]])  # a tuple of two references to a tuple of two ...
TWICE = b"(Nt" + b"".join(b"q\x02h\x02\x86" for _ in range(60))  # the same with the memo
ADDRESS = struct.pack("<Q", 0x4141414141414141)
OBJECT_STATE = b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"
FIELDS = b"(K\x03U\x01|NU\x01a\x85}U\x01acnumpy\ndtype\nU\x02O8K\x00K\x01\x87RK\x00\x86sK\x08K\x01K\x00t"
LONG_TEXT = b"X" + struct.pack("<I", 4_000_000) + b"a" * 4_000_000
LATIN = b"X\x06\x00\x00\x00latin1\x86"  # the second argument of a call
ENCODED = b"c_codecs\nencode\nq\x05h\x04X\x06\x00\x00\x00latin1\x86q\x06R"

BAD: dict[str, tuple[bytes, str]] = {
    # NumPy follows pointers in these.
    "objects as bytes": (batch(array(ADDRESS * 2 * RECORDS, kind=b"O8", state=OBJECT_STATE)), "type b'O8'"),
    "a field of objects": (batch(array(ADDRESS * 2 * RECORDS, kind=b"V8", state=FIELDS)), "type b'V8'"),
    "bytes with a field of objects": (batch(array(state=FIELDS)), "type b'O8'"),
    "bytes with a part for fields": (batch(array(state=b"(K\x03U\x01|N)}K\x01K\x01K\x00t")), "another form than NumPy's"),
    "labels that are objects": (batch(labels=array(ADDRESS * RECORDS, number(RECORDS) + b"\x85", b"O8")), "type b'O8'"),
    # Arrays of other sizes and types.
    "too few bytes": (batch(array(PIXELS.tobytes()[1:])), r"shape \(4, 3072\) with 12,287 bytes"),
    "a negative size": (batch(array(shape=number(-4) + number(-3072) + b"\x86")), "shape"),
    "a size that overflows": (batch(array(b"", shape=b"\x8a\x09" + b"\x00" * 8 + b"\x01K\x00\x86")), "shape"),
    "many dimensions": (batch(array(shape=b"(" + b"K\x01" * 70 + b"t")), "shape"),
    "a real size": (batch(array(shape=b"G@\x10\x00\x00\x00\x00\x00\x00" + number(3072) + b"\x86")), "shape"),
    "a true size": (batch(array(PIXELS.tobytes()[:3072], shape=b"\x88" + number(3072) + b"\x86")), "shape"),
    "no content": (batch(EMPTY), "data is of shape"),
    "a list of bytes": (batch(array().replace(text(PIXELS.tobytes()), b"]")), "another form than NumPy's"),
    "another shape": (with_data(PIXELS.T), r"data is of shape \(3072, 4\)"),
    "signed bytes": (with_data(PIXELS.astype(np.int8)), "type 'i1'"),
    "reals": (with_data(PIXELS.astype(np.float64)), "type 'f8'"),
    "truths": (with_data(PIXELS > 9), "type 'b1'"),
    "objects": (with_data(PIXELS.astype(object)), "type 'O8'"),
    "a list of data": (with_data(PIXELS.tolist()), "has more than .* opcodes"),
    "no data": (with_data(None), "data is None"),
    # Labels that would have to be cast.
    "label None": (labelled(None), "damaged: its label 3 is None"),
    "label text": (labelled("7"), "damaged: its label 3 is a str"),
    "label NaN": (labelled(float("nan")), "damaged: its label 3 is nan"),
    "label 3.7": (labelled(3.7), "damaged: its label 3 is 3.7"),
    "label 300.7": (labelled(300.7), "damaged: its label 3 is 300.7"),
    "label 3.0": (labelled(3.0), "damaged: its label 3 is 3.0"),
    "label True": (labelled(True), "damaged: its label 3 is True"),
    "label 10": (labelled(10), "damaged: its label 3 is 10"),
    "label 256": (labelled(256), "damaged: its label 3 is 256"),
    "label -1": (labelled(-1), "damaged: its label 3 is -1"),
    "label of 2,000 bits": (labelled(1 << 2000), "damaged: its label 3 is 1"),
    "label list": (labelled([1]), "damaged: its label 3 is a list"),
    "labels of 64 bits": (pickle.dumps({b"data": PIXELS, b"labels": np.array(LABELS)}, 2), "type 'i8'"),
    "an array with label 10": (batch(labels=array(bytes([1, 2, 3, 10]), number(RECORDS) + b"\x85")), "labels from 1 to 10"),
    "three labels": (pickle.dumps({b"data": PIXELS, b"labels": [1, 2, 3]}, 2), r"labels is of shape \(3,\)"),
    "no labels": (pickle.dumps({b"data": PIXELS}, 2), "labels is None"),
    # Code.
    "eval": (batch(called("__builtin__.eval", text(b"1/0") + b"\x85")), "__builtin__.eval"),
    "os.system": (batch(called("posix.system", text(b"true") + b"\x85")), "posix.system"),
    "another name of NumPy": (batch(called("numpy.load", text(b"file") + b"\x85")), "numpy.load"),
    "an attribute": (b"\x80\x04\x8c\x05numpy\x8c\x0cdtype.name.x\x93.", "numpy.dtype.name.x"),
    "ndarray called": (batch(called("numpy.ndarray", number(4) + b"\x85")), "calls something else"),
    "another codec": (batch(called("_codecs.encode", b"X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86")), "calls something"),
    "codec of bytes": (batch(called("_codecs.encode", text(b"a") + LATIN)), "calls something else"),
    "text beyond latin1": (batch(called("_codecs.encode", b"X\x03\x00\x00\x00\xe2\x82\xac" + LATIN)), "latin"),
    "a class with a state": (batch(b"cnumpy\nndarray\n}b"), "another form than NumPy's"),
    "an array filled twice": (batch(array() + b"(K\x01)Nt" + b"b"), "another form than NumPy's"),
    "persistent id": (batch(b"Pabc\n"), "PERSID"),
    "backslash": (batch(b"cnum\\py\nload\n"), "."),
    # Sizes.
    "text of a terabyte": (b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40) + b"a.", "remain"),
    "bytes of 2**63": (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 63) + b"a.", "exceed|sys.maxsize"),
    "a byte array of a terabyte": (b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"a.", "remain"),
    "an integer of 2 GB": (b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"a.", "."),
    "a frame of an exabyte": (b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"N.", "not a dictionary"),
    "strings of negative length": (b"\x80\x02T" + struct.pack("<i", -1) + b".", "negative"),
    "many sets": (b"\x80\x04" + b"\x8f" * 20_000_000 + b".", "EMPTY_SET"),
    "many lists": (b"\x80\x02" + b"]" * 20_000_000 + b".", "more than 1,080 opcodes"),
    "a text encoded often": (b"\x80\x02" + LONG_TEXT + b"q\x04" + ENCODED * 150 + b".", "longer than the file"),
    # Structures.
    "nested lists": (batch(labels=b"]" * 400 + b"a" * 399), r"labels is of shape \(1,\)"),
    "a list in itself": (batch(labels=b"]q\x02(h\x02h\x02h\x02h\x02e"), "label 0 is a list"),
    "doubled tuples as labels": (batch(labels=b"](" + TWICE * 4 + b"e"), "label 0 is a tuple"),
    "doubled tuples as a key": (b"\x80\x02}" + TWICE + b"Ns.", "keys of a dictionary"),
    "doubled tuples as a shape": (batch(array(shape=TWICE)), "shape"),
    "doubled tuples as a state": (batch(array(state=TWICE)), "another form than NumPy's"),
    "copies of the top": (batch(NESTED), "DUP"),
    "an empty stack": (b"\x80\x02R.", "stack is empty"),
    "beyond the mark": (b"\x80\x02NN(R.", "stack is empty"),
    "no mark": (b"\x80\x02Nt.", "no mark"),
    "no object": (b"\x80\x02h\x07.", "object 7"),
    "items for a number": (b"\x80\x02K\x01Na.", "adds items to a int"),
    "half an item": (b"\x80\x02}(Nu.", "keys of a dictionary"),
    "no end": (batch()[:-1], "STOP"),
    "nothing": (b"", "STOP"),
}  # fmt: skip
