"""The systemd unit of a service that runs a configuration file.

Every directive exists in systemd 249 (JetPack 6); see systemd.exec(5) and systemd.service(5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevid.errors import SpecError

WATCHDOG_S = 60

_HEAD = """\
# Written by `edgevid service install`. Change it with: systemctl {user}edit {name}
[Unit]
Description=edgevid: labels of live video
Documentation=man:systemd.service(5)
{after}StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
EnvironmentFile=-{environment}
Environment=PYTHONUNBUFFERED=1 XDG_CACHE_HOME=%C/{name}
ExecStart=:{command}
ExecReload=/bin/kill -HUP $MAINPID
WorkingDirectory=%S/{name}
StateDirectory={name}
CacheDirectory={name}
Restart=on-failure
RestartSec=5
WatchdogSec={watchdog_s}
# The first start may build a TensorRT engine.
TimeoutStartSec=30min
TimeoutStopSec=10
"""

_SYSTEM_AFTER = """\
Wants=network-online.target
After=network-online.target nvargus-daemon.service
# Its socket is bound below: a new daemon has a new socket.
PartOf=nvargus-daemon.service
"""

_SANDBOX = """\

# A user of its own, made at the start; cameras and the GPU belong to these groups.
DynamicUser=yes
SupplementaryGroups={groups}
UMask=0027
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
# The daemon of CSI cameras listens in /tmp.
BindPaths=-/tmp/argus_socket
ProtectProc=invisible
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
# Netlink: libraries that look for cameras and addresses.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
# Left out on purpose: PrivateDevices and ProtectClock (both hide cameras and the GPU),
# MemoryDenyWriteExecute (CUDA compiles kernels in memory), PrivateUsers (loses the groups).
"""

_USER_SANDBOX = """\
NoNewPrivileges=yes
UMask=0027
"""

_TAIL = """\

[Install]
WantedBy={target}
"""

ENVIRONMENT = """\
# Read by systemd before it starts edgevid: NAME=value, one a line. What edgevid itself should do
# is said in {config}.

# Load GPU code when it is first used: starts faster, needs less memory.
CUDA_MODULE_LOADING=LAZY
# What GStreamer says: 0 nothing, 2 warnings, 4 much.
#GST_DEBUG=2
"""


@dataclass(frozen=True)
class Unit:
    """A service.

    Attributes:
        name: Of the unit, without `.service`.
        program: The command that is `edgevid`, with absolute paths.
        config: Its configuration file; absolute.
        environment: Its file of environment variables; absolute.
        user: Of one user's systemd, without the sandbox that only the system's can make.
        groups: Groups that cameras and the GPU belong to.
    """

    name: str
    program: Sequence[str]
    config: Path
    environment: Path
    user: bool = False
    groups: Sequence[str] = ("video",)

    @property
    def state(self) -> str:
        """The folder that it works in; the system's may write to no other.

        A user's is `~/.local/state/NAME` from systemd 254 on.
        """
        return f"~/.config/{self.name}" if self.user else f"/var/lib/{self.name}"

    def text(self) -> str:
        """The unit file.

        Raises:
            SpecError: A path cannot be said in a unit file.
        """
        if set(self.program[0]) & set("\"'\\"):
            raise SpecError(
                f"systemd starts no program whose path has quotes: {self.program[0]}",
                "Install edgevid in another folder",
            )
        command = [*self.program, "run", "--config", str(self.config)]
        head = _HEAD.format(
            name=self.name,
            user="--user " if self.user else "",
            after="" if self.user else _SYSTEM_AFTER,
            environment=quote_line(str(self.environment)),
            command=" ".join(quote(word) for word in command),
            watchdog_s=WATCHDOG_S,
        )
        sandbox = _USER_SANDBOX if self.user else _SANDBOX.format(groups=" ".join(self.groups))
        return (
            head
            + sandbox
            + _TAIL.format(target="default.target" if self.user else "multi-user.target")
        )

    def environment_text(self) -> str:
        """A first file of environment variables."""
        return ENVIRONMENT.format(config=self.config)


def quote(word: str) -> str:
    """One word of a command line in a unit (systemd.service(5), "Command lines").

    Raises:
        SpecError: It has a line break or another character that no unit file can hold.
    """
    word = quote_line(word)
    if word and not set(word) & set(" \t\"'\\;"):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def quote_line(text: str) -> str:
    """A path that is the whole value of a directive: only `%` is special there.

    Raises:
        SpecError: It has a character that no unit file can hold.
    """
    if not text.isprintable():
        raise SpecError(f"{text!r} cannot be said in a systemd unit", "Use a path without it")
    return text.replace("%", "%%")
