"""`cnnsvc serve`, whose engine also writes down a hash of every image it is handed: argument 1 names the file.

The server is the real one; only the loader of engines is wrapped.
"""

import hashlib
import sys
from pathlib import Path
from typing import Any

from cnnsvc.cli import app
from cnnsvc.engines import choice
from cnnsvc.engines.base import NEVER, Engine, Images, Scores
from cnnsvc.engines.load import load_engine


class RecordingEngine:
    trouble = ""

    def __init__(self, engine: Engine, record: Path) -> None:
        self._engine = engine
        self._record = record
        self.name, self.artifact, self.num_streams = engine.name, engine.artifact, engine.num_streams
        self.is_single = engine.is_single

    def run(self, images_nhwc: Images, deadline: float = NEVER) -> Scores:
        with self._record.open("a") as record:
            record.writelines(f"{hashlib.sha256(image.tobytes()).hexdigest()}\n" for image in images_nhwc)
        return self._engine.run(images_nhwc, deadline)

    def close(self) -> None:
        self._engine.close()


def main() -> None:
    record = Path(sys.argv.pop(1))

    def load_recording(*arguments: Any, **options: Any) -> Engine:
        return RecordingEngine(load_engine(*arguments, **options), record)

    vars(choice)["load_engine"] = load_recording
    app()


if __name__ == "__main__":
    main()
