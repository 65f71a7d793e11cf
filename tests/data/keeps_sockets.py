"""Keeps a listening socket, as a service manager does, and starts a program on it again and again.

keeps_sockets.py ADDRESS PORT NAME PIDFILE PROGRAM...
"""
import atexit, os, signal, socket, subprocess, sys, time

address, port, name, pidfile, *program = sys.argv[1:]
listener = socket.create_server((address, int(port)), backlog=64)
os.dup2(listener.fileno(), 3)
# The program's own process id, as sd_listen_fds(3) wants it; it goes with its keeper.
start = f'export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES={name}; exec setpriv --pdeathsig KILL "$0" "$@"'
running = None


def stop(*_):
    raise SystemExit


def end():
    if running is not None:
        running.terminate()
        running.wait()


signal.signal(signal.SIGTERM, stop)
atexit.register(end)
while True:
    running = subprocess.Popen(["sh", "-c", start, *program], pass_fds=(3,))
    with open(pidfile + ".new", "w") as file:
        file.write(str(running.pid))
    os.rename(pidfile + ".new", pidfile)
    running.wait()
    # Long enough that whoever comes meanwhile would be refused, were nobody listening.
    time.sleep(1)
