"""What to say where PyTorch is missing or broken: which lines install it, instead of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

CPU = "pip install torch --index-url https://download.pytorch.org/whl/cpu"
USUAL = "pip install torch"


def torch_problem() -> str | None:
    """How to get PyTorch where it cannot be imported; None where it can."""
    try:
        import torch  # noqa: F401, PLC0415
    except (ImportError, OSError) as error:
        return how_to_install(error)
    return None


def how_to_install(error: BaseException) -> str | None:
    """Two lines on how to get PyTorch, where an error comes from importing it; else None."""
    for cause in _causes(error):
        if isinstance(cause, ModuleNotFoundError) and cause.name == "torch":
            return _lines("PyTorch is missing")
        if isinstance(cause, ImportError | OSError) and _while_importing_torch(cause):
            return _lines(f"PyTorch cannot be loaded ({str(cause).splitlines()[0]})")
    return None


def _lines(problem: str) -> str:
    return f"{problem}. For the CPU alone: {CPU}\n  With CUDA on Linux, or on a Mac: {USUAL}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those that led to it."""
    met: set[int] = set()
    while error is not None and id(error) not in met:
        met.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _while_importing_torch(error: BaseException) -> bool:
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if code.co_name == "<module>" and PurePath(code.co_filename).parts[-2:-1] == ("torch",):
            return True
        step = step.tb_next
    return False
