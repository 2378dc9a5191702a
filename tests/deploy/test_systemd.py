"""The unit file, read by systemd's own checkers, and the settings that it and its environment file name."""

import dataclasses
import re
import shutil
import subprocess
import sys
from pathlib import Path

from cnnsvc.options import variable_of
from service.settings import ServeSettings
from tests.deploy.programs import require

SYSTEMD = Path(__file__).parents[2] / "deploy" / "systemd"
UNIT = SYSTEMD / "cnnsvc.service"


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """systemd-analyze verify knows every word; of the command only the folder is another one here."""
    command = str(Path(sys.executable).with_name("cnnsvc"))
    text = UNIT.read_text()
    assert "ExecStart=/opt/cnnsvc/bin/cnnsvc serve\n" in text
    (tmp_path / UNIT.name).write_text(text.replace("/opt/cnnsvc/bin/cnnsvc", command))
    assert _analyze("verify", "--man=no", tmp_path / UNIT.name) == ""


def test_a_word_that_systemd_does_not_know_is_found(tmp_path: Path) -> None:
    """The check above can fail."""
    (tmp_path / UNIT.name).write_text(UNIT.read_text().replace("ProtectSystem=", "ProtectSystems="))
    assert "ProtectSystems" in _analyze("verify", "--man=no", tmp_path / UNIT.name)


def test_the_service_is_confined(tmp_path: Path) -> None:
    """systemd's own measure of what a service could do, 0 to 10, is small."""
    shutil.copy(UNIT, tmp_path)
    said = _analyze("security", "--offline=yes", "--no-pager", "--threshold=100", tmp_path / UNIT.name)
    found = re.search(r"Overall exposure level for cnnsvc.service: ([\d.]+)", said)
    assert found, said
    assert float(found[1]) <= 1.5, said


def test_a_service_has_the_time_that_its_server_takes_to_end() -> None:
    """More than the pause that the environment file proposes and the grace together, and one signal to one process."""
    settings = _settings(UNIT)
    (pause_ms,) = re.findall(r"^#?CNNSVC_SHUTDOWN_PAUSE_MS=(\d+)$", (SYSTEMD / "cnnsvc.env").read_text(), re.MULTILINE)
    assert int(settings["TimeoutStopSec"]) * 1000 >= int(pause_ms) + ServeSettings.shutdown_grace_ms + 3000
    assert (settings["KillSignal"], settings["KillMode"]) == ("SIGTERM", "mixed")


def test_variables_are_settings() -> None:
    """Every CNNSVC_ variable in both files is one that `cnnsvc serve` reads."""
    known = {variable_of(field.name) for field in dataclasses.fields(ServeSettings)}
    for file in SYSTEMD.iterdir():
        named = set(re.findall(r"CNNSVC_[A-Z_]+", file.read_text()))
        assert named
        assert named <= known


def _settings(unit: Path) -> dict[str, str]:
    """Of the keys that come once, their values."""
    lines = [line.partition("=") for line in unit.read_text().splitlines() if "=" in line and not line.startswith("#")]
    return {key: value for key, _, value in lines}


def _analyze(*words: str | Path) -> str:
    """What systemd-analyze says."""
    command = [require("systemd-analyze", "systemd"), *map(str, words)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return finished.stdout + finished.stderr
