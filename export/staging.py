"""A hidden folder next to the target, where an export writes its files. It is removed in any case."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kerasfound.errors import UserError

try:
    import fcntl
except ImportError:  # Windows has no such lock: the folder of a killed export stays
    fcntl = None  # type: ignore[assignment]

PREFIX, LOCK = ".export-", ".lock"


@contextlib.contextmanager
def staging_folder(parent: Path) -> Iterator[Path]:
    """Create a temporary folder inside `parent` and remove it at the end.

    `parent` is created if it does not exist, and removed again if it stays empty. Folders of killed exports are removed
    first. Their locks are free, because the system releases a lock when its process ends.

    Raises:
        UserError: if `parent` cannot be written to, or the disk is full.
    """
    created = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    folder = None
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(parent)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        with (folder / LOCK).open("w") as lock:
            if fcntl:
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    except OSError as error:
        reason = f"cannot be written to ({error.strerror or error})"
        raise UserError(f"{parent}: {reason}; nothing was exported, choose another folder.") from error
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        for empty in created:
            with contextlib.suppress(OSError):
                empty.rmdir()


def _remove_abandoned(parent: Path) -> None:
    for lock in parent.glob(f"{PREFIX}*/{LOCK}") if fcntl else ():
        with contextlib.suppress(OSError), lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent)
