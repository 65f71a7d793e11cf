#!/usr/bin/python3
"""Verifies a recording, and reads it with an age identity. Written from docs/recording-format.md alone.

usage: verify_recording.py --key KEY [--key KEY ...] [--identity FILE [--shared FILE]] [--cat TRACK:KIND] RECORDING
KEY is the evidence key in hex, as an OpenSSH line, or a file with either. --shared is the recording.key of a shared recording.
Prints one JSON object: the verdict, what is proven, and with an identity the entries (or, with --cat, raw bytes).
Exit code: 0 sealed or interrupted, 1 damaged, 2 unsealed. Needs python3-cryptography and python3-zstandard.
"""
import argparse, base64, hashlib, hmac, json, struct, sys
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
import zstandard

MAGIC, MAX_HEADER, MAX_CONTENT, MAX_BODY = b"\x89SPREC\r\n", 262144, 524288, 262144
ENTRY, CHECKPOINT, SEAL = 1, 2, 3
KINDS = {1: "input", 2: "output", 3: "error-output", 4: "input-digest", 5: "output-digest", 6: "error-output-digest",
         7: "input-file", 8: "output-file", 9: "error-output-file",
         16: "opened", 17: "request", 18: "closed", 19: "operation", 20: "notice"}


class Fault(Exception):
    pass


def sha256(data):
    return hashlib.sha256(data).digest()


def signed(key_hex, signature, message):
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key_hex)).verify(signature, message)
        return True
    except (InvalidSignature, ValueError):
        return False


# --- age: the data key ---------------------------------------------------------------------------------------------

def bech32_secret(text):
    alphabet, text = "qpzry9x8gf2tvdw0s3jn54khce6mua7l", text.strip().lower()
    human, _, data = text.rpartition("1")
    values = [alphabet.index(char) for char in data]
    check = 1
    for value in [ord(c) >> 5 for c in human] + [0] + [ord(c) & 31 for c in human] + values:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate([0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3]):
            check ^= generator if top >> bit & 1 else 0
    if human != "age-secret-key-" or check != 1:
        raise Fault("not an age identity")
    number = 0
    for value in values[:-6]:
        number = number << 5 | value
    return (number >> (len(values) - 6) * 5 - 256).to_bytes(32, "big")


def hkdf(ikm, salt, info):
    return HKDF(hashes.SHA256(), 32, salt, info).derive(ikm)


def unpadded(text):
    return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)


def data_key(age_file, secrets):
    head, _, rest = age_file.partition(b"\n--- ")
    mac, _, payload = rest.partition(b"\n")
    lines = head.split(b"\n")
    if lines[0] != b"age-encryption.org/v1":
        raise Fault("not an age file")
    for secret in secrets:
        private = X25519PrivateKey.from_private_bytes(secret)
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        for stanza, body in zip(lines, lines[1:]):
            if not stanza.startswith(b"-> X25519 "):
                continue
            share = unpadded(stanza.split(b" ")[2])
            shared = private.exchange(X25519PublicKey.from_public_bytes(share))
            wrap = hkdf(shared, share + public, b"age-encryption.org/v1/X25519")
            try:
                file_key = ChaCha20Poly1305(wrap).decrypt(bytes(12), unpadded(body), None)
            except InvalidTag:
                continue
            expected = hmac.new(hkdf(file_key, b"", b"header"), head + b"\n---", hashlib.sha256).digest()
            if not hmac.compare_digest(expected, unpadded(mac)):
                raise Fault("the age header was changed")
            payload_key = hkdf(file_key, payload[:16], b"payload")
            return ChaCha20Poly1305(payload_key).decrypt(bytes(11) + b"\x01", payload[16:], None)
    raise Fault("not encrypted to this identity")


# --- the recording -------------------------------------------------------------------------------------------------

def decrypt(key, origin, number, frame, content):
    try:
        plain = AESGCM(key).decrypt(bytes(4) + struct.pack(">Q", number), content, origin + struct.pack(">Q", number) + frame)
    except InvalidTag:
        raise Fault("does not decrypt")
    kind, codec, track, unix, mono = struct.unpack(">BBIqQ", plain[:22])
    body = plain[22:]
    if kind not in KINDS or codec not in (0, 1):
        raise Fault("not an entry")
    if codec == 1:
        (length,) = struct.unpack(">I", body[:4])
        if length > MAX_BODY:
            raise Fault("not an entry")
        body = zstandard.ZstdDecompressor().decompress(body[4:], max_output_size=length)
        if len(body) != length:
            raise Fault("not an entry")
    return {"block": number, "kind": KINDS[kind], "track": track, "unix_micros": unix, "monotonic_micros": mono, "body": body}


