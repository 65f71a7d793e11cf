"""Forty commands by stock clients: straight to an asset's sshd, and through the broker in either form.

usage: differential.py CLIENT < SETTINGS
SETTINGS is a JSON object: `key`, `broker`, `port`, `name` of a person; `asset`, `address`, `account`, `account_key` of an asset; `config`, the person's
ssh_config; `folder` to work in. Prints, as JSON, how many commands ran and each that came otherwise through the broker.
"""
import asyncio, base64, concurrent.futures, json, subprocess, sys, threading

BYTES = bytes(range(256)) * 64
# What takes longer does not end: so it must be, or not be, either way.
LONGEST = 10
COMMANDS = [
    # Exit codes.
    ("true", b""), ("false", b""), ("exit 1", b""), ("exit 42", b""), ("exit 127", b""), ("exit 254", b""), ("exit 255", b""), ("exit 300", b""),
    ("no-such-command-here", b""), ("/etc/passwd", b""), ("sh -c 'exit 3'; exit 4", b""), ("set -e; false; echo not reached", b""),
    # Output: to either side, none, much, of any bytes, without a line end.
    ("echo out", b""), ("echo err >&2", b""), ("echo out; echo err >&2; exit 7", b""), ("printf 'no end'", b""), ("printf 'no end' >&2; exit 9", b""),
    ("printf '\\000\\001\\377\\r\\n\\033[31m'", b""), ("printf 'Gr\\303\\274\\303\\237e \\342\\202\\254\\n'", b""), ("seq 1 50000", b""),
    ("seq 1 20000 >&2", b""), ("head -c 3000000 /dev/zero", b""), ("head -c 1500000 /dev/zero | tr '\\0' x; echo; exit 5", b""),
    ("for i in 1 2 3; do echo $i; sleep 0.05; echo $i >&2; done", b""), ("yes | head -n 20000 | sha256sum", b""),
    # Input: none, some, all of it, left unread, closed.
    ("cat", b""), ("cat", b"one\ntwo\n"), ("cat", BYTES), ("cat >&2", b"to the other side"), ("sha256sum", BYTES * 40), ("wc -c; exit 6", b"12345"),
    ("read line; echo \"[$line]\"", b"first\nsecond\n"), ("echo not read", BYTES * 8), ("exec 0<&-; echo closed", b"x"), ("sort -n | tail -n 1", b"3\n1\n2\n"),
    # What a shell sees of itself: no terminal, its own folder and name.
    ("tty; test -t 1; echo $?", b""), ("pwd; id -un; umask; echo \"$HOME $SHELL\"", b""),
    # Quotes and lines of the command itself; what a program leaves behind; what ends it.
    ("printf '%s|' 'a b' \"c'd\" e\\\\f '*' \\\"; echo\necho \"line two\"", b""), ("(sleep 0.3; echo late) & echo early", b""), ("echo before; kill -TERM $$", b""),
]


def compact(status, stdout, stderr):
    return {"status": status, "stdout": base64.b64encode(stdout).decode(), "stderr": base64.b64encode(stderr).decode()}


# --- programs -------------------------------------------------------------------------------------------------------

def openssh(s):
    quiet = ["-o", "LogLevel=ERROR", "-o", "BatchMode=yes"]
    straight = ["-F", "/dev/null", "-i", s["account_key"], "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=/dev/null", "-l", s["account"], s["address"]]
    return {
        "straight": ["ssh", *quiet, *straight],
        "jump": ["ssh", *quiet, "-F", s["config"], "-l", s["account"], s["asset"]],
        "direct": ["ssh", *quiet, "-F", s["config"], "-l", f"{s['name']}:{s['account']}@{s['asset']}", "broker"],
    }


def plink(s):
    def key(path, name):
        to = f"{s['folder']}/{name}.ppk"
        subprocess.run(["puttygen", path, "-o", to, "-O", "private"], check=True)
        return to

    def host_key(host, port):
        keys = subprocess.run(["ssh-keyscan", "-p", str(port), "-t", "ed25519", host], capture_output=True, check=True).stdout
        return subprocess.run(["ssh-keygen", "-lf", "-"], input=keys, capture_output=True, check=True).stdout.split()[1].decode()

    def way(key, host, port, user):
        return ["plink", "-batch", "-no-antispoof", "-i", key, "-hostkey", host_key(host, port), "-P", str(port), "-l", user, host]

    return {
        "straight": way(key(s["account_key"], "account"), s["address"], 22, s["account"]),
        "direct": way(key(s["key"], "person"), s["broker"], s["port"], f"{s['name']}:{s['account']}@{s['asset']}"),
    }


