"""Makes every lease older, as if time had passed: age-leases.py DATABASE MASTER_KEY SECONDS

Rows carry a MAC under the master key, so this needs the key. It computes the MAC from its description, not with the broker's code.
"""
import base64
import hashlib
import hmac
import sqlite3
import sys

database, key_file, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3])
text = open(key_file).read().strip()
master = bytes.fromhex(text) if len(text) == 64 else base64.b64decode(text)


def derived(purpose):
    extracted = hmac.digest(b"sallyport master key v1", master, "sha256")
    return hmac.digest(extracted, purpose + b"\x01", "sha256")


def part(value):
    kind, content = {
        str: lambda: (b"t", value.encode()),
        int: lambda: (b"n", value.to_bytes(8, "big", signed=True)),
        type(None): lambda: (b"-", b""),
    }[type(value)]()
    return kind + len(content).to_bytes(8, "big") + content


columns = ["id", "identity", "credential", "source", "factor", "proved_at", "expires_at", "event"]
connection = sqlite3.connect(database)
connection.execute("UPDATE leases SET proved_at = proved_at - ?", (seconds * 1_000_000,))
for row in connection.execute(f"SELECT {', '.join(columns)} FROM leases WHERE revoked_at IS NULL").fetchall():
    message = b"\x01" + part("leases") + b"".join(part(value) for value in row)
    mac = b"\x01" + derived(b"id")[:8] + hmac.new(derived(b"row mac"), message, hashlib.sha256).digest()
    connection.execute("UPDATE leases SET mac = ? WHERE id = ?", (mac, row[0]))
connection.commit()
