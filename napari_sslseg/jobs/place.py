"""Another computer to train on, which is reached by SSH, and what is wrong when it is not.

SSH because whoever has a computer with a GPU in the next room reaches it that way already, with
keys and names of their own in ``~/.ssh/config``: no server to set up, no port to open, and nothing
that travels can be read on the way.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from ..volume.user_error import UserError

#: Where ``make setup`` in a copy of this project in one's home folder puts Python.
USUAL_PYTHON = "~/napari-sslseg/.venv/bin/python"

#: Nobody is there to type a password, and who does not answer is not waited for.
_OPTIONS = (
    *("-T", "-C"),
    *("-o", "BatchMode=yes"),
    *("-o", "ConnectTimeout=10"),
    *("-o", "ServerAliveInterval=15"),
    *("-o", "ServerAliveCountMax=4"),
)


class PlaceError(UserError):
    """Another computer cannot be reached, or used; the message is one sentence for the user."""


@dataclass(frozen=True)
class Place:
    """A computer with this package on it.

    Parameters
    ----------
    host : str
        As ``ssh`` takes it: a name of ``~/.ssh/config``, an address, or ``user@address``.
    python : str
        What starts Python in the environment with this package there, as its shell takes it;
        ``srun --gres=gpu:1 ~/env/bin/python``, say, on a cluster. The last word is Python itself.

    Raises
    ------
    PlaceError
        For what cannot be either.
    """

    host: str
    python: str = USUAL_PYTHON

    def __post_init__(self) -> None:
        host = self.host
        if not host or host.startswith("-") or " " in host or not host.isprintable():
            raise PlaceError(
                f"“{host}” is no name of a computer; write it as for ssh, such as user@gpu-server."
            )
        if not _WORD.findall(self.python) or not self.python.isprintable():
            raise PlaceError(f"Say which Python has napari-sslseg on {host}.")

    @property
    def plain_python(self) -> str:
        """Python alone, without what gets it a GPU."""
        return _WORD.findall(self.python)[-1]

    def command(self, module: str, arguments: Sequence[str], needs_gpu: bool = True) -> list[str]:
        """Return what runs a module of this package there.

        Parameters
        ----------
        module : str
        arguments : sequence of str
        needs_gpu : bool
            Whether with all that stands before Python; what only handles files is not to wait for
            a GPU, nor to hold one.

        Raises
        ------
        PlaceError
            When there is no SSH on this computer.
        """
        ssh = shutil.which("ssh")
        if ssh is None:
            raise PlaceError(
                "There is no ssh program on this computer; install OpenSSH, which Windows has "
                "among its optional features."
            )
        # -P: a script called random.py in the home folder there is none of the trainer's modules.
        python = self.python if needs_gpu else self.plain_python
        words = " ".join([python, "-P", "-m", module, *map(shlex.quote, arguments)])
        return [ssh, *_OPTIONS, self.host, words]

    def trouble(self, complaint: str) -> PlaceError:
        """Return, not raise, what is wrong, given what SSH or the shell there has complained of."""
        last = next((line for line in reversed(complaint.splitlines()) if line.strip()), "").strip()
        low = complaint.lower()
        for signs, sentence in _TROUBLES:
            if any(sign in low for sign in signs):
                return PlaceError(sentence.format(host=self.host, python=self.python))
        said = f" ({last})" if last else ""
        return PlaceError(
            f"{self.host} does not answer{said}; see whether “ssh {self.host}” works in a terminal."
        )


#: A word of a shell, quotes and all.
_WORD = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""")

#: What programs complain of, in small letters, and what is to be done about it.
_TROUBLES = (
    (
        ("permission denied (", "too many authentication failures"),
        "{host} lets nobody in without a password; set up a key (ssh-copy-id {host} in a terminal) "
        "and try again.",
    ),
    (
        ("host key verification failed",),
        "{host} is not known to this computer, or another one than before; connect once in a "
        "terminal with ssh {host}, and try again.",
    ),
    (
        ("could not resolve hostname",),
        "There is no computer {host}; look at how its name is written.",
    ),
    (
        ("connection timed out", "no route to host", "network is unreachable", "operation timed"),
        "{host} cannot be reached; is it on, and are you in its network?",
    ),
    (
        ("connection refused",),
        "{host} takes no SSH connections; ask who looks after it.",
    ),
    (
        ("no module named napari_sslseg", "no module named 'napari_sslseg"),
        "{python} on {host} has no napari-sslseg; install it there, or name the Python with it.",
    ),
    (
        ("no such file or directory", "command not found", "not found", "not recognized"),
        "There is no {python} on {host}; name the Python that has napari-sslseg there.",
    ),
)