def dbclient(s):
    def key(path, name):
        to = f"{s['folder']}/{name}.dropbear"
        subprocess.run(["dropbearconvert", "openssh", "dropbear", path, to], check=True, capture_output=True)
        return to

    mine = key(s["key"], "person")
    quiet = ["dbclient", "-y", "-y", "-q", "-T", "-i"]
    return {
        "straight": [*quiet, key(s["account_key"], "account"), "-l", s["account"], s["address"]],
        "direct": [*quiet, mine, "-p", str(s["port"]), "-l", f"{s['name']}:{s['account']}@{s['asset']}", s["broker"]],
    }


def by_program(ways):
    def run(way, number):
        command, given = COMMANDS[number]
        try:
            done = subprocess.run([*ways[way], command], input=given, capture_output=True, timeout=LONGEST)
            return compact(done.returncode, done.stdout, done.stderr)
        except subprocess.TimeoutExpired:
            return compact("hung", b"", b"")

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        running = {way: [pool.submit(run, way, number) for number in range(len(COMMANDS))] for way in ways}
        return {way: [one.result() for one in all] for way, all in running.items()}


# --- libraries ------------------------------------------------------------------------------------------------------

def by_paramiko(s):
    import paramiko, socket

    def transport(where, key, user):
        it = paramiko.Transport(where)
        it.connect(username=user, pkey=paramiko.Ed25519Key(filename=key))
        return it

    def run(transport, command, given):
        channel = transport.open_session(timeout=60)
        channel.exec_command(command)
        out, err = [], []

        def drain(recv, into):
            while piece := recv(65536):
                into.append(piece)

        readers = [threading.Thread(target=drain, args=pair) for pair in ((channel.recv, out), (channel.recv_stderr, err))]
        for reader in readers:
            reader.start()
        try:
            channel.sendall(given)
            channel.shutdown_write()
        except OSError:
            pass  # It need not be read.
        for reader in readers:
            reader.join()
        return compact(channel.recv_exit_status(), b"".join(out), b"".join(err))

    outer = transport((s["broker"], s["port"]), s["key"], s["name"])
    inner = outer.open_channel("direct-tcpip", (s["asset"], 22), ("127.0.0.1", 0))
    ways = {
        "straight": transport((s["address"], 22), s["account_key"], s["account"]),
        "direct": transport((s["broker"], s["port"]), s["key"], f"{s['name']}:{s['account']}@{s['asset']}"),
        "jump": transport(inner, s["key"], s["account"]),
    }
    return {way: [run(it, *each) for each in COMMANDS] for way, it in ways.items()}


async def by_asyncssh(s):
    import asyncssh

    async def connect(host, port, user, key, **more):
        return await asyncssh.connect(host, port, username=user, client_keys=[key], known_hosts=None, config=None, agent_path=None, **more)

    async def run(connection, command, given):
        try:
            done = await asyncio.wait_for(connection.run(command, input=given, encoding=None, check=False), LONGEST)
            return compact(f"{done.exit_status} {done.exit_signal}", done.stdout, done.stderr)
        except asyncio.TimeoutError:
            return compact("hung", b"", b"")

    outer = await connect(s["broker"], s["port"], s["name"], s["key"])
    ways = {
        "straight": await connect(s["address"], 22, s["account"], s["account_key"]),
        "direct": await connect(s["broker"], s["port"], f"{s['name']}:{s['account']}@{s['asset']}", s["key"]),
        "jump": await connect(s["asset"], 22, s["account"], s["key"], tunnel=outer),
    }
    return {way: [await run(it, *each) for each in COMMANDS] for way, it in ways.items()}


def main():
    settings = json.load(sys.stdin)
    match sys.argv[1]:
        case "openssh":
            came = by_program(openssh(settings))
        case "plink":
            came = by_program(plink(settings))
        case "dbclient":
            came = by_program(dbclient(settings))
        case "paramiko":
            came = by_paramiko(settings)
        case "asyncssh":
            came = asyncio.run(by_asyncssh(settings))
    straight = came.pop("straight")
    differ = []
    for way, through in came.items():
        for (command, given), expected, found in zip(COMMANDS, straight, through):
            if expected != found:
                short = {part: (str(expected[part])[:120], str(found[part])[:120]) for part in expected if expected[part] != found[part]}
                differ.append({"way": way, "command": command[:80], "given": len(given), "straight, through": short})
    print(json.dumps({"commands": len(COMMANDS), "ways": sorted(came), "differ": differ}))


main()
