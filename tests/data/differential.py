"""Runs the same commands through a client of ssh, and says what came of each: a line of JSON with its name, end, output and error output.

    differential.py CLIENT HOST PORT USER KEY [SSH_CONFIG]

CLIENT is openssh, plink, dbclient, paramiko or asyncssh. With SSH_CONFIG the way leads through `ssh -W HOST:PORT broker`.
"""

import base64
import json
import re
import subprocess
import sys
import threading

LATE = 30
ALL_BYTES = bytes(range(256)) * 40

# What a client says by itself before the command is heard: the broker's notice, and that it takes any host key.
NOT_THE_COMMANDS = re.compile(
    rb"\A((This system is for authorised use only[^\n]*|dbclient: Caution, skipping hostkey check[^\n]*)?\r?\n)*"
)

COMMANDS = [
    ("true", b""),
    ("false", b""),
    ("exit 3", b""),
    ("exit 255", b""),
    ("exit 256", b""),
    ("no-such-command", b""),
    ("/etc/passwd", b""),
    ("kill -KILL $$", b""),
    ("kill -TERM $$", b""),
    ("kill -HUP $$", b""),
    ("echo out", b""),
    ("printf 'no newline'", b""),
    ("printf '\\r\\n\\r\\n'", b""),
    ("printf '\\000\\001\\377\\n'", b""),
    ("echo err >&2", b""),
    ("echo out; echo err >&2; exit 7", b""),
    ("ls /nonexistent 2>&1 || echo rescued", b""),
    ("cat", b""),
    ("cat", b"a line\n"),
    ("cat", ALL_BYTES),
    ("cat >&2", ALL_BYTES),
    ("wc -c", b"x" * 300_000),
    ("cat > /dev/null; echo done", b"y" * 100_000),
    ("head -c 3", b"0123456789"),
    ("sleep 0.3; echo late", b""),
    ("echo first; sleep 0.3; echo second", b""),
    ("exec >&-; sleep 0.3; exit 5", b""),
    ("exec >&- 2>&-; sleep 0.3; exit 6", b""),
    ("seq 1 20000", b""),
    ("yes | head -c 1000000", b""),
    ("head -c 1000000 /dev/zero | tr '\\0' '\\377'; exit 9", b""),
    ("echo 'one  two' \"three $((1 + 3))\" \\$HOME", b""),
    ("printf '%s\\n' \"Gr\u00fc\u00dfe, \u4f60\u597d, \U0001f6a2\"", b""),
    ("echo one\necho two\n\nexit 4", b""),
    ("cat <<'END'\nhere\nEND", b""),
    (": " + "x" * 20_000 + "; echo long", b""),
    ("tty; test -t 0; echo $?", b""),
    ("id -un; pwd; echo \"$SHELL\" \"${SSH_TTY-none}\" \"$TERM\"", b""),
    ("umask; ulimit -n; echo $0", b""),
    ("(sleep 0.4; echo from behind) & echo before", b""),
]


def main():
    client, host, port, user, key = sys.argv[1:6]
    config = sys.argv[6] if len(sys.argv) > 6 else None
    way = ["ssh", "-q", "-F", config, "-W", f"{host}:{port}", "broker"] if config else None
    run = {"paramiko": paramiko_runs, "asyncssh": asyncssh_runs}.get(client)
    if run is None:
        run = lambda *where: programs_run(client, *where)
    for (command, _), (code, out, err) in zip(COMMANDS, run(host, int(port), user, key, way)):
        shown = command if len(command) < 60 else command[:40] + "..."
        text = [base64.b64encode(bytes).decode() for bytes in (out, err)]
        print(json.dumps([shown, code, *text]), flush=True)


def programs_run(client, host, port, user, key, way):
    shell = " ".join(way) if way else None
    if client == "openssh":
        line = ["ssh", "-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"]
        line += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-p", str(port), "-l", user]
        line += (["-o", f"ProxyCommand={shell}"] if way else []) + [host]
    elif client == "plink":
        # A new host key is taken for good: nobody is there to be asked, and the home is the test's own.
        line = ["plink", "-no-antispoof", "-i", key + ".ppk", "-P", str(port), "-l", user]
        line += (["-proxycmd", shell] if way else []) + [host]
        subprocess.run(line + ["true"], input=b"y\n", capture_output=True, timeout=LATE)
        line.insert(1, "-batch")
    else:
        line = ["dbclient", "-y", "-y", "-i", key + ".dropbear", "-p", str(port), "-l", user]
        line += (["-J", shell] if way else []) + [host]
    for command, given in COMMANDS:
        done = subprocess.run(line + [command], input=given, capture_output=True, timeout=LATE)
        err = re.sub(rb"(?m)^dbclient: Connection to \S+ exited", b"dbclient: Connection exited", done.stderr)
        yield done.returncode, done.stdout, NOT_THE_COMMANDS.sub(b"", err)


def paramiko_runs(host, port, user, key, way):
    import paramiko

    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    sock = paramiko.ProxyCommand(" ".join(way)) if way else None
    own = paramiko.Ed25519Key(filename=key)
    client.connect(host, port, user, pkey=own, sock=sock, allow_agent=False, look_for_keys=False)
    for command, given in COMMANDS:
        channel = client.get_transport().open_session()
        channel.settimeout(LATE)
        channel.exec_command(command)
        taken = {}
        take = lambda name, recv: taken.update({name: b"".join(iter(lambda: recv(65536), b""))})
        takers = [
            threading.Thread(target=take, args=("out", channel.recv)),
            threading.Thread(target=take, args=("err", channel.recv_stderr)),
        ]
        for taker in takers:
            taker.start()
        try:
            channel.sendall(given)
            channel.shutdown_write()
        except OSError:
            pass  # The command has gone without taking it all.
        for taker in takers:
            taker.join(LATE)
        yield channel.recv_exit_status(), taken["out"], taken["err"]
        channel.close()
    client.close()


def asyncssh_runs(host, port, user, key, way):
    import asyncio

    import asyncssh

    async def all_of_them():
        options = {"username": user, "client_keys": [key], "known_hosts": None, "config": None, "agent_path": None}
        if way:
            options["proxy_command"] = way
        results = []
        async with asyncssh.connect(host, port, **options) as connection:
            for command, given in COMMANDS:
                # Of an empty input it would tell no end.
                what = {"input": given} if given else {"stdin": asyncssh.DEVNULL}
                done = await asyncio.wait_for(connection.run(command, encoding=None, **what), LATE)
                signal = done.exit_signal and done.exit_signal[0]
                results.append((signal or done.exit_status, done.stdout, done.stderr))
        return results

    return asyncio.run(all_of_them())


main()
