"""Receivers of events: syslog over TLS, a webhook, and mail. Each writes the ids of what it takes, a line for each.

receivers.py ADDRESS CERTIFICATE KEY FOLDER DELAY: DELAY is how many seconds a receiver takes for each thing that it reads.
"""

import json
import re
import socket
import ssl
import sys
import threading
import time

ADDRESS, CERTIFICATE, KEY, FOLDER, DELAY = sys.argv[1:]
PORTS = {"syslog": 6514, "webhook": 8443, "mail": 465}


def take(name, id):
    with open(f"{FOLDER}/{name}", "a") as file:
        file.write(f"{id}\n")


def syslog(stream):
    while True:
        length = b""
        while (byte := stream.read(1)) != b" ":
            if not byte:
                return
            length += byte
        message = stream.read(int(length))
        body = json.loads(message[message.index(b" {") + 1 :])
        if "id" in body:
            take("syslog", body["id"])
        time.sleep(float(DELAY) / 20)


def webhook(stream):
    while request := stream.readline():
        length = 0
        while (line := stream.readline().strip()) != b"":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        body = json.loads(stream.read(length))
        time.sleep(float(DELAY))
        if "id" in body:
            take("webhook", body["id"])
        stream.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        stream.flush()


def mail(stream):
    def say(text):
        stream.write(text + b"\r\n")
        stream.flush()

    say(b"220 mail")
    while line := stream.readline().strip().upper():
        if line.startswith(b"EHLO"):
            say(b"250-mail\r\n250 AUTH PLAIN")
        elif line == b"DATA":
            say(b"354 go")
            text = b""
            while (line := stream.readline()).strip() != b".":
                text += line
            time.sleep(float(DELAY))
            take("mail", re.search(rb"(?i)message-id: *<([^@>]+)@", text).group(1).decode())
            say(b"250 taken")
        elif line == b"QUIT":
            say(b"221 bye")
            return
        else:
            say(b"250 ok")


def serve(name, talk):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    listener = socket.create_server((ADDRESS, PORTS[name]))

    def one(connection):
        try:
            with context.wrap_socket(connection, server_side=True) as tls, tls.makefile("rwb") as stream:
                talk(stream)
        except (OSError, ValueError):
            # A client that does not believe the certificate, or leaves.
            pass

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=one, args=(connection,), daemon=True).start()


for name, talk in {"syslog": syslog, "webhook": webhook, "mail": mail}.items():
    threading.Thread(target=serve, args=(name, talk), daemon=True).start()
print("serving", flush=True)
threading.Event().wait()
