"""Run a command on several hosts that are network namespaces of this machine, over links of a given kind.

    python benchmarks/hosts.py --hosts 2 --rate 1gbit --delay 1ms --loss 0.1 -- \\
        python benchmarks/communication.py --run --experiment cifar10-small/reacgan --set training.batch=16

Needs root and iproute2. Each host has an address of its own on a bridge, and sees nothing but the others.
Delay and loss are the kernel's netem (CONFIG_NET_SCH_NETEM). Where a kernel has none, htb limits the rate, a
filter of chance loses packets, and asking for delay is an error. Each command gets what ``torchrun`` would give it: RANK,
WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT. Ends with the worst exit status.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType

PORT = 29_517
# Words of classic BPF: a random number, and all of a packet.
RANDOM, ALL = 0xFFFFF038, 0xFFFFFFFF


def why_not() -> str | None:
    """Why there are no namespaces here; None where there can be."""
    if sys.platform != "linux" or shutil.which("ip") is None:
        return "network namespaces need Linux with iproute2"
    tried = f"rg{os.getpid()}try"
    if subprocess.run(["ip", "netns", "add", tried], capture_output=True, check=False).returncode:
        return "network namespaces need root (CAP_SYS_ADMIN)"
    # A pair of ends is what a container may refuse though it has namespaces.
    pair = ["link", "add", "name", "veth0", "type", "veth", "peer", "name", "veth1"]
    done = subprocess.run(["ip", "-n", tried, *pair], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", tried], check=False)
    return f"no veth: {done.stderr.strip()}" if done.returncode else None


def has_netem() -> bool:
    """Whether the kernel can delay packets; :func:`why_not` must be None."""
    name = f"rg{os.getpid()}netem"
    _run("ip", "netns", "add", name)
    delay = ["qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]
    done = subprocess.run(["tc", "-n", name, *delay], capture_output=True, check=False)
    _run("ip", "netns", "del", name)
    return done.returncode == 0


class Hosts:
    """Network namespaces joined by a bridge; within the block they exist.

    Args:
        count: of hosts; their addresses are 10.77.0.1, 10.77.0.2, ...
        rate: of each link in both directions, as tc takes it; None for no limit.
        delay: of each packet in each direction, as tc takes it; needs netem.
        loss: per cent of packets, in each direction.

    Raises:
        RuntimeError: a command of iproute2 failed; the message has its words.
    """

    def __init__(
        self, count: int, *, rate: str | None = None, delay: str | None = None, loss: float = 0.0
    ) -> None:
        self.names = [f"rg{os.getpid()}h{number}" for number in range(count)]
        self.middle = f"rg{os.getpid()}m"
        self._rate, self._delay, self._loss = rate, delay, loss
        self._netem = bool(delay or loss) and has_netem()
        if delay and not self._netem:
            raise RuntimeError("this kernel has no netem (CONFIG_NET_SCH_NETEM), which delay needs")
        self._stack = ExitStack()

    def __enter__(self) -> Hosts:
        with ExitStack() as stack:
            for name in (self.middle, *self.names):
                _run("ip", "netns", "add", name)
                stack.callback(_run, "ip", "netns", "del", name, check=False)
            _run("ip", "-n", self.middle, "link", "add", "name", "bridge", "type", "bridge")
            _run("ip", "-n", self.middle, "link", "set", "bridge", "up")
            for number, name in enumerate(self.names):
                self._join(number, name)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _join(self, number: int, name: str) -> None:
        end = f"to{number}"
        peer = ["peer", "name", "eth0", "netns", name]
        _run("ip", "-n", self.middle, "link", "add", "name", end, "type", "veth", *peer)
        _run("ip", "-n", self.middle, "link", "set", end, "master", "bridge", "up")
        _run("ip", "-n", name, "addr", "add", f"{self.address(number)}/24", "dev", "eth0")
        _run("ip", "-n", name, "link", "set", "eth0", "up")
        _run("ip", "-n", name, "link", "set", "lo", "up")
        ends = ((name, "eth0"), (self.middle, end))
        for namespace, device in ends:
            for command in self._queue(device):
                _run("tc", "-n", namespace, *command)
            if self._loss:  # of single packets, as they are on a wire
                _run("ip", "-n", namespace, "link", "set", "dev", device, "gso_max_segs", "1")

    def _queue(self, device: str) -> list[list[str]]:
        """What tc is told to limit one end of a link."""
        first = ["qdisc", "add", "dev", device, "root", "handle", "1:"]
        rate = self._rate or "100gbit"
        if self._netem:
            delay = ["delay", self._delay] if self._delay else []
            loss = ["loss", f"{self._loss}%"] if self._loss else []
            return [[*first, "netem", "limit", "20000", *delay, *loss, "rate", rate]]
        if not self._rate and not self._loss:
            return []
        # Packets that a filter draws by chance go to a queue that holds none.
        classes = ["class", "add", "dev", device, "parent", "1:", "classid"]
        limit = ["htb", "rate", rate, "burst", "256kb", "quantum", "60000"]
        queue = [[*first, "htb", "default", "10"], [*classes, "1:10", *limit]]
        if self._loss:
            drawn = f"4,32 0 0 {RANDOM},53 0 1 {int(self._loss / 100 * 2**32)},6 0 0 0,6 0 0 {ALL}"
            where = ["filter", "add", "dev", device, "parent", "1:", "prio", "1"]
            queue += [
                [*classes, "1:20", *limit],
                ["qdisc", "add", "dev", device, "parent", "1:20", "bfifo", "limit", "1"],
                [*where, "bpf", "bytecode", drawn, "flowid", "1:20"],
            ]
        return queue

    @staticmethod
    def address(number: int) -> str:
        """Of a host."""
        return f"10.77.0.{number + 1}"

    def cut(self, number: int) -> None:
        """Pull a host's cable: nothing reaches it or comes from it any more, nobody is told."""
        _run("ip", "-n", self.middle, "link", "set", f"to{number}", "down")

    def start(self, number: int, command: Sequence[str], **options: object) -> subprocess.Popen:
        """Run a command on a host, as one process of as many as there are hosts."""
        environment = {
            **os.environ,
            "RANK": str(number),
            "WORLD_SIZE": str(len(self.names)),
            "LOCAL_RANK": "0",
            "LOCAL_WORLD_SIZE": "1",
            "MASTER_ADDR": self.address(0),
            "MASTER_PORT": str(PORT),
            "GLOO_SOCKET_IFNAME": "eth0",
            "NCCL_SOCKET_IFNAME": "eth0",
        }
        within = ["ip", "netns", "exec", self.names[number], *command]
        return subprocess.Popen(within, env=environment, **options)

    def sent(self, number: int) -> int:
        """Bytes that a host has sent, with the headers of Ethernet, IP and TCP."""
        counter = ["cat", "/sys/class/net/eth0/statistics/tx_bytes"]
        command = ["ip", "netns", "exec", self.names[number], *counter]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _run(*command: str, check: bool = True) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


def main() -> int:
    """Make hosts, run the command on each, and say what they sent."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--hosts", type=int, default=2)
    parser.add_argument("--rate", help="of each link, such as 1gbit")
    parser.add_argument("--delay", help="of a packet in one direction, such as 1ms; needs netem")
    parser.add_argument("--loss", type=float, default=0.0, help="per cent of packets")
    parser.add_argument("command", nargs="+", help="after --")
    given = parser.parse_args()
    if reason := why_not():
        print(f"error: {reason}", file=sys.stderr)
        return 2
    try:
        made = Hosts(given.hosts, rate=given.rate, delay=given.delay, loss=given.loss)
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with made as hosts:
        started = [hosts.start(number, given.command) for number in range(given.hosts)]
        codes = [process.wait() for process in started]
        for number in range(given.hosts):
            print(f"host {number} sent {hosts.sent(number):,} bytes", flush=True)
    return max(codes, key=abs)


if __name__ == "__main__":
    sys.exit(main())