def public_key(text):
    """Hex, from hex, an OpenSSH line or a file."""
    try:
        text = open(text).read()
    except OSError:
        pass
    words = text.split()
    if words and words[0] == "ssh-ed25519":
        return base64.b64decode(words[1])[-32:].hex()
    return words[0].lower() if words else ""


def walk(file, trusted, secrets, shared=None):
    """Yields the entries (when there are secrets), and at the end the report."""
    start = file.read(16)
    if len(start) < 16 or start[:8] != MAGIC:
        raise Fault("not a recording")
    version, reserved, length = struct.unpack(">HHI", start[8:])
    if (version, reserved) != (1, 0) or length > MAX_HEADER:
        raise Fault("unknown version, or a header too long")
    start += file.read(length)
    if len(start) < 16 + length:
        raise Fault("the header is cut off")
    header = json.loads(start[16:])
    if header["signer"] not in trusted:
        raise Fault("signed by an unknown key: " + header["signer"])
    key = data_key(shared or base64.b64decode(header["wrapped_key"]), secrets) if secrets else None
    origin = head = sha256(b"sallyport recording 1 header\0" + start)
    number, offset, seal = 0, len(start), None
    report = {"session": header["session"], "verdict": "unsealed", "fault": None, "checkpoints": 0,
              "proven_blocks": 0, "proven_bytes": 0, "head": None, "seal": None}
    try:
        while True:
            frame = file.read(5)
            if seal and frame:
                raise Fault("bytes after the seal")
            if len(frame) < 5:
                break
            kind, size = struct.unpack(">BI", frame)
            if kind not in (ENTRY, CHECKPOINT, SEAL) or not 1 <= size <= MAX_CONTENT or (number == 0 and kind != CHECKPOINT):
                raise Fault("not a block")
            content = file.read(size)
            if len(content) < size:
                break
            position = origin + struct.pack(">QQ", number, offset) + head
            if kind == CHECKPOINT:
                message = b"sallyport recording 1 checkpoint\0" + position + content[:16]
                if size != 80 or not signed(header["signer"], content[16:], message):
                    raise Fault("the checkpoint's signature does not fit")
                report["checkpoints"] += 1
            elif kind == SEAL:
                seal = json.loads(content[64:])
                if seal["signer"] not in trusted:
                    raise Fault("the seal is signed by an unknown key")
                if not signed(seal["signer"], content[:64], b"sallyport recording 1 seal\0" + position + content[64:]):
                    raise Fault("the seal's signature does not fit")
                if (seal["blocks"], seal["bytes"], seal["head"]) != (number, offset, head.hex()):
                    raise Fault("the seal's counts do not fit")
            elif key:
                yield decrypt(key, origin, number, frame, content)
            head, number, offset = sha256(head + frame + content), number + 1, offset + 5 + size
            if kind != ENTRY:
                report.update(proven_blocks=number, proven_bytes=offset, head=head.hex())
        if seal:
            report.update(verdict="interrupted" if seal.get("interruption") else "sealed", seal=seal)
    except (Fault, ValueError, KeyError, zstandard.ZstdError) as fault:
        report.update(verdict="damaged", fault=f"block {number} at offset {offset}: {fault}")
    yield report


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("recording")
    parser.add_argument("--key", action="append", required=True)
    parser.add_argument("--identity")
    parser.add_argument("--shared", help="the recording.key of a shared recording")
    parser.add_argument("--cat", help="TRACK:KIND, such as 1:output: the bytes of these entries instead of the report")
    arguments = parser.parse_args()
    secrets = []
    if arguments.identity:
        lines = open(arguments.identity).read().split("\n")
        secrets = [bech32_secret(line) for line in lines if line.strip() and not line.startswith("#")]
    try:
        with open(arguments.recording, "rb") as file:
            shared = open(arguments.shared, "rb").read() if arguments.shared else None
            *entries, report = walk(file, [public_key(key) for key in arguments.key], secrets, shared)
    except Fault as fault:
        entries, report = [], {"verdict": "damaged", "fault": str(fault)}
    if arguments.cat:
        track, kind = arguments.cat.split(":")
        for entry in entries:
            if (str(entry["track"]), entry["kind"]) == (track, kind):
                sys.stdout.buffer.write(entry["body"])
    else:
        for entry in entries:
            body = entry.pop("body")
            if "digest" in entry["kind"]:
                entry.update(length=struct.unpack(">Q", body[:8])[0], sha256=body[8:].hex())
            else:
                entry.update({"json": json.loads(body)} if entry["kind"] in list(KINDS.values())[9:] else {"base64": base64.b64encode(body).decode()})
        print(json.dumps(dict(report, entries=entries) if secrets else report))
    return {"sealed": 0, "interrupted": 0, "damaged": 1, "unsealed": 2}[report["verdict"]]


if __name__ == "__main__":
    sys.exit(main())
