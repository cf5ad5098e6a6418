"""Process 1 of the resolvers' own network: a scripted DNS server, and the lookups that ask it.

Reads cases as lines of JSON, each with `command`, `resolv_conf` and `answers`; writes for each a
line with the exit code, the output, every query that came, in order, how long at most one lay
before its reply left, in seconds, and at which address each query came. There is one server unless
`servers` names several addresses; those in `silent` do not answer. One thread does it all: a query
is written down before it is answered, and on the loopback device whatever a process has sent is
there when the process has ended. So the log is whole and its order is certain.

Arguments: the files that are bound over /etc/resolv.conf and over /etc/nsswitch.conf.
"""

import json
import os
import selectors
import socket
import struct
import subprocess
import sys
import time

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

FIRST = "127.0.0.1"
RECORDS = {"A": "192.0.2.1", "AAAA": "2001:db8::1", "PTR": "host.example."}
# Asks the kernel when a datagram came; Python has no name for it.
SO_TIMESTAMPNS = 35
SOA = "ns. admin. 1 7200 1800 86400 5"


class Log:
    """What came, at all servers."""

    def __init__(self):
        self.start()

    def start(self):
        self.queries = []
        self.servers = []
        self.longest = 0.0


class Server:
    """Answers as the script says, NXDOMAIN to what it does not mention, and remembers."""

    def __init__(self, address, log):
        self.address, self.log, self.silent = address, log, False
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((address, 53))
        self.udp.setblocking(False)
        self.udp.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.tcp = socket.create_server((address, 53))
        self.start({})

    def start(self, answers, silent=False):
        self.answers, self.silent = answers, silent

    def close(self):
        self.udp.close()
        self.tcp.close()

    def serve_udp(self):
        while True:
            try:
                wire, [(_, _, stamp)], _, client = self.udp.recvmsg(4096, 64)
            except BlockingIOError:
                return
            if reply := self.reply(wire, "udp"):
                self.udp.sendto(reply, client)
                seconds, nanoseconds = struct.unpack("qq", stamp)
                lay = time.time() - seconds - nanoseconds / 1e9
                self.log.longest = max(self.log.longest, lay)

    def serve_tcp(self):
        connection, _ = self.tcp.accept()
        # glibc sends both queries over one connection; the client closes it.
        with connection, connection.makefile("rb") as stream:
            while length := stream.read(2):
                reply = self.reply(stream.read(int.from_bytes(length, "big")), "tcp")
                if reply:
                    connection.sendall(len(reply).to_bytes(2, "big") + reply)

    def reply(self, wire, protocol):
        query = dns.message.from_wire(wire)
        (question,) = query.question
        kind = dns.rdatatype.to_text(question.rdtype)
        name = question.name.to_text(omit_final_dot=True)
        self.log.queries.append((kind, name, protocol))
        self.log.servers.append(self.address)
        if self.silent:
            return b""
        answer = self.answers.get(f"{name.lower()} {kind}", "NXDOMAIN")
        if answer == "TIMEOUT":
            return b""
        reply = dns.message.make_response(query, recursion_available=True)
        # Authoritative, as CoreDNS is for what the cluster has.
        reply.flags |= dns.flags.AA
        if answer == "truncated" and protocol == "udp":
            reply.flags |= dns.flags.TC
        elif answer in ("answer", "truncated"):
            reply.answer.append(dns.rrset.from_text(question.name, 5, "IN", kind, RECORDS[kind]))
        else:
            reply.set_rcode(dns.rcode.from_text("NOERROR" if answer == "NODATA" else answer))
            reply.authority.append(dns.rrset.from_text(dns.name.root, 5, "IN", "SOA", SOA))
        return reply.to_wire()


def run(command, servers):
    """Run a lookup to its end and serve it meanwhile; return its exit code and output."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    ended = os.pidfd_open(process.pid)
    with selectors.DefaultSelector() as selector:
        for server in servers:
            selector.register(server.udp, selectors.EVENT_READ, server.serve_udp)
            selector.register(server.tcp, selectors.EVENT_READ, server.serve_tcp)
        selector.register(ended, selectors.EVENT_READ, None)
        while process.returncode is None:
            for key, _ in selector.select():
                if key.data:
                    key.data()
                else:
                    process.wait()
    os.close(ended)
    for server in servers:
        server.serve_udp()
    with process.stdout:
        return process.returncode, process.stdout.read().decode()


def main(resolv_conf, nsswitch):
    with open(nsswitch, "w") as file:
        file.write("hosts: files dns\n")
    for own, place in ((resolv_conf, "/etc/resolv.conf"), (nsswitch, "/etc/nsswitch.conf")):
        subprocess.run(["mount", "--bind", own, place], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # A name without a dot: resolvers that find no search list make one of the host's domain.
    socket.sethostname("pod")
    log = Log()
    first = Server(FIRST, log)
    print("ready", flush=True)
    for line in sys.stdin:
        case = json.loads(line)
        with open(resolv_conf, "w") as file:
            file.write(case["resolv_conf"])
        log.start()
        others = [Server(one, log) for one in case["servers"] if one != FIRST]
        for server in (first, *others):
            server.start(case["answers"], server.address in case["silent"])
        code, output = run(case["command"], [first, *others])
        for server in others:
            server.close()
        print(json.dumps([code, output, log.queries, log.longest, log.servers]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
