"""What the fuzzer begins with: seeds.py OUT [CAPTURES]

Writes into OUT/TARGET: the connections of the captures (payloads as JSON lines, see `tests/fuzz/src/script.rs` for the form that
they get), the plant files of this project, and the regressions.
"""

import json
import pathlib
import sys

PROJECT = pathlib.Path(__file__).resolve().parents[2]

# Target, folder of the captures, the server's port, and the rules that a script begins with.
PROTOCOLS = [
    ("modbus", "modbus", 502, range(6)),
    ("rfb", "rfb", 5900, (0, 1, 7, 8)),
    ("rdp", "rdp", 3389, range(3)),
]
# Longer inputs are tried rarely.
MOST = 8192
LONGEST_REGRESSION = 2048
# The first byte of inputs for recordings.
RECORDED, EXPORTED = 2, 3


def main(out, captures=None):
    for target in ("modbus", "rfb", "rdp", "plant_file", "recording"):
        (out / target).mkdir(parents=True, exist_ok=True)
        for file in sorted((PROJECT / "tests/fuzz/regressions" / target).iterdir()):
            content = regression(file)
            # What takes long to play would take all of the time.
            if len(content) <= LONGEST_REGRESSION:
                write(out, target, file.stem, content)
                if target == "recording" and content[0] == RECORDED:
                    write(out, target, f"{file.stem}-exported", bytes([EXPORTED]) + content[1:])
    for name, plant in plants():
        write(out, "plant_file", name, plant)
    if captures is None:
        print("there are no captures: the filters begin with what was made by hand", file=sys.stderr)
        return
    for target, folder, port, rules in PROTOCOLS:
        for file in sorted((captures / folder / "payloads").glob("*.jsonl")):
            for stream, script in scripts(file, port):
                for number in rules:
                    write(out, target, f"{file.stem}-{stream}-{number}", bytes([number, stream % 256]) + script)


def write(out, target, name, content):
    (out / target / name).write_bytes(content)


def regression(file):
    if file.suffix != ".hex":
        return file.read_bytes()
    return bytes.fromhex("".join(line.split("#")[0] for line in file.read_text().splitlines()))


def plants():
    """Each plant file of this project, with the tag lists and the table that stand beside it."""
    table = (PROJECT / "policy/tests/data/decisions.toml").read_text()
    lists = {"tags.csv": "broker/src/demo/plc/tags.csv", "plc-3.csv": "tests/data/plc-3.csv"}
    lists = "".join(f"#### {name}\n{(PROJECT / path).read_text()}" for name, path in lists.items())
    for path in ("deploy/plant.example.toml", "broker/src/demo/plant.toml", "policy/tests/data/plant.toml"):
        plant = (PROJECT / path).read_text()
        yield path.replace("/", "-"), f"{plant}{lists}#### cases.toml\n{table}".encode()
    parts = [(PROJECT / "tests/data" / name).read_text() for name in ("plant.toml", "tcp.toml", "modbus.toml")]
    yield "tests-data", ("".join(parts) + lists).encode()


def scripts(file, port):
    """The streams of a capture, each as the events of a script, and long ones in pieces."""
    streams = {}
    for line in file.read_text().splitlines():
        segment = json.loads(line)
        kind = 1 if segment["sport"] == port else 0
        payload = bytes.fromhex(segment["hex"])
        pieces = streams.setdefault(segment["stream"], [b""])
        for start in range(0, len(payload), MOST // 2):
            piece = payload[start : start + MOST // 2]
            event = bytes([kind]) + len(piece).to_bytes(2) + piece
            if len(pieces[-1]) + len(event) > MOST:
                pieces.append(b"")
            pieces[-1] += event
    for stream, pieces in streams.items():
        for number, piece in enumerate(pieces[:8]):
            yield stream * 8 + number, piece


if __name__ == "__main__":
    main(*(pathlib.Path(argument) for argument in sys.argv[1:]))
