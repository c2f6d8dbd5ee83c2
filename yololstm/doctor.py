"""What this machine has of what it takes: packages, processor, codecs, caches, remote."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal

from yololstm import installed, remote
from yololstm.errors import VideoError
from yololstm.installed import Package
from yololstm.inventory import Verdict
from yololstm.settings import FIND_PERSONS, Backend

State = Literal["ok", "lacking", "note"]
_SHOWN: Final = (
    "torch",
    "ultralytics",
    "mediapipe",
    "onnxruntime",
    "opencv-python",
    "numpy",
    "dvc",
)
_FLAGS: Final = {
    "avx2": "AVX2",
    "avx512f": "AVX512",
    "avx512_bf16": "AVX512_BF16",
    "amx_tile": "AMX",
}
"""What decides how fast networks run; see training.Settings.precision."""
_REMOTE_S: Final = 15.0
"""DVC takes seconds to import."""


@dataclass(frozen=True)
class Finding:
    topic: str
    state: State
    text: str


def packages() -> list[Finding]:
    """What it takes to run, and the extras."""
    found = installed.packages()
    base = [package for package in found if not package.extra]
    bad = [package for package in base if not package.is_right]
    versions = {package.name: package.version for package in found}
    text = ", ".join(f"{name} {versions[name]}" for name in _SHOWN if versions.get(name))
    findings = [Finding("packages", "ok", text)]
    if bad:
        state: State = "note" if {package.name for package in bad} <= installed.TORCH else "lacking"
        findings.append(Finding("", state, f"{_named(bad)} ({installed.install('')})"))
    return [*findings, _extras([package for package in found if package.extra])]


def _named(bad: Sequence[Package]) -> str:
    absent = [package.name for package in bad if not package.version]
    other = [f"{package.name} {package.version}" for package in bad if package.version]
    parts = (("not installed", absent), ("another version than asked for", other))
    return "; ".join(f"{title}: {', '.join(names)}" for title, names in parts if names)


def _extras(found: Sequence[Package]) -> Finding:
    extras = list(dict.fromkeys(package.extra for package in found))
    lacking = {package.extra for package in found if not package.is_right}
    there = ", ".join(extra for extra in extras if extra not in lacking) or "none"
    others = ",".join(extra for extra in extras if extra in lacking)
    more = f"; more: {installed.install(others)}" if others else ""
    return Finding("extras", "note", there + more)


def device() -> Finding:
    """What networks run on."""
    return Finding("device", "ok", "; ".join([*_gpus(), _cpu()]))


def _gpus() -> list[str]:
    try:
        import torch
    except ModuleNotFoundError:
        return []
    if not torch.cuda.is_available():
        return []
    number = torch.cuda.device_count()
    return [f"CUDA: {torch.cuda.get_device_name(index)}" for index in range(number)]


def _cpu() -> str:
    lines = _read(Path("/proc/cpuinfo")).splitlines()
    said = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    said = {key.strip(): value.strip() for key, value in said.items()}
    flags = said.get("flags", "").split()
    name = said.get("model name") or platform.processor() or platform.machine()
    able = [title for flag, title in _FLAGS.items() if flag in flags]
    return ", ".join([f"CPU: {name}", f"{_cores()} cores", *able])


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def codecs() -> Finding:
    """Whether H.264 is written and read here: a video of moments is."""
    import numpy as np

    from yololstm import video

    n_frames = 4
    with tempfile.TemporaryDirectory(prefix="yololstm-doctor-") as folder:
        path = Path(folder, "tried.mp4")
        try:
            with video.writing(path, Fraction(5), 64, 64) as writer:
                for level in range(n_frames):
                    writer.write(np.full((64, 64, 3), 40 * level, dtype=np.uint8))
            n_read = sum(1 for _ in video.read(path))
        except (VideoError, ValueError, OSError) as error:
            return Finding("video", "lacking", f"H.264 cannot be written and read ({error})")
    if n_read != n_frames:
        return Finding("video", "lacking", f"of {n_frames} frames written, {n_read} were read")
    return Finding("video", "ok", f"H.264 written and read, {video.LIBRARY}")


def model(verdict: Verdict) -> Finding:
    wanted, problem = verdict.model, verdict.problem
    if problem:
        return Finding(wanted.role, "lacking", str(problem))
    said = verdict.likeness or "checksum not known"
    return Finding(wanted.role, "ok", f"{wanted.path}  {verdict.sha256[:12]}, {said}")


def caches(folders: Sequence[Path]) -> Finding:
    sizes = [f"{folder} {_size(_bytes(folder))}" for folder in folders if folder.is_dir()]
    return Finding("caches", "note", ", ".join(sizes) or "none here")


def _bytes(folder: Path) -> int:
    paths = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    return sum(path.lstat().st_size for path in paths)


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"


def dvc_remote(folder: Path, timeout_s: float = _REMOTE_S) -> Finding:
    """Whether the default one of the repository that ``folder`` is in answers. One does not need it
    to run."""
    here = folder.absolute()
    # DVC looks for it likewise, but takes seconds to start.
    if not any((parent / ".dvc").is_dir() for parent in (here, *here.parents)):
        return Finding("DVC remote", "note", "no DVC repository here")
    if any(package.name == "dvc" and not package.version for package in installed.packages()):
        return Finding("DVC remote", "note", f"not asked: {installed.install('pipeline')}")
    answer = remote.ask(folder, timeout_s)
    if answer.problem:
        where = f"{answer.name} ({answer.url}): " if answer.name else ""
        return Finding("DVC remote", "note", f"{where}fails: {answer.problem}")
    if not answer.name:
        return Finding("DVC remote", "note", "none is set: dvc remote add --default NAME URL")
    return Finding("DVC remote", "ok", f"{answer.name} ({answer.url}) answers")


def runtime(
    name: Literal["torch", "onnx"], backend: Backend, models: Sequence[Verdict], can_film: bool
) -> Finding:
    """Whether ``yololstm run --runtime NAME`` has all that it takes.

    models: what it takes with that backend.
    """
    topic = f"run, {name}"
    if name == "onnx" and backend in FIND_PERSONS:
        return Finding(topic, "lacking", f"{backend} runs by torch alone")
    unused = installed.TORCH if name == "onnx" else frozenset({"onnxruntime"})
    lacking = [
        package.name
        for package in installed.packages()
        if not package.extra and not package.is_right and package.name not in unused
    ]
    lacking += [verdict.model.role for verdict in models if verdict.problem]
    lacking += [] if can_film else ["video"]
    if lacking:
        return Finding(topic, "lacking", f"lacks {', '.join(lacking)}")
    return Finding(topic, "ok", f"ready: yololstm run VIDEO --out OUT --runtime {name}")
