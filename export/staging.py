"""A place beside the target where files are made; whatever happens, it is gone afterwards."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kerasfound.errors import UserError

try:
    import fcntl
except ImportError:  # Windows: what a killed export leaves there stays
    fcntl = None  # type: ignore[assignment]

PREFIX, LOCK = ".export-", ".lock"


@contextlib.contextmanager
def staging(parent: Path) -> Iterator[Path]:
    """A new folder inside `parent`, which is made if need be; both go again, `parent` only if nothing is in it.

    What an export that was killed left behind in `parent` is removed first. That one is dead shows in its lock, which
    the system takes back however a process ends.

    Raises:
        UserError: if `parent` cannot be written to, or the disk is full.
    """
    made = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    folder = None
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _sweep(parent)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        with (folder / LOCK).open("w") as lock:
            if fcntl:
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    except OSError as error:
        raise UserError(f"{parent}: cannot be written to ({error.strerror or error}); nothing was exported.") from error
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        for empty in made:
            with contextlib.suppress(OSError):
                empty.rmdir()


def _sweep(parent: Path) -> None:
    for lock in parent.glob(f"{PREFIX}*/{LOCK}") if fcntl else ():
        with contextlib.suppress(OSError), lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A place in the folder of `path`, renamed to `path` at the end; after an error it is gone."""
    if path.is_dir() and any(path.iterdir()):
        raise UserError(f"{path}: exists already and is not empty; name a new place.")
    with staging(path.parent) as folder:
        yield folder / path.name
        (folder / path.name).replace(path)
