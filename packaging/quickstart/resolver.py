#!/usr/bin/python3
"""resolver RESOLV_CONF DOMAIN... - answers each DOMAIN and *.DOMAIN with loopback.

Listens on port 53 of the first free address of 127.0.0.0/8 from 127.0.53.53
on and writes a resolv.conf that names it.  Every other question goes to the
name servers of the machine, so that a shell of ./quickstart sh can still
install packages.
"""
import asyncio
import os
import struct
import sys

OUT = sys.argv[1]
DOMAINS = [domain.lower().encode() for domain in sys.argv[2:]]
A, AAAA = 1, 28


def upstream():
    """The machine's first IPv4 name server, or None."""
    try:
        for line in open("/etc/resolv.conf"):
            words = line.split()
            if len(words) > 1 and words[0] == "nameserver" and ":" not in words[1]:
                return words[1]
    except OSError:
        pass
    return None


def question(data):
    """(name, type, end of the question) of a query; ValueError if malformed."""
    labels, at = [], 12
    while True:
        if at >= len(data):
            raise ValueError("cut short")
        size = data[at]
        if size == 0:
            break
        if size > 63:
            raise ValueError("compressed question")
        labels.append(data[at + 1:at + 1 + size].lower())
        at += 1 + size
    if at + 5 > len(data):
        raise ValueError("cut short")
    return b".".join(labels), struct.unpack("!H", data[at + 1:at + 3])[0], at + 5


def answer(data, kind, end):
    """The reply for a name of ours."""
    record = b""
    if kind == A:
        record = b"\xc0\x0c" + struct.pack("!HHIH", A, 1, 5, 4) + bytes([127, 0, 0, 1])
    elif kind == AAAA:
        record = b"\xc0\x0c" + struct.pack("!HHIH", AAAA, 1, 5, 16) + bytes(15) + b"\x01"
    head = data[:2] + struct.pack("!HHHHH", 0x8580, 1, 1 if record else 0, 0, 0)
    return head + data[12:end] + record


class Relay(asyncio.DatagramProtocol):
    """One question to the machine's own name server."""

    def __init__(self, data, back):
        self.data, self.back = data, back

    def connection_made(self, transport):
        transport.sendto(self.data)
        asyncio.get_running_loop().call_later(5, transport.close)
        self.transport = transport

    def datagram_received(self, data, _address):
        self.back(data)
        self.transport.close()

    def error_received(self, _error):
        self.transport.close()


class Server(asyncio.DatagramProtocol):
    """Our own port 53."""

    def __init__(self, server):
        self.server = server

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        try:
            name, kind, end = question(data)
        except (ValueError, IndexError):
            return
        if any(name == domain or name.endswith(b"." + domain) for domain in DOMAINS):
            self.transport.sendto(answer(data, kind, end), address)
        elif self.server:
            asyncio.get_running_loop().create_task(self.relay(data, address))
        else:
            refused = data[:2] + struct.pack("!HHHHH", 0x8183, 1, 0, 0, 0) + data[12:end]
            self.transport.sendto(refused, address)

    async def relay(self, data, address):
        try:
            await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: Relay(data, lambda reply: self.transport.sendto(reply, address)),
                remote_addr=(self.server, 53))
        except OSError:
            pass


async def main():
    loop = asyncio.get_running_loop()
    server = upstream()
    for last in range(53, 250):
        try:
            await loop.create_datagram_endpoint(
                lambda: Server(server), local_addr=(f"127.0.53.{last}", 53))
            break
        except OSError as error:
            why = error
    else:
        sys.exit(f"resolver: no address to listen on: {why}")
    with open(OUT + ".new", "w") as out:
        out.write(f"nameserver 127.0.53.{last}\noptions timeout:5 attempts:2\n")
    os.rename(OUT + ".new", OUT)
    await asyncio.Event().wait()


asyncio.run(main())
