"""`python -m scheduler.owner docker | kubernetes`: makes so many workers run as the scheduler wants.

It owns nothing that ends with it: workers live on without it, and without the scheduler. Two of them do no harm.
"""

import argparse
import logging
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from headrace import logs
from headrace.errors import HeadraceError, SettingsError
from headrace.keys import Keys
from headrace.settings import Settings, get_settings
from headrace.sync_redis import SyncRedis
from scheduler.backends.docker import DockerBackend, Likeness
from scheduler.backends.kubernetes import IN_CLUSTER, SERVICE_ACCOUNT, KubernetesBackend
from scheduler.backends.port import Backend, BackendError
from scheduler.backends.rest import Rest
from scheduler.reconciler import Reconciler
from scheduler.stop_signal import StopSignal
from scheduler.wishes import Wishes

log = logging.getLogger("headrace.owner")

_LOOK_S = 0.25
#: After a place has failed.
_PAUSE_S = 2.0
#: Beyond the settings' grace, for a worker to tell that it gave up.
_WORKER_MARGIN_S = 20.0


class Owner:
    """Looks at the wishes and carries them out.

    Args:
        backend: where the workers run.
        wishes: what is wanted.
        classes: names of the worker classes.
        drain_limit_s: how long a worker may take to finish what it has before it is killed.
    """

    def __init__(self, *, backend: Backend, wishes: Wishes, classes: Sequence[str], drain_limit_s: float) -> None:
        self._wishes = wishes
        self._classes = frozenset(classes)
        self._reconciler = Reconciler(backend=backend, drain_limit_s=drain_limit_s)
        self._is_failing = False

    def run(self, stop: StopSignal) -> None:
        """Step until asked to stop; the workers stay."""
        pause_s = 0.0
        while not stop.wait(pause_s):
            pause_s = _LOOK_S if self.step(time.monotonic()) else _PAUSE_S

    def step(self, now: float) -> bool:
        """Look and act once; False if the place where the workers run has failed."""
        self._wishes.look()
        if not self._classes <= self._wishes.desired.keys():
            # Nobody has decided about all of them, or somebody else wrote there: what runs is left as it is.
            return True
        try:
            self._reconciler.step(self._wishes.desired, now, self._wishes.seen)
        except BackendError as error:
            say = log.debug if self._is_failing else log.warning
            say("the number of workers cannot be changed, looking again: %s", error)
            self._is_failing = True
            return False
        self._is_failing = False
        return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one owner; answers the exit status."""
    options = _options(arguments)
    stop = StopSignal()
    stop.listen()
    try:
        settings = get_settings()
        logs.configure(settings.log_style, service="owner")
        backend = _docker(options, settings) if options.place == "docker" else _kubernetes(options, settings)
    except (HeadraceError, BackendError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - there may be no log yet
        return 2
    connection = SyncRedis(url=settings.redis_url)
    wishes = Wishes(keys=Keys(cell=settings.cell), connection=connection)
    owner = Owner(
        backend=backend,
        wishes=wishes,
        classes=tuple(settings.worker_classes),
        drain_limit_s=settings.shutdown_grace_s + _WORKER_MARGIN_S,
    )
    owner.run(stop)
    connection.close()
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scheduler.owner", description="Run the workers that are wanted.")
    places = parser.add_subparsers(dest="place", required=True)
    docker = places.add_parser("docker", help="as containers like the one that this runs in")
    docker.add_argument("--socket", default="/var/run/docker.sock", metavar="PATH", help="of Docker Engine")
    docker.add_argument("--like", default=socket.gethostname(), metavar="CONTAINER", help="by default this one")
    docker.add_argument("--image", action="append", default=[], metavar="CLASS=IMAGE", help="for one worker class")
    kubernetes = places.add_parser("kubernetes", help="as pods of the Deployments headrace-worker-CLASS")
    kubernetes.add_argument("--server", default=IN_CLUSTER, metavar="URL", help="of the API")
    kubernetes.add_argument("--namespace", help="by default this pod's")
    kubernetes.add_argument(
        "--account", type=Path, default=SERVICE_ACCOUNT, metavar="FOLDER", help="with token, ca.crt and namespace"
    )
    return parser.parse_args(arguments)


def _docker(options: argparse.Namespace, settings: Settings) -> DockerBackend:
    rest = Rest("http://docker", socket=options.socket)
    return DockerBackend(
        rest=rest,
        cell=settings.cell,
        classes=settings.worker_classes,
        likeness=Likeness.of_container(rest, options.like),
        images=dict(_image(text, settings) for text in options.image),
    )


def _image(text: str, settings: Settings) -> tuple[str, str]:
    name, _, image = text.partition("=")
    if not image or name not in settings.worker_classes:
        known = ", ".join(sorted(settings.worker_classes))
        raise SettingsError(f"--image {text}: write CLASS=IMAGE with one of the worker classes {known}")
    return name, image


def _kubernetes(options: argparse.Namespace, settings: Settings) -> KubernetesBackend:
    account: Path = options.account
    ca_file, token_file = account / "ca.crt", account / "token"
    return KubernetesBackend(
        rest=Rest(options.server, ca_file=str(ca_file) if ca_file.exists() else None),
        namespace=options.namespace or (account / "namespace").read_text().strip(),
        classes=tuple(settings.worker_classes),
        token_file=token_file if token_file.exists() else None,
    )


if __name__ == "__main__":
    sys.exit(main())
