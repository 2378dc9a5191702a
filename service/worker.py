"""One of several processes on the same two ports; service.supervisor alone runs this module, as a program."""

import sys

from cnnsvc.cli import exit_status
from cnnsvc.errors import CnnsvcError
from service import logs
from service.state_dir import metrics_dir
from service.worker_task import Failed, SupervisorChannel, decode_task


def main(argument: str) -> None:
    task = decode_task(argument)
    settings = task.settings
    logs.configure(settings.log_level, settings.log_format, worker=task.index)
    channel = SupervisorChannel(task.channel)
    # Their imports may log, and metrics must not be made before it is known that they are shared.
    from service.app import Seat, serve
    from service.shared_metrics import SharedRegistry

    registry = SharedRegistry(metrics_dir(task.state_dir), task.index)
    seat = Seat(task.index, registry, channel, task.state_dir, is_replacement=task.is_replacement)
    try:
        serve(settings, seat)
    except CnnsvcError as error:  # told by the supervisor, which knows whether it is the end
        channel.tell(Failed(error.kind, str(error)))
        sys.exit(exit_status(error))


if __name__ == "__main__":
    main(sys.argv[1])
